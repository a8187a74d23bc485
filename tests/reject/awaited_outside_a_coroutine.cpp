// must not compile: this function cannot be a coroutine|unable to find the promise type
// A plain function cannot await; it is not silently made to block.
#include <axle/task.hpp>

axle::task<int> one() { co_return 1; }

#ifdef MISUSE
int waits() { return co_await one(); }
#else
axle::task<int> waits() { co_return co_await one(); }
#endif
