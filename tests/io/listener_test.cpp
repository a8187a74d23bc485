// tcp_listener on every driver: binding, accepting, and serve() with its limit, its failures and its graceful end. And
// addresses as text.
#include "tests/io/io_support.hpp"

#include <sys/resource.h>
#include <time.h>

#include <stdexcept>
#include <vector>

namespace axle::test {
namespace {

// ---- addresses --------------------------------------------------------------------------------------------------------

TEST(address, is_printed_as_it_is_parsed) {
  for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
                           "[fe80::1%3]:8080", "[2001:db8::ff00:42:8329]:443", "[::ffff:10.0.0.1]:1"}) {
    const auto parsed = address::parse(text);
    EXPECT_TRUE(parsed) << text;
    if (!parsed) continue;
    EXPECT_EQ(parsed->to_string(), text);
  }
}

TEST(address, is_printed_in_the_short_form) {
  EXPECT_EQ(address("0:0:0:0:0:0:0:1", 80).to_string(), "[::1]:80");
  EXPECT_EQ(address("2001:DB8:0:0:1:0:0:1", 1).to_string(), "[2001:db8::1:0:0:1]:1");
  EXPECT_EQ(address().to_string(), "(no address)");
  EXPECT_EQ(address("", 7), address("0.0.0.0", 7));
  EXPECT_EQ(address("*", 7), address("0.0.0.0", 7));
}

TEST(address, refuses_what_is_no_address) {
  for (const char* text : {"",
                           ":",
                           "80",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1: 80",
                           "127.0.0.1:80 ",
                           "127.0.0:80",
                           "127.0.0.256:80",
                           "localhost:80",
                           "::1:80",
                           "[::1]",
                           "[::1]80",
                           "[::1:80",
                           "::1]:80",
                           "[127.0.0.1]:80",
                           "[::g]:80",
                           "[]:80",
                           "[1::2::3]:80",
                           "[fe80::1%no-such-link]:80",
                           "[fe80::1%]:80"}) {
    const auto parsed = address::parse(text);
    EXPECT_EQ(parsed.error(), errc::invalid_argument)
        << '"' << text << "\" became " << (parsed ? parsed->to_string() : std::string("nothing"));
  }
  EXPECT_EQ(address::parse(std::string_view("127.0.0.1\0:80", 13)).error(), errc::invalid_argument);
}

TEST(address, names_the_text_that_is_none) {
  for (const char* text : {"localhost", "1.2.3", "::g", "1.2.3.4.5", " 127.0.0.1"}) {
    try {
      const address made(text, 80);
      ADD_FAILURE() << text << " became " << made.to_string();
    } catch (const std::invalid_argument& refused) {
      EXPECT_NE(std::string_view(refused.what()).find(text), std::string_view::npos) << refused.what();
    }
  }
}

TEST(address, differs_by_family_bytes_port_and_scope) {
  const address a("127.0.0.1", 80);
  EXPECT_EQ(a, address("127.0.0.1", 80));
  EXPECT_NE(a, address("127.0.0.1", 81));
  EXPECT_NE(a, address("127.0.0.2", 80));
  EXPECT_NE(address("0.0.0.0", 80), address("::", 80));
  EXPECT_NE(address("fe80::1%1", 80), address("fe80::1%2", 80));
}

// ---- binding and accepting --------------------------------------------------------------------------------------------

class listener : public each_driver {};
AXLE_ON_EACH_DRIVER(listener);

TEST_P(listener, a_port_in_use_is_an_error) {
  on_this([]() -> task<> {
    tcp_listener first = tcp_listener::bind(loopback, {.reuse_port = false}).value();
    const address there = first.local_address().value();
    const auto second = tcp_listener::bind(there, {.reuse_port = false});
    EXPECT_EQ(second.error(), errc::address_in_use);
    const auto third = tcp_listener::bind(there);
    EXPECT_EQ(third.error(), errc::address_in_use) << "both must want to share";
    co_return;
  });
}

TEST_P(listener, a_port_is_shared_where_both_want_it) {
  on_this([]() -> task<> {
    tcp_listener first = tcp_listener::bind(loopback).value();
    const auto second = tcp_listener::bind(first.local_address().value());
    EXPECT_TRUE(second) << second.error().message();
    EXPECT_NE(first.local_address().value().port(), 0);
    co_return;
  });
}

