// timer_wheel: one loop's deadlines, in a hierarchical wheel.
//
// After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), in the form that files a timer by the
// highest bits in which its deadline differs from the wheel's position: each level has 64 slots, a level's slot is
// as wide as the whole level below, and the level found for a deadline only ever falls as time passes. The
// node keeps its exact deadline; a slot keeps the earliest one filed in it, so the next deadline is read from two
// bitmaps and one word, and there is no tick.
//
// Invariants: position_ <= every pending deadline's tick; a node stands in the slot that its deadline and
// position_ name; nodes of equal deadline keep the order in which they were armed (slots are FIFO, and re-filing
// keeps order). Never early: a node leaves the wheel only when its exact deadline is <= now.
//
// Timers that are due leave their slots for one array, sorted by deadline: many of them are fired with the memory of the
// next ones on its way. Owned by one loop; no atomics; arming and disarming allocate nothing.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include <axle/alloc/frame_pool.hpp>
#include <axle/check.hpp>
#include <axle/detail/wait_node.hpp>

namespace axle {

class timer_wheel;

namespace detail {

/// A deadline in waiting, on CLOCK_MONOTONIC in nanoseconds. Linked while it is in a slot; while it is due it has no
/// neighbours but a place in the array of what is due.
struct timer_node : wait_node {
  timer_node* prev = nullptr;
  union {
    timer_node* next = nullptr;
    std::uintptr_t due_place;  // plus one
  };
  std::int64_t deadline_ns = 0;

  bool armed() const noexcept { return next != nullptr; }
};

}  // namespace detail

class timer_wheel {
 public:
  using node = detail::timer_node;
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  /// Throws std::bad_alloc.
  explicit timer_wheel(std::int64_t now_ns) : position_(tick_of(now_ns)) {
    for (auto& level : slots_)
      for (slot& each : level) each.clear();
    due_.reserve(due_at_first);
  }
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  /// Arms a node at its `deadline_ns`; it must not be armed. O(1), no allocation. A deadline that has passed is due
  /// at the next advance.
  void arm(node& timer) noexcept {
    AXLE_DCHECK(!timer.armed(), "timer armed twice");
    file(timer);
    ++pending_;
  }

  /// Takes a node out; true if it was armed, false if it had fired or was never armed. O(1).
  bool disarm(node& timer) noexcept {
    if (!timer.armed()) return false;
    if (timer.prev) [[likely]] {
      unlink(timer);
    } else {
      take_from_due(timer);
    }
    --pending_;
    return true;
  }

  /// The earliest pending deadline, or `never`. May be earlier than that if the earliest was disarmed. O(levels).
  std::int64_t next_deadline() const noexcept {
    if (first_due_ != due_.size()) return due_[first_due_].deadline_ns;
    if (!levels_) return never;
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    return slots_[level][first_slot(level)].earliest_ns;
  }

  /// Makes the nodes due whose deadline is <= now: those of the earliest slot, if none is due already. Returns whether
  /// any is due; to fire all, call it and take them until it says no. Amortised O(levels) a node, O(1) with none due.
  AXLE_EXPORT bool advance(std::int64_t now_ns) noexcept;

  /// Takes the next due node, in order of deadline, or null. Call after `advance`; O(1).
  node* pop_due() noexcept {
    if (first_due_ == due_.size()) return nullptr;
    if (first_due_ + fetch_ahead < due_.size()) __builtin_prefetch(due_[first_due_ + fetch_ahead].timer, 1);
    node* first = due_[first_due_].timer;
    first->next = nullptr;
    --pending_;
    skip_to(first_due_ + 1);
    return first;
  }

  std::uint64_t pending() const noexcept { return pending_; }

 private:
  static constexpr unsigned tick_shift = 10;  // a level-0 slot is 1,024 ns wide
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slots_per_level = 1U << slot_bits;
  static constexpr unsigned level_count = 9;  // 10 + 9 * 6 = 64 bits: every deadline has a place
  static constexpr std::size_t due_at_first = 1024;
  static constexpr std::size_t fetch_ahead = 8;

