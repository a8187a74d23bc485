// must not compile: nodiscard.*a task runs only when it is awaited or spawned
// A task that nobody awaits would never run: the forgotten co_await is an error, not a silence.
#include <axle/task.hpp>

axle::task<> greet() { co_return; }

axle::task<> awaits_what_it_calls() {
#ifdef MISUSE
  greet();
#else
  co_await greet();
#endif
  co_return;
}
