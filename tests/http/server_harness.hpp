// What the tests of the HTTP server share: a server, a client that reads replies, and the fixture that brings them together
// on the simulator, where data is cut at random and hours pass at once, and again on the machine's own sockets.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <axle/axle.hpp>

#include "tests/support.hpp"

namespace axle::test {

namespace http = io::http;
using http::request;
using http::response;
using io::tcp_listener;
using io::tcp_stream;

// ---- what is served -------------------------------------------------------------------------------------------------

inline unsigned failures_heard = 0;

inline void answer(const request& asked, response& reply) {
  const std::string_view path = asked.path();
  if (path == "/") {
    reply.text("hello");
  } else if (path == "/echo") {
    reply.body(asked.body);
  } else if (path == "/target") {
    reply.text(asked.target);
  } else if (path == "/empty") {
    reply.status(204);
  } else if (path == "/close") {
    reply.text("bye").close();
  } else if (path == "/big") {
    reply.body(std::string(1024 * 1024, 'b'));
  } else if (path == "/throw") {
    throw wrong("the handler failed");
  } else if (path == "/inject") {
    reply.header("X-Reflected", "a\r\nSet-Cookie: b");
  } else if (path == "/length") {
    reply.header("content-length", "5");
  } else if (path == "/headers") {
    reply.status(201).header("X-One", " 1 ").header("Content-Type", "a/b").body("made");
  } else {
    reply.status(404).text("none");
  }
}

/// The same, as a coroutine, after a while: "/after/50" answers in 50 ms, "/never" never.
inline unsigned begun = 0;
inline task<> answer_later(const request& asked, response& reply) {
  ++begun;
  if (asked.path() == "/never") co_await sleep(24h);
  if (asked.path() == "/fail") {
    co_await sleep(1ms);
    throw wrong("the handler failed later");
  }
  if (asked.path().starts_with("/after/")) {
    co_await sleep(std::chrono::milliseconds(std::atoi(std::string(asked.path().substr(7)).c_str())));
    reply.text(asked.target);
  } else {
    answer(asked, reply);
  }
}

// ---- who asks -------------------------------------------------------------------------------------------------------

struct received_reply {
  unsigned status = 0;  // 0: the connection ended instead
  std::string head;
  std::string body;
  bool says(std::string_view line) const {
    return head.find("\r\n" + std::string(line) + "\r\n") != head.npos;
  }
};

class client {
 public:
  explicit client(tcp_stream connected) : stream(std::move(connected)) {}

  task<bool> send(std::string_view bytes) {
    const auto sent = co_await stream.write_all(bytes);
    co_return sent.has_value();
  }
  /// Takes one reply off the stream.
  task<received_reply> reply(bool to_head = false) {
    received_reply got;
    std::size_t end = 0;
    while ((end = pending.find("\r\n\r\n")) == pending.npos)
      if (!co_await more()) co_return got;
    got.head = pending.substr(0, end + 2);
    pending.erase(0, end + 4);
    got.status = static_cast<unsigned>(std::atoi(got.head.c_str() + 9));
    const std::size_t length = got.head.find("\r\nContent-Length: ");
    if (length == got.head.npos || to_head) co_return got;
    const auto bytes = static_cast<std::size_t>(std::atoll(got.head.c_str() + length + 18));
    while (pending.size() < bytes)
      if (!co_await more()) co_return received_reply{};
    got.body = pending.substr(0, bytes);
    pending.erase(0, bytes);
    co_return got;
  }
  task<received_reply> ask(std::string_view bytes) {
    co_await send(bytes);
    co_return co_await reply();
  }
  /// Whether the server ends the connection, with nothing more sent.
  task<bool> ended() {
    bool open = true;  // g++ before 12.3 needs a variable beside an await in a condition
    while (open) open = co_await more();
    co_return pending.empty();
  }
  task<bool> more() {
    auto got = co_await stream.recv(10s);
    if (!got || got->empty()) co_return false;
    ++reads;
    pending.append(got->text());
    co_return true;
  }

  tcp_stream stream;
  std::string pending;
  unsigned reads = 0;
};

/// A server under test, its address, its task.
struct site {
  http::options limits;
  io::address at;
  join_handle<> server;

  task<client> connect() {
    auto stream = co_await tcp_stream::connect(at);
    co_return client(std::move(stream).value());
  }
  /// Whether it still answers.
  task<bool> well() {
    client fresh = co_await connect();
    const received_reply got = co_await fresh.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    co_return got.status == 200 && got.body == "hello";
  }
};

template <class Handler>
task<> serve_and(http::options limits, Handler handler, task<> (*body)(site&)) {
  site here{.limits = limits, .at = {}, .server = {}};
  auto listener = tcp_listener::bind({"127.0.0.1", 0}).value();
  here.at = listener.local_address().value();
  here.server = spawn(http::serve(std::move(listener), handler, limits));
  co_await body(here);
  here.server.cancel();
  const auto became = co_await here.server.outcome();
  EXPECT_TRUE(became.is_cancelled());
}

struct http_server : ::testing::TestWithParam<const char*> {
  bool simulated() const { return std::string_view(GetParam()) == "sim"; }

  template <class Handler>
  void serve(http::options limits, Handler handler, task<> (*body)(site&), std::uint32_t buffers = 256) {
    failures_heard = begun = 0;
    if (!limits.on_failure) limits.on_failure = [](const std::exception_ptr&) noexcept { ++failures_heard; };
    const frames_return guard;
    run_options options{.driver = GetParam(), .handle_signals = false};
    options.buffers = buffers;
    for (options.seed = 1; options.seed <= (simulated() ? 10 : 1); ++options.seed) {
      SCOPED_TRACE("seed " + std::to_string(options.seed));
      run(options, serve_and(limits, handler, body));
    }
  }
  void serve(task<> (*body)(site&), http::options limits = {}) { serve(limits, answer, body); }
};

inline constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace axle::test
