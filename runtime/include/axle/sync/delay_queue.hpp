// delay_queue: items from tasks to tasks of one core, each of which can be got from its time on and not before.
//
// A heap by deadline, equal deadlines in the order in which they were put; each entry knows its place in it, so that an
// item can be removed or put off by its key. Getters are served in the order in which they came, and so is room to putters.
// One timer, armed for the earliest item while a getter waits and not otherwise. Single core, no atomics.
#pragma once

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <axle/clock.hpp>
#include <axle/detail/object_timer.hpp>
#include <axle/detail/wait_list.hpp>
#include <axle/result.hpp>
#include <axle/sync/queue.hpp>

namespace axle {

namespace detail {

struct delayed {
  std::int64_t deadline_ns = 0;
  std::uint64_t order = 0;   // among equal deadlines
  std::uint64_t number = 0;  // of the item, for its key; 0: there is none
  std::size_t place = 0;     // in the heap
};

/// The earliest first. Who is in it is owned elsewhere. O(log n).
class delay_heap {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  delayed& first() const noexcept { return *heap_.front(); }
  /// Makes room for one more. Throws std::bad_alloc.
  void make_room() {
    if (heap_.size() == heap_.capacity()) heap_.reserve(std::max<std::size_t>(8, heap_.size() * 2));
  }
  AXLE_EXPORT void push(delayed& added) noexcept;  // there is room
  AXLE_EXPORT void remove(delayed& removed) noexcept;
  AXLE_EXPORT void moved(delayed& changed) noexcept;  // it has another deadline

 private:
  void put_at(std::size_t place, delayed& entry) noexcept;
  void settle(std::size_t place) noexcept;
  std::vector<delayed*> heap_;
};

/// A deadline as it is given: a time, or so long from now.
inline std::int64_t delay_deadline(clock::time_point when) noexcept {
  return when.time_since_epoch().count();
}
template <class Rep, class Period>
std::int64_t delay_deadline(std::chrono::duration<Rep, Period> delay) noexcept {
  return deadline_after(clock::now().time_since_epoch().count(), clamped_ns(delay));
}
template <class When>
concept delay_or_time = requires(When when) { delay_deadline(when); };

/// What a delay_queue has apart from its items.
class delay_queue_base : protected core_bound, protected object_timer {
 public:
  /// Names an item as long as it is in its queue; of an item that has left, and when made by default, it names nothing.
  class key {
   public:
    key() = default;

   private:
    friend delay_queue_base;
    std::size_t slot_ = 0;
    std::uint64_t number_ = 0;
  };

  std::size_t bound() const noexcept { return bound_; }
  bool closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return heap_.size(); }
  bool empty() const noexcept { return heap_.empty(); }
  bool full() const noexcept { return heap_.size() >= bound_; }
  queue_statistics statistics() const noexcept {
    return {size(), most_, total_, getters_.statistics(), putters_.statistics()};
  }

 protected:
  AXLE_EXPORT delay_queue_base(std::size_t bound, on_due due) noexcept;
  AXLE_EXPORT static const wait_kind getter_kind;
  AXLE_EXPORT static const wait_kind putter_kind;
  struct waiter : list_waiter {
    explicit waiter(delay_queue_base& in) noexcept : queue(in) {}
    delay_queue_base& queue;
  };

  static key key_of(std::size_t slot, std::uint64_t number) noexcept {
    key made;
    made.slot_ = slot;
    made.number_ = number;
    return made;
  }
  static std::size_t slot_of(key of) noexcept { return of.slot_; }
  static std::uint64_t number_of(key of) noexcept { return of.number_; }

  bool has_room() const noexcept { return heap_.size() < bound_ && putters_.empty(); }
  bool has_due(std::int64_t now_ns) const noexcept {
    return !heap_.empty() && heap_.first().deadline_ns <= now_ns;
  }
  bool is_over() const noexcept { return closed_ && heap_.empty(); }
  AXLE_EXPORT void note_pushed(delayed& entry) noexcept;
  /// After every change: the timer, and the end.
  AXLE_EXPORT void set_timer() noexcept;

