// The HTTP server: slow clients, handlers that fail or take their time, many connections, and the end.
#include <cstdlib>
#include <new>

#include "server_harness.hpp"

namespace {

std::size_t heap_blocks = 0;  // taken by any thread; read while only one runs

}  // namespace

#if !defined(AXLE_PLAIN_FRAMES)  // the sanitizers bring their own
void* operator new(std::size_t bytes) {
  ++heap_blocks;
  if (void* made = std::malloc(bytes ? bytes : 1)) return made;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace axle::test {
namespace {

struct HttpServerLife : http_server {};
INSTANTIATE_TEST_SUITE_P(On, HttpServerLife, ::testing::Values("sim", ""),
                         [](const auto& given) { return given.param[0] ? "Simulator" : "Sockets"; });

http::options short_times() {
  http::options limits;
  limits.header_timeout = 60ms;
  limits.body_timeout = 60ms;
  limits.idle_timeout = 60ms;
  limits.write_timeout = 60ms;
  return limits;
}

// ---- time -----------------------------------------------------------------------------------------------------------

TEST_P(HttpServerLife, a_head_that_comes_byte_by_byte_is_cut) {
  serve(
      [](site& at) -> task<> {
        client c = co_await at.connect();
        const auto start = clock::now();
        const std::string endless = "GET /" + std::string(995, 'G');
        for (const char byte : endless) {
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

TEST_P(HttpServerLife, a_body_that_does_not_come_is_cut) {
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

TEST_P(HttpServerLife, an_idle_connection_is_closed_without_a_word) {
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

TEST_P(HttpServerLife, a_limit_of_zero_is_none) {
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

TEST_P(HttpServerLife, a_client_that_never_reads_is_cut) {
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

TEST_P(HttpServerLife, a_failed_handler_is_a_500_and_is_reported) {
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

TEST_P(HttpServerLife, a_handler_may_be_a_coroutine) {
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

TEST_P(HttpServerLife, a_slow_handler_holds_no_receive_buffer) {
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

TEST_P(HttpServerLife, a_plain_handler_costs_no_heap_block) {
  if (sanitized) GTEST_SKIP() << "frames come from the heap in sanitized builds";
  if (simulated()) GTEST_SKIP() << "the simulator allocates";
  serve([](site& at) -> task<> {
    client c = co_await at.connect();
    const auto ask_100_times = [](client& of) -> task<> {
      for (int i = 0; i < 100; ++i) {
        auto sent = co_await of.stream.write_all(get);
        auto got = co_await of.stream.recv();
        EXPECT_TRUE(sent && got && got->text().starts_with("HTTP/1.1 200") &&
                    got->text().ends_with("\r\n\r\nhello"));
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

TEST_P(HttpServerLife, connections_above_the_limit_wait_their_turn) {
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

TEST_P(HttpServerLife, a_stop_closes_idle_connections_at_once) {
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

TEST_P(HttpServerLife, a_stop_lets_requests_finish_and_says_so) {
  serve({}, answer_later, [](site& at) -> task<> {
    client handled = co_await at.connect();
    const unsigned before = begun;
    co_await handled.send(
        "GET /after/40 HTTP/1.1\r\nHost: a\r\n\r\nGET /after/1 HTTP/1.1\r\nHost: a\r\n\r\n");
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

TEST_P(HttpServerLife, a_stop_cuts_what_outlasts_the_drain) {
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
