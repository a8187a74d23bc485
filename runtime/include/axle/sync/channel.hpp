// channel: items from any core to any core. queue's words, between tasks of different cores; try_put and try_get from any
// thread.
//
// Items, getters and putters are served in the order in which they came; an item for which a getter waits is handed to it,
// and reaches it even if it is being cancelled. What holds, under the lock: getters wait only while the store is empty;
// putters wait only while there is no room; the store has memory for every item in it and every slot that is held, and,
// once there was no room, for the whole bound, so that handing over never allocates.
// Takes a lock, held for the move of an item (and for a growing store, of all its items): what moves or destroys a T must
// not use the channel. A task that has to wait costs a message to its loop. Within one core queue is cheaper.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <axle/detail/far_list.hpp>
#include <axle/detail/ring.hpp>
#include <axle/result.hpp>
#include <axle/sync/queue.hpp>

namespace axle {

struct channel_statistics {
  std::size_t size;
  std::size_t reserved;  ///< slots that are held
  std::size_t most;      ///< items that were ever in it at once
  std::uint64_t total;   ///< items ever taken in
  waiting_statistics getters;
  waiting_statistics putters;  ///< those that wait for a slot as well
};

namespace detail {

inline constexpr wait_kind channel_get_kind = {
    .complete = nullptr, .cancel = far_list::leave, .what = "channel: get"};
inline constexpr wait_kind channel_put_kind = {
    .complete = nullptr, .cancel = far_list::leave, .what = "channel: put"};
inline constexpr wait_kind channel_reserve_kind = {
    .complete = nullptr, .cancel = far_list::leave, .what = "channel: reserve"};

}  // namespace detail

template <class T>
class channel {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "channel<T>: an item whose move may throw could get lost between two cores");
  using answer = detail::answer;

  struct putter : detail::far_waiter {
    T* item = nullptr;  // null: it wants a slot
    answer had = answer::unasked;
  };

  class enter_await : putter {
   public:
    enter_await(const enter_await&) = delete;
    enter_await& operator=(const enter_await&) = delete;

    bool await_ready() {
      if (!detail::may_complete_now(this->kind->what)) return false;
      this->had = of_.enter(this->item, nullptr);
      return this->had != answer::wait;
    }
    // What may fail for want of memory is done before the task counts as suspended; once there was no room it cannot fail.
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) {
      if (this->had == answer::unasked && !detail::this_loop->current->must_end()) {
        this->had = of_.enter(this->item, nullptr);
        if (this->had != answer::wait) return detail::requeue_with_value(h);
      }
      detail::suspend_unless(h, *this, [this] {
        const answer now = of_.enter(this->item, this);
        if (now == answer::wait) return false;
        this->had = now;
        return true;
      });
    }

