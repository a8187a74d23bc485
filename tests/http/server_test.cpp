// The HTTP server: one connection at a time, and input that it refuses.
#include "io/http/reply_writer.hpp"
#include "server_harness.hpp"

namespace axle::test {
namespace {

struct HttpServer : http_server {};
INSTANTIATE_TEST_SUITE_P(On, HttpServer, ::testing::Values("sim", ""),
                         [](const auto& given) { return given.param[0] ? "Simulator" : "Sockets"; });

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
    for (int i = 0; i < 8; ++i)
      all += "GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
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
    const received_reply too_large = co_await c.ask(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
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
        {400,
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
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

}  // namespace
}  // namespace axle::test
