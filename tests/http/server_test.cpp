// The HTTP server over connections: on the simulator, where data is cut at random and hours pass at once, and again on the
// machine's own sockets.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <axle/axle.hpp>

#include "io/http/reply_writer.hpp"
#include "tests/support.hpp"

namespace {

std::size_t heap_blocks = 0;  // taken by any thread; read while only one runs

}  // namespace

void* operator new(std::size_t bytes) {
  ++heap_blocks;
  if (void* made = std::malloc(bytes ? bytes : 1)) return made;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace axle::test {
namespace {

namespace http = io::http;
using http::request;
using http::response;
using io::tcp_listener;
using io::tcp_stream;

// ---- what is served -------------------------------------------------------------------------------------------------

unsigned failures_heard = 0;

void answer(const request& asked, response& reply) {
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
unsigned begun = 0;
task<> answer_later(const request& asked, response& reply) {
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
  bool says(std::string_view line) const { return head.find("\r\n" + std::string(line) + "\r\n") != head.npos; }
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
    while (co_await more()) {
    }
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

struct HttpServer : ::testing::TestWithParam<const char*> {
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

INSTANTIATE_TEST_SUITE_P(On, HttpServer, ::testing::Values("sim", ""),
                         [](const auto& given) { return given.param[0] ? "Simulator" : "Sockets"; });

http::options short_times() {
  http::options limits;
  limits.header_timeout = 60ms;
  limits.body_timeout = 60ms;
  limits.idle_timeout = 60ms;
  limits.write_timeout = 60ms;
  return limits;
}

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// ---- one connection -------------------------------------------------------------------------------------------------

TEST_P(HttpServer, a_reply_has_all_its_headers) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const received_reply got = co_await c.ask(get);
    EXPECT_EQ(got.status, 200u);
    EXPECT_TRUE(got.head.starts_with("HTTP/1.1 200 OK\r\n")) << got.head;
    EXPECT_TRUE(got.says("Content-Length: 5")) << got.head;
    EXPECT_TRUE(got.says("Content-Type: text/plain; charset=utf-8")) << got.head;
    EXPECT_TRUE(got.says("Server: axle")) << got.head;
    EXPECT_NE(got.head.find("\r\nDate: "), got.head.npos) << got.head;
    EXPECT_EQ(got.head.find("Connection"), got.head.npos) << got.head;
    EXPECT_EQ(got.body, "hello");
    const received_reply made = co_await c.ask("GET /headers HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(made.head.starts_with("HTTP/1.1 201 Created\r\n")) << made.head;
    EXPECT_TRUE(made.says("X-One: 1")) << made.head;
    EXPECT_TRUE(made.says("Content-Type: a/b")) << made.head;
    const received_reply none = co_await c.ask("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(none.status, 404u);
    EXPECT_FALSE(none.says("X-One: 1")) << "the last reply's headers are still there";
  });
}

TEST(HttpDate, is_written_as_the_protocol_wants) {
  EXPECT_EQ(http::http_date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http::http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http::http_date(951'782'399), "Mon, 28 Feb 2000 23:59:59 GMT");
  EXPECT_EQ(http::http_date(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST_P(HttpServer, a_connection_serves_many_requests) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    for (int i = 0; i < 200; ++i) {
      const received_reply got = co_await c.ask(get);
      EXPECT_EQ(got.body, "hello");
    }
  });
}

TEST_P(HttpServer, a_connection_is_closed_when_the_client_wants_it) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const received_reply got = co_await c.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(got.says("Connection: close"));
    EXPECT_TRUE(co_await c.ended());
  });
}

TEST_P(HttpServer, a_connection_is_closed_when_the_handler_wants_it) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send("GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const received_reply got = co_await c.reply();
    EXPECT_EQ(got.body, "bye");
    EXPECT_TRUE(got.says("Connection: close"));
    EXPECT_TRUE(co_await c.ended());
  });
}