TEST_P(listener, a_closed_ones_port_is_free_again) {
  on_this([]() -> task<> {
    tcp_listener first = tcp_listener::bind(loopback, {.reuse_port = false}).value();
    const address there = first.local_address().value();
    join_handle<result<tcp_stream>> connecting = spawn(tcp_stream::connect(there));
    EXPECT_TRUE(co_await first.accept());
    EXPECT_TRUE(co_await connecting);
    first.close();
    co_await settle();
    const auto again = tcp_listener::bind(there, {.reuse_port = false});
    EXPECT_TRUE(again) << again.error().message();
  });
}

TEST_P(listener, one_that_never_accepted_gives_its_port_back_at_once) {
  on_this([]() -> task<> {
    auto alone = tcp_listener::bind({"127.0.0.1", 0}, {.reuse_port = false}).value();
    const address at = alone.local_address().value();
    EXPECT_EQ(tcp_listener::bind(at).error(), errc::address_in_use);
    alone.close();
    EXPECT_TRUE(tcp_listener::bind(at));
    co_return;
  });
}

TEST_P(listener, nowhere_and_elsewhere_are_errors) {
  on_this([]() -> task<> {
    const auto nowhere = tcp_listener::bind(address());
    EXPECT_EQ(nowhere.error(), errc::invalid_argument);
    co_return;
  });
  if (simulated()) return;  // it owns every address
  on_this([]() -> task<> {
    const auto elsewhere = tcp_listener::bind(address("192.0.2.1", 0));
    EXPECT_EQ(elsewhere.error(), errc::address_not_available);
    co_return;
  });
}

TEST_P(listener, accepts_in_order_and_counts) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    const address there = all.local_address().value();
    std::vector<tcp_stream> connected;
    for (int i = 0; i < 10; ++i) connected.push_back((co_await tcp_stream::connect(there)).value());
    for (tcp_stream& each : connected) {
      auto accepted = co_await all.accept();
      EXPECT_TRUE(accepted) << accepted.error().message();
      if (!accepted) continue;
      EXPECT_EQ(accepted->peer_address().value(), each.local_address().value());
    }
    EXPECT_EQ(all.counts().accepted, 10U);
    EXPECT_EQ(all.counts().pauses, 0U);
  });
}

task<> accept_into(tcp_listener& from, std::vector<tcp_stream>& all) {
  for (;;) {
    auto accepted = co_await from.accept();
    EXPECT_TRUE(accepted) << accepted.error().message();
    if (!accepted) break;
    all.push_back(std::move(*accepted));
  }
}

// Whoever connected while accept() was being cancelled is there for the next one.
TEST_P(listener, a_cancelled_accept_loses_no_connection) {
  on_this([]() -> task<> {
    constexpr std::size_t count = 60;
    tcp_listener all = tcp_listener::bind(loopback).value();
    const address there = all.local_address().value();
    std::vector<join_handle<result<tcp_stream>>> connecting;
    std::vector<tcp_stream> accepted;
    for (std::size_t i = 0; i < count; ++i) {
      join_handle<> accepting = spawn(accept_into(all, accepted));
      connecting.push_back(spawn(tcp_stream::connect(there)));
      for (std::size_t turns = 0; turns < i % 12; ++turns) co_await yield();
      if (i % 3 == 0) co_await settle(20us);
      accepting.cancel();
      const auto became = co_await accepting.outcome();
      EXPECT_TRUE(became.is_cancelled());
    }
    while (accepted.size() < count) {
      auto next = co_await with_timeout(
          10s, [](tcp_listener& from) -> task<result<tcp_stream>> { co_return co_await from.accept(); }(all));
      EXPECT_TRUE(next) << "only " << accepted.size() << " came: " << next.error().message();
      if (!next) break;
      accepted.push_back(std::move(*next));
    }
    for (auto& each : connecting) {
      const auto connected = co_await each;
      EXPECT_TRUE(connected) << connected.error().message();
    }
    EXPECT_EQ(all.counts().accepted, count);
  });
}

TEST_P(listener, closes_with_connections_that_nobody_accepted) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    std::vector<tcp_stream> accepted;
    join_handle<> accepting = spawn(accept_into(all, accepted));
    co_await yield();
    accepting.cancel();
    const auto cut = co_await accepting.outcome();
    EXPECT_TRUE(cut.is_cancelled());
    tcp_stream left = (co_await tcp_stream::connect(all.local_address().value())).value();
    co_await settle();
    all.close();
    std::error_code ended;
    EXPECT_EQ(co_await read_to_end(left, &ended), "");
  });
}

