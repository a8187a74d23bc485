// ring: a double-ended array that grows; what queues keep their items in.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>

namespace axle::detail {

template <class T>
class ring {
 public:
  ring() = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    while (!empty()) pop_front();
    if (room_) std::allocator<T>().deallocate(items_, room_);
  }

  bool empty() const noexcept { return first_ == end_; }
  std::size_t size() const noexcept { return end_ - first_; }
  T& front() noexcept { return at(first_); }
  T& back() noexcept { return at(end_ - 1); }

  /// Throws std::bad_alloc, and then has not changed. Amortised O(1).
  void push_back(T&& item) {
    if (size() == room_) [[unlikely]]
      grow(size() + 1);
    std::construct_at(&at(end_), std::move(item));
    ++end_;
  }
  /// Makes room for `count` items in all: until then push_back() does not throw. Throws std::bad_alloc, and then has not
  /// changed.
  void reserve(std::size_t count) {
    if (count > room_) grow(count);
  }
  void pop_front() noexcept { std::destroy_at(&at(first_++)); }
  void pop_back() noexcept { std::destroy_at(&at(--end_)); }

 private:
  T& at(std::size_t place) noexcept { return items_[place & (room_ - 1)]; }
  void grow(std::size_t least) {
    const std::size_t more = std::bit_ceil(std::max<std::size_t>(least, 8));
    T* const larger = std::allocator<T>().allocate(more);
    std::size_t count = 0;
    for (; !empty(); pop_front()) std::construct_at(larger + count++, std::move(front()));
    if (room_) std::allocator<T>().deallocate(items_, room_);
    items_ = larger;
    room_ = more;
    first_ = 0;
    end_ = count;
  }

  T* items_ = nullptr;
  std::size_t room_ = 0;  // a power of two
  std::size_t first_ = 0;
  std::size_t end_ = 0;
};

}  // namespace axle::detail
