// queue, priority_queue, lifo_queue: items from tasks to tasks of one core. asyncio.Queue and its kin, with close().
//
// Fair: items go to getters, and room to putters, in the order in which these came. An item that was handed to a waiting
// getter reaches it even if it is being cancelled. A bound is asked for; what has none says so: `unbounded`.
// Single core, no atomics; between cores: channel.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <axle/detail/ring.hpp>
#include <axle/detail/wait_list.hpp>
#include <axle/result.hpp>

namespace axle {

inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

struct queue_statistics {
  std::size_t size;
  std::size_t most;     ///< items that were ever in it at once
  std::uint64_t total;  ///< items ever taken in
  waiting_statistics getters;
  waiting_statistics putters;
};

namespace detail {

template <class T>
struct fifo_store : ring<T> {
  T take() noexcept {
    T item = std::move(this->front());
    this->pop_front();
    return item;
  }
};

template <class T>
struct lifo_store : ring<T> {
  T take() noexcept {
    T item = std::move(this->back());
    this->pop_back();
    return item;
  }
};

/// The least first, by `Less`; equal ones in the order in which they came.
template <class T, class Less>
class priority_store {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  void push_back(T&& item) {
    heap_.push_back({std::move(item), next_++});
    std::push_heap(heap_.begin(), heap_.end(), after);
  }
  T take() noexcept {
    std::pop_heap(heap_.begin(), heap_.end(), after);
    T item = std::move(heap_.back().item);
    heap_.pop_back();
    return item;
  }

 private:
  struct entry {
    T item;
    std::uint64_t number;
  };
  static bool after(const entry& a, const entry& b) {
    if (Less()(b.item, a.item)) return true;
    return !Less()(a.item, b.item) && b.number < a.number;
  }
  std::vector<entry> heap_;
  std::uint64_t next_ = 0;
};

/// What every queue has apart from its items.
class queue_base : protected core_bound {
 public:
  std::size_t bound() const noexcept { return bound_; }
  bool closed() const noexcept { return closed_; }
  /// Items put and not yet reported by task_done().
  std::size_t unfinished() const noexcept { return static_cast<std::size_t>(total_ - done_); }

  class [[nodiscard]] join_await : list_waiter {
   public:
    explicit join_await(queue_base& of) noexcept : of_(of) { kind = &kind_of; }
    join_await(const join_await&) = delete;
    join_await& operator=(const join_await&) = delete;

    bool await_ready() noexcept {
      loop_core& loop = of_.need_own_loop("a queue");
      return of_.unfinished() == 0 && may_take_now(loop);
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.unfinished() == 0) return requeue(h);
      if (suspend_on(h, *this, "queue: join")) of_.joiners_.push_back(*this);
    }
    void await_resume() const { throw_if_cut(); }

   private:
    AXLE_EXPORT static const wait_kind kind_of;
    queue_base& of_;
  };
  /// Waits until task_done() has been called for every item that was put.
  join_await join() noexcept { return join_await(*this); }
  /// An item that was got is dealt with. Once for each, or it is a CHECK.
  void task_done() noexcept {
    need_own_loop("a queue");
    AXLE_CHECK(unfinished() > 0, "task_done() was called more often than items were put");
    ++done_;
    if (unfinished() == 0) joiners_.wake_all();
  }

 protected:
  explicit queue_base(std::size_t bound) noexcept : bound_(bound), room_(bound) {
    AXLE_CHECK(bound > 0, "a queue with room for nothing; for one without a bound say axle::unbounded");
  }
  AXLE_EXPORT static const wait_kind getter_kind;
  AXLE_EXPORT static const wait_kind putter_kind;
  struct waiter : list_waiter {
    waiter() = default;

    wait_list* in;
  };

  std::size_t bound_;
  std::size_t room_;  // for so many items; 0 when it is closed
  std::size_t most_ = 0;
  std::uint64_t total_ = 0;  // items put
  std::uint64_t done_ = 0;   // of them, reported by task_done()
  bool closed_ = false;
  wait_list getters_{"queue"};
  wait_list putters_{"queue"};
  wait_list joiners_{"queue"};
};

}  // namespace detail

template <class T, class Store>
class basic_queue : public detail::queue_base {
 public:
  explicit basic_queue(std::size_t bound) noexcept : queue_base(bound) {}

  class [[nodiscard]] get_await : waiter {
   public:
    explicit get_await(basic_queue& of) noexcept : of_(of) {}
    get_await(const get_await&) = delete;
    get_await& operator=(const get_await&) = delete;

    AXLE_INLINE bool await_ready() {
      detail::loop_core& loop = of_.need_own_loop("a queue");
      if (of_.store_.empty()) [[unlikely]]
        return of_.closed_ && detail::may_take_now(loop);
      if (!detail::may_take_now(loop)) return false;
      of_.take_into(got_);
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) {
      if (of_.has_answer() && !detail::this_loop->current->must_end()) {
        if (!of_.store_.empty()) of_.take_into(got_);
        return detail::requeue_with_value(h);
      }
      kind = &getter_kind;
      in = &of_.getters_;
      if (detail::suspend_on(h, *this, "queue: get")) of_.getters_.push_back(*this);
    }
    result<T> await_resume() {
      if (got_) [[likely]]
        return std::move(*got_);
      detail::throw_if_cut();
      return fail(errc::broken_pipe);
    }