TEST_P(HttpServer, an_old_client_is_told_that_the_connection_stays) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const received_reply got = co_await c.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_TRUE(got.says("Connection: keep-alive"));
    const received_reply last = co_await c.ask("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(last.says("Connection: close"));
    EXPECT_EQ(last.body, "hello");
    EXPECT_TRUE(co_await c.ended());
  });
}

TEST_P(HttpServer, head_gives_the_length_and_no_body) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    for (const std::string_view path : {"/", "/big"}) {
      co_await c.send("HEAD " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n");
      const received_reply got = co_await c.reply(true);
      EXPECT_EQ(got.status, 200u);
      EXPECT_TRUE(got.says(path == "/" ? "Content-Length: 5" : "Content-Length: 1048576")) << got.head;
    }
    const received_reply next = co_await c.ask(get);
    EXPECT_EQ(next.body, "hello");
  });
}

TEST_P(HttpServer, a_status_without_body_has_no_length) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const received_reply got = co_await c.ask("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(got.status, 204u);
    EXPECT_EQ(got.head.find("Content-Length"), got.head.npos) << got.head;
    const received_reply next = co_await c.ask(get);
    EXPECT_EQ(next.body, "hello");
  });
}

TEST_P(HttpServer, pipelined_requests_are_answered_in_order) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    std::string all;
    for (int i = 0; i < 100; ++i) all += "GET /target?" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    co_await c.send(all);
    for (int i = 0; i < 100; ++i) {
      const received_reply got = co_await c.reply();
      EXPECT_EQ(got.body, "/target?" + std::to_string(i));
    }
    EXPECT_TRUE(c.pending.empty());
  });
}

TEST_P(HttpServer, pipelined_replies_go_out_together) {
  if (simulated()) GTEST_SKIP() << "the simulator cuts data at random";
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    std::string all;
    for (int i = 0; i < 100; ++i) all += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    co_await c.send(all);
    for (int i = 0; i < 100; ++i) co_await c.reply();
    EXPECT_LE(c.reads, 12u) << "100 replies of 150 bytes, in buffers of 4 KiB";
  });
}

TEST_P(HttpServer, pipelined_replies_that_grow_large_are_bounded_and_whole) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    std::string all;
    for (int i = 0; i < 8; ++i) all += "GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    co_await c.send(all);
    for (int i = 0; i < 8; ++i) {
      const received_reply big = co_await c.reply();
      EXPECT_EQ(big.body.size(), 1024u * 1024);
      const received_reply small = co_await c.reply();
      EXPECT_EQ(small.body, "hello");
    }
  });
}

TEST_P(HttpServer, bodies_arrive_whole) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    std::string body;
    for (int i = 0; i < 300'000; ++i) body += static_cast<char>('a' + i % 25);
    co_await c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    co_await c.send(body);
    const received_reply sized = co_await c.reply();
    EXPECT_EQ(sized.body, body);
    co_await c.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at_byte = 0; at_byte < body.size(); at_byte += 30'000)
      co_await c.send("7530;x=y\r\n" + body.substr(at_byte, 30'000) + "\r\n");
    co_await c.send("0\r\nDropped: yes\r\n\r\n");
    const received_reply chunked = co_await c.reply();
    EXPECT_EQ(chunked.body, body);
    const received_reply next = co_await c.ask(get);
    EXPECT_EQ(next.body, "hello");
  });
}

TEST_P(HttpServer, a_client_that_expects_100_gets_it_before_it_sends) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const received_reply go =
        co_await c.ask("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_EQ(go.status, 100u);
    const received_reply got = co_await c.ask("body");
    EXPECT_EQ(got.status, 200u);
    EXPECT_EQ(got.body, "body");
    const received_reply too_large =
        co_await c.ask("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    EXPECT_EQ(too_large.status, 413u);
  });
}

TEST_P(HttpServer, an_end_after_the_request_still_gets_the_reply) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send(get);
    EXPECT_TRUE(c.stream.shutdown_write());
    const received_reply got = co_await c.reply();
    EXPECT_EQ(got.body, "hello");
    EXPECT_TRUE(co_await c.ended());
  });
}

