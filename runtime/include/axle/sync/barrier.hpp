// barrier: so many tasks wait for each other, again and again. asyncio.Barrier. latch: a count that goes down once.
#pragma once

#include <coroutine>
#include <cstddef>

#include <axle/detail/wait_list.hpp>
#include <axle/result.hpp>

namespace axle {

class barrier : detail::core_bound {
 public:
  class [[nodiscard]] wait_await : detail::list_waiter {
   public:
    explicit wait_await(barrier& of) noexcept : of_(of) { kind = &kind_of; }
    wait_await(const wait_await&) = delete;
    wait_await& operator=(const wait_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a barrier");
      return (of_.broken_ || of_.last_is_missing()) && detail::may_take_now(loop) && arrive();
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if ((of_.broken_ || of_.last_is_missing()) && !detail::this_loop->current->must_end()) {
        arrive();
        return detail::requeue_with_value(h);
      }
      place_ = of_.waiters_.statistics().now;
      if (detail::suspend_on(h, *this, "barrier")) of_.waiters_.push_back(*this);
    }
    result<std::size_t> await_resume() const {
      detail::throw_if_cut();
      if (broken_) return fail(errc::operation_canceled);
      return place_;
    }

   private:
    friend barrier;
    // The last of its round, or one that meets a broken barrier: does not wait.
    bool arrive() noexcept {
      broken_ = of_.broken_;
      place_ = of_.parties_ - 1;
      if (!broken_) of_.waiters_.wake_all();
      return true;
    }
    AXLE_EXPORT static const detail::wait_kind kind_of;
    barrier& of_;
    std::size_t place_ = 0;
    bool broken_ = false;
  };

  /// Of at least one.
  explicit barrier(std::size_t parties) noexcept : parties_(parties) {
    AXLE_CHECK(parties > 0, "a barrier of no tasks opens never");
  }

  /// Waits until as many tasks wait as the barrier is for, then all go on; the next round begins. Which of the round this
  /// one was, from 0, in the order of arrival; errc::operation_canceled if the barrier was broken. One that is cancelled
  /// while it waits leaves its place to another.
  wait_await wait() noexcept { return wait_await(*this); }
  /// Those that wait, and all that come, get errc::operation_canceled; until reset(). asyncio's abort().
  void abort() noexcept {
    need_own_loop("a barrier");
    broken_ = true;
    turn_away();
  }
  /// As new; those that wait get errc::operation_canceled.
  void reset() noexcept {
    need_own_loop("a barrier");
    broken_ = false;
    turn_away();
  }

  std::size_t parties() const noexcept { return parties_; }
  std::size_t waiting() const noexcept { return waiters_.statistics().now; }
  bool broken() const noexcept { return broken_; }
  const waiting_statistics& statistics() const noexcept { return waiters_.statistics(); }

 private:
  bool last_is_missing() const noexcept { return waiters_.statistics().now + 1 == parties_; }
  AXLE_EXPORT void turn_away() noexcept;

  std::size_t parties_;
  bool broken_ = false;
  detail::wait_list waiters_{"barrier"};
};

/// Opens for good when it has been counted down to zero.
class latch : detail::core_bound {
 public:
  class [[nodiscard]] wait_await : detail::list_waiter {
   public:
    explicit wait_await(latch& of) noexcept : of_(of) { kind = &kind_of; }
    wait_await(const wait_await&) = delete;
    wait_await& operator=(const wait_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a latch");
      return of_.left_ == 0 && detail::may_take_now(loop);
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.left_ == 0) return detail::requeue(h);
      if (detail::suspend_on(h, *this, "latch")) of_.waiters_.push_back(*this);
    }
    void await_resume() const { detail::throw_if_cut(); }

   private:
    AXLE_EXPORT static const detail::wait_kind kind_of;
    latch& of_;
  };

  explicit latch(std::size_t count) noexcept : left_(count) {}

  wait_await wait() noexcept { return wait_await(*this); }
  /// Below zero is a CHECK.
  void count_down(std::size_t by = 1) noexcept {
    need_own_loop("a latch");
    AXLE_CHECK(by <= left_, "a latch that has %zu left was counted down by %zu", left_, by);
    left_ -= by;
    if (left_ == 0) waiters_.wake_all();
  }
  /// For who does not know the count beforehand (Go's WaitGroup.Add). An open latch stays open: a CHECK.
  void add(std::size_t more = 1) noexcept {
    need_own_loop("a latch");
    AXLE_CHECK(left_ > 0, "a latch that is open cannot be closed again");
    left_ += more;
  }
  std::size_t left() const noexcept { return left_; }
  const waiting_statistics& statistics() const noexcept { return waiters_.statistics(); }

 private:
  std::size_t left_;
  detail::wait_list waiters_{"latch"};
};

}  // namespace axle
