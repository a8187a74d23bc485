// frame_pool: one thread's memory for coroutine frames and other small blocks that live on one core.
//
// Size classes of 16 bytes up to 2 KiB, each a free list; a block carries no header, so it is freed with
// its size. Slabs of 256 KiB are carved from the top as needed. Invariant: a block is given out and taken
// back by the thread that owns the pool; no atomics, no locks. A block that does wander to another thread
// joins that thread's lists (slabs are never unmapped, so this is safe; only the counts shift).
// A pool outlives its thread: it is parked, and the next thread that needs a pool adopts it.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__GNUC__) || defined(__clang__)
#define AXLE_TLS_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#define AXLE_EXPORT __attribute__((visibility("default")))
#else
#define AXLE_TLS_INITIAL_EXEC
#define AXLE_EXPORT
#endif

namespace axle::alloc {

/// What one thread's frame pool holds. Read by the owning thread.
struct frame_pool_counts {
  std::uint64_t allocated = 0;   ///< blocks given out since the thread began
  std::uint64_t freed = 0;       ///< blocks taken back
  std::uint64_t oversize = 0;    ///< of those given out, blocks above 2 KiB, which came from the general heap
  std::uint64_t slab_bytes = 0;  ///< memory taken from the general heap for slabs
  std::uint64_t live() const { return allocated - freed; }
};

/// Size-class free lists of one thread. Use through `frame_allocate` and `frame_free`.
class frame_pool {
 public:
  static constexpr std::size_t granule_bytes = 16;
  static constexpr std::size_t largest_bytes = 2048;
  static constexpr std::size_t slab_bytes = 256 * 1024;

  /// A block of at least `bytes`, aligned to 16. O(1). Throws std::bad_alloc when the heap is exhausted.
  void* allocate(std::size_t bytes) {
#if !defined(AXLE_PLAIN_FRAMES)
    const std::size_t index = class_of(bytes);
    if (index < class_count) [[likely]] {
      if (block* first = free_[index]) [[likely]] {
        free_[index] = first->next;
        ++allocated_;
        return first;
      }
    }
#endif
    return allocate_slowly(bytes);
  }

  /// Takes back a block of the size it was asked for with. O(1).
  void free(void* memory, std::size_t bytes) noexcept {
#if !defined(AXLE_PLAIN_FRAMES)
    const std::size_t index = class_of(bytes);
    if (index < class_count) [[likely]] {
      auto* freed = static_cast<block*>(memory);
      freed->next = free_[index];
      free_[index] = freed;
      ++freed_;
      return;
    }
#endif
    free_slowly(memory, bytes);
  }

  AXLE_EXPORT frame_pool_counts counts() const noexcept;

 private:
  struct block {
    block* next;
  };
  static constexpr std::size_t class_count = largest_bytes / granule_bytes + 1;
  static constexpr std::size_t class_of(std::size_t bytes) {
    return (bytes + granule_bytes - 1) / granule_bytes;
  }

  AXLE_EXPORT void* allocate_slowly(std::size_t bytes);
  AXLE_EXPORT void free_slowly(void* memory, std::size_t bytes) noexcept;
  void refill();

  block* free_[class_count] = {};
  std::uint64_t allocated_ = 0;
  std::uint64_t freed_ = 0;
  std::uint64_t oversize_ = 0;
  std::uint64_t slabs_ = 0;
  std::byte* top_ = nullptr;  // the rest of the newest slab: [top_, end_)
  std::byte* end_ = nullptr;
  bool registered_ = false;

  friend struct frame_pool_parking;
};

namespace detail {
AXLE_EXPORT extern thread_local constinit AXLE_TLS_INITIAL_EXEC frame_pool this_frame_pool;
}

/// The calling thread's pool.
inline frame_pool& this_thread_frames() noexcept { return detail::this_frame_pool; }

inline void* frame_allocate(std::size_t bytes) { return this_thread_frames().allocate(bytes); }
inline void frame_free(void* memory, std::size_t bytes) noexcept { this_thread_frames().free(memory, bytes); }

/// Makes the n-th next allocation of the calling thread's pool throw std::bad_alloc (0: the very next one);
/// a negative n switches this off. For tests: the ring bypasses malloc, so failing malloc proves little.
/// Counts every allocation in builds with AXLE_PLAIN_FRAMES (the sanitizer builds), elsewhere only refills.
AXLE_EXPORT void fail_frame_allocation_after(std::int64_t n) noexcept;

}  // namespace axle::alloc
