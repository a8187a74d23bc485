// uring_ring: an io_uring instance with its provided-buffer ring: set up by probing, entered by one thread.
//
// liburing sets it up and hands out submission entries; entering the kernel is done here, because the installed liburing
// (2.3 on Debian 12) knows neither the flags nor the wait arguments of newer kernels. Constants that its header lacks
// are declared in uring_ring.cpp; whether the kernel knows them is asked of the kernel, at run time.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>

#include <axle/alloc/buffer_pool.hpp>

namespace axle::io::detail {

class uring_ring {
 public:
  /// Sets up a ring owned by the calling thread. Throws std::system_error whose text says what was refused and what would
  /// change it.
  uring_ring(std::uint32_t entries, alloc::buffer_pool& buffers);
  ~uring_ring();
  uring_ring(const uring_ring&) = delete;
  uring_ring& operator=(const uring_ring&) = delete;

  /// A free submission entry, or null if the queue is full.
  io_uring_sqe* entry() noexcept { return io_uring_get_sqe(&ring_); }
  /// From now on the kernel writes to the eventfd when there are completions, or work that shows after an enter. Throws
  /// std::system_error.
  void tell(int eventfd);

  /// Entries prepared and not yet handed to the kernel.
  unsigned unsubmitted() const noexcept {
    return ring_.sq.sqe_tail - __atomic_load_n(ring_.sq.khead, __ATOMIC_RELAXED);
  }

  /// Enters the kernel: submits what is prepared, waits for a completion at most until `until_ns`. If more than one is
  /// hoped for, the kernel gathers that many for up to `gather_us` before one is enough. One system call. Returns a
  /// negative errno value, or the number submitted.
  int enter(unsigned wait_for, std::int64_t until_ns, std::int64_t now_ns) noexcept;
  /// Whether waiting for several completions is possible without waiting for ever.
  bool can_gather() const noexcept { return can_gather_; }

  /// Whether the kernel has work that shows only after an enter.
  bool kernel_has_work() const noexcept {
    return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & (sq_taskrun | IORING_SQ_CQ_OVERFLOW)) != 0;
  }
  bool overflowed() const noexcept {
    return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;
  }

  /// Visits every completion that is there.
  template <class F>
  unsigned reap(F&& visit) noexcept {
    unsigned head = *ring_.cq.khead;
    const unsigned tail =
        __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);  // acquire: pairs with the kernel's release
    const unsigned count = tail - head;
    for (; head != tail; ++head) visit(ring_.cq.cqes[head & ring_.cq.ring_mask]);
    if (count) __atomic_store_n(ring_.cq.khead, head, __ATOMIC_RELEASE);  // release: the entries are read
    return count;
  }

  /// Gives the kernel free buffers of the pool, in one advance, as many as the load needs. True if there were any.
  bool restock() noexcept;
  /// A receive found no buffer.
  void ran_out() noexcept { ran_out_ = true; }
  /// A completion has used one.
  void buffer_used() noexcept { buffers_.set_in_kernel(--lent_); }
  bool has_buffers() const noexcept { return lent_ != 0; }
  static constexpr std::uint16_t buffer_group = 0;

 private:
  static constexpr unsigned sq_taskrun = 1U << 2;  // IORING_SQ_TASKRUN

  void set_up(std::uint32_t entries);
  void register_buffers();
  void probe_multishot();

  io_uring ring_ = {};
  alloc::buffer_pool& buffers_;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_bytes_ = 0;
  std::uint32_t buffer_ring_mask_ = 0;
  static constexpr std::uint32_t buffers_at_first = 32;
  static constexpr std::uint32_t restocks_looked_back = 4'096;

  std::uint32_t lent_ = 0;  // buffers the kernel has
  std::uint32_t wanted_ = buffers_at_first;
  std::uint32_t given_ = 0;      // what lent_ was after the last restock
  std::uint32_t most_used_ = 0;  // between two restocks, lately
  std::uint32_t restocks_ = 0;
  bool ran_out_ = false;
  unsigned enter_flags_ = 0;
  int enter_fd_ = -1;
  bool can_gather_ = false;
};

}  // namespace axle::io::detail
