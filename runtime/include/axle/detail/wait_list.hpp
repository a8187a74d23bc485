// wait_list: the tasks that wait for one primitive, first come first served; and the core that a primitive belongs to.
//
// A waiter is a node inside the awaiter, so waiting allocates nothing, and leaving the list (a cancel) is O(1). Whoever
// takes a waiter from the list has given it what it waited for: from then on a cancel finds it no longer waiting, the task
// is resumed with what it was given, and the cancel takes effect at its next await. Nothing handed over is ever lost.
// Owning core only.
#pragma once

#include <cstddef>
#include <cstdint>

#include <axle/check.hpp>
#include <axle/detail/loop_core.hpp>
#include <axle/detail/wait_node.hpp>
#include <axle/task.hpp>

namespace axle {

/// Of the waiting done at a primitive.
struct waiting_statistics {
  std::size_t now = 0;      ///< tasks that wait
  std::size_t most = 0;     ///< that ever waited at the same time
  std::uint64_t total = 0;  ///< waits so far; what was had at once is not counted
};

namespace detail {

/// Set by whoever waits: `kind` before suspend_on, `waiter` by it, the links by push_back.
struct list_waiter : wait_node {
  list_waiter() noexcept : wait_node(when_waiting()) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)

  list_waiter* next;
  list_waiter* prev;
};

class wait_list {
 public:
  explicit wait_list(const char* what) noexcept : what_(what) {}
  wait_list(const wait_list&) = delete;
  wait_list& operator=(const wait_list&) = delete;
  ~wait_list() {
    AXLE_CHECK(!first_, "a %s was destroyed while %zu tasks wait for it", what_, statistics_.now);
  }

  bool empty() const noexcept { return first_ == nullptr; }
  list_waiter* front() const noexcept { return first_; }
  list_waiter* back() const noexcept { return last_; }
  const waiting_statistics& statistics() const noexcept { return statistics_; }
  const char* what() const noexcept { return what_; }

  void push_back(list_waiter& waiter) noexcept { insert_before(nullptr, waiter); }
  /// Null: at the end.
  void insert_before(list_waiter* place, list_waiter& waiter) noexcept {
    list_waiter*& back_link = place ? place->prev : last_;
    waiter.next = place;
    waiter.prev = back_link;
    (waiter.prev ? waiter.prev->next : first_) = &waiter;
    back_link = &waiter;
    ++statistics_.total;
    if (++statistics_.now > statistics_.most) statistics_.most = statistics_.now;
  }
  void remove(list_waiter& waiter) noexcept {
    (waiter.prev ? waiter.prev->next : first_) = waiter.next;
    (waiter.next ? waiter.next->prev : last_) = waiter.prev;
    --statistics_.now;
  }
  list_waiter* pop_front() noexcept {
    list_waiter* const oldest = first_;
    if (oldest) remove(*oldest);
    return oldest;
  }

  /// The oldest waiter has what it waited for.
  void wake_front() noexcept { this_loop->make_ready(*pop_front()->waiter); }
  void wake_all() noexcept {
    while (first_) wake_front();
  }
  /// For the cancel of a kind: the waiter leaves empty-handed.
  void give_up(list_waiter& waiter) noexcept {
    remove(waiter);
    this_loop->make_ready_to_end(*waiter.waiter);
  }

 private:
  list_waiter* first_ = nullptr;
  list_waiter* last_ = nullptr;
  waiting_statistics statistics_;
  const char* what_;
};

/// The base of what belongs to one core: the first to use it. It may be made anywhere, and used again in a later run.
class core_bound {
 public:
  core_bound() = default;
  core_bound(const core_bound&) = delete;
  core_bound& operator=(const core_bound&) = delete;

 protected:
  /// The calling loop, which must be the one this belongs to.
  loop_core& need_own_loop(const char* what) noexcept {
    loop_core& loop = need_loop(what);
    if (key_ != loop.key) [[unlikely]]
      bind(loop, what);
    return loop;
  }

 private:
  AXLE_EXPORT void bind(loop_core& loop, const char* what) noexcept;
  std::uint64_t key_ = 0;
};

/// For await_ready of what can be had at once: whether the current task may take it now.
inline bool may_take_now(loop_core& loop) noexcept {
  if (loop.credit == 0) [[unlikely]]
    return false;
  --loop.credit;
  return true;
}

}  // namespace detail
}  // namespace axle
