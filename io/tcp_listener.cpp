// Accepting: one multishot operation per listener, a queue of accepted handles, a pause when descriptors run out; and the
// connections of a server. Owning loop only.
#include <axle/io/tcp_listener.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <vector>

#include <axle/sleep.hpp>
#include <axle/timeout.hpp>
#include "connection.hpp"

namespace axle::io {

namespace detail {

using axle::detail::child_task;
using axle::detail::ending;
using axle::detail::loop_core;
using axle::detail::this_loop;
using axle::detail::wait_kind;
using axle::detail::wait_node;

struct accept_operation : io_operation {};
struct close_operation : io_operation {};
struct accept_pause : axle::detail::timer_node {};

/// The state behind a tcp_listener; like a connection it is freed when the driver has let go.
struct acceptor : accept_operation, close_operation, accept_pause {
  loop_core* loop;
  accept_await* waiting = nullptr;
  std::vector<std::int32_t> ready;  // accepted handles, from `taken` on
  std::size_t taken = 0;
  std::int64_t pause_ns = 0;  // doubles while the shortage lasts
  std::int32_t socket;
  std::int32_t error = 0;  // that ended accepting for good
  listener_counts counts;
  std::uint8_t in_flight = 0;
  bool begun = false;  // an accept has been in the driver
  bool accepting = false;
  bool closing = false;

  acceptor(std::int32_t owned, loop_core& on);
  io_driver& driver() const noexcept { return static_cast<io_driver&>(*loop->drives); }
  bool has_ready() const noexcept { return taken < ready.size(); }
  std::int32_t take() noexcept;
  void start() noexcept;
  void completed() noexcept;
  void pause() noexcept;
  void let_go() noexcept;
  void free_if_done() noexcept;

  static const wait_kind accept_kind;
  static const wait_kind pause_kind;
  static const wait_kind waiter_kind;
  static const wait_kind close_kind;
};

namespace {

constexpr std::int64_t shortest_pause_ns = 5'000'000;
constexpr std::int64_t longest_pause_ns = 100'000'000;
constexpr std::size_t ready_at_first = 256;

acceptor& of_accept(wait_node& node) noexcept {
  return static_cast<acceptor&>(static_cast<accept_operation&>(static_cast<io_operation&>(node)));
}
acceptor& of_pause(wait_node& node) noexcept {
  return static_cast<acceptor&>(static_cast<accept_pause&>(static_cast<axle::detail::timer_node&>(node)));
}

bool is_shortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
/// Errors of one connection, not of the listener (accept(2) lists them).
bool is_passing(int error) noexcept {
  return error == ECONNABORTED || error == EPROTO || error == EPERM || error == ENETDOWN ||
         error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
         error == EOPNOTSUPP || error == ENETUNREACH || error == EAGAIN || error == EINTR;
}

}  // namespace

const wait_kind acceptor::accept_kind = {
    .complete = [](wait_node& node) noexcept { of_accept(node).completed(); },
    .cancel = nullptr,
    .what = "accept",
};
const wait_kind acceptor::pause_kind = {
    .complete = [](wait_node& node) noexcept { of_pause(node).start(); },
    .cancel = nullptr,
    .what = "pause in accepting",
};
const wait_kind acceptor::waiter_kind = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          // The operation goes on: who is accepted meanwhile is the next accept's.
          acceptor& from = *static_cast<accept_await&>(node).from_;
          from.waiting = nullptr;
          this_loop->make_ready_to_end(*node.waiter);
        },
    .what = "tcp_listener: accept",
};

acceptor::acceptor(std::int32_t owned, loop_core& on) : loop(&on), socket(owned) {
  ready.reserve(ready_at_first);
  accept_operation& accepting_op = *this;
  accepting_op.kind = &accept_kind;
  accepting_op.set_code(opcode::accept);
  accepting_op.handle = owned;
  accepting_op.accepted = &ready;
  close_operation& closing_op = *this;
  closing_op.kind = &close_kind;
  closing_op.set_code(opcode::close);
  closing_op.handle = owned;
  timer_node::kind = &pause_kind;
}

std::int32_t acceptor::take() noexcept {
  const std::int32_t next = ready[taken++];
  if (taken == ready.size()) {
    ready.clear();
    taken = 0;
  }
  ++counts.accepted;
  return next;
}

void acceptor::start() noexcept {
  begun = accepting = true;
  ++in_flight;
  loop->stage(static_cast<accept_operation&>(*this));
}

void acceptor::completed() noexcept {
  if (!accept_operation::more) {
    accepting = false;
    --in_flight;
    if (closing) return free_if_done();
    const int why = accept_operation::res < 0 ? -accept_operation::res : 0;
    if (is_shortage(why)) {
      pause();
    } else if (why == 0 || why == ECANCELED || is_passing(why)) {
      counts.aborted += why == ECONNABORTED;
      start();
    } else {
      error = why;
    }
  }
  if (has_ready()) pause_ns = accepting ? 0 : pause_ns;
  if (!waiting || !(has_ready() || error)) return;
  accept_await& woken = *std::exchange(waiting, nullptr);
  axle::detail::run_task(*woken.waiter);
}

// A listener that is short of descriptors is readable all the time: leave it alone for a while.
void acceptor::pause() noexcept {
  ++counts.pauses;
  pause_ns = std::clamp(pause_ns * 2, shortest_pause_ns, longest_pause_ns);
  deadline_ns = axle::detail::deadline_after(driver().now(), pause_ns);
  loop->wheel.arm(static_cast<accept_pause&>(*this));
}

