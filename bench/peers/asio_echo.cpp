// The echo server as one writes it with standalone asio: a coroutine per connection, one io_context, one
// thread.
//
// The idle timeout is asio's own pattern (its echo and chat examples): a watchdog coroutine beside the
// session, sleeping until a deadline that each request pushes out. --no-timeout leaves it out.
// Invariant: nothing here is tuned beyond what asio's documentation tells every user (a concurrency hint of
// 1).
#include <chrono>
#include <vector>

#include "../server.hpp"
#include "with_asio.hpp"

namespace {

using asio::awaitable;
using asio::ip::tcp;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using clock_type = std::chrono::steady_clock;

constexpr auto no_throw = asio::experimental::as_tuple(asio::use_awaitable);
constexpr auto idle_limit = 60s;

struct settings {
  std::size_t bytes_buffer;
  bool oneshot;
  bool timeout;
};

awaitable<void> session(tcp::socket& peer, clock_type::time_point& deadline, const settings& how) {
  std::vector<char> data(how.bytes_buffer);
  for (;;) {
    if (how.timeout) deadline = clock_type::now() + idle_limit;
    auto [failed, size] = co_await peer.async_read_some(asio::buffer(data), no_throw);
    if (failed) co_return;
    auto [write_failed, written] = co_await asio::async_write(peer, asio::buffer(data, size), no_throw);
    if (write_failed || how.oneshot) co_return;
  }
}

awaitable<void> watchdog(clock_type::time_point& deadline) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (auto now = clock_type::now(); now < deadline; now = clock_type::now()) {
    timer.expires_at(deadline);
    co_await timer.async_wait(no_throw);
  }
}

awaitable<void> serve_one(tcp::socket peer, const settings& how) {
  clock_type::time_point deadline = clock_type::now() + idle_limit;
  if (how.timeout) {
    co_await (session(peer, deadline, how) || watchdog(deadline));
  } else {
    co_await session(peer, deadline, how);
  }
}

awaitable<void> accept_all(tcp::acceptor& acceptor, const settings& how) {
  for (;;) {
    auto [failed, peer] = co_await acceptor.async_accept(no_throw);
    if (!failed) asio::co_spawn(acceptor.get_executor(), serve_one(std::move(peer), how), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  bench::server_options options = bench::read_server_options(given);
  settings how{options.bytes_buffer ? options.bytes_buffer : 16'384u, options.oneshot,
               !given.flag("--no-timeout")};
  given.finish(bench::server_usage);
  bench::prepare_process(options);
  int listener = bench::listen_on(options);
  asio::io_context context(1);
  tcp::acceptor acceptor(context, tcp::v4(), listener);
  asio::co_spawn(context, accept_all(acceptor, how), asio::detached);
  bench::announce(listener);
  if (!options.spin) context.run();
  for (;;) context.poll();
}
