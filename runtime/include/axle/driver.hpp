// The driver: what a loop needs from the operating system, in five functions, and the operation it completes.
//
// Contract (io/README.md has it in full; tests/driver_contract_test.cpp holds every driver to it):
//   an operation belongs to the driver from submit until it comes back through wait; it comes back exactly once
//   (a multishot one: once per wait that has results, marked `more` until the last); submit cannot fail, failures
//   arrive as completions; cancel is a request; wait runs no user code; per handle and direction one operation is in
//   flight at a time, so that order is kept; EINTR never shows. All but wake() are called by the owning thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <axle/alloc/frame_pool.hpp>
#include <axle/detail/wait_node.hpp>

namespace axle {

namespace detail {

/// What a driver completes. The io component adds the arguments (io/operation.hpp); a loop only moves it about.
struct operation : wait_node {
  operation* next = nullptr;
  std::int32_t res = 0;     // >= 0, or a negative errno value
  std::uint8_t number = 0;  // the io component's opcode
  bool more = false;        // this was not the last completion
  bool listed = false;      // stands in a list of completions
  bool submitted = false;   // the driver has it; staged before, free after
  bool cancelling = false;  // a cancel was requested
  bool once = false;        // of the io component: a multishot operation is to end with its first result
};

/// Operations in order; intrusive, singly linked.
class operation_list {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  void push_back(operation& op) noexcept {
    op.next = nullptr;
    if (tail_) {
      tail_->next = &op;
    } else {
      head_ = &op;
    }
    tail_ = &op;
  }
  operation* pop_front() noexcept {
    operation* first = head_;
    if (first) {
      head_ = first->next;
      if (!head_) tail_ = nullptr;
    }
    return first;
  }
  operation* front() const noexcept { return head_; }

 private:
  operation* head_ = nullptr;
  operation* tail_ = nullptr;
};

}  // namespace detail

/// What a driver has done since it began.
struct driver_counts {
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  std::uint64_t kernel_entries = 0;  ///< system calls made by submit and wait
  std::uint64_t overflows = 0;       ///< times the kernel's completion queue had run over
  std::uint64_t dry_buffers = 0;     ///< receives that had to wait for a buffer
};

class driver {
 public:
  virtual ~driver() = default;
  /// Takes every operation of the list. Cannot fail.
  virtual void submit(detail::operation_list& staged) noexcept = 0;
  /// Asks for an early end of an operation that was staged or submitted; it comes back through wait as it would anyway.
  virtual void cancel(detail::operation& op) noexcept = 0;
  /// Collects completions; sleeps until there is one, a wake, or `until_ns` on the driver's clock. A time that has
  /// passed means: do not sleep. Runs no user code.
  virtual void wait(detail::operation_list& completed, std::int64_t until_ns) noexcept = 0;
  /// Ends the wait of the owning thread, now or the next one. Any thread; async-signal-safe.
  virtual void wake() noexcept = 0;
  /// The time in nanoseconds on CLOCK_MONOTONIC (a simulator: its own).
  virtual std::int64_t now() noexcept = 0;

  // For a loop that another loop hosts (guest.hpp), by a driver that can be hosted.
  /// Readable when wait() would collect something, and from the time of alarm() on; -1: this driver cannot be hosted.
  /// Throws std::system_error.
  virtual int descriptor() { return -1; }
  virtual void alarm(std::int64_t /*until_ns*/) noexcept {}

  /// False of a simulator: its time passes only while its loop waits, so that to spin for something would not end.
  virtual bool runs_in_real_time() const noexcept { return true; }
  virtual std::string_view name() const noexcept = 0;
  const driver_counts& counts() const noexcept { return counts_; }

 protected:
  driver_counts counts_;
};

/// What a driver is made from.
struct driver_options {
  std::string_view name;              ///< "uring", "epoll", "sim"; empty: the best that works here
  std::uint32_t ring_entries = 1024;  ///< submission queue; halved while memory for it is refused
  std::uint32_t buffers = 2'048;      ///< receive buffers of a core, at most 32,768
  std::uint32_t buffer_bytes = 16'384;
  std::uint64_t seed = 0;  ///< of the simulator
};

/// The best driver that works on this machine, or the one that is named; the calling thread will own it. `why_not`
/// receives, in one line, why a better one was passed over and what would change that. Throws std::system_error or
/// std::invalid_argument. Defined by the io component: the one link-time seam between the two.
AXLE_EXPORT std::unique_ptr<driver> make_driver(const driver_options& options, std::string& why_not);

}  // namespace axle