TEST_P(listener, two_accepts_are_a_check) {
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     tcp_listener all = tcp_listener::bind(loopback).value();
                     std::vector<tcp_stream> accepted;
                     join_handle<> one = spawn(accept_into(all, accepted));
                     join_handle<> other = spawn(accept_into(all, accepted));
                     co_await one;
                   }),
               "two tasks await accept");
}

// ---- serve ------------------------------------------------------------------------------------------------------------

class serving : public each_driver {};
AXLE_ON_EACH_DRIVER(serving);

task<> answer_once(tcp_stream peer) {
  const std::string asked = co_await read_up_to(peer, 1);
  EXPECT_FALSE(co_await write_whole(peer, asked));
}

task<std::string> ask(address there, std::string question) {
  auto connected = co_await tcp_stream::connect(there);
  if (!connected) co_return "error: " + connected.error().message();
  if (const auto failed = co_await write_whole(*connected, question)) co_return "error: " + failed.message();
  std::error_code ended;
  const std::string got = co_await read_up_to(*connected, question.size(), &ended);
  co_return ended ? "error: " + ended.message() : got;
}

TEST_P(serving, the_limit_leaves_the_third_waiting_until_one_ends) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    const address there = all.local_address().value();
    join_handle<> server = spawn(all.serve(echo, {.max_connections = 2}));
    tcp_stream first = (co_await tcp_stream::connect(there)).value();
    tcp_stream second = (co_await tcp_stream::connect(there)).value();
    for (tcp_stream* each : {&first, &second}) {
      EXPECT_FALSE(co_await write_whole(*each, "x"));
      EXPECT_EQ(co_await read_up_to(*each, 1), "x");
    }
    tcp_stream third = (co_await tcp_stream::connect(there)).value();
    EXPECT_FALSE(co_await write_whole(third, "third"));
    const auto waits = co_await third.recv(30ms);
    EXPECT_EQ(waits.error(), errc::timed_out);
    EXPECT_EQ(all.counts().accepted, 2U);
    first.close();
    EXPECT_EQ(co_await read_up_to(third, 5), "third");
    EXPECT_EQ(all.counts().accepted, 3U);
    third.close();
    second.close();
    server.cancel();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
  });
}

task<> answer_late(tcp_stream peer) {
  const std::string asked = co_await read_up_to(peer, 10);
  co_await sleep(20ms);  // wall clock: the work that a drain must let finish
  EXPECT_FALSE(co_await write_whole(peer, asked));
}

TEST_P(serving, a_drain_lets_a_running_handler_finish) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    join_handle<> server = spawn(all.serve(answer_late, {.drain = 60s}));
    tcp_stream client = (co_await tcp_stream::connect(all.local_address().value())).value();
    EXPECT_FALSE(co_await write_whole(client, "last words"));
    while (all.counts().accepted == 0) co_await settle(1ms);
    server.cancel();
    const auto begun = clock::now();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
    EXPECT_LT(clock::now() - begun, 30s) << "it waits for handlers, not for the time to be up";
    EXPECT_EQ(co_await read_to_end(client), "last words");
  });
}

TEST_P(serving, the_end_of_the_drain_cuts_what_is_left) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    join_handle<> server = spawn(all.serve(echo, {.drain = 20ms}));
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 5; ++i) {
      clients.push_back((co_await tcp_stream::connect(all.local_address().value())).value());
      EXPECT_FALSE(co_await write_whole(clients.back(), "x"));
      EXPECT_EQ(co_await read_up_to(clients.back(), 1), "x");
    }
    const auto begun = clock::now();
    server.cancel();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
    EXPECT_GE(clock::now() - begun, 20ms);
    for (tcp_stream& each : clients) EXPECT_EQ(co_await read_to_end(each), "");
  });
}

TEST_P(serving, no_drain_cuts_at_once) {
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    join_handle<> server = spawn(all.serve(echo, {.drain = 0ns}));
    tcp_stream client = (co_await tcp_stream::connect(all.local_address().value())).value();
    while (all.counts().accepted == 0) co_await settle(1ms);
    server.cancel();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
    EXPECT_EQ(co_await read_to_end(client), "");
  });
}

trace& failures_seen() {
  static trace all;
  return all;
}
void note_failure(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    failures_seen().push_back(known.what());
  }
}

