// must not compile: deleted (copy constructor of 'axle::task<int>'|function .*task\(const axle::task)
// A task is one coroutine with one owner.
#include <utility>

#include <axle/task.hpp>

axle::task<int> one() { co_return 1; }

axle::task<int> awaited_once() {
  axle::task<int> first = one();
#ifdef MISUSE
  axle::task<int> second = first;
#else
  axle::task<int> second = std::move(first);
#endif
  co_return co_await std::move(second);
}