  struct due_entry {
    std::int64_t deadline_ns;
    node* timer;  // null: disarmed since
  };

  // A circular list with its head as the sentinel: linking needs no branch.
  struct slot {
    node head;
    std::int64_t earliest_ns;

    void clear() noexcept {
      head.next = head.prev = &head;
      earliest_ns = never;
    }
    bool empty() const noexcept { return head.next == &head; }
    node* first() const noexcept { return head.next; }
  };

  static std::uint64_t tick_of(std::int64_t ns) noexcept {
    return ns <= 0 ? 0 : static_cast<std::uint64_t>(ns) >> tick_shift;
  }
  static unsigned level_of(std::uint64_t differing) noexcept {
    // highest differing bit / 6, by multiplication: exact for 0..63
    return (static_cast<unsigned>(std::bit_width(differing | 1)) - 1) * 43U >> 8;
  }
  unsigned first_slot(unsigned level) const noexcept {
    // Slots at or after the wheel's own place at this level; there is nothing behind it.
    return static_cast<unsigned>(std::countr_zero(occupied_[level]));
  }

  void file(node& timer) noexcept {
    std::uint64_t tick = tick_of(timer.deadline_ns);
    if (tick < position_) [[unlikely]]
      tick = position_;
    const unsigned level = level_of(tick ^ position_);
    const unsigned index = static_cast<unsigned>(tick >> (level * slot_bits)) & (slots_per_level - 1);
    slot& home = slots_[level][index];
    link_last(home, timer);
    if (timer.deadline_ns < home.earliest_ns) home.earliest_ns = timer.deadline_ns;
    occupied_[level] |= std::uint64_t{1} << index;
    levels_ |= 1U << level;
  }
  static void link_last(slot& home, node& timer) noexcept {
    node* last = home.head.prev;
    timer.prev = last;
    timer.next = &home.head;
    last->next = &timer;
    home.head.prev = &timer;
  }
  void unlink(node& timer) noexcept {
    node* before = timer.prev;
    node* after = timer.next;
    before->next = after;
    after->prev = before;
    timer.next = nullptr;
    if (before == after) [[unlikely]]
      emptied(before);
  }
  AXLE_EXPORT void emptied(node* head) noexcept;

  void clear_bit(unsigned level, unsigned index) noexcept {
    occupied_[level] &= ~(std::uint64_t{1} << index);
    if (!occupied_[level]) levels_ &= ~(1U << level);
  }
  /// The next due node is at `place` or after it.
  void skip_to(std::size_t place) noexcept {
    first_due_ = place;
    while (first_due_ != due_.size() && !due_[first_due_].timer) ++first_due_;
    if (first_due_ == due_.size()) due_emptied();
  }
  void take_from_due(node& timer) noexcept {
    const std::size_t place = timer.due_place - 1;
    timer.next = nullptr;
    due_[place].timer = nullptr;
    if (place == first_due_) skip_to(place);
  }
  AXLE_EXPORT void due_emptied() noexcept;

  void take_slot(unsigned level, unsigned index, std::int64_t now_ns) noexcept;
  bool make_due(node& timer) noexcept;
  void file_due_again() noexcept;
  void sort_due() noexcept;
  bool sort_by_digits(due_entry* from, std::size_t count) noexcept;

  std::uint64_t position_;  // in ticks
  std::uint32_t levels_ = 0;
  std::uint64_t pending_ = 0;
  std::array<std::uint64_t, level_count> occupied_ = {};
  std::vector<due_entry> due_;  // from first_due_ on, sorted; emptied as a whole
  std::size_t first_due_ = 0;
  std::array<std::array<slot, slots_per_level>, level_count> slots_;
};

}  // namespace axle
