// Callbacks of the loop: queued, timed, called off. Owning core only.
#include <axle/call.hpp>

#include <exception>

#include <axle/detail/object_timer.hpp>
#include <axle/spawn.hpp>
#include "loop.hpp"

namespace axle::detail {

namespace {

void run_and_drop(callback_block& block) noexcept {
  block.over = true;
  if (!block.called_off) {
    try {
      block.invoke(block);
    } catch (...) {
      report_failed_callback(std::current_exception());
    }
  }
  drop_callback(block);
}

const wait_kind timed_call = {
    .complete =
        [](wait_node& node) noexcept {
          auto& block = static_cast<callback_block&>(static_cast<timer_node&>(node));
          block.loop->ready.push(block, true);
        },
    .cancel = nullptr,
    .what = "call_later",
};

}  // namespace

void queue_callback(callback_block& block, bool microtask) noexcept {
  block.loop = this_loop;
  block.run = [](ready_callback& queued) noexcept { run_and_drop(static_cast<callback_block&>(queued)); };
  (microtask ? this_loop->microtasks : this_loop->ready).push(block, true);
}

void arm_callback(callback_block& block, std::int64_t deadline_ns) noexcept {
  block.loop = this_loop;
  block.run = [](ready_callback& queued) noexcept { run_and_drop(static_cast<callback_block&>(queued)); };
  block.kind = &timed_call;
  block.deadline_ns = deadline_ns;
  this_loop->wheel.arm(block);
}

std::int64_t deadline_from_now(std::int64_t after_ns) noexcept {
  return deadline_after(this_loop->drives->now(), after_ns);
}

// In the ready queue it stays where it is and does nothing when its turn comes.
void call_off(callback_block& block) noexcept {
  check_core(block.loop, "a call_handle");
  block.over = true;
  block.called_off = true;
  if (block.loop->wheel.disarm(block)) drop_callback(block);
}

// When the loop ends: only callbacks and objects' timers are left in the wheel, for every task has ended. The object may
// live on, with its timer disarmed.
void drop_timed_call(timer_node& armed) noexcept {
  if (armed.kind == &object_timer::kind_of) return;
  AXLE_CHECK(armed.kind == &timed_call, "a timer of kind \"%s\" outlived its task", armed.kind->what);
  drop_uncalled(static_cast<callback_block&>(armed));
}

// A handle may outlive the loop: it finds nothing left to cancel.
void drop_uncalled(callback_block& block) noexcept {
  block.over = true;
  drop_callback(block);
}

void drop_callback(callback_block& block) noexcept {
  if (--block.references == 0) block.drop(block);
}

}  // namespace axle::detail
