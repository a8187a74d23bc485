// Operations tried, parked and tried again: see readiness.hpp. Owning thread only.
#include "readiness.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace axle::io::detail {

using axle::detail::operation;
using axle::detail::operation_list;

namespace {

constexpr unsigned accepts_at_once = 64;
constexpr unsigned polls_skipped_at_most = 3;

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

// An operation taken out of the middle of a queue; O(length), and queues are short.
bool remove(operation_list& from, operation& wanted) noexcept {
  operation_list kept;
  bool found = false;
  while (operation* each = from.pop_front()) {
    if (each == &wanted) {
      found = true;
    } else {
      kept.push_back(*each);
    }
  }
  from = kept;
  return found;
}

}  // namespace

readiness::handle_state& readiness::state_of(std::int32_t handle) noexcept {
  const auto index = static_cast<std::size_t>(handle);
  if (index >= handles_.size()) handles_.resize(std::max<std::size_t>(index + 1, handles_.size() * 2));
  return handles_[index];
}

void readiness::submit(operation_list& staged) noexcept {
  while (operation* next = staged.pop_front()) {
    auto& op = static_cast<io_operation&>(*next);
    ++counts_.submitted;
    op.submitted = true;
    op.more = false;
    if (op.cancelling) {
      finish(op, -ECANCELED);
    } else {
      begin(op);
    }
  }
}

void readiness::begin(io_operation& op) noexcept {
  if (op.code() == opcode::nop) return finish(op, 0);
  // A number that is no descriptor must not make the table grow.
  const bool known = static_cast<std::size_t>(op.handle) < handles_.size();
  if (op.handle < 0 || (!known && fcntl(op.handle, F_GETFD) < 0)) return finish(op, -EBADF);
  if (op.code() == opcode::close) return close_handle(op);
  handle_state& state = state_of(op.handle);
  direction& way = is_input(op.code()) ? state.in : state.out;
  if (op.code() == opcode::connect) {
    const kernel_address peer = to_kernel(*op.peer);
    ++counts_.kernel_entries;
    if (connect(op.handle, reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) == 0)
      return finish(op, 0);
    if (errno != EINPROGRESS) return finish(op, -errno);
    way.ready = false;
  } else if (op.code() == opcode::accept) {
    state.acceptor = &op;
    accept_some(state);
    if (!state.acceptor) return;
  } else if (way.waiting.empty() && way.ready && try_perform(op, state)) {
    return;
  }
  if (op.code() != opcode::accept) way.waiting.push_back(op);
  if (state.watched) return;
  if (const int error = watch(op.handle); error < 0) {
    remove(way.waiting, op);
    state.acceptor = nullptr;
    return finish(op, error);
  }
  state.watched = true;
}