// ---- bad input ------------------------------------------------------------------------------------------------------

TEST_P(HttpServer, each_refusal_is_answered_and_ends_the_connection) {
  serve([](site& at) -> task<> {
    struct bad {
      unsigned status;
      std::string bytes;
    };
    const std::vector<bad> all = {
        {400, "nonsense\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n"},
        {414, "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: something\r\n\r\n"},
        {431, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'a') + "\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
    };
    for (const bad& each : all) {
      client c = co_await at.connect();
      const received_reply got = co_await c.ask(each.bytes);
      EXPECT_EQ(got.status, each.status) << each.bytes.substr(0, 100);
      EXPECT_TRUE(got.says("Connection: close")) << got.head;
      EXPECT_TRUE(co_await c.ended());
    }
    EXPECT_TRUE(co_await at.well());
  });
}

TEST_P(HttpServer, what_came_before_nonsense_is_answered) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send(std::string(get) + std::string(get) + "nonsense\r\n\r\n" + std::string(get));
    for (int i = 0; i < 2; ++i) {
      const received_reply good = co_await c.reply();
      EXPECT_EQ(good.status, 200u);
    }
    const received_reply bad = co_await c.reply();
    EXPECT_EQ(bad.status, 400u);
    EXPECT_TRUE(co_await c.ended());
  });
}

TEST_P(HttpServer, a_header_flood_is_cut) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send("GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 10'000; ++i)
      if (!co_await c.send("X-" + std::to_string(i) + ": flood\r\n")) break;
    const received_reply got = co_await c.reply();
    EXPECT_TRUE(got.status == 431 || got.status == 0) << got.status;  // 0: reset while it still sent
    client d = co_await at.connect();
    std::string flood = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 200; ++i) flood += "X-" + std::to_string(i) + ": flood\r\n";
    const received_reply told = co_await d.ask(flood);
    EXPECT_EQ(told.status, 431u);
    EXPECT_TRUE(co_await at.well());
  });
}

TEST_P(HttpServer, a_client_still_sending_gets_to_read_why_it_was_refused) {
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    const std::string part(100'000, 'x');
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(co_await c.send(part)) << "reset after part " << i;
    const received_reply got = co_await c.reply();
    EXPECT_EQ(got.status, 413u);
    EXPECT_TRUE(co_await c.ended());
  });
}

TEST_P(HttpServer, a_client_may_vanish_after_any_byte) {
  serve([](site& at) -> task<> {
    const std::string whole =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
      client gone = co_await at.connect();
      co_await gone.send(whole.substr(0, cut));
      if (cut % 3 == 1) {
        EXPECT_TRUE(gone.stream.shutdown_write());
        co_await gone.ended();
      }
      if (cut % 3 == 2) {
        EXPECT_TRUE(gone.stream.set_option(io::socket_option::linger_seconds, 0));  // a reset
      }
    }
    EXPECT_TRUE(co_await at.well());
  });
}

// ---- time -----------------------------------------------------------------------------------------------------------

TEST_P(HttpServer, a_head_that_comes_byte_by_byte_is_cut) {
  serve(
      [](site& at) -> task<> {
        client c = co_await at.connect();
        const auto start = clock::now();
        for (const char byte : std::string(1000, 'G').replace(0, 5, "GET /")) {
          if (!co_await c.send({&byte, 1})) break;
          co_await sleep(7ms);
          if (clock::now() - start > 300ms) break;
        }
        const received_reply got = co_await c.reply();
        EXPECT_EQ(got.status, 408u);
        EXPECT_TRUE(got.says("Connection: close"));
        EXPECT_TRUE(co_await at.well());
      },
      short_times());
}

TEST_P(HttpServer, a_body_that_does_not_come_is_cut) {
  serve(
      [](site& at) -> task<> {
        client c = co_await at.connect();
        const auto start = clock::now();
        co_await c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nnot all");
        const received_reply got = co_await c.reply();
        EXPECT_EQ(got.status, 408u);
        EXPECT_GE(clock::now() - start, 60ms);
        EXPECT_TRUE(co_await c.ended());
      },
      short_times());
}

