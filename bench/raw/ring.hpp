// A bare io_uring: its three system calls, the two mapped queues, and a ring of provided buffers.
//
// It exists so that the yardstick owes nothing to a library. Names newer than the installed headers are
// spelled out here. Invariant: used only by the thread that made it; an entry taken with `take` reaches the
// kernel in the next `enter`, and a buffer given back is seen by the kernel after the next `advance`.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "../server.hpp"

namespace bench {

class ring {
 public:
  // One submitter, completions delivered only when asked for, all of a batch submitted even when one entry
  // fails.
  ring(unsigned entries, unsigned completions) {
    io_uring_params made{};
    made.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    made.cq_entries = completions;
    fd_ = int(syscall(__NR_io_uring_setup, entries, &made));
    if (fd_ < 0) die("io_uring_setup (Linux 6.1 or newer, and not forbidden?)");
    std::size_t submission_bytes = made.sq_off.array + made.sq_entries * sizeof(unsigned);
    std::size_t completion_bytes = made.cq_off.cqes + made.cq_entries * sizeof(io_uring_cqe);
    char* queues = map(std::max(submission_bytes, completion_bytes), IORING_OFF_SQ_RING);
    sqes_ = reinterpret_cast<io_uring_sqe*>(map(made.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    auto at = [queues](unsigned offset) { return reinterpret_cast<unsigned*>(queues + offset); };
    sq_tail_ = at(made.sq_off.tail);
    sq_flags_ = at(made.sq_off.flags);
    sq_entries_ = made.sq_entries;
    cq_head_ = at(made.cq_off.head);
    cq_tail_ = at(made.cq_off.tail);
    cq_mask_ = made.cq_entries - 1;
    cqes_ = reinterpret_cast<io_uring_cqe*>(queues + made.cq_off.cqes);
    for (unsigned i = 0; i < made.sq_entries; ++i) at(made.sq_off.array)[i] = i;
    register_own_descriptor();
  }

  // A cleared entry. Enters the kernel first when the queue is full.
  io_uring_sqe* take() {
    if (staged_ == sq_entries_) enter(0);
    io_uring_sqe* entry = &sqes_[(tail_ + staged_++) & (sq_entries_ - 1)];
    std::memset(entry, 0, sizeof *entry);
    return entry;
  }

  // Submits what was staged and runs the kernel's deferred work; sleeps until `wanted` completions are there.
  void enter(unsigned wanted) {
    tail_ += staged_;
    std::atomic_ref(*sq_tail_).store(tail_, std::memory_order_release);  // pairs with the kernel's acquire
    unsigned count = staged_;
    staged_ = 0;
    constexpr unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING;
    while (syscall(__NR_io_uring_enter, registered_, count, wanted, flags, nullptr, 0) < 0) {
      if (errno == EBUSY || errno == EAGAIN) return;  // completions must be read first
      if (errno != EINTR) die("io_uring_enter");
    }
  }

  // True when entering would bring something: for loops that never sleep.
  bool worth_entering() const {
    unsigned flags = std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed);
    return staged_ != 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }

  // Calls `handle` for each completion that is there, then frees their places at once.
  template <class Handle>
  void collect(Handle&& handle) {
    unsigned end =
        std::atomic_ref(*cq_tail_).load(std::memory_order_acquire);  // pairs with the kernel's release
    for (unsigned i = head_; i != end; ++i) handle(cqes_[i & cq_mask_]);
    head_ = end;
    std::atomic_ref(*cq_head_).store(head_, std::memory_order_release);  // pairs with the kernel's acquire
  }

  long enroll(unsigned what, void* argument, unsigned count) {
    return syscall(__NR_io_uring_register, fd_, what, argument, count);
  }

 private:
  char* map(std::size_t size, off_t offset) {
    void* place = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, offset);
    if (place == MAP_FAILED) die("mmap of the ring");
    return static_cast<char*>(place);
  }

  void register_own_descriptor() {
    io_uring_rsrc_update update{};
    update.offset = ~0u;
    update.data = std::uint64_t(fd_);
    if (enroll(IORING_REGISTER_RING_FDS, &update, 1) != 1) die("registering the ring's descriptor");
    registered_ = int(update.offset);
  }

  int fd_;
  int registered_;
  unsigned* sq_tail_;
  unsigned* sq_flags_;
  unsigned* cq_head_;
  unsigned* cq_tail_;
  unsigned sq_entries_;
  unsigned cq_mask_;
  unsigned tail_ = 0;    // submitted so far
  unsigned staged_ = 0;  // taken since
  unsigned head_ = 0;    // collected so far
  io_uring_sqe* sqes_;
  io_uring_cqe* cqes_;
};

// Buffers the kernel picks from when data arrives, so that a connection without data holds none.
class provided_buffers {
 public:
  provided_buffers(ring& owner, unsigned count, unsigned bytes) : count_(count), bytes_(bytes) {
    slots_ = static_cast<io_uring_buf*>(anonymous(count * sizeof(io_uring_buf)));
    memory_ = static_cast<char*>(anonymous(std::size_t(count) * bytes));
    io_uring_buf_reg wanted{};
    wanted.ring_addr = reinterpret_cast<std::uint64_t>(slots_);
    wanted.ring_entries = count;
    if (owner.enroll(IORING_REGISTER_PBUF_RING, &wanted, 1) != 0) die("registering the buffers");
    taken_ = count;
    for (unsigned id = 0; id < count; ++id) give(id);
    advance();
  }

  char* at(unsigned id) const { return memory_ + std::size_t(id) * bytes_; }

  // Counts a buffer that a completion named as taken.
  void take() { ++taken_; }
  bool available() const { return taken_ < count_; }

  void give(unsigned id) {
    --taken_;
    io_uring_buf& slot = slots_[tail_++ & (count_ - 1)];
    slot.addr = reinterpret_cast<std::uint64_t>(at(id));
    slot.len = bytes_;
    slot.bid = std::uint16_t(id);
  }

  // Shows the kernel what was given back.
  void advance() {
    // The ring's tail lies over the first slot's spare field. Pairs with the kernel's acquire.
    std::atomic_ref(slots_[0].resv).store(tail_, std::memory_order_release);
  }

 private:
  static void* anonymous(std::size_t size) {
    void* place = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) die("mmap");
    return place;
  }

  io_uring_buf* slots_;
  char* memory_;
  unsigned count_;  // a power of two
  unsigned bytes_;
  unsigned taken_;
  std::uint16_t tail_ = 0;
};

}  // namespace bench
