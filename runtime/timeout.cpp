// The alarm of with_timeout, and the decision between value, timeout and cancellation. Owning core only.
#include <axle/timeout.hpp>

namespace axle::detail {

const wait_kind timeout_family::kind_of = {
    .complete = nullptr,
    .cancel = cancel_all,
    .what = "with_timeout",
    .whom =
        [](const wait_node& node, wait_edges& into) {
          whom(node, into);
          into.or_else = !static_cast<const timeout_family&>(node).timed_out_;
        },
};

const wait_kind timeout_family::alarm_kind = {
    .complete =
        [](wait_node& node) noexcept {
          timeout_family& mine = *static_cast<alarm&>(node).of;
          mine.timed_out_ = true;
          mine.cancel_children();
        },
    .cancel = nullptr,
    .what = "timeout",
};

// True: the child completed without suspending.
bool timeout_family::start() noexcept {
  task_state& parent = need_task("with_timeout");
  loop_core& loop = *this_loop;
  if (!is_deadline_) alarm_.deadline_ns = deadline_after(loop.drives->now(), alarm_.deadline_ns);
  adopt(child_);
  if (parent.must_end() || loop.depth >= max_await_depth) {
    loop.ready.push(child_, false);  // `wait` cancels it in the first case, before it runs
    return false;
  }
  start_inline(child_);
  if (child_.now != phase::finished || loop.credit == 0) return false;
  --loop.credit;
  return true;
}

void timeout_family::arm() noexcept {
  if (alarm_.deadline_ns < timer_wheel::never) this_loop->wheel.arm(alarm_);
}

void timeout_family::told(family& of, child_task& ended) noexcept {
  auto& mine = static_cast<timeout_family&>(of);
  this_loop->wheel.disarm(mine.alarm_);
  if (mine.waiter) mine.wake_parent(ended.how != ending::cancelled);
}

}  // namespace axle::detail
