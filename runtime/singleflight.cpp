// singleflight: how a flight begins, is given up, and ends. Owning core only.
#include <axle/sync/singleflight.hpp>

namespace axle::detail {

// The last caller cannot leave: it ends the flight and stays until that has ended. Until then nobody joins it.
const wait_kind flight_base::wait_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<wait_await&>(static_cast<list_waiter&>(node));
          flight_base& of = mine.of_;
          if (of.callers_.statistics().now > 1) return of.callers_.give_up(mine);
          mine.kind = &last_kind;
          of.given_up_ = true;
          request_cancel(*of.work_);
        },
    .what = "singleflight",
};
const wait_kind flight_base::wait_await::last_kind = {
    .complete = nullptr,
    .cancel = [](wait_node&) noexcept {},
    .what = "singleflight: the end of what was given up",
};
const wait_kind flight_base::landing_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<landing_await&>(static_cast<list_waiter&>(node));
          mine.of_.later_.give_up(mine);
        },
    .what = "singleflight: the one before",
};

void flight_base::begin(task_state& work) noexcept {
  work_ = &work;
  ended = on_ended;
  work.on_end = this;
  add_reference();
  this_loop->ready.push(work, false);
}

// As with children: what was reached is delivered even to one who is being cancelled; else that one is ended.
void flight_base::on_ended(end_hook& hook, task_state& work) noexcept {
  auto& mine = static_cast<flight_base&>(hook);
  mine.work_ = nullptr;
  mine.landed_(mine, work);
  while (!mine.callers_.empty()) {
    list_waiter& caller = *mine.callers_.pop_front();
    if (caller.kind == &wait_await::last_kind && work.how == ending::cancelled) {
      this_loop->make_ready_to_end(*caller.waiter);
    } else {
      this_loop->make_ready(*caller.waiter);
    }
  }
  mine.later_.wake_all();
  mine.drop_reference();
}

}  // namespace axle::detail
