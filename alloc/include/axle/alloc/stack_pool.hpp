// stack_pool: native stacks of one thread, for functions that run on a stack of their own.
//
// A stack is mapped memory, touched as it is used, above a page that may not be touched: who runs over its end faults there
// instead of writing into what lies below. Invariant: a stack is given out and taken back by the same thread. What was taken
// back is kept for the next that wants the same size, as far as `kept_most`; it keeps the pages that were touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include <axle/alloc/frame_pool.hpp>

namespace axle::alloc {

/// Memory of a stack: [low, low + bytes), used from the top down.
struct stack_block {
  std::byte* low = nullptr;
  std::size_t bytes = 0;
  std::byte* top() const noexcept { return low + bytes; }
};

struct stack_pool_counts {
  std::uint64_t allocated = 0;  ///< stacks given out since the thread began
  std::uint64_t freed = 0;      ///< stacks taken back
  std::uint64_t mapped = 0;     ///< of those given out, stacks that had to be mapped
  std::uint64_t kept = 0;       ///< stacks that wait for the next use
  std::uint64_t live() const { return allocated - freed; }
};

inline constexpr std::size_t kept_stacks_most = 64;

/// A stack of at least `bytes`, rounded up to whole pages, from the calling thread's pool. O(1), or a map and a protect.
/// Throws std::bad_alloc when the kernel refuses (memory, or vm.max_map_count: each stack is two mappings).
AXLE_EXPORT stack_block stack_allocate(std::size_t bytes);
/// Takes back what the same thread was given. O(1), or an unmap.
AXLE_EXPORT void stack_free(stack_block stack) noexcept;
/// Of the calling thread.
AXLE_EXPORT stack_pool_counts stack_counts() noexcept;

}  // namespace axle::alloc
