// Cancel at every await: an echo session whose server or client is cancelled after k steps, for k from the first step to
// beyond the last. Whatever the step, run() returns, and no frame or descriptor is left over.
//
// A step is a round of the ready queue; on the simulator also a little virtual time, so that operations are caught at
// every stage of their way. The session tells its last step itself: it is run undisturbed first.
#include "tests/io/io_support.hpp"

namespace axle::test {
namespace {

struct session {
  const char* driver;
  std::uint64_t seed = 0;
  unsigned rounds = 2;
  std::size_t message_bytes = 20'000;  // more than one buffer, less than a window
  unsigned cancelled_servers = 0;
  unsigned cancelled_clients = 0;
};

enum class victim { nobody, server, client, both };

task<> step(const session& in) {
  if (std::string_view(in.driver) == "sim") {
    co_await sleep(4us);
  } else {
    co_await yield();
  }
}

task<> serve_one(tcp_listener& from) {
  auto accepted = co_await from.accept();
  EXPECT_TRUE(accepted) << accepted.error().message();
  if (accepted) co_await echo(std::move(*accepted));
}

task<bool> talk(const session& in, address there, bool must_succeed) {
  auto connected = co_await tcp_stream::connect(there);
  if (!connected) co_return !must_succeed;
  const std::string sent = numbered_bytes(in.message_bytes);
  std::string got(sent.size(), '?');
  for (unsigned round = 0; round < in.rounds; ++round) {
    const auto written = co_await connected->write_all(sent, 10s);
    if (!written) co_return !must_succeed;
    const auto read = co_await connected->read_exactly(std::as_writable_bytes(std::span(got)), 10s);
    if (!read) co_return !must_succeed;
    EXPECT_SAME_BYTES(got, sent);
  }
  co_return true;
}

// How many steps the session took, cut short after `at` of them or not at all.
task<unsigned> one_session(session& in, victim whom, unsigned at) {
  tcp_listener all = tcp_listener::bind(loopback).value();
  join_handle<> server = spawn(serve_one(all));
  join_handle<bool> client = spawn(talk(in, all.local_address().value(), whom == victim::nobody));
  unsigned steps = 0;
  while (!client.done() && (whom == victim::nobody || steps < at)) {
    co_await step(in);
    ++steps;
  }
  if (whom == victim::server || whom == victim::both) server.cancel();
  if (whom == victim::client || whom == victim::both) client.cancel();
  // A server that is cut before it has accepted leaves a client whom nobody answers.
  outcome<void> server_became;
  if (whom == victim::server) {
    server_became = co_await server.outcome();
    client.cancel();
  }
  const outcome<bool> client_became = co_await client.outcome();
  if (whom == victim::client) server.cancel();
  if (whom != victim::server) server_became = co_await server.outcome();
  EXPECT_FALSE(server_became.error());
  EXPECT_FALSE(client_became.error());
  EXPECT_TRUE(whom != victim::nobody || client_became.has_value());
  in.cancelled_servers += server_became.is_cancelled();
  in.cancelled_clients += client_became.is_cancelled();
  co_return steps;
}

// Both in a group that is cancelled at step `at`.
task<> cancelled_group(session& in, unsigned at) {
  tcp_listener all = tcp_listener::bind(loopback).value();
  auto body = [](task_group& group, session& inner, tcp_listener& from, unsigned last) -> task<> {
    group.spawn(from.serve(echo, {.drain = 0ns}));
    group.spawn(talk(inner, from.local_address().value(), false));
    for (unsigned i = 0; i < last; ++i) co_await step(inner);
    group.cancel();
  };
  co_await with_task_group(body, in, all, at);
}

// Few and small buffers: there are thousands of runs, and a message takes several.
run_options options_of(const session& in) {
  run_options options = options_for(in.driver, in.seed);
  options.buffers = 32;
  options.buffer_bytes = 4096;
  options.ring_entries = 64;
  return options;
}

unsigned play(session& in, victim whom, unsigned at) {
  return run_on(options_of(in), [&in, whom, at] { return one_session(in, whom, at); });
}

class cancel_at_every_await : public each_driver {};
AXLE_ON_EACH_DRIVER(cancel_at_every_await);

unsigned seeds(bool simulated) { return simulated ? static_cast<unsigned>(scaled(50)) : 1; }

// Every step; under a sanitizer some of them, and others for each seed.
unsigned stride(unsigned steps, bool simulated) {
  return sanitized ? std::max(1U, steps / (simulated ? 8 : 60)) : 1;
}

template <class Play>
void at_every_step(const char* driver, bool simulated, Play play_until) {
  for (std::uint64_t seed = 0; seed < seeds(simulated); ++seed) {
    session in{.driver = driver, .seed = seed};
    const unsigned steps = play(in, victim::nobody, 0);
    ASSERT_GT(steps, 5U);
    const unsigned by = stride(steps, simulated);
    for (unsigned at = static_cast<unsigned>(seed * 7) % by; at <= steps + 2; at += by) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", cancelled after step " + std::to_string(at) + " of " +
                   std::to_string(steps));
      play_until(in, at);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST_P(cancel_at_every_await, of_the_server) {
  unsigned cancelled = 0;
  at_every_step(GetParam(), simulated(), [&cancelled](session& in, unsigned at) {
    in.cancelled_servers = 0;
    play(in, victim::server, at);
    cancelled += in.cancelled_servers;
  });
  EXPECT_GT(cancelled, 5U);
}

TEST_P(cancel_at_every_await, of_the_client) {
  unsigned cancelled = 0;
  at_every_step(GetParam(), simulated(), [&cancelled](session& in, unsigned at) {
    in.cancelled_clients = 0;
    play(in, victim::client, at);
    cancelled += in.cancelled_clients;
  });
  EXPECT_GT(cancelled, 5U);
}

TEST_P(cancel_at_every_await, of_both_in_one_step) {
  at_every_step(GetParam(), simulated(), [](session& in, unsigned at) { play(in, victim::both, at); });
}

TEST_P(cancel_at_every_await, of_a_group_of_both) {
  at_every_step(GetParam(), simulated(), [](session& in, unsigned at) {
    run_on(options_of(in), [&in, at] { return cancelled_group(in, at); });
  });
}

// Nobody cancels: main returns, and the end of the run finds the session at any step.
TEST_P(cancel_at_every_await, by_the_end_of_main) {
  at_every_step(GetParam(), simulated(), [](session& in, unsigned at) {
    run_on(options_of(in), [&in, at] {
      return [](session& inner, unsigned last) -> task<> {
        auto server = [](address& bound) -> task<> {
          tcp_listener all = tcp_listener::bind(loopback).value();
          bound = all.local_address().value();
          co_await serve_one(all);
        };
        address there;
        spawn(server(there)).detach();
        co_await yield();
        spawn(talk(inner, there, false)).detach();
        for (unsigned i = 0; i < last; ++i) co_await step(inner);
      }(in, at);
    });
  });
}

}  // namespace
}  // namespace axle::test