task<> fail_if_asked(tcp_stream peer) {
  const std::string asked = co_await read_up_to(peer, 4);
  if (asked == "fail") throw wrong("asked to");
  EXPECT_FALSE(co_await write_whole(peer, asked));
}

task<> fails_before_it_is_a_task(tcp_stream) { throw wrong("no coroutine"); }

TEST_P(serving, a_failed_handler_is_told_of_and_the_server_lives) {
  failures_seen().clear();
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    const address there = all.local_address().value();
    join_handle<> server = spawn(all.serve(fail_if_asked, {.on_failure = note_failure}));
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(co_await ask(there, "fail"), "") << "the connection is closed";
      EXPECT_EQ(co_await ask(there, "fine"), "fine");
    }
    server.cancel();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
  });
  EXPECT_EQ(failures_seen(), trace(3, "asked to"));
}

TEST_P(serving, a_handler_that_makes_no_task_is_a_failed_one) {
  failures_seen().clear();
  on_this([]() -> task<> {
    tcp_listener all = tcp_listener::bind(loopback).value();
    const address there = all.local_address().value();
    join_handle<> server = spawn(all.serve(fails_before_it_is_a_task, {.on_failure = note_failure}));
    for (int i = 0; i < 3; ++i) {
      tcp_stream client = (co_await tcp_stream::connect(there)).value();
      EXPECT_EQ(co_await read_to_end(client), "");
    }
    server.cancel();
    EXPECT_TRUE((co_await server.outcome()).is_cancelled());
  });
  EXPECT_EQ(failures_seen(), trace(3, "no coroutine"));
}

TEST_P(serving, the_end_of_main_ends_the_server) {
  on_this([]() -> task<> {
    auto serve = []() -> task<> {
      tcp_listener all = tcp_listener::bind(loopback).value();
      co_await all.serve(answer_once, {.drain = 10ms});
    };
    spawn(serve()).detach();
    co_await settle();
  });
}

// ---- short of descriptors ---------------------------------------------------------------------------------------------

std::chrono::nanoseconds processor_time() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

void allow_descriptors(rlim_t count) {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = count;
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

task<> starve_then_feed() {
  tcp_listener all = tcp_listener::bind(loopback).value();
  const address there = all.local_address().value();
  join_handle<> server = spawn(all.serve(echo, {.drain = 0ns}));
  tcp_stream early = (co_await tcp_stream::connect(there)).value();
  EXPECT_FALSE(co_await write_whole(early, "x"));
  EXPECT_EQ(co_await read_up_to(early, 1), "x");

  // All but one descriptor are taken: the client gets it, and its connection waits in the kernel.
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  std::vector<int> taken;
  for (int fd; (fd = dup(STDERR_FILENO)) >= 0;) taken.push_back(fd);
  EXPECT_EQ(errno, EMFILE);
  REQUIRE_IN_TASK(!taken.empty());
  ::close(taken.back());
  taken.pop_back();
  tcp_stream late = (co_await tcp_stream::connect(there)).value();
  EXPECT_FALSE(co_await write_whole(late, "late"));

  const auto used_before = processor_time();
  const auto waits = co_await late.recv(300ms);
  EXPECT_EQ(waits.error(), errc::timed_out);
  EXPECT_GT(all.counts().pauses, 0U);
  EXPECT_LT(all.counts().pauses, 100U);
  EXPECT_LT(processor_time() - used_before, sanitized ? 150ms : 60ms) << "it spins";
  EXPECT_FALSE(co_await write_whole(early, "y")) << "others are served on";
  EXPECT_EQ(co_await read_up_to(early, 1), "y");

  for (const int fd : taken) ::close(fd);
  std::error_code ended;
  const auto served = co_await with_timeout(10s, read_up_to(late, 4, &ended));
  EXPECT_TRUE(served && *served == "late") << served.error().message() << ended.message();
  EXPECT_EQ(all.counts().accepted, 2U);
  server.cancel();
  EXPECT_TRUE((co_await server.outcome()).is_cancelled());
}

TEST_P(serving, no_descriptor_left_means_a_pause_not_a_spin) {
  if (simulated()) GTEST_SKIP() << "it has no shortage";
  std::string said;
  const int status = in_child(
      [] {
        allow_descriptors(64);
        run(options_for(GetParam()), starve_then_feed());
        return HasFailure() ? 1 : 0;
      },
      30, &said);
  EXPECT_EQ(status, 0) << said;
}

}  // namespace
}  // namespace axle::test
