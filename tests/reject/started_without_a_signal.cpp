// must not compile: error
// group.start hands its child a ready_signal first.
#include <axle/task_group.hpp>

axle::task<> child(axle::ready_signal<int> ready, int value) {
  ready(value);
  co_return;
}
axle::task<> no_signal(int) { co_return; }

axle::task<> body(axle::task_group& group) {
#ifdef MISUSE
  const int value = co_await group.start<int>(no_signal, 1);
#else
  const int value = co_await group.start<int>(child, 1);
#endif
  static_cast<void>(value);
}