TEST_P(HttpServer, an_idle_connection_is_closed_without_a_word) {
  serve(
      [](site& at) -> task<> {
        client unused = co_await at.connect();
        EXPECT_TRUE(co_await unused.ended());
        client c = co_await at.connect();
        const received_reply got = co_await c.ask(get);
        EXPECT_EQ(got.status, 200u);
        const auto start = clock::now();
        EXPECT_TRUE(co_await c.ended());
        EXPECT_GE(clock::now() - start, 50ms);
      },
      short_times());
}

TEST_P(HttpServer, a_limit_of_zero_is_none) {
  if (!simulated()) GTEST_SKIP() << "takes hours";
  http::options limits;
  limits.header_timeout = limits.body_timeout = limits.idle_timeout = limits.write_timeout = 0s;
  serve(
      [](site& at) -> task<> {
        client c = co_await at.connect();
        for (const std::string_view piece :
             {"POST /echo HT", "TP/1.1\r\nHost: a\r\nContent-Length: 4\r\n", "\r\n", "bo", "dy"}) {
          co_await sleep(1h);
          EXPECT_TRUE(co_await c.send(piece));
        }
        const received_reply got = co_await c.reply();
        EXPECT_EQ(got.body, "body");
      },
      limits);
}

TEST_P(HttpServer, a_client_that_never_reads_is_cut) {
  serve(
      [](site& at) -> task<> {
        client c = co_await at.connect();
        std::string all;
        for (int i = 0; i < 64; ++i) all += "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
        co_await c.send(all);
        co_await sleep(400ms);
        std::size_t got = 0;
        for (;;) {
          auto part = co_await c.stream.recv(10s);
          if (!part || part->empty()) break;
          got += part->size();
        }
        EXPECT_LT(got, 64u * 1024 * 1024) << "it was served in full";
        EXPECT_TRUE(co_await at.well());
      },
      short_times());
}

// ---- handlers -------------------------------------------------------------------------------------------------------

TEST_P(HttpServer, a_failed_handler_is_a_500_and_is_reported) {
  serve([](site& at) -> task<> {
    const unsigned before = failures_heard;
    for (const std::string_view path : {"/throw", "/inject", "/length"}) {
      client c = co_await at.connect();
      const received_reply got = co_await c.ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n");
      EXPECT_EQ(got.status, 500u) << path;
      EXPECT_EQ(got.head.find("Set-Cookie"), got.head.npos);
      EXPECT_TRUE(got.says("Connection: close"));
      EXPECT_TRUE(co_await c.ended());
    }
    EXPECT_EQ(failures_heard - before, 3u);
    EXPECT_TRUE(co_await at.well());
  });
}

TEST_P(HttpServer, a_handler_may_be_a_coroutine) {
  serve({}, answer_later, [](site& at) -> task<> {
    client c = co_await at.connect();
    co_await c.send("GET /after/2?a HTTP/1.1\r\nHost: a\r\n\r\nGET /after/1?b HTTP/1.1\r\nHost: a\r\n\r\n");
    const received_reply one = co_await c.reply();
    EXPECT_EQ(one.body, "/after/2?a");
    const received_reply two = co_await c.reply();
    EXPECT_EQ(two.body, "/after/1?b");
    const unsigned before = failures_heard;
    const received_reply failed = co_await c.ask("GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(failed.status, 500u);
    EXPECT_EQ(failures_heard - before, 1u);
  });
}

TEST_P(HttpServer, a_slow_handler_holds_no_receive_buffer) {
  serve(
      {}, answer_later,
      [](site& at) -> task<> {
        std::vector<client> all;
        for (int i = 0; i < 60; ++i) {
          all.push_back(co_await at.connect());
          co_await all.back().send("GET /after/30 HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for (client& each : all) {
          const received_reply got = co_await each.reply();
          EXPECT_EQ(got.body, "/after/30");
        }
      },
      16);
}

TEST_P(HttpServer, a_plain_handler_costs_no_heap_block) {
  if (sanitized) GTEST_SKIP() << "frames come from the heap in sanitized builds";
  if (simulated()) GTEST_SKIP() << "the simulator allocates";
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const auto ask_100_times = [](client& of) -> task<> {
      for (int i = 0; i < 100; ++i) {
        auto sent = co_await of.stream.write_all(get);
        auto got = co_await of.stream.recv();
        EXPECT_TRUE(sent && got && got->text().starts_with("HTTP/1.1 200") && got->text().ends_with("\r\n\r\nhello"));
      }
    };
    co_await ask_100_times(c);
    std::size_t least = 1000;  // of a few rounds: the date may change in one
    for (int round = 0; round < 3; ++round) {
      const std::size_t before = heap_blocks;
      co_await ask_100_times(c);
      least = std::min(least, heap_blocks - before);
    }
    EXPECT_EQ(least, 0u);
  });
}

