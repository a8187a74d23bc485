// The simulator: a driver whose network is memory (sim_network.hpp) and whose clock moves only when nothing else does.
//
// Every operation takes a virtual latency drawn from the seed, so that the order between handles is random and the same
// for the same seed and program; per handle and direction one operation at a time is under way, in order of submission.
// Data is cut short at random, multishot operations end early at random, and a cancel takes its time too: what it finds
// completed stays completed. Handles are reused at once, the lowest first, as kernels do.
//
// The clock starts at 1 s. A wait with nothing to complete jumps it to the deadline; a wait that may not sleep moves it by
// about a microsecond, so that a loop that polls gets somewhere. A wait without a deadline and with nothing under way
// blocks until wake(): a program that nobody will ever wake has deadlocked, and stays where a debugger can look at it.
// Other threads' work takes no virtual time: a timeout on it may strike at once.
//
// Each driver is a network of its own: loops of different cores do not reach each other's listeners.
// Owning thread only, but for wake().
#include "sim.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "sim_network.hpp"

namespace axle::io::detail {

namespace {

using axle::detail::operation;
using axle::detail::operation_list;

constexpr std::int64_t start_ns = 1'000'000'000;
constexpr std::uint64_t latency_least_ns = 1'000;
constexpr std::uint64_t latency_spread_ns = 50'000;
constexpr std::uint64_t poll_spread_ns = 1'000;
constexpr std::uint64_t together_ns = 20'000;  // completions this close may come in one wait
constexpr std::int64_t connect_retry_ns = 1'000'000'000;
constexpr unsigned connect_tries = 6;
constexpr unsigned cut_one_in = 4;         // reads and writes that are short although more was possible
constexpr unsigned end_early_one_in = 32;  // multishot results that are the last without a reason
constexpr std::int32_t first_handle = 3;

// splitmix64: the same numbers everywhere, unlike the standard's distributions.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
  bool one_in(unsigned n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

enum class side : std::uint8_t { in, out, none };

class sim final : public io_driver {
 public:
  explicit sim(const driver_options& options) : io_driver(options), random_(options.seed) {
    slots_.resize(first_handle);
  }

  void submit(operation_list& staged) noexcept override;
  void cancel(operation& op) noexcept override;
  void wait(operation_list& completed, std::int64_t until_ns) noexcept override;
  void wake() noexcept override;
  std::int64_t now() noexcept override { return now_ns_; }
  bool runs_in_real_time() const noexcept override { return false; }
  std::string_view name() const noexcept override { return "sim"; }

  result<std::int32_t> listen(const address& at, const listen_options& options) noexcept override;
  result<std::int32_t> open(address::family family, const address* from) noexcept override;
  result<address> local_address(std::int32_t handle) noexcept override;
  result<address> peer_address(std::int32_t handle) noexcept override;
  result<void> set_option(std::int32_t handle, socket_option option, int value) noexcept override;
  result<int> get_option(std::int32_t handle, socket_option option) noexcept override;
  result<void> shutdown_write(std::int32_t handle) noexcept override;
  void discard(std::int32_t handle) noexcept override { close_now(handle); }

 private:
  struct under_way {
    io_operation* op;
    std::uint64_t id;
  };
  struct queue {
    std::vector<under_way> ops;  // one handle's operations of one direction; the first may complete
    bool scheduled = false;      // an event will try it
    bool starved = false;        // it waits for a buffer
    unsigned tries = 0;          // of a connect
  };
  struct slot {
    std::unique_ptr<sim_socket> socket;  // null: the handle is free
    queue in;
    queue out;
    std::uint32_t generation = 0;
    queue& of(side which) noexcept { return which == side::in ? in : out; }
  };
  struct event {
    enum class kind : std::uint8_t { perform, finish_alone, cancel };
    std::int64_t at_ns;
    std::uint64_t order;
    std::uint64_t id;  // of the operation; 0: whichever is first in the queue
    std::int32_t handle;
    std::uint32_t generation;
    kind what;
    side where;
    bool operator>(const event& other) const noexcept {
      return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order;
    }
  };
  struct attempt {
    enum class kind : std::uint8_t { completed, gave_result, must_wait };
    kind how;
    std::int32_t result = 0;
  };

  void sleep(std::int64_t until_ns) noexcept;
  void run_due() noexcept;
  void perform_first(std::int32_t handle, side where) noexcept;
  attempt perform(io_operation& op, slot& at) noexcept;
  attempt accept(io_operation& op, slot& at) noexcept;
  attempt connect(io_operation& op, slot& at) noexcept;
  attempt receive(io_operation& op, slot& at) noexcept;
  attempt receive_leased(io_operation& op, slot& at) noexcept;
  attempt send(slot& at, const iovec* parts, std::size_t count) noexcept;
  void finish_alone(std::uint64_t id) noexcept;
  void cancel_now(const event& due) noexcept;
  std::int32_t close_now(std::int32_t handle) noexcept;
  void feed_starved() noexcept;
  void finish(io_operation& op, std::int32_t result, bool more) noexcept;

  void schedule(std::int32_t handle, side where, std::int64_t after_ns) noexcept;
  void add_event(event::kind what, std::int32_t handle, side where, std::uint64_t id,
                 std::int64_t after_ns) noexcept;
  void tell_touched() noexcept;
  std::int64_t latency_ns() noexcept {
    return static_cast<std::int64_t>(latency_least_ns + random_.below(latency_spread_ns));
  }
  std::size_t part_of(std::size_t bytes) noexcept {
    return bytes > 1 && random_.one_in(cut_one_in) ? 1 + random_.below(bytes) : bytes;
  }

  slot* find(std::int32_t handle) noexcept {
    const bool known = handle >= first_handle && static_cast<std::size_t>(handle) < slots_.size();
    return known && slots_[static_cast<std::size_t>(handle)].socket
               ? &slots_[static_cast<std::size_t>(handle)]
               : nullptr;
  }
  std::int32_t place(std::unique_ptr<sim_socket> made) noexcept;

  static bool stands_alone(opcode code) noexcept { return code == opcode::nop || code == opcode::close; }
  static side side_of(opcode code) noexcept {
    const bool input = code == opcode::accept || code == opcode::receive || code == opcode::receive_leased;
    return input ? side::in : side::out;
  }

  random_numbers random_;
  sim_network network_;
  std::deque<slot> slots_;  // by handle; references stay good while it grows
  std::priority_queue<std::int32_t, std::vector<std::int32_t>, std::greater<>> free_handles_;
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  std::vector<under_way> alone_;       // operations without a socket
  std::vector<std::int32_t> starved_;  // handles whose receive waits for a buffer
  operation_list collected_;
  std::int64_t now_ns_ = start_ns;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_order_ = 0;
  // An int, so that waiting on it is one futex and takes no lock: wake() is async-signal-safe.
  std::atomic<int> wakes_{0};
};

// ---- the five -------------------------------------------------------------------------------------------------------

void sim::submit(operation_list& staged) noexcept {
  while (operation* next = staged.pop_front()) {
    auto& op = static_cast<io_operation&>(*next);
    ++counts_.submitted;
    op.submitted = true;
    op.more = false;
    if (op.cancelling) {
      finish(op, -ECANCELED, false);
      continue;
    }
    const under_way begun = {&op, ++last_id_};
    slot* at = stands_alone(op.code()) ? nullptr : find(op.handle);
    if (at) {
      const side where = side_of(op.code());
      at->of(where).ops.push_back(begun);
      schedule(op.handle, where, latency_ns());
    } else {
      alone_.push_back(begun);
      add_event(event::kind::finish_alone, op.handle, side::none, begun.id, latency_ns());
    }
  }
}

// The request travels: what completes before it arrives has completed.
void sim::cancel(operation& staged_or_submitted) noexcept {
  auto& op = static_cast<io_operation&>(staged_or_submitted);
  if (op.cancelling || (op.listed && !op.submitted)) return;  // asked before, or completed already
  op.cancelling = true;
  if (!op.submitted) return;  // staged: submit() sees the mark
  const auto is_it = [&op](const under_way& each) { return each.op == &op; };
  if (const auto found = std::find_if(alone_.begin(), alone_.end(), is_it); found != alone_.end()) {
    if (op.code() != opcode::close)
      add_event(event::kind::cancel, op.handle, side::none, found->id, latency_ns());
    return;
  }
  const side where = side_of(op.code());
  const std::vector<under_way>& ops = find(op.handle)->of(where).ops;
  const auto found = std::find_if(ops.begin(), ops.end(), is_it);
  AXLE_CHECK(found != ops.end(), "an operation was cancelled that the driver does not have");
  add_event(event::kind::cancel, op.handle, where, found->id, latency_ns());
}

void sim::wait(operation_list& completed, std::int64_t until_ns) noexcept {
  feed_starved();
  // acquire: pairs with wake()
  const bool woken = wakes_.exchange(0, std::memory_order_acquire) != 0;
  run_due();
  if (collected_.empty() && !woken && until_ns > now_ns_) {
    sleep(until_ns);
  } else {
    now_ns_ += static_cast<std::int64_t>(1 + random_.below(poll_spread_ns));
  }
  completed = std::exchange(collected_, {});
}

void sim::sleep(std::int64_t until_ns) noexcept {
  while (!events_.empty() && events_.top().at_ns <= until_ns) {
    const auto together = static_cast<std::int64_t>(random_.below(together_ns));
    now_ns_ = std::max(now_ns_, std::min(until_ns - together, events_.top().at_ns) + together);
    run_due();
    if (!collected_.empty()) return;
  }
  if (until_ns != INT64_MAX) {
    now_ns_ = std::max(now_ns_, until_ns);
    return;
  }
  // acquire: pairs with wake()
  while (wakes_.exchange(0, std::memory_order_acquire) == 0) wakes_.wait(0, std::memory_order_acquire);
}

void sim::wake() noexcept {
  // release: what the waker wrote before is seen after the wait
  wakes_.store(1, std::memory_order_release);
  wakes_.notify_one();
}

// ---- events ---------------------------------------------------------------------------------------------------------

void sim::add_event(event::kind what, std::int32_t handle, side where, std::uint64_t id,
                    std::int64_t after_ns) noexcept {
  const std::uint32_t generation =
      where == side::none ? 0 : slots_[static_cast<std::size_t>(handle)].generation;
  events_.push({now_ns_ + after_ns, ++last_order_, id, handle, generation, what, where});
}

void sim::schedule(std::int32_t handle, side where, std::int64_t after_ns) noexcept {
  queue& waiting = slots_[static_cast<std::size_t>(handle)].of(where);
  if (waiting.scheduled || waiting.starved || waiting.ops.empty()) return;
  waiting.scheduled = true;
  add_event(event::kind::perform, handle, where, 0, after_ns);
}

void sim::run_due() noexcept {
  while (!events_.empty() && events_.top().at_ns <= now_ns_) {
    const event due = events_.top();
    events_.pop();
    if (due.where != side::none) {
      const slot* at = find(due.handle);
      if (!at || at->generation != due.generation) continue;  // it was about a handle that has been closed
    }
    switch (due.what) {
      case event::kind::perform:
        perform_first(due.handle, due.where);
        break;
      case event::kind::finish_alone:
        finish_alone(due.id);
        break;
      case event::kind::cancel:
        cancel_now(due);
        break;
    }
    tell_touched();
  }
}

// Sockets whose prospects have changed are tried again.
void sim::tell_touched() noexcept {
  for (const std::int32_t handle : std::exchange(network_.touched, {})) {
    if (!find(handle)) continue;
    schedule(handle, side::in, latency_ns());
    schedule(handle, side::out, latency_ns());
  }
}

void sim::perform_first(std::int32_t handle, side where) noexcept {
  slot& at = slots_[static_cast<std::size_t>(handle)];
  queue& waiting = at.of(where);
  waiting.scheduled = false;
  if (waiting.ops.empty()) return;
  io_operation& op = *waiting.ops.front().op;
  const attempt tried = perform(op, at);
  if (tried.how == attempt::kind::must_wait) return;
  const bool more = tried.how == attempt::kind::gave_result;
  if (!more) waiting.ops.erase(waiting.ops.begin());
  finish(op, tried.result, more);
  schedule(handle, where, latency_ns());
}

sim::attempt sim::perform(io_operation& op, slot& at) noexcept {
  switch (op.code()) {
    case opcode::accept:
      return accept(op, at);
    case opcode::connect:
      return connect(op, at);
    case opcode::receive:
      return receive(op, at);
    case opcode::receive_leased:
      return receive_leased(op, at);
    case opcode::send: {
      const iovec whole = {op.block.data, op.block.size};
      return send(at, &whole, 1);
    }
    case opcode::send_message: {
      const auto& message = *static_cast<const msghdr*>(op.message.header);
      return send(at, message.msg_iov, message.msg_iovlen);
    }
    case opcode::nop:
    case opcode::close:
      break;  // they stand alone
  }
  return {attempt::kind::completed, -EINVAL};
}

sim::attempt sim::accept(io_operation& op, slot& at) noexcept {
  if (at.socket->now != sim_socket::phase::listening) return {attempt::kind::completed, -EINVAL};
  std::unique_ptr<sim_socket> connected = sim_network::accept(*at.socket);
  if (!connected) return {attempt::kind::must_wait};
  const std::int32_t handle = place(std::move(connected));
  op.accepted->push_back(handle);
  return {random_.one_in(end_early_one_in) ? attempt::kind::completed : attempt::kind::gave_result, handle};
}

sim::attempt sim::connect(io_operation& op, slot& at) noexcept {
  const int got = network_.connect(*at.socket, *op.peer, random_.next());
  if (got != -EAGAIN) return {attempt::kind::completed, got};
  if (++at.out.tries == connect_tries) return {attempt::kind::completed, -ETIMEDOUT};
  schedule(op.handle, side::out, connect_retry_ns << at.out.tries);  // as a lost SYN is sent again
  return {attempt::kind::must_wait};
}

sim::attempt sim::receive(io_operation& op, slot& at) noexcept {
  const std::span<std::byte> room(static_cast<std::byte*>(op.block.data), op.block.size);
  const std::size_t ready = std::min(room.size(), at.socket->unread());
  const std::int32_t got = network_.receive(*at.socket, ready ? room.first(part_of(ready)) : room);
  if (got == -EAGAIN) return {attempt::kind::must_wait};
  return {attempt::kind::completed, got};
}

sim::attempt sim::receive_leased(io_operation& op, slot& at) noexcept {
  if (!at.socket->unread()) {
    std::byte untouched;
    const std::int32_t got = network_.receive(*at.socket, {&untouched, 1});
    if (got == -EAGAIN) return {attempt::kind::must_wait};
    return {attempt::kind::completed, got};
  }
  const alloc::buffer_id id = buffers_.acquire();
  if (id == alloc::no_buffer) {
    ++counts_.dry_buffers;
    at.in.starved = true;
    starved_.push_back(op.handle);
    return {attempt::kind::must_wait};
  }
  const std::size_t ready = std::min<std::size_t>(buffers_.buffer_bytes(), at.socket->unread());
  const std::int32_t got = network_.receive(*at.socket, {buffers_.memory(id), part_of(ready)});
  append(op.chain, buffers_, id, static_cast<std::uint32_t>(got));
  return {random_.one_in(end_early_one_in) ? attempt::kind::completed : attempt::kind::gave_result, got};
}

sim::attempt sim::send(slot& at, const iovec* parts, std::size_t count) noexcept {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) total += parts[i].iov_len;
  std::size_t left = part_of(total);
  std::int32_t sent = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const std::byte> part(static_cast<const std::byte*>(parts[i].iov_base),
                                          std::min(left, parts[i].iov_len));
    const std::int32_t got = network_.send(*at.socket, part);
    if (got == -EAGAIN && !sent) return {attempt::kind::must_wait};
    if (got < 0) return {attempt::kind::completed, sent ? sent : got};
    sent += got;
    left -= static_cast<std::size_t>(got);
    if (static_cast<std::size_t>(got) < parts[i].iov_len) break;
  }
  return {attempt::kind::completed, sent};
}

void sim::finish_alone(std::uint64_t id) noexcept {
  const auto found =
      std::find_if(alone_.begin(), alone_.end(), [id](const under_way& each) { return each.id == id; });
  if (found == alone_.end()) return;  // a cancel was faster
  io_operation& op = *found->op;
  alone_.erase(found);
  switch (op.code()) {
    case opcode::nop:
      return finish(op, 0, false);
    case opcode::close:
      return finish(op, close_now(op.handle), false);
    default:
      return finish(op, -EBADF, false);
  }
}

void sim::cancel_now(const event& due) noexcept {
  const bool alone = due.where == side::none;
  std::vector<under_way>& ops = alone ? alone_ : find(due.handle)->of(due.where).ops;
  const auto found =
      std::find_if(ops.begin(), ops.end(), [&due](const under_way& each) { return each.id == due.id; });
  if (found == ops.end()) return;  // it completed first
  io_operation& op = *found->op;
  ops.erase(found);
  if (!alone) {
    slot& at = *find(due.handle);
    // A connect that was called off may have reached the peer all the same.
    if (op.code() == opcode::connect && random_.one_in(2))
      network_.connect(*at.socket, *op.peer, random_.next());
    at.of(due.where).starved = false;
    schedule(due.handle, due.where, latency_ns());
  }
  finish(op, -ECANCELED, false);
}

std::int32_t sim::close_now(std::int32_t handle) noexcept {
  slot* at = find(handle);
  if (!at) return -EBADF;
  for (queue* each : {&at->in, &at->out})
    for (const under_way& left : std::exchange(each->ops, {})) {
      AXLE_CHECK(left.op->cancelling,
                 "handle %d was closed with an operation in flight that was not cancelled", handle);
      finish(*left.op, -ECANCELED, false);
    }
  network_.close(*at->socket);
  *at = {.socket = nullptr, .in = {}, .out = {}, .generation = at->generation + 1};
  free_handles_.push(handle);
  tell_touched();
  return 0;
}

void sim::feed_starved() noexcept {
  if (starved_.empty() || buffers_.empty()) return;
  for (const std::int32_t handle : std::exchange(starved_, {})) {
    slot* at = find(handle);
    if (!at || !at->in.starved) continue;
    at->in.starved = false;
    schedule(handle, side::in, latency_ns());
  }
}

void sim::finish(io_operation& op, std::int32_t result, bool more) noexcept {
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

// ---- calls that complete at once ------------------------------------------------------------------------------------

std::int32_t sim::place(std::unique_ptr<sim_socket> made) noexcept {
  std::int32_t handle;
  if (free_handles_.empty()) {
    handle = static_cast<std::int32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    handle = free_handles_.top();
    free_handles_.pop();
  }
  made->handle = handle;
  slots_[static_cast<std::size_t>(handle)].socket = std::move(made);
  return handle;
}

result<std::int32_t> sim::listen(const address& at, const listen_options& options) noexcept {
  if (at.which() == address::family::none) return fail(errc::invalid_argument);
  auto made = std::make_unique<sim_socket>();
  made->family = at.which();
  if (const int error = network_.listen(*made, at, options); error < 0) return fail_errno(error);
  return place(std::move(made));
}

result<std::int32_t> sim::open(address::family family, const address* from) noexcept {
  auto made = std::make_unique<sim_socket>();
  made->family = family == address::family::v6 ? address::family::v6 : address::family::v4;
  if (from) made->local = *from;
  return place(std::move(made));
}

result<address> sim::local_address(std::int32_t handle) noexcept {
  const slot* at = find(handle);
  if (!at) return fail_errno(EBADF);
  return at->socket->local;
}

result<address> sim::peer_address(std::int32_t handle) noexcept {
  const slot* at = find(handle);
  if (!at) return fail_errno(EBADF);
  if (at->socket->now != sim_socket::phase::connected || at->socket->broken) return fail_errno(ENOTCONN);
  return at->socket->remote;
}

result<void> sim::set_option(std::int32_t handle, socket_option option, int value) noexcept {
  slot* at = find(handle);
  if (!at) return fail_errno(EBADF);
  if (option == socket_option::incoming_cpu) return fail(errc::invalid_argument);
  at->socket->option(option) = value;
  return {};
}

result<int> sim::get_option(std::int32_t handle, socket_option option) noexcept {
  slot* at = find(handle);
  if (!at) return fail_errno(EBADF);
  return at->socket->option(option);
}

result<void> sim::shutdown_write(std::int32_t handle) noexcept {
  slot* at = find(handle);
  if (!at) return fail_errno(EBADF);
  if (const int error = network_.shut_down_writing(*at->socket); error < 0) return fail_errno(error);
  tell_touched();
  return {};
}

}  // namespace

std::unique_ptr<io_driver> make_sim(const driver_options& options) { return std::make_unique<sim>(options); }

}  // namespace axle::io::detail
