// spsc_channel: items from one task to one task of another core, without a lock. channel's words, a tenth of its cost.
//
// One thread puts and one gets, each one task at a time; both may be the same. A CHECK fails when a second task waits at an
// end. In order, bounded, and cancel-safe: an item is got when the getter runs, so none is ever on its way to a task that ends.
// try_put and try_get cost a few nanoseconds and an exchange of a cache line now and then; a wait, a message to a loop.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <axle/detail/far_place.hpp>
#include <axle/detail/spsc_slots.hpp>
#include <axle/result.hpp>

namespace axle {

struct spsc_statistics {
  std::size_t size;
  std::uint64_t total;      ///< items ever put
  std::uint64_t get_waits;  ///< times that the getter had to wait
  std::uint64_t put_waits;
};

namespace detail {

inline constexpr wait_kind spsc_get_kind = {
    .complete = nullptr, .cancel = far_place::leave, .what = "spsc_channel: get"};
inline constexpr wait_kind spsc_put_kind = {
    .complete = nullptr, .cancel = far_place::leave, .what = "spsc_channel: put"};

}  // namespace detail

template <class T>
class spsc_channel {
  using answer = detail::answer;

 public:
  class [[nodiscard]] get_await : detail::place_waiter {
   public:
    explicit get_await(spsc_channel& of) noexcept : place_waiter(is_answered), of_(of) {
      this->kind = &detail::spsc_get_kind;
    }
    get_await(const get_await&) = delete;
    get_await& operator=(const get_await&) = delete;

    bool await_ready() noexcept {
      return detail::may_complete_now(this->kind->what) && of_.take(got_) != answer::wait;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      detail::suspend_at(h, *this, of_.getter_);
    }
    result<T> await_resume() {
      detail::throw_if_cut();
      if (!got_ && of_.take(got_) == answer::closed) return fail(errc::broken_pipe);
      AXLE_CHECK(got_, "two tasks get from one spsc_channel; one may, others use channel");
      return std::move(*got_);
    }

   private:
    static bool is_answered(detail::place_waiter& self) noexcept {
      return static_cast<get_await&>(self).of_.has_answer_for_getter();
    }
    spsc_channel& of_;
    std::optional<T> got_;
  };

  class [[nodiscard]] put_await : detail::place_waiter {
   public:
    put_await(spsc_channel& of, T&& item) noexcept
        : place_waiter(is_answered), of_(of), item_(std::move(item)) {
      this->kind = &detail::spsc_put_kind;
    }
    put_await(const put_await&) = delete;
    put_await& operator=(const put_await&) = delete;

    bool await_ready() noexcept {
      if (!detail::may_complete_now(this->kind->what)) return false;
      had_ = of_.enter(item_);
      return had_ != answer::wait;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      had_ = answer::wait;
      detail::suspend_at(h, *this, of_.putter_);
    }
    result<void> await_resume() {
      detail::throw_if_cut();
      if (had_ == answer::wait) had_ = of_.enter(item_);
      AXLE_CHECK(had_ != answer::wait, "two tasks put into one spsc_channel; one may, others use channel");
      if (had_ == answer::closed) return fail(errc::broken_pipe);
      return {};
    }

   private:
    static bool is_answered(detail::place_waiter& self) noexcept {
      return static_cast<put_await&>(self).of_.has_answer_for_putter();
    }
    spsc_channel& of_;
    T item_;
    answer had_ = answer::unasked;
  };

  /// Room for `bound` items, at least one. Throws std::bad_alloc; has all its memory from the beginning.
  explicit spsc_channel(std::size_t bound) : slots_((check_bound(bound), bound)) {}
  /// Only when neither end is in use, or waited at (a CHECK): join the tasks first. Items that are left are destroyed.
  ~spsc_channel() = default;
  spsc_channel(const spsc_channel&) = delete;
  spsc_channel& operator=(const spsc_channel&) = delete;

  /// The next item; errc::broken_pipe when the channel is closed and empty: `while (auto item = co_await c.get())`. O(1).
  get_await get() noexcept { return get_await(*this); }
  /// Puts an item, when there is room; errc::broken_pipe when the channel is closed. O(1).
  put_await put(T item) noexcept { return put_await(*this, std::move(item)); }

  /// errc::operation_would_block if it is empty, errc::broken_pipe if it is closed as well. The getting thread.
  result<T> try_get() noexcept {
    std::optional<T> got;
    const answer had = take(got);
    if (got) return std::move(*got);
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  /// errc::operation_would_block if there is no room, errc::broken_pipe if it is closed; `item` is then as it was. The
  /// putting thread.
  result<void> try_put(T&& item) noexcept {
    const answer had = enter(item);
    if (had == answer::yes) return {};
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  result<void> try_put(const T& item) { return try_put(T(item)); }

  /// Nothing more goes in. What was put before can still be got; after that getters have errc::broken_pipe. Idempotent. Any
  /// thread; if the putter is not the one who closes, what it puts at that moment may stay in the channel and end with it.
  void close() noexcept {
    closed_.store(true,
                  std::memory_order_seq_cst);  // seq_cst: pairs with the looks after standing, see far_place
    getter_.wake();
    putter_.wake();
  }
  bool closed() const noexcept {
    return closed_.load(
        std::memory_order_acquire);  // acquire: pairs with close(); what was put before it is seen
  }

  std::size_t bound() const noexcept { return slots_.bound(); }
  /// As of some moment during the call. Any thread.
  std::size_t size() const noexcept { return slots_.size(); }
  spsc_statistics statistics() const noexcept {
    return {slots_.size(), slots_.total(), getter_.waits(), putter_.waits()};
  }

 private:
  static void check_bound(std::size_t bound) {
    AXLE_CHECK(bound > 0 && bound <= std::size_t{1} << 40,
               "an spsc_channel needs a bound, of one item at least");
  }
  bool is_closed() const noexcept {
    return closed_.load(std::memory_order_seq_cst);  // seq_cst: pairs with close()
  }

  // Closed is looked at before the items: what was put before the close is then seen.
  bool has_answer_for_getter() noexcept { return is_closed() || slots_.has_item(); }
  bool has_answer_for_putter() noexcept { return is_closed() || slots_.has_room(); }

  answer take(std::optional<T>& into) noexcept {
    if (!slots_.has_item()) {
      if (!closed()) return answer::wait;
      if (!slots_.has_item()) return answer::closed;
    }
    into.emplace(slots_.pop());
    putter_.wake();
    return answer::yes;
  }
  answer enter(T& item) noexcept {
    if (closed()) return answer::closed;
    if (!slots_.has_room()) return answer::wait;
    slots_.push(std::move(item));
    getter_.wake();
    return answer::yes;
  }

  detail::spsc_slots<T> slots_;
  alignas(128) std::atomic<bool> closed_{false};
  detail::far_place getter_{"spsc_channel"};
  detail::far_place putter_{"spsc_channel"};
};

}  // namespace axle