// ---- many connections, and the end ----------------------------------------------------------------------------------

TEST_P(HttpServer, connections_above_the_limit_wait_their_turn) {
  http::options limits;
  limits.max_connections = 2;
  serve(
      [](site& at) -> task<> {
        client one = co_await at.connect();
        client two = co_await at.connect();
        co_await one.ask(get);
        co_await two.ask(get);
        client three = co_await at.connect();
        co_await three.send(get);
        EXPECT_FALSE((co_await three.stream.recv(30ms)).has_value());
        one.stream.close();
        const received_reply got = co_await three.reply();
        EXPECT_EQ(got.body, "hello");
      },
      limits);
}

TEST_P(HttpServer, a_stop_closes_idle_connections_at_once) {
  serve([](site& at) -> task<> {
    client used = co_await at.connect();
    co_await used.ask(get);
    client unused = co_await at.connect();
    co_await sleep(5ms);
    const auto start = clock::now();
    at.server.cancel();
    EXPECT_TRUE(co_await used.ended());
    EXPECT_TRUE(co_await unused.ended());
    const auto became = co_await at.server.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_LT(clock::now() - start, 2s) << "the drain's five seconds were waited for";
    EXPECT_FALSE((co_await tcp_stream::connect(at.at)).has_value()) << "it still listens";
  });
}

TEST_P(HttpServer, a_stop_lets_requests_finish_and_says_so) {
  serve({}, answer_later, [](site& at) -> task<> {
    client handled = co_await at.connect();
    const unsigned before = begun;
    co_await handled.send("GET /after/40 HTTP/1.1\r\nHost: a\r\n\r\nGET /after/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client half = co_await at.connect();
    co_await half.send("GET / HTTP/1.1\r\nHo");
    while (begun == before) co_await sleep(1ms);
    co_await sleep(5ms);
    at.server.cancel();
    co_await sleep(5ms);
    const received_reply finished = co_await half.ask("st: a\r\n\r\n");
    EXPECT_EQ(finished.body, "hello");
    EXPECT_TRUE(finished.says("Connection: close"));
    const received_reply got = co_await handled.reply();
    EXPECT_EQ(got.body, "/after/40");
    EXPECT_TRUE(got.says("Connection: close"));
    EXPECT_TRUE(co_await handled.ended()) << "the next request was answered too";
  });
}

TEST_P(HttpServer, a_stop_cuts_what_outlasts_the_drain) {
  http::options limits;
  limits.drain = 40ms;
  serve(limits, answer_later, [](site& at) -> task<> {
    client c = co_await at.connect();
    const unsigned before = begun;
    co_await c.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    while (begun == before) co_await sleep(1ms);
    const auto start = clock::now();
    at.server.cancel();
    const auto became = co_await at.server.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_GE(clock::now() - start, 40ms);
    EXPECT_LT(clock::now() - start, 3s);
    EXPECT_TRUE(co_await c.ended());
  });
}

}  // namespace
}  // namespace axle::test
