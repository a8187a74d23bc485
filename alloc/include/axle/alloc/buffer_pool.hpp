// buffer_pool: one core's I/O buffers, all of one size, leased one at a time.
//
// A buffer is a number; its memory is one block of a single mapping, so that the number is also what the
// kernel's provided-buffer ring calls it. Free buffers form a LIFO list: the one given back last is the one
// whose lines are still in the cache. Invariant: touched by the owning core only. Whoever holds a number (a
// lease, a queue of received data, or the kernel) is its only holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <axle/alloc/frame_pool.hpp>

namespace axle::alloc {

using buffer_id = std::uint16_t;
inline constexpr buffer_id no_buffer = 0xffff;

/// Buffers in use and in all, for statistics and leak checks.
struct buffer_pool_counts {
  std::uint32_t total = 0;
  std::uint32_t free = 0;
  std::uint32_t kernel = 0;  ///< lying in a kernel-side ring, to be filled
  std::uint64_t leased = 0;  ///< leases ever given
  std::uint64_t dry = 0;     ///< times a buffer was asked for and none was free
  std::uint32_t outstanding() const { return total - free - kernel; }  ///< held by programs
};

class buffer_pool {
 public:
  /// Maps `count` buffers (1 to 32,768) of `bytes` each. Throws std::bad_alloc.
  AXLE_EXPORT buffer_pool(std::uint32_t count, std::uint32_t bytes);
  AXLE_EXPORT ~buffer_pool();
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  /// A free buffer, or `no_buffer`. O(1).
  buffer_id acquire() noexcept {
    const buffer_id id = free_head_;
    if (id == no_buffer) {
      ++counts_.dry;
      return no_buffer;
    }
    free_head_ = about_[id].next;
    --counts_.free;
    ++counts_.leased;
    return id;
  }
  /// Gives a buffer back. O(1).
  void release(buffer_id id) noexcept {
    about_[id].next = free_head_;
    free_head_ = id;
    ++counts_.free;
  }
  /// A driver says how many it keeps in the kernel's ring.
  void set_in_kernel(std::uint32_t count) noexcept { counts_.kernel = count; }
  bool empty() const noexcept { return free_head_ == no_buffer; }

  std::byte* memory(buffer_id id) const noexcept { return base_ + std::size_t{id} * bytes_; }
  std::uint32_t buffer_bytes() const noexcept { return bytes_; }
  const buffer_pool_counts& counts() const noexcept { return counts_; }

  /// Received data waits in a chain of buffers; these are its links. Valid for the buffer's holder.
  buffer_id& next(buffer_id id) noexcept { return about_[id].next; }
  std::uint32_t& filled(buffer_id id) noexcept { return about_[id].filled; }

 private:
  struct about {
    std::uint32_t filled = 0;
    buffer_id next = no_buffer;
  };

  std::unique_ptr<about[]> about_;
  std::byte* base_;
  std::uint32_t bytes_;
  buffer_id free_head_ = no_buffer;
  buffer_pool_counts counts_;
};

}  // namespace axle::alloc