  std::size_t bound_;
  std::size_t most_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t next_order_ = 1;
  bool closed_ = false;
  delay_heap heap_;
  wait_list getters_{"delay_queue"};
  wait_list putters_{"delay_queue"};
};

}  // namespace detail

template <class T>
class delay_queue : public detail::delay_queue_base {
 public:
  /// A bound is asked for; what has none says so: `unbounded`.
  explicit delay_queue(std::size_t bound) noexcept : delay_queue_base(bound, when_due) {}

  class [[nodiscard]] get_await : waiter {
   public:
    explicit get_await(delay_queue& of) noexcept : waiter(of), of_(of) { kind = &getter_kind; }
    get_await(const get_await&) = delete;
    get_await& operator=(const get_await&) = delete;

    bool await_ready() {
      detail::loop_core& loop = of_.need_own_loop("a delay_queue");
      if (!of_.has_answer(loop.drives->now()) || !detail::may_take_now(loop)) return false;
      of_.take_first_into(got_);
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) {
      if (!detail::this_loop->current->must_end() && of_.has_answer(detail::this_loop->drives->now())) {
        of_.take_first_into(got_);
        return detail::requeue_with_value(h);
      }
      if (!detail::suspend_on(h, *this, "delay_queue: get")) return;
      of_.getters_.push_back(*this);
      of_.set_timer();
    }
    result<T> await_resume() {
      detail::throw_if_cut();
      if (!got_) return fail(errc::broken_pipe);
      return std::move(*got_);
    }

   private:
    friend delay_queue;
    delay_queue& of_;
    std::optional<T> got_;
  };

  class [[nodiscard]] put_await : waiter {
   public:
    put_await(delay_queue& of, T&& item, std::int64_t deadline_ns)
        : waiter(of), of_(of), item_(std::move(item)), deadline_ns_(deadline_ns) {
      kind = &putter_kind;
    }
    put_await(const put_await&) = delete;
    put_await& operator=(const put_await&) = delete;

    bool await_ready() {
      detail::loop_core& loop = of_.need_own_loop("a delay_queue");
      if (!(of_.closed_ || of_.has_room()) || !detail::may_take_now(loop)) return false;
      put();
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) {
      if (!detail::this_loop->current->must_end() && (of_.closed_ || of_.has_room())) {
        put();
        return detail::requeue_with_value(h);
      }
      if (detail::suspend_on(h, *this, "delay_queue: put")) of_.putters_.push_back(*this);
    }
    result<key> await_resume() const {
      detail::throw_if_cut();
      if (!taken_) return fail(errc::broken_pipe);
      return *taken_;
    }

   private:
    friend delay_queue;
    void put() {
      if (of_.closed_) return;
      taken_ = of_.add(std::move(item_), deadline_ns_);
      of_.serve(detail::this_loop->drives->now());
    }
    delay_queue& of_;
    T item_;
    std::int64_t deadline_ns_;
    std::optional<key> taken_;
  };

  /// The item that is due first, when it is due; errc::broken_pipe when the queue is closed and empty. O(log n).
  get_await get() noexcept { return get_await(*this); }
  /// Puts an item, when there is room, to be got from `when` on: a clock::time_point, or a duration from this call. Gives its
  /// key; errc::broken_pipe when the queue is closed. O(log n).
  template <detail::delay_or_time When>
  put_await put(T item, When when) {
    return put_await(*this, std::move(item), detail::delay_deadline(when));
  }

  /// errc::operation_would_block if nothing is due or others wait for it, errc::broken_pipe if it is closed and empty.
  result<T> try_get() {
    const std::int64_t now_ns = need_own_loop("a delay_queue").drives->now();
    if (is_over()) return fail(errc::broken_pipe);
    if (!has_answer(now_ns)) return fail(errc::operation_would_block);
    std::optional<T> got;
    take_first_into(got);
    return std::move(*got);
  }
  /// errc::operation_would_block if it is full, errc::broken_pipe if it is closed; `item` is then as it was.
  template <detail::delay_or_time When>
  result<key> try_put(T&& item, When when) {
    const std::int64_t now_ns = need_own_loop("a delay_queue").drives->now();
    if (closed_) return fail(errc::broken_pipe);
    if (!has_room()) return fail(errc::operation_would_block);
    const key added = add(std::move(item), detail::delay_deadline(when));
    serve(now_ns);
    return added;
  }
  template <detail::delay_or_time When>
  result<key> try_put(const T& item, When when) {
    return try_put(T(item), when);
  }