   protected:
    enter_await(channel& of, const detail::wait_kind& how, T* with) noexcept : of_(of) {
      this->kind = &how;
      this->item = with;
    }
    bool was_let_in() const {
      detail::throw_if_cut();
      return this->had == answer::yes;
    }
    channel& of_;
  };

 public:
  /// Room for `bound` items, at least one; or `unbounded`. Throws std::bad_alloc; up to 64 KiB of items have their memory
  /// from the beginning.
  explicit channel(std::size_t bound) : bound_(bound) {
    AXLE_CHECK(bound > 0, "a channel with room for nothing; for one without a bound say axle::unbounded");
    if (bound != unbounded) store_.reserve(std::min(bound, up_front));
  }
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  /// Only when nobody waits and no slot is held, or it is a CHECK. A task of another core that was handed something waits
  /// until it runs: join it first.
  ~channel() {
    AXLE_CHECK(reserved_ == 0, "a channel was destroyed while %zu of its slots are held", reserved_);
  }

  /// A place in the channel that is kept for one item. Move-only; may be taken to another thread, not beyond the channel.
  class [[nodiscard]] slot {
   public:
    slot() = default;
    slot(slot&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    slot& operator=(slot&& other) noexcept {
      if (this != &other) {
        if (of_) of_->vacate();
        of_ = std::exchange(other.of_, nullptr);
      }
      return *this;
    }
    /// Dropped unused, its room goes to the putter that has waited longest.
    ~slot() {
      if (of_) of_->vacate();
    }
    explicit operator bool() const noexcept { return of_ != nullptr; }

    /// Puts the item; does not wait and cannot fail for want of room or memory. errc::broken_pipe if the channel is closed;
    /// `item` is then as it was. Once. Any thread.
    result<void> put(T&& item) noexcept {
      AXLE_CHECK(of_ != nullptr, "this slot of a channel is empty: it was used or moved from");
      return std::exchange(of_, nullptr)->fill(item);
    }
    result<void> put(const T& item) { return put(T(item)); }

   private:
    friend channel;
    explicit slot(channel& of) noexcept : of_(&of) {}
    channel* of_ = nullptr;
  };

  class [[nodiscard]] get_await : detail::far_waiter {
   public:
    explicit get_await(channel& of) noexcept : of_(of) { this->kind = &detail::channel_get_kind; }
    get_await(const get_await&) = delete;
    get_await& operator=(const get_await&) = delete;

    bool await_ready() noexcept {
      return detail::may_complete_now(this->kind->what) && of_.take(got_, nullptr) != answer::wait;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      detail::suspend_unless(h, *this, [this] { return of_.take(got_, this) != answer::wait; });
    }
    result<T> await_resume() {
      detail::throw_if_cut();
      if (!got_) return fail(errc::broken_pipe);
      return std::move(*got_);
    }

   private:
    friend channel;
    channel& of_;
    std::optional<T> got_;
  };

  class [[nodiscard]] put_await : public enter_await {
   public:
    put_await(channel& of, T&& given) noexcept
        : enter_await(of, detail::channel_put_kind, &item_), item_(std::move(given)) {}
    result<void> await_resume() const {
      if (!this->was_let_in()) return fail(errc::broken_pipe);
      return {};
    }

   private:
    T item_;
  };

  class [[nodiscard]] reserve_await : public enter_await {
   public:
    explicit reserve_await(channel& of) noexcept : enter_await(of, detail::channel_reserve_kind, nullptr) {}
    result<slot> await_resume() const {
      if (!this->was_let_in()) return fail(errc::broken_pipe);
      return slot(this->of_);
    }
  };

  /// The next item; errc::broken_pipe when the channel is closed and empty: `while (auto item = co_await c.get())`. Any
  /// core. O(1).
  get_await get() noexcept { return get_await(*this); }
  /// Puts an item, when there is room; errc::broken_pipe when the channel is closed. Any core. Amortised O(1); std::bad_alloc
  /// when the store cannot grow.
  put_await put(T item) noexcept { return put_await(*this, std::move(item)); }
  /// Waits for room, in line with the putters, and keeps it for one item: for who must not make an item before it can be
  /// put. Results and errors as put().
  reserve_await reserve() noexcept { return reserve_await(*this); }

  /// errc::operation_would_block if it is empty, errc::broken_pipe if it is closed as well. Any thread.
  result<T> try_get() {
    std::optional<T> got;
    const answer had = take(got, nullptr);
    if (got) return std::move(*got);
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  /// errc::operation_would_block if there is no room, errc::broken_pipe if it is closed; `item` is then as it was, and also
  /// when std::bad_alloc is thrown. Any thread.
  result<void> try_put(T&& item) {
    const answer had = enter(&item, nullptr);
    if (had == answer::yes) return {};
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  result<void> try_put(const T& item) { return try_put(T(item)); }

  /// Nothing more goes in: putters, waiting and to come, and those that hold a slot get errc::broken_pipe. What is in it can
  /// still be got; after that, and at once for getters that wait, errc::broken_pipe. Idempotent. Any thread.
  void close() noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    closed_ = true;
    getters_.take_all(woken);
    putters_.take_all(woken);
  }

  /// As of some moment during the call. Any thread.
  bool closed() const noexcept {
    const std::lock_guard held(lock_);
    return closed_;
  }
  std::size_t size() const noexcept {
    const std::lock_guard held(lock_);
    return store_.size();
  }
  std::size_t bound() const noexcept { return bound_; }
  channel_statistics statistics() const noexcept {
    const std::lock_guard held(lock_);
    return {store_.size(), reserved_, most_, total_, getters_.statistics(), putters_.statistics()};
  }

 private:
  static constexpr std::size_t up_front = std::max<std::size_t>(64 * 1024 / sizeof(T), 1);

  bool is_full() const noexcept { return store_.size() + reserved_ >= bound_; }

  // An item, or (null) a slot. Who must wait joins the line, if it is to.
  answer enter(T* item, putter* line) {
    detail::far_wakes woken;
    std::unique_lock held(lock_);
    if (closed_) return answer::closed;
    if (is_full() || !putters_.empty()) {
      if (line) putters_.push_back(*line);
      return answer::wait;
    }
    if (item && !getters_.empty()) {
      auto& getter = static_cast<get_await&>(*getters_.take_front());
      ++total_;
      held.unlock();
      getter.got_.emplace(std::move(*item));
      woken.add(getter);
      return answer::yes;
    }
    store_.reserve(store_.size() + reserved_ + 1);
    if (item) {
      give(*item, woken);
    } else {
      ++reserved_;
    }
    return answer::yes;
  }

  answer take(std::optional<T>& place, get_await* line) noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    if (store_.empty()) {
      if (closed_) return answer::closed;
      if (line) getters_.push_back(*line);
      return answer::wait;
    }
    place.emplace(std::move(store_.front()));
    store_.pop_front();
    let_in(woken);
    return answer::yes;
  }

  result<void> fill(T& item) noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    --reserved_;
    if (closed_) return fail(errc::broken_pipe);
    give(item, woken);
    let_in(woken);
    return {};
  }
  void vacate() noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    --reserved_;
    let_in(woken);
  }

  // Under the lock. To the getter that has waited longest, or into the store, which has memory for it.
  void give(T& item, detail::far_wakes& woken) noexcept {
    ++total_;
    if (detail::far_waiter* const next = getters_.take_front()) {
      static_cast<get_await*>(next)->got_.emplace(std::move(item));
      woken.add(*next);
    } else {
      store_.push_back(std::move(item));
      most_ = std::max(most_, store_.size());
    }
  }
  // Under the lock. Room goes to the putters that have waited longest.
  void let_in(detail::far_wakes& woken) noexcept {
    while (!is_full() && !putters_.empty()) {
      auto& next = static_cast<putter&>(*putters_.take_front());
      next.had = answer::yes;
      if (next.item) {
        give(*next.item, woken);
      } else {
        ++reserved_;
      }
      woken.add(next);
    }
  }

  const std::size_t bound_;
  mutable std::mutex lock_;
  detail::ring<T> store_;
  std::size_t reserved_ = 0;
  std::size_t most_ = 0;
  std::uint64_t total_ = 0;
  bool closed_ = false;
  detail::far_list getters_{lock_, "channel"};
  detail::far_list putters_{lock_, "channel"};
};

}  // namespace axle
