// The stream as its user holds it: connecting, options, closing. What moves data is in connection.cpp. Owning loop only.
#include <axle/io/tcp_stream.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <axle/timeout.hpp>
#include "connection.hpp"

namespace axle::io {

using detail::checked;

tcp_stream::tcp_stream(detail::connection& owned) noexcept : connection_(&owned) {}

namespace {

// Waits for a connect; the address stays in the coroutine's frame until the kernel is done with it.
class connect_await : detail::io_operation {
 public:
  connect_await(std::int32_t socket, const address& to) noexcept {
    kind = &connect_kind;
    set_code(detail::opcode::connect);
    handle = socket;
    peer = &to;
  }
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (axle::detail::suspend_on(h, *this, "tcp_stream::connect")) axle::detail::this_loop->stage(*this);
  }
  std::int32_t await_resume() const {
    axle::detail::throw_if_cut();
    return res;
  }

 private:
  static const axle::detail::wait_kind connect_kind;
};

const axle::detail::wait_kind connect_await::connect_kind = {
    .complete =
        [](axle::detail::wait_node& node) noexcept {
          auto& done = static_cast<connect_await&>(static_cast<detail::io_operation&>(node));
          detail::resume_now(*node.waiter, done.res == -ECANCELED && node.waiter->must_end());
        },
    .cancel =
        [](axle::detail::wait_node& node) noexcept {
          axle::detail::this_loop->drives->cancel(static_cast<detail::io_operation&>(node));
        },
    .what = "tcp_stream: connect",
};

task<result<tcp_stream>> connect_now(address peer) {
  auto& driver = static_cast<detail::io_driver&>(*axle::detail::this_loop->drives);
  const result<std::int32_t> socket = driver.open(peer.which(), nullptr);
  if (!socket) co_return fail(socket.error());
  tcp_stream made(*detail::connection::make(*socket));  // owns the handle before anything can cut this short
  if (const std::int32_t error = co_await connect_await(*socket, peer); error < 0)
    co_return fail_errno(error);
  co_return made;
}

}  // namespace

task<result<tcp_stream>> tcp_stream::connect(address peer, std::chrono::nanoseconds timeout) {
  if (peer.which() == address::family::none) co_return fail(errc::invalid_argument);
  if (timeout.count() <= 0) co_return co_await connect_now(peer);
  co_return co_await with_timeout(timeout, connect_now(peer));
}

task<result<void>> tcp_stream::read_exactly(std::span<std::byte> into, std::chrono::nanoseconds timeout) {
  while (!into.empty()) {
    const result<std::size_t> got = co_await read(into, timeout);
    if (!got) co_return fail(got.error());
    if (*got == 0) co_return fail(errc::no_message_available);
    into = into.subspan(*got);
  }
  co_return result<void>();
}

result<void> tcp_stream::shutdown_write() noexcept {
  detail::connection& mine = checked(connection_, "shutdown_write");
  AXLE_CHECK(!mine.first_writer, "shutdown_write while a write is under way: await it first");
  return mine.driver().shutdown_write(mine.socket);
}

void tcp_stream::set_timeouts(std::chrono::nanoseconds read, std::chrono::nanoseconds write) noexcept {
  detail::connection& mine = checked(connection_, "set_timeouts");
  mine.read_timeout_ns = std::max<std::int64_t>(0, read.count());
  mine.write_timeout_ns = std::max<std::int64_t>(0, write.count());
}

result<void> tcp_stream::set_option(socket_option option, int value) noexcept {
  detail::connection& mine = checked(connection_, "set_option");
  return mine.driver().set_option(mine.socket, option, value);
}

result<int> tcp_stream::option(socket_option option) const noexcept {
  detail::connection& mine = checked(connection_, "option");
  return mine.driver().get_option(mine.socket, option);
}

result<address> tcp_stream::local_address() const noexcept {
  detail::connection& mine = checked(connection_, "local_address");
  return mine.driver().local_address(mine.socket);
}

result<address> tcp_stream::peer_address() const noexcept {
  detail::connection& mine = checked(connection_, "peer_address");
  return mine.driver().peer_address(mine.socket);
}

void tcp_stream::close() noexcept {
  if (detail::connection* mine = std::exchange(connection_, nullptr)) {
    axle::detail::check_core(mine->loop, "a tcp_stream");
    mine->let_go();
  }
}

}  // namespace axle::io
