// spsc_slots: a bounded ring between one producing and one consuming thread.
//
// Each side has its index on a line of its own, and a copy of the other's that it renews only when the ring seems full, or
// empty: in a steady flow a line crosses between the cores once for many items, not for each. (L. Lamport's queue of 1977, with
// the cached indices of FastForward and MCRingBuffer.) Indices count up without end; slots are theirs modulo a power of two.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <axle/check.hpp>

namespace axle::detail {

template <class T>
class spsc_slots {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "an item whose move may throw could get lost between two cores");

 public:
  /// Room for `bound` items. Throws std::bad_alloc.
  explicit spsc_slots(std::size_t bound)
      : bound_(bound),
        mask_(std::bit_ceil(bound) - 1),
        slots_(std::make_unique_for_overwrite<slot[]>(mask_ + 1)) {}
  spsc_slots(const spsc_slots&) = delete;
  spsc_slots& operator=(const spsc_slots&) = delete;
  ~spsc_slots() {
    // relaxed, here and in size(): see far_place
    for (std::size_t i = head_.load(std::memory_order_relaxed); i != tail_.load(std::memory_order_relaxed);
         ++i)
      at(i).~T();
  }

  std::size_t bound() const noexcept { return bound_; }
  /// As of some moment during the call. Any thread.
  std::size_t size() const noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    return tail - head <= bound_ ? tail - head : 0;
  }
  /// Items ever put. Any thread.
  std::size_t total() const noexcept { return tail_.load(std::memory_order_relaxed); }

  /// The producer's. Looks at the other index if it must.
  bool has_room() noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ < bound_) return true;
    head_seen_ = head_.load(std::memory_order_seq_cst);  // seq_cst: pairs with pop()'s store, see far_place
    return tail - head_seen_ < bound_;
  }
  /// The producer's, when there is room.
  void push(T&& item) noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    ::new (static_cast<void*>(&slots_[tail & mask_])) T(std::move(item));
    tail_.store(tail + 1, std::memory_order_seq_cst);  // seq_cst: pairs with has_item()'s load, see far_place
  }

  /// The consumer's.
  bool has_item() noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head != tail_seen_) return true;
    tail_seen_ = tail_.load(std::memory_order_seq_cst);  // seq_cst: pairs with push()'s store, see far_place
    return head != tail_seen_;
  }
  /// The consumer's, when there is an item.
  T pop() noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    T& place = at(head);
    T item = std::move(place);
    place.~T();
    head_.store(head + 1, std::memory_order_seq_cst);  // seq_cst: pairs with has_room()'s load, see far_place
    return item;
  }

 private:
  struct slot {
    alignas(T) std::byte bytes[sizeof(T)];
  };
  T& at(std::size_t index) noexcept { return *std::launder(reinterpret_cast<T*>(&slots_[index & mask_])); }

  const std::size_t bound_;
  const std::size_t mask_;
  const std::unique_ptr<slot[]> slots_;
  alignas(128) std::atomic<std::size_t> tail_{0};  // next to be put
  std::size_t head_seen_ = 0;                      // the producer's copy
  alignas(128) std::atomic<std::size_t> head_{0};  // next to be got
  std::size_t tail_seen_ = 0;                      // the consumer's copy
};

}  // namespace axle::detail
