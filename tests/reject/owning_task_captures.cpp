// must not compile: owning_task: every parameter must be taken by value
// The captures of a lambda live in the lambda, and the task does not keep that alive.
#include <axle/owning_task.hpp>
#include <axle/spawn.hpp>

axle::owning_task<int> itself(int given) { co_return given; }

axle::task<> use(int value) {
#ifdef MISUSE
  const auto body = [value]() -> axle::owning_task<int> { co_return value; };
  auto running = axle::spawn(body());
#else
  auto running = axle::spawn(itself(value));
#endif
  const int result = co_await running;
  static_cast<void>(result);
}
