// The io_uring driver: operations become submission entries, completions become results; two switches, one system call a
// turn.
//
// An operation's address is its user_data. That is safe without generations, because the memory of an operation stays
// where it is until its last completion has been taken: awaiters are destroyed, and connections freed, only then.
// Addresses are even; the odd numbers below mark the driver's own entries. Owning thread only, but for wake().
#include "uring.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include "../posix_sockets.hpp"
#include "guest_descriptor.hpp"
#include "uring_ring.hpp"

namespace axle::io::detail {

namespace {

using axle::detail::operation;
using axle::detail::operation_list;

// Newer than some installed headers.
constexpr std::uint16_t accept_multishot = 1U << 0;
constexpr std::uint16_t recv_multishot = 1U << 1;

constexpr std::uint64_t ignored = 1;  // the completion of a cancel
constexpr std::uint64_t woken = 3;    // the poll of the wake descriptor

class uring final : public posix_sockets {
 public:
  explicit uring(const driver_options& options);
  ~uring() override;

  void submit(operation_list& staged) noexcept override;
  void cancel(operation& op) noexcept override;
  void wait(operation_list& completed, std::int64_t until_ns) noexcept override;
  void wake() noexcept override;
  int descriptor() override;
  void alarm(std::int64_t until_ns) noexcept override { guest_->alarm(until_ns); }
  std::string_view name() const noexcept override { return "uring"; }

 private:
  io_uring_sqe& entry() noexcept;
  void prepare(io_operation& op) noexcept;
  void take(const io_uring_cqe& completion) noexcept;
  void finish(io_operation& op, std::int32_t result, bool more) noexcept;
  void enter(unsigned wait_for, std::int64_t until_ns) noexcept;
  void feed_starved() noexcept;
  bool send_at_once(io_operation& op) noexcept;
  void watch_wakes() noexcept;

