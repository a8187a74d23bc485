// must not compile: nothing happens until it is awaited
// A wait that is not awaited is a mistake, and nothing else would tell.
#include <chrono>

#include <axle/sleep.hpp>

axle::task<> rests() {
#ifdef MISUSE
  axle::sleep(std::chrono::seconds(1));
  co_return;
#else
  co_await axle::sleep(std::chrono::seconds(1));
#endif
}
