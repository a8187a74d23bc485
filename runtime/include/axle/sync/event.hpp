// event: tasks wait until it is set. asyncio.Event.
#pragma once

#include <coroutine>

#include <axle/detail/wait_list.hpp>

namespace axle {

class event : detail::core_bound {
 public:
  class [[nodiscard]] wait_await : detail::list_waiter {
   public:
    explicit wait_await(event& of) noexcept : of_(of) {}
    wait_await(const wait_await&) = delete;
    wait_await& operator=(const wait_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("an event");
      return of_.set_ && detail::may_take_now(loop);
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.set_) return detail::requeue(h);
      kind = &kind_of;
      if (detail::suspend_on(h, *this, "event")) of_.waiters_.push_back(*this);
    }
    void await_resume() const { detail::throw_if_cut(); }

   private:
    AXLE_EXPORT static const detail::wait_kind kind_of;
    event& of_;
  };

  event() = default;

  /// Returns at once if it is set, else when it is. A task that was woken goes on even if the event is cleared first.
  wait_await wait() noexcept { return wait_await(*this); }
  /// Wakes all that wait, in the order in which they came. O(waiting).
  void set() noexcept {
    need_own_loop("an event");
    set_ = true;
    waiters_.wake_all();
  }
  void clear() noexcept {
    need_own_loop("an event");
    set_ = false;
  }
  bool is_set() const noexcept { return set_; }
  const waiting_statistics& statistics() const noexcept { return waiters_.statistics(); }

 private:
  bool set_ = false;
  detail::wait_list waiters_{"event"};
};

}  // namespace axle