  int wake_fd_;
  uring_ring ring_;
  operation_list collected_;               // completed, not yet handed out
  std::vector<io_operation*> starved_;     // receives that ended for want of a buffer
  std::vector<kernel_address> addresses_;  // of connects being submitted this turn
  bool woken_ = false;                     // a wake was seen, perhaps by submit, and ends the next wait
  unsigned sends_ = 0;                     // submitted this turn
  int told_fd_ = -1;                       // of a guest: written by the kernel when there is work
  std::optional<guest_descriptor> guest_;
};

int make_eventfd() {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0)
    throw std::system_error(errno, std::system_category(),
                            "eventfd (raise the limit of open files: ulimit -n)");
  return fd;
}

uring::uring(const driver_options& options)
    : posix_sockets(options), wake_fd_(make_eventfd()), ring_(options.ring_entries, buffers_) {
  starved_.reserve(64);
  addresses_.reserve(64);
  watch_wakes();
}

uring::~uring() {
  close(wake_fd_);
  if (told_fd_ >= 0) close(told_fd_);
}

// An eventfd that the kernel writes when there is work; and that wake() writes itself, for a write to an eventfd that the ring
// polls is told of late, by a grace period of RCU, and only the first time (seen on Linux 6.18).
int uring::descriptor() {
  if (guest_) return guest_->get();
  if (told_fd_ < 0) told_fd_ = make_eventfd();
  guest_.emplace(told_fd_);
  ring_.tell(told_fd_);
  return guest_->get();
}

// Multishot and never read: each write wakes the poll once, which is all that is needed.
void uring::watch_wakes() noexcept {
  io_uring_sqe& sqe = entry();
  io_uring_prep_poll_add(&sqe, wake_fd_, POLLIN);
  sqe.len = IORING_POLL_ADD_MULTI;
  io_uring_sqe_set_data64(&sqe, woken);
}

void uring::wake() noexcept {
  const std::uint64_t one = 1;
  const int to = told_fd_ >= 0 ? told_fd_ : wake_fd_;
  [[maybe_unused]] const auto written = write(to, &one, sizeof one);  // EAGAIN: awake already
}

// A turn with few sends makes them by system call: that costs less than an entry whose completion ends the wait for the
// next request at once, and then another wait (measured, 1 connection: 1.03 against 1.10 of a bare epoll loop's CPU; at 64
// connections entries win by 4 to 8 %). Sends are in order on each connection, for it has one at a time.
constexpr unsigned few_sends = 3;

// Each send completes, and if the peer is quick its next request comes. After a turn with many sends the kernel is to gather
// so many completions, though not for long. Measured against the bare ring's CPU (medians of 7): at 64 connections 0.99, and
// 0.03 entries a request; 1.10 without. At 10 to 24 it costs more than it saves (1.26 against 0.97), for the wait is real.
// Twice the turn's sends instead of 64: 1.07 at 64 connections, 1.06 and a longer tail at 1,024.
constexpr unsigned many_sends = 32;
constexpr unsigned gathered = 64;

bool is_send(const operation& op) noexcept {
  const opcode code = static_cast<const io_operation&>(op).code();
  return code == opcode::send || code == opcode::send_message;
}

unsigned count_sends(const operation_list& staged) noexcept {
  unsigned count = 0;
  for (const operation* each = staged.front(); each && count <= few_sends; each = each->next)
    count += is_send(*each);
  return count;
}

bool uring::send_at_once(io_operation& op) noexcept {
  constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ++counts_.kernel_entries;
  const ssize_t got = op.code() == opcode::send
                          ? send(op.handle, op.block.data, op.block.size, flags)
                          : sendmsg(op.handle, static_cast<const msghdr*>(op.message.header), flags);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  finish(op, got < 0 ? -errno : static_cast<std::int32_t>(got), false);
  return true;
}

void uring::submit(operation_list& staged) noexcept {
  const bool directly = count_sends(staged) <= few_sends;
  while (operation* next = staged.pop_front()) {
    auto& op = static_cast<io_operation&>(*next);
    ++counts_.submitted;
    op.submitted = true;
    op.more = false;
    if (op.cancelling) {
      finish(op, -ECANCELED, false);
    } else if (!is_send(op)) {
      prepare(op);
    } else if (!directly || !send_at_once(op)) {
      ++sends_;
      prepare(op);
    }
  }
}

// The first switch: arguments to a submission entry.
void uring::prepare(io_operation& op) noexcept {
  // Before an entry is taken: entering with a half-filled one would submit it.
  while (op.code() == opcode::connect && addresses_.size() == addresses_.capacity()) enter(0, 0);
  io_uring_sqe& sqe = entry();
  switch (op.code()) {
    case opcode::nop:
      io_uring_prep_nop(&sqe);
      break;
    case opcode::accept:
      io_uring_prep_accept(&sqe, op.handle, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      sqe.ioprio |= accept_multishot;
      break;
    case opcode::connect: {
      // The kernel copies the address when the entry is submitted; until then it lies in addresses_, which does not grow
      // past its reserve without submitting.
      addresses_.push_back(to_kernel(*op.peer));
      const kernel_address& peer = addresses_.back();
      io_uring_prep_connect(&sqe, op.handle, reinterpret_cast<const sockaddr*>(&peer.storage), peer.size);
      break;
    }
    case opcode::receive:
      io_uring_prep_recv(&sqe, op.handle, op.block.data, op.block.size, 0);
      break;
    case opcode::receive_leased:
      io_uring_prep_recv(&sqe, op.handle, nullptr, 0, 0);
      if (!op.once) sqe.ioprio |= recv_multishot;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = uring_ring::buffer_group;
      break;
    case opcode::send:
      io_uring_prep_send(&sqe, op.handle, op.block.data, op.block.size, MSG_NOSIGNAL | MSG_WAITALL);
      break;
    case opcode::send_message:
      io_uring_prep_sendmsg(&sqe, op.handle, static_cast<const msghdr*>(op.message.header),
                            MSG_NOSIGNAL | MSG_WAITALL);
      break;
    case opcode::close:
      io_uring_prep_close(&sqe, op.handle);
      break;
  }
  io_uring_sqe_set_data64(&sqe, reinterpret_cast<std::uintptr_t>(&op));
}

// There always is one: a full queue is handed to the kernel first, and completions it waits for are taken meanwhile.
io_uring_sqe& uring::entry() noexcept {
  for (;;) {
    if (io_uring_sqe* free = ring_.entry()) {
      return *free;
    }
    enter(0, 0);
  }
}

void uring::cancel(operation& staged_or_submitted) noexcept {
  auto& op = static_cast<io_operation&>(staged_or_submitted);
  if (op.cancelling || (op.listed && !op.submitted)) return;  // asked before, or completed already
  op.cancelling = true;
  if (!op.submitted) return;  // staged: submit() sees the mark
  if (const auto starving = std::find(starved_.begin(), starved_.end(), &op); starving != starved_.end()) {
    starved_.erase(starving);
    finish(op, -ECANCELED, false);
    return;
  }
  io_uring_sqe& sqe = entry();
  io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uintptr_t>(&op), 0);
  io_uring_sqe_set_data64(&sqe, ignored);
}

void uring::wait(operation_list& completed, std::int64_t until_ns) noexcept {
  if (guest_) [[unlikely]] {  // before the look, so that what comes later is told of again
    std::uint64_t told;
    [[maybe_unused]] const auto got = read(told_fd_, &told, sizeof told);
  }
  ring_.restock();
  ring_.reap([this](const io_uring_cqe& each) { take(each); });
  if (!starved_.empty() && ring_.has_buffers()) feed_starved();
  const bool must_sleep = collected_.empty() && until_ns > 0 && !woken_;
  if (must_sleep || ring_.unsubmitted() || ring_.kernel_has_work()) {
    const unsigned hoped_for = sends_ > many_sends && ring_.can_gather() ? gathered : 1;
    enter(must_sleep ? hoped_for : 0, until_ns);
    sends_ = 0;
    ring_.reap([this](const io_uring_cqe& each) { take(each); });
  }
  woken_ = false;
  completed = std::exchange(collected_, {});
}

void uring::enter(unsigned wait_for, std::int64_t until_ns) noexcept {
  ++counts_.kernel_entries;
  if (ring_.overflowed()) ++counts_.overflows;
  const int got = ring_.enter(wait_for, until_ns, wait_for && until_ns != INT64_MAX ? now() : 0);
  if (!ring_.unsubmitted()) addresses_.clear();  // the kernel has copied them
  if (got >= 0 || got == -ETIME || got == -EINTR) return;
  // Short of memory, or completions must be taken first: both pass.
  if (got == -EBUSY || got == -EAGAIN || got == -ENOMEM) {
    ring_.reap([this](const io_uring_cqe& each) { take(each); });
    return;
  }
  AXLE_CHECK(got != -EEXIST,
             "a ring was entered by a thread, or after fork by a process, that did not make it: start a loop "
             "of its own");
  AXLE_CHECK(got != -EBADR, "io_uring lost completions for want of memory; raise the memory limit");
  AXLE_CHECK(got >= 0, "io_uring_enter failed: %s", strerror(-got));
}

// The second switch: a completion to a result.
void uring::take(const io_uring_cqe& completion) noexcept {
  if (completion.user_data == ignored) return;
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (completion.user_data == woken) {
    woken_ = true;
    if (!more) watch_wakes();
    return;
  }
  auto& op = *reinterpret_cast<io_operation*>(static_cast<std::uintptr_t>(completion.user_data));
  switch (op.code()) {
    case opcode::accept:
      if (completion.res >= 0) op.accepted->push_back(completion.res);
      break;
    case opcode::receive_leased:
      if (completion.flags & IORING_CQE_F_BUFFER) {
        const auto id = static_cast<alloc::buffer_id>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
        ring_.buffer_used();
        if (completion.res <= 0) {
          buffers_.release(id);
        } else {
          append(op.chain, buffers_, id, static_cast<std::uint32_t>(completion.res));
        }
      } else if (completion.res == -ENOBUFS && !more) {
        if (op.cancelling) return finish(op, -ECANCELED, false);
        ++counts_.dry_buffers;
        ring_.ran_out();
        starved_.push_back(&op);
        return;
      }
      break;
    default:
      break;
  }
  finish(op, completion.res, more);
}

void uring::finish(io_operation& op, std::int32_t result, bool more) noexcept {
  op.res = result;
  op.more = more;
  if (!more) {
    op.submitted = false;
    op.cancelling = false;
    ++counts_.completed;
  }
  if (op.listed) return;
  op.listed = true;
  collected_.push_back(op);
}

void uring::feed_starved() noexcept {
  // prepare() may enter, take completions and starve again: go through a copy.
  const std::vector<io_operation*> hungry = std::exchange(starved_, {});
  for (io_operation* each : hungry) prepare(*each);
}

}  // namespace

std::unique_ptr<io_driver> make_uring(const driver_options& options) {
  return std::make_unique<uring>(options);
}

}  // namespace axle::io::detail