   private:
    friend basic_queue;
    basic_queue& of_;
    std::optional<T> got_;
  };

  class [[nodiscard]] put_await : waiter {
   public:
    put_await(basic_queue& of, T&& item) : of_(of), item_(std::move(item)) {}
    put_await(const put_await&) = delete;
    put_await& operator=(const put_await&) = delete;

    AXLE_INLINE bool await_ready() {
      detail::loop_core& loop = of_.need_own_loop("a queue");
      if (!of_.has_room()) [[unlikely]]
        return of_.closed_ && detail::may_take_now(loop);
      if (!detail::may_take_now(loop)) return false;
      put();
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) {
      if ((of_.closed_ || of_.has_room()) && !detail::this_loop->current->must_end()) {
        if (!of_.closed_) put();
        return detail::requeue_with_value(h);
      }
      kind = &putter_kind;
      in = &of_.putters_;
      if (detail::suspend_on(h, *this, "queue: put")) of_.putters_.push_back(*this);
    }
    result<void> await_resume() const {
      if (taken_) [[likely]]
        return {};
      detail::throw_if_cut();
      return fail(errc::broken_pipe);
    }

   private:
    friend basic_queue;
    AXLE_INLINE void put() {
      of_.give(std::move(item_));
      taken_ = true;
    }
    basic_queue& of_;
    T item_;
    bool taken_ = false;
  };

  /// The next item; errc::broken_pipe when the queue is closed and empty: `while (auto item = co_await q.get())`. O(1).
  get_await get() noexcept { return get_await(*this); }
  /// Puts an item, when there is room; errc::broken_pipe when the queue is closed. O(1).
  put_await put(T item) { return put_await(*this, std::move(item)); }

  /// errc::operation_would_block if it is empty, errc::broken_pipe if it is closed as well.
  result<T> try_get() {
    need_own_loop("a queue");
    if (store_.empty()) return fail(closed_ ? errc::broken_pipe : errc::operation_would_block);
    std::optional<T> got;
    take_into(got);
    return std::move(*got);
  }
  /// errc::operation_would_block if it is full, errc::broken_pipe if it is closed; `item` is then as it was.
  result<void> try_put(T&& item) {
    need_own_loop("a queue");
    if (closed_) return fail(errc::broken_pipe);
    if (!has_room()) return fail(errc::operation_would_block);
    give(std::move(item));
    return {};
  }
  result<void> try_put(const T& item) { return try_put(T(item)); }

  /// Nothing more goes in: putters, waiting and to come, get errc::broken_pipe. What is in it can still be got; after that,
  /// and at once for getters that wait, errc::broken_pipe. Idempotent.
  void close() noexcept {
    need_own_loop("a queue");
    closed_ = true;
    room_ = 0;
    getters_.wake_all();
    putters_.wake_all();
  }

  std::size_t size() const noexcept { return store_.size(); }
  bool empty() const noexcept { return store_.empty(); }
  bool full() const noexcept { return store_.size() >= bound_; }
  queue_statistics statistics() const noexcept {
    return {size(), most_, total_, getters_.statistics(), putters_.statistics()};
  }

 private:
  bool has_answer() const noexcept { return !store_.empty() || closed_; }
  // Putters wait only while it is full, so that nobody passes them.
  bool has_room() const noexcept { return store_.size() < room_; }

  // To the getter that has waited longest, or into the store.
  AXLE_INLINE void give(T&& item) {
    if (!getters_.empty()) {
      static_cast<get_await&>(*getters_.front()).got_.emplace(std::move(item));
      getters_.wake_front();
    } else {
      store_.push_back(std::move(item));
      if (store_.size() > most_) [[unlikely]]
        most_ = store_.size();
    }
    ++total_;
  }
  // Of a queue that is not empty. The room goes to the putter that has waited longest.
  AXLE_INLINE void take_into(std::optional<T>& place) {
    if (!putters_.empty()) {
      auto& next = static_cast<put_await&>(*putters_.front());
      place.emplace(store_.take());
      give(std::move(next.item_));
      next.taken_ = true;
      putters_.wake_front();
    } else {
      place.emplace(store_.take());
    }
  }

  Store store_;
};

/// First in, first out.
template <class T>
using queue = basic_queue<T, detail::fifo_store<T>>;
/// The least first; equal ones in the order in which they were put.
template <class T, class Less = std::less<T>>
using priority_queue = basic_queue<T, detail::priority_store<T, Less>>;
/// Last in, first out.
template <class T>
using lifo_queue = basic_queue<T, detail::lifo_store<T>>;

}  // namespace axle
