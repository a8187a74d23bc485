// condition: tasks that hold a mutex wait for something to become true. asyncio.Condition.
//
// A task that waits gives the mutex up and has it again when it goes on, whatever happened: notified, or being cancelled.
// A notified task goes straight from the condition's queue to the mutex's, so notifying many wakes one at a time.
#pragma once

#include <coroutine>
#include <cstddef>
#include <limits>

#include <axle/sync/mutex.hpp>
#include <axle/task.hpp>

namespace axle {

class condition : detail::core_bound {
 public:
  class [[nodiscard]] wait_await : detail::list_waiter {
   public:
    wait_await(condition& of, mutex::guard& held) noexcept : of_(of), held_by_(held) { kind = &kind_of; }
    wait_await(const wait_await&) = delete;
    wait_await& operator=(const wait_await&) = delete;

    bool await_ready() noexcept {
      of_.need_own_loop("a condition");
      AXLE_CHECK(held_by_.of_ != nullptr, "waiting for a condition takes a guard that holds its mutex");
      return false;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (!detail::suspend_on(h, *this, "condition")) return;
      lock_ = held_by_.of_;
      of_.waiters_.push_back(*this);
      lock_->release();
    }
    void await_resume() const { detail::throw_if_cut(); }

   private:
    friend condition;
    AXLE_EXPORT void want_mutex(bool then_end) noexcept;
    AXLE_EXPORT static const detail::wait_kind kind_of;    // waits to be notified
    AXLE_EXPORT static const detail::wait_kind relocking;  // was notified: waits for the mutex
    AXLE_EXPORT static const detail::wait_kind
        relocking_to_end;  // was cancelled: waits for the mutex all the same

    condition& of_;
    mutex::guard& held_by_;
    mutex* lock_ = nullptr;
  };

  condition() = default;

  /// Unlocks what `held` holds, waits to be notified, and locks it again. May be notified for nothing that still holds:
  /// prefer the form with a predicate.
  wait_await wait(mutex::guard& held) noexcept { return {*this, held}; }
  /// Waits until `holds()` is true; it is called with the mutex locked.
  template <class Predicate>
  task<> wait(mutex::guard& held, Predicate holds) {
    while (!holds()) co_await wait(held);
  }

  /// Wakes so many of those that wait, oldest first. Best called with the mutex locked.
  AXLE_EXPORT void notify(std::size_t count = 1) noexcept;
  void notify_all() noexcept { notify(std::numeric_limits<std::size_t>::max()); }
  const waiting_statistics& statistics() const noexcept { return waiters_.statistics(); }

 private:
  detail::wait_list waiters_{"condition"};
};

}  // namespace axle
