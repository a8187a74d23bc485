// Programs on the simulator: hours pass at once, connections behave like TCP at its worst, and the same seed gives the same
// run. A failure names its seed; AXLE_TEST_SEEDS=FIRST:COUNT runs others than the usual.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <axle/clock.hpp>
#include <axle/gather.hpp>
#include <axle/io/tcp_listener.hpp>
#include <axle/io/tcp_stream.hpp>
#include <axle/run.hpp>
#include <axle/sleep.hpp>
#include <axle/spawn.hpp>
#include <axle/task_group.hpp>
#include <axle/timeout.hpp>

namespace {

using namespace std::chrono_literals;
using axle::io::address;
using axle::io::tcp_listener;
using axle::io::tcp_stream;

struct seed_range {
  std::uint64_t first = 0;
  std::uint64_t count = 300;
};
seed_range seeds() {
  seed_range range;
  if (const char* wanted = getenv("AXLE_TEST_SEEDS")) sscanf(wanted, "%lu:%lu", &range.first, &range.count);
  return range;
}

axle::run_options simulated(std::uint64_t seed) {
  axle::run_options options;
  options.driver = "sim";
  options.seed = seed;
  options.handle_signals = false;
  options.buffers = 64;
  return options;
}

std::byte byte_at(unsigned client, std::size_t position) {
  return static_cast<std::byte>(client * 7 + position * 31 + (position >> 8));
}

/// What a run did, in order, with the time of each step.
struct session {
  std::mt19937_64 random;
  std::string log;
  unsigned whole = 0;

  explicit session(std::uint64_t seed) : random(seed) {}
  void note(const char* what, unsigned who, std::size_t amount) {
    const auto now = static_cast<long long>(axle::clock::now().time_since_epoch().count());
    char line[96];
    snprintf(line, sizeof line, "%lld %s %u %zu\n", now, what, who, amount);
    log += line;
  }
};

// ---- time -------------------------------------------------------------------------------------------------------------

axle::task<> sleeper(session& in, unsigned who) {
  for (int i = 0; i < 5; ++i) {
    const auto time = std::chrono::seconds(1 + in.random() % 7'200);
    const auto due = axle::clock::now() + time;
    co_await axle::sleep(time);
    EXPECT_GE(axle::clock::now(), due);
    in.note("slept", who, static_cast<std::size_t>(time.count()));
  }
}

axle::task<> sleep_for_hours(session& in) {
  const auto begun = axle::clock::now();
  co_await axle::gather(sleeper(in, 1), sleeper(in, 2), sleeper(in, 3));
  EXPECT_GE(axle::clock::now() - begun, 5s);
  co_await axle::sleep(24h * 365);
  EXPECT_GE(axle::clock::now() - begun, 24h * 365);
}

TEST(sim, hours_of_sleep_take_no_time) {
  const auto [first, count] = seeds();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    session in(seed);
    axle::run(simulated(seed), sleep_for_hours(in));
    ASSERT_FALSE(HasFailure());
  }
}

axle::task<> too_long() { co_await axle::sleep(1h); }

TEST(sim, a_timeout_strikes_at_its_time) {
  const auto took = axle::run(simulated(1), []() -> axle::task<std::chrono::nanoseconds> {
    const auto begun = axle::clock::now();
    const auto ended = co_await axle::with_timeout(10min, too_long());
    EXPECT_EQ(ended.error(), axle::errc::timed_out);
    co_return axle::clock::now() - begun;
  });
  EXPECT_GE(took, 10min);
  EXPECT_LT(took, 11min);
}

// ---- an echo server and its clients -----------------------------------------------------------------------------------

axle::task<> echo(tcp_stream peer) {
  for (;;) {
    auto data = co_await peer.recv();
    if (!data || data->empty()) break;
    if (!co_await peer.write_all(*data)) break;
  }
}

axle::task<bool> write_pieces(session& in, tcp_stream& peer, unsigned who, std::size_t total) {
  std::vector<std::byte> piece;
  for (std::size_t at = 0; at < total;) {
    piece.resize(std::min<std::size_t>(total - at, 1 + in.random() % 30'000));
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(who, at + i);
    const auto written = co_await peer.write_all(piece);
    EXPECT_TRUE(written) << written.error().message();
    if (!written) co_return false;
    at += piece.size();
    if (in.random() % 8 == 0) co_await axle::sleep(std::chrono::microseconds(in.random() % 500));
  }
  const auto shut = peer.shutdown_write();
  EXPECT_TRUE(shut);
  co_return true;
}

axle::task<std::size_t> read_to_end(session& in, tcp_stream& peer, unsigned who) {
  std::size_t at = 0;
  for (;;) {
    auto data = co_await peer.recv();
    EXPECT_TRUE(data) << data.error().message();
    if (!data || data->empty()) co_return at;
    for (std::size_t i = 0; i < data->size(); ++i, ++at) {
      if (data->data()[i] == byte_at(who, at)) continue;
      ADD_FAILURE() << "client " << who << ": byte " << at << " is wrong";
      co_return at;
    }
    in.note("read", who, data->size());
    if (in.random() % 8 == 0) co_await axle::sleep(std::chrono::microseconds(in.random() % 500));
  }
}

axle::task<> converse(session& in, address where, unsigned who) {
  auto connected = co_await tcp_stream::connect(where);
  EXPECT_TRUE(connected) << connected.error().message();
  if (!connected) co_return;
  tcp_stream peer = std::move(*connected);
  in.note("connected", who, 0);
  const std::size_t total = in.random() % 300'000;
  const auto [written, got] =
      co_await axle::gather(write_pieces(in, peer, who, total), read_to_end(in, peer, who));
  EXPECT_TRUE(written);
  EXPECT_EQ(got, total);
  in.note("whole", who, got);
  ++in.whole;
}

axle::task<> client(session& in, address where, unsigned who) {
  co_await axle::sleep(std::chrono::microseconds(in.random() % 200));
  if (who % 3) {
    co_await converse(in, where, who);
  } else {
    // One that is cut off somewhere on the way: while it connects, reads or writes.
    const auto patience = std::chrono::microseconds(in.random() % 2'000);
    const auto ended = co_await axle::with_timeout(patience, converse(in, where, who));
    in.note(ended ? "in time" : "cut off", who, 0);
  }
}

axle::task<> all_clients(axle::task_group& group, session& in, address where, unsigned count) {
  for (unsigned who = 1; who <= count; ++who) group.spawn(client(in, where, who));
  co_return;
}

axle::task<> serve_clients(session& in, unsigned count) {
  auto listener = tcp_listener::bind(address("127.0.0.1", 0)).value();
  const address where = listener.local_address().value();
  auto server = axle::spawn(listener.serve(echo));
  co_await axle::with_task_group(all_clients, std::ref(in), where, count);
  server.cancel();
  static_cast<void>(co_await server.outcome());
  EXPECT_GE(listener.counts().accepted, in.whole);
}

std::string log_of(std::uint64_t seed) {
  session in(seed);
  axle::run(simulated(seed), serve_clients(in, 9));
  EXPECT_GE(in.whole, 6U);
  return in.log;
}

TEST(sim, every_byte_comes_back_from_an_echo_server) {
  const auto [first, count] = seeds();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    log_of(seed);
    ASSERT_FALSE(HasFailure());
  }
}

TEST(sim, the_same_seed_gives_the_same_run) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string log = log_of(seed);
    EXPECT_FALSE(log.empty());
    ASSERT_EQ(log, log_of(seed)) << "seed " << seed;
  }
  EXPECT_NE(log_of(1), log_of(2));
}

}  // namespace
