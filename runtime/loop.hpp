// loop: one core's endless work. Private to runtime/.
//
// The turn (DESIGN.md section 4) is `turn()` in loop.cpp, and its order is API: microtasks, ready tasks, mailbox,
// timers, driver. Owned by one thread; other threads use send() alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>

#include <axle/call_window.hpp>
#include <axle/detail/lane.hpp>
#include <axle/detail/loop_core.hpp>
#include <axle/detail/mailbox.hpp>
#include <axle/driver.hpp>
#include "idle_policy.hpp"

namespace axle::detail {

struct loop_limits {
  unsigned tasks_per_turn = 256;
  std::int64_t run_ns = 500'000;  // after this long in ready tasks the turn goes on to I/O
  bool debug = false;
  std::int64_t slow_ns = 100'000'000;  // debug: a task or callback that runs longer is reported
  idle_policy::settings idle = {};
};

/// Whoever lets a loop run as a guest of another loop.
class loop_host {
 public:
  /// Goes back to the other loop; returns in the guest's next turn.
  virtual void leave() noexcept = 0;
  virtual ~loop_host() = default;
};

class loop : public loop_core {
 public:
  loop(std::unique_ptr<driver> drives_it, unsigned core_number, loop_limits limits);
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// One pass. With nothing to do it sleeps in the driver until `until_ns`, the nearest deadline, a completion or a wake.
  void turn(std::int64_t until_ns) noexcept;

  /// Delivers a message to this loop, through its mailbox. Any thread.
  void send(message& sent) noexcept;
  /// This loop reads the lane from now on. Its own thread.
  void read(lane& opened) noexcept;
  /// After something was put into a lane to it and a fence, or into the mailbox. Any thread.
  void wake_if_asleep() noexcept;
  std::atomic<attention>& readers_attention() noexcept { return attention_; }
  /// Ends a sleep, now or the next one. Any thread; async-signal-safe.
  void wake() noexcept {
    told_.store(true, std::memory_order_relaxed);  // before the wake, which orders it
    driver_->wake();
  }
  /// From now on it does not sleep, but leaves to its host once in each turn.
  void be_guest_of(loop_host& host) noexcept {
    host_ = &host;
    can_spin_ = false;
  }

  bool quiet() const noexcept {
    return task_count == 0 && in_driver == 0 && ready.empty() && microtasks.empty();
  }
  std::uint64_t turns() const noexcept { return turns_; }
  idle_policy& idle() noexcept { return idle_; }
  const idle_statistics& idle_times() const noexcept { return idle_times_; }
  const loop_limits& limits() const noexcept { return limits_; }
  /// For the next turn; of this one, what has not begun.
  void set_limits(const loop_limits& limits) noexcept {
    limits_ = limits;
    idle_.change(limits.idle);
  }

  /// When no task is left: runs the mail, and frees the callbacks that will never run.
  void drop_leftovers() noexcept;
  /// To stderr: the tasks that do not end, and what they wait for.
  void report_stuck() noexcept;

 private:
  void run_ready() noexcept;
  void run_item(ready_queue::item next) noexcept;
  void run_item_timed(ready_queue::item next) noexcept;
  /// Debug: now and then; else before a sleep that nothing of this core would end.
  void look_for_deadlocks() noexcept;
  void run_microtasks(unsigned& budget) noexcept;
  /// Of each of a turn's steps; without end they still leave room for the rest.
  unsigned microtasks_per_turn() const noexcept { return (limits_.tasks_per_turn + 1) / 2; }
  void take_mail() noexcept;
  void take_parcels(lane& from, unsigned& budget) noexcept;
  bool has_mail() const noexcept;
  void fire_timers() noexcept;
  void exchange_operations(std::int64_t until_ns) noexcept;
  void wait_in_driver(operation_list& completed, std::int64_t until_ns) noexcept;
  void idle_until(operation_list& completed, std::int64_t until_ns) noexcept;
  bool spin(operation_list& completed, std::int64_t until_ns, std::int64_t for_ns,
            idle_policy::idle_time& idle) noexcept;
  void count_spun(const idle_policy::idle_time& idle, bool paid) noexcept;
  bool was_told() noexcept;
  void be_busy() noexcept;
  void sleep(operation_list& completed, std::int64_t until_ns) noexcept;

  std::unique_ptr<driver> driver_;
  loop_limits limits_;
  loop_host* host_ = nullptr;
  std::uint64_t turns_ = 0;
  /// Without debug mode; more would take longer than half a millisecond.
  static constexpr std::size_t tasks_looked_through = 1'000;
  std::int64_t next_look_ns_ = 0;  // for deadlocks
  std::size_t deadlocks_seen_ = 0;
  call_window calls_{1'024};
  idle_policy idle_;
  idle_statistics idle_times_;
  bool can_spin_ = false;
  /// Between two looks at the clock while spinning; longer, and somebody else had the processor.
  static constexpr std::int64_t longest_gap_ns = 100'000;
  lane* lanes_in_ = nullptr;  // that it reads
  std::uint32_t parcels_since_sleep_ = 0;
  mailbox mail_;
  alignas(128) std::atomic<attention> attention_{attention::drowsy};
  std::atomic<bool> told_{false};  // wake() was called; whoever spins, and guests, look
};

/// A failed task that nobody joined: to the handler, which by default reports and terminates.
void report_unjoined(task_state& task, frame_handle root) noexcept;
/// The same for an exception that escaped from a callback.
void report_failed_callback(const std::exception_ptr& error) noexcept;

}  // namespace axle::detail
