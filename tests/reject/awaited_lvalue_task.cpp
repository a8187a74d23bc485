// must not compile: a named task is awaited as
// A task can be awaited once, so awaiting a named one says that it is given up.
#include <utility>

#include <axle/task.hpp>

axle::task<int> one() { co_return 1; }

axle::task<int> awaited_once() {
  axle::task<int> work = one();
#ifdef MISUSE
  co_return co_await work;
#else
  co_return co_await std::move(work);
#endif
}