const wait_kind acceptor::close_kind = {
    .complete =
        [](wait_node& node) noexcept {
          acceptor& of =
              static_cast<acceptor&>(static_cast<close_operation&>(static_cast<io_operation&>(node)));
          --of.in_flight;
          of.free_if_done();
        },
    .cancel = nullptr,
    .what = "close",
};

void acceptor::let_go() noexcept {
  AXLE_CHECK(!waiting, "a tcp_listener was closed while a task awaits accept()");
  if (!begun) {  // the driver knows nothing of it: the address is free again at once
    driver().discard(socket);
    delete this;
    return;
  }
  closing = true;
  loop->wheel.disarm(static_cast<accept_pause&>(*this));
  if (accepting) driver().cancel(static_cast<accept_operation&>(*this));
  ++in_flight;
  loop->stage(static_cast<close_operation&>(*this));
}

void acceptor::free_if_done() noexcept {
  if (in_flight) return;
  for (; has_ready(); take()) driver().discard(ready[taken]);
  delete this;
}

accept_await::accept_await(acceptor* from) noexcept : from_(from) {
  AXLE_CHECK(from != nullptr, "accept: this tcp_listener is empty: it was closed or moved from");
  axle::detail::check_core(from->loop, "a tcp_listener");
  kind = &acceptor::waiter_kind;
}

bool accept_await::available() const noexcept { return from_->has_ready() || from_->error; }

void accept_await::begin() noexcept {
  AXLE_CHECK(!from_->waiting, "two tasks await accept() of one tcp_listener");
  from_->waiting = this;
  if (!from_->accepting && !static_cast<accept_pause&>(*from_).armed()) from_->start();
}

result<tcp_stream> accept_await::await_resume() {
  axle::detail::throw_if_cut();
  if (from_->has_ready()) return tcp_stream(*connection::make(from_->take()));
  return fail_errno(from_->error);
}

// ---- the connections of a server ------------------------------------------------------------------------------------

namespace {

void print_failure(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    std::fprintf(stderr, "axle: a connection's handler failed: %s\n", known.what());
  } catch (...) {
    std::fprintf(stderr, "axle: a connection's handler failed with an exception that is no std::exception\n");
  }
}

const wait_kind no_parent = {nullptr, nullptr, "server"};

}  // namespace

class server_state::below_await : public wait_node {
 public:
  below_await(server_state& of, std::size_t limit) noexcept : of_(of), limit_(limit) { kind = &below_kind; }
  bool await_ready() const noexcept { return of_.count_ < limit_; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (axle::detail::suspend_on(h, *this, "serve")) of_.waiting_ = this;
  }
  void await_resume() const { axle::detail::throw_if_cut(); }
  std::size_t limit() const noexcept { return limit_; }

 private:
  static const wait_kind below_kind;
  server_state& of_;
  std::size_t limit_;
};

const wait_kind server_state::below_await::below_kind = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          static_cast<below_await&>(node).of_.waiting_ = nullptr;
          this_loop->make_ready_to_end(*node.waiter);
        },
    .what = "serve: connections",
};

server_state::server_state(const serve_options& options) noexcept
    : family(told, no_parent), options_(options) {
  if (!options_.on_failure) options_.on_failure = print_failure;
  AXLE_CHECK(options_.max_connections > 0, "serve: max_connections must be at least 1");
}

void server_state::start(task<> handler) {
  child_task& child = axle::detail::make_child(handler.release(), {}, std::source_location::current());
  adopt(child);
  ++count_;
  this_loop->ready.push(child, false);
}

void server_state::failed(const std::exception_ptr& error) const noexcept { options_.on_failure(error); }

void server_state::told(family& of, child_task& ended) noexcept {
  auto& mine = static_cast<server_state&>(of);
  if (ended.how == ending::error) mine.failed(ended.error());
  axle::detail::free_child(ended);
  --mine.count_;
  if (mine.waiting_ && mine.count_ < mine.waiting_->limit())
    this_loop->make_ready(*std::exchange(mine.waiting_, nullptr)->waiter);
}

task<> server_state::below(std::size_t limit) { co_await below_await(*this, limit); }

task<> server_state::drain(server_state& state) {
  if (state.options_.drain.count() > 0) {
    const auto in_time = co_await with_timeout(state.options_.drain, state.below(1));
    if (in_time) co_return;
  }
  state.cancel_children();
  co_await state.below(1);
}

}  // namespace detail

result<tcp_listener> tcp_listener::bind(const address& at, const listen_options& options) {
  axle::detail::loop_core& loop = axle::detail::need_loop("tcp_listener::bind");
  auto& driver = static_cast<detail::io_driver&>(*loop.drives);
  const result<std::int32_t> socket = driver.listen(at, options);
  if (!socket) return fail(socket.error());
  return tcp_listener(*new detail::acceptor(*socket, loop));
}

result<address> tcp_listener::local_address() const noexcept {
  return acceptor_->driver().local_address(acceptor_->socket);
}

const listener_counts& tcp_listener::counts() const noexcept { return acceptor_->counts; }

void tcp_listener::close() noexcept {
  if (detail::acceptor* mine = std::exchange(acceptor_, nullptr)) {
    axle::detail::check_core(mine->loop, "a tcp_listener");
    mine->let_go();
  }
}

}  // namespace axle::io