// One attempt. False: the handle is not ready, and is marked so; the operation must wait.
bool readiness::try_perform(io_operation& op, handle_state& state) noexcept {
  ++counts_.kernel_entries;
  ssize_t got = 0;
  switch (op.code()) {
    case opcode::receive_leased:
      return try_receive_leased(op, state);
    case opcode::receive:
      got = recv(op.handle, op.block.data, op.block.size, MSG_DONTWAIT);
      if (got >= 0 && static_cast<std::size_t>(got) < op.block.size) state.in.ready = state.hung_up;
      break;
    case opcode::send:
      got = send(op.handle, op.block.data, op.block.size, MSG_DONTWAIT | MSG_NOSIGNAL);
      break;
    case opcode::send_message:
      got = sendmsg(op.handle, static_cast<const msghdr*>(op.message.header), MSG_DONTWAIT | MSG_NOSIGNAL);
      break;
    case opcode::connect: {
      int error = 0;
      socklen_t size = sizeof error;
      if (getsockopt(op.handle, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      finish(op, -error);
      return true;
    }
    case opcode::nop:
    case opcode::close:
    case opcode::accept:
      return true;  // never get here: begin() sees to them
  }
  if (got < 0) {
    if (errno == EINTR) return try_perform(op, state);
    if (would_block(errno)) {
      (is_input(op.code()) ? state.in : state.out).ready = false;
      return false;
    }
    got = -errno;
  }
  finish(op, static_cast<std::int32_t>(got));
  return true;
}

bool readiness::try_receive_leased(io_operation& op, handle_state& state) noexcept {
  const alloc::buffer_id id = buffers_.acquire();
  if (id == alloc::no_buffer) {
    ++counts_.dry_buffers;
    starved_.push_back(&op);
    return true;  // not done, but not to be queued either
  }
  const std::size_t room = buffers_.buffer_bytes();
  const ssize_t got = recv(op.handle, buffers_.memory(id), room, MSG_DONTWAIT);
  if (got > 0) {
    if (static_cast<std::size_t>(got) < room) state.in.ready = state.hung_up;
    append(op.chain, buffers_, id, static_cast<std::uint32_t>(got));
    finish(op, static_cast<std::int32_t>(got));
    return true;
  }
  const int error = errno;
  buffers_.release(id);
  if (got == 0) {
    finish(op, 0);
    return true;
  }
  if (error == EINTR) return try_receive_leased(op, state);
  if (would_block(error)) {
    state.in.ready = false;
    return false;
  }
  finish(op, -error);
  return true;
}

// Multishot: the operation stays until it is cancelled or fails.
void readiness::accept_some(handle_state& state) noexcept {
  io_operation& op = *state.acceptor;
  for (unsigned i = 0; i < accepts_at_once; ++i) {
    ++counts_.kernel_entries;
    const int accepted = accept4(op.handle, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      op.accepted->push_back(accepted);
      finish(op, 0, true);
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if (would_block(error)) {
      state.in.ready = false;
      return;
    }
    state.acceptor = nullptr;
    return finish(op, -error);
  }
  unfinished_.push_back(op.handle);
}

void readiness::close_handle(io_operation& op) noexcept {
  handle_state& state = state_of(op.handle);
  for (direction* way : {&state.in, &state.out})
    while (operation* left = way->waiting.pop_front()) finish(static_cast<io_operation&>(*left), -ECANCELED);
  if (state.acceptor) finish(*state.acceptor, -ECANCELED);
  if (state.watched) unwatch(op.handle);  // before close: a duplicate would keep the registration alive
  state = {};
  std::erase(unfinished_, op.handle);
  ++counts_.kernel_entries;
  finish(op, ::close(op.handle) == 0 ? 0 : -errno);
}

void readiness::cancel(operation& staged_or_submitted) noexcept {
  auto& op = static_cast<io_operation&>(staged_or_submitted);
  if (op.cancelling || (op.listed && !op.submitted)) return;  // asked before, or completed already
  op.cancelling = true;
  if (!op.submitted) return;  // staged: submit() sees the mark
  if (const auto starving = std::find(starved_.begin(), starved_.end(), &op); starving != starved_.end()) {
    starved_.erase(starving);
    return finish(op, -ECANCELED);
  }
  handle_state& state = state_of(op.handle);
  if (state.acceptor == &op) {
    state.acceptor = nullptr;
    finish(op, -ECANCELED);
  } else if (remove(is_input(op.code()) ? state.in.waiting : state.out.waiting, op))
    finish(op, -ECANCELED);
}

void readiness::became_ready(std::int32_t handle, bool readable, bool writable, bool hung_up) noexcept {
  handle_state& state = state_of(handle);
  state.hung_up |= hung_up;
  if (readable) {
    state.in.ready = true;
    retry(state.in, state);
  }
  if (writable) {
    state.out.ready = true;
    retry(state.out, state);
  }
}

void readiness::retry(direction& way, handle_state& state) noexcept {
  if (&way == &state.in && state.acceptor) return accept_some(state);
  io_queue waiting = std::exchange(way.waiting, {});
  while (way.ready && !waiting.empty()) {
    operation* next = waiting.pop_front();
    if (!try_perform(static_cast<io_operation&>(*next), state)) way.waiting.push_back(*next);
  }
  while (operation* rest = waiting.pop_front()) way.waiting.push_back(*rest);
}

// Completions made by submit are handed out before the kernel is asked again, but not for ever: a handle that is always
// ready must not hide the others.
void readiness::wait(operation_list& completed, std::int64_t until_ns) noexcept {
  if (!starved_.empty() && !buffers_.empty()) {
    const std::vector<io_operation*> hungry = std::exchange(starved_, {});
    for (io_operation* each : hungry) begin(*each);
  }
  if (!unfinished_.empty()) {
    const std::vector<std::int32_t> handles = std::exchange(unfinished_, {});
    for (const std::int32_t handle : handles) became_ready(handle, true, false, false);
  }
  if (collected_.empty()) {
    poll(until_ns);
    polls_skipped_ = 0;
  } else if (++polls_skipped_ > polls_skipped_at_most) {
    poll(0);
    polls_skipped_ = 0;
  }
  completed = std::exchange(collected_, {});
}

void readiness::finish(io_operation& op, std::int32_t result, bool more) noexcept {
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

}  // namespace axle::io::detail