  /// Takes an item out before its time; nothing if it has left. O(log n).
  std::optional<T> remove(key of) {
    need_own_loop("a delay_queue");
    std::optional<T> removed;
    if (entry* const found = find(of)) take_into(*found, removed);
    return removed;
  }
  /// Gives an item another time, as if it were put now; false if it has left. O(log n).
  template <detail::delay_or_time When>
  bool reset(key of, When when) noexcept {
    const std::int64_t now_ns = need_own_loop("a delay_queue").drives->now();
    entry* const found = find(of);
    if (!found) return false;
    found->deadline_ns = detail::delay_deadline(when);
    found->order = next_order_++;
    heap_.moved(*found);
    serve(now_ns);
    return true;
  }

  /// Nothing more goes in: putters, waiting and to come, get errc::broken_pipe. What is in it can still be got when it is
  /// due; after that, errc::broken_pipe. Idempotent.
  void close() noexcept {
    need_own_loop("a delay_queue");
    closed_ = true;
    putters_.wake_all();
    set_timer();
  }

 private:
  struct entry : detail::delayed {
    std::size_t slot = 0;
    entry* next_free = nullptr;
    std::optional<T> item;
  };

  // Those who wait go first.
  bool has_answer(std::int64_t now_ns) noexcept {
    if (!getters_.empty()) serve(now_ns);
    return getters_.empty() && (is_over() || has_due(now_ns));
  }
  entry* find(key of) noexcept {
    if (slot_of(of) >= entries_.size() || number_of(of) == 0) return nullptr;
    entry& found = entries_[slot_of(of)];
    return found.number == number_of(of) ? &found : nullptr;
  }

  // Throws std::bad_alloc only if there were never so many in it before.
  key add(T&& item, std::int64_t when_ns) {
    heap_.make_room();
    if (!free_) {
      free_ = &entries_.emplace_back();
      free_->slot = entries_.size() - 1;
    }
    free_->item.emplace(std::move(item));
    entry& added = *std::exchange(free_, free_->next_free);
    added.deadline_ns = when_ns;
    note_pushed(added);
    return key_of(added.slot, added.number);
  }
  // The room goes to the putter that has waited longest. An item that is due by that reaches a getter through the timer.
  void take_into(entry& taken, std::optional<T>& place) {
    place.emplace(std::move(*taken.item));
    heap_.remove(taken);
    taken.number = 0;
    taken.item.reset();
    taken.next_free = std::exchange(free_, &taken);
    if (!putters_.empty() && heap_.size() < bound_) {
      auto& putter = static_cast<put_await&>(*putters_.front());
      putter.taken_ = add(std::move(putter.item_), putter.deadline_ns_);
      putters_.wake_front();
    }
    set_timer();
  }
  void take_first_into(std::optional<T>& place) {
    if (!heap_.empty()) take_into(static_cast<entry&>(heap_.first()), place);  // else it is closed
  }
  // What is due goes to those who wait.
  void serve(std::int64_t now_ns) noexcept {
    while (!getters_.empty() && has_due(now_ns)) {
      auto& getter = static_cast<get_await&>(*getters_.front());
      getters_.wake_front();
      take_first_into(getter.got_);
    }
    set_timer();
  }
  static void when_due(detail::object_timer& timer) noexcept {
    auto& mine = static_cast<delay_queue&>(static_cast<detail::delay_queue_base&>(timer));
    mine.serve(detail::this_loop->now_ns);
  }

  std::deque<entry> entries_;
  entry* free_ = nullptr;
};

}  // namespace axle
