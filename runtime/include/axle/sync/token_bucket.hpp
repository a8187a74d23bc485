// token_bucket: a rate limiter. Tokens come at a steady rate, up to a burst; who wants to go on takes some.
//
// The generic cell rate algorithm, as virtual scheduling (ITU-T I.371, annex A): what is kept is not a count of tokens but
// the time at which the bucket will be full, and taking a token moves that time by the time in which one comes. Times are
// integers, in parts of a nanosecond such that a token is a whole number of parts, so nothing is ever rounded away.
// Fair: by priority, then first come first served; who asks for many is not passed by those who ask for few.
// One timer, armed for the first that waits and not when nobody does. Single core, no atomics.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include <axle/detail/object_timer.hpp>
#include <axle/detail/wait_list.hpp>

namespace axle {

struct token_rate {
  double per_second = 1;  ///< from 1e-9 to 1e9; taken as a decimal number of 15 digits
  std::size_t burst = 1;  ///< what it holds when it is full; it must fill within 146 years
};

class token_bucket : detail::core_bound, detail::object_timer {
  __extension__ using parts = __int128;

 public:
  class [[nodiscard]] acquire_await : detail::list_waiter {
   public:
    acquire_await(token_bucket& of, std::size_t count, int priority) noexcept
        : of_(of), count_(count), priority_(priority) {
      kind = &kind_of;
    }
    acquire_await(const acquire_await&) = delete;
    acquire_await& operator=(const acquire_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a token_bucket");
      const std::int64_t now_ns = loop.drives->now();
      if (!of_.can_give(count_, priority_, now_ns) || !detail::may_take_now(loop)) return false;
      of_.give(count_, now_ns);
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      const std::int64_t now_ns = detail::this_loop->drives->now();
      if (!detail::this_loop->current->must_end() && of_.can_give(count_, priority_, now_ns)) {
        of_.give(count_, now_ns);
        return detail::requeue_with_value(h);
      }
      if (detail::suspend_on(h, *this, "token_bucket")) of_.enlist(*this, now_ns);
    }
    void await_resume() const { detail::throw_if_cut(); }

   private:
    friend token_bucket;
    AXLE_EXPORT static const detail::wait_kind kind_of;
    token_bucket& of_;
    std::size_t count_;
    int priority_;
  };

  /// Full at first. A rate or burst out of bounds is a CHECK.
  AXLE_EXPORT explicit token_bucket(token_rate rate) noexcept;

  /// Waits until so many tokens are there and nobody of the same or a higher priority waits before it; then takes them. A
  /// cancelled wait takes none. More than the burst is a CHECK. O(1), but O(n) past n waiters of lower priority.
  acquire_await acquire(std::size_t tokens = 1, int priority = 0) noexcept {
    check(tokens);
    return {*this, tokens, priority};
  }
  /// Takes them if that needs no waiting.
  AXLE_EXPORT bool try_acquire(std::size_t tokens = 1, int priority = 0) noexcept;
  /// Whole tokens that are there now.
  AXLE_EXPORT std::size_t available() const noexcept;

  /// From now on; what is there stays, as far as the burst allows. Who waits is timed anew, and who waits for more than the
  /// new burst still gets it, when so many would have come.
  AXLE_EXPORT void set_rate(token_rate rate) noexcept;
  token_rate rate() const noexcept { return rate_; }

  struct bucket_statistics {
    std::size_t available;
    std::uint64_t given;  ///< tokens, so far
    waiting_statistics waiting;
  };
  bucket_statistics statistics() const noexcept { return {available(), given_, waiters_.statistics()}; }

 private:
  AXLE_EXPORT void check(std::size_t tokens) const noexcept;
  AXLE_EXPORT bool can_give(std::size_t tokens, int priority, std::int64_t now_ns) const noexcept;
  AXLE_EXPORT void give(std::size_t tokens, std::int64_t now_ns) noexcept;
  AXLE_EXPORT void enlist(acquire_await& asking, std::int64_t now_ns) noexcept;
  void pace(token_rate rate) noexcept;
  void serve(std::int64_t now_ns) noexcept;
  void take(std::size_t tokens, std::int64_t now_ns) noexcept;
  parts full_at(std::int64_t now_ns) const noexcept;
  std::int64_t due_ns(std::size_t tokens, std::int64_t now_ns) const noexcept;
  static void on_due(detail::object_timer& timer) noexcept;

  token_rate rate_;
  std::int64_t nanosecond_ = 1;  // in parts
  std::int64_t scale_ = 1;       // a token in parts is this times 1e9
  parts token_ = 1;
  parts fill_ = 1;     // the burst
  parts full_at_ = 0;  // in the past: it is full
  std::uint64_t given_ = 0;
  detail::wait_list waiters_{"token_bucket"};
};

}  // namespace axle
