// tcp_stream on every driver, interrupted: timeouts and cancels of reads and writes.
//
// Where a test must meet an operation that is waiting, it lets a few milliseconds pass (settle); on the simulator they
// are virtual. Buffers are shrunk where a write has to block.
#include "tests/io/io_support.hpp"

namespace axle::test {
namespace {

class interrupted_stream : public each_driver {};
AXLE_ON_EACH_DRIVER(interrupted_stream);

// ---- time -------------------------------------------------------------------------------------------------------------

TEST_P(interrupted_stream, a_read_times_out_and_may_be_tried_again) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const auto begun = clock::now();
    const auto silent = co_await pair.near.recv(20ms);
    EXPECT_EQ(silent.error(), errc::timed_out);
    EXPECT_GE(clock::now() - begun, 20ms);
    EXPECT_FALSE(co_await write_whole(pair.far, "late"));
    EXPECT_EQ(co_await read_up_to(pair.near, 4), "late");
  });
}

TEST_P(interrupted_stream, the_timeout_of_a_call_goes_before_the_streams_own) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    pair.near.set_timeouts(1h, 1h);
    std::string room(4, '?');
    const auto short_one = co_await pair.near.read(bytes_of(room), 10ms);
    EXPECT_EQ(short_one.error(), errc::timed_out);
    pair.near.set_timeouts(10ms, 0ns);
    const auto own = co_await pair.near.recv();
    EXPECT_EQ(own.error(), errc::timed_out);
    const auto exactly = co_await pair.near.read_exactly(bytes_of(room));
    EXPECT_EQ(exactly.error(), errc::timed_out);
    join_handle<result<io::buffer>> without =
        spawn([](tcp_stream& from) -> task<result<io::buffer>> { co_return co_await from.recv(0ns); },
              std::ref(pair.near));
    co_await settle(30ms);
    EXPECT_FALSE(without.done()) << "zero means: no limit";
    EXPECT_FALSE(co_await write_whole(pair.far, "x"));
    const auto came = co_await without;
    EXPECT_TRUE(came) << came.error().message();
  });
}

TEST_P(interrupted_stream, a_write_to_a_peer_that_never_reads_times_out) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    shrink_buffers(pair.near, pair.far);
    const std::string data(too_much, 'x');
    const auto begun = clock::now();
    const auto written = co_await pair.near.write_all(data, 30ms);
    EXPECT_EQ(written.error(), errc::timed_out);
    EXPECT_GE(clock::now() - begun, 30ms);
    pair.near.set_timeouts(0ns, 20ms);
    const auto again = co_await pair.near.write_all(data);
    EXPECT_EQ(again.error(), errc::timed_out);
  });
}

// The reader waits long, the writer briefly, and the other way round: one clock serves both.
TEST_P(interrupted_stream, read_and_write_time_out_each_at_its_own_time) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    shrink_buffers(pair.near, pair.far);
    const std::string data(too_much, 'x');
    for (const auto& [read_limit, write_limit] : {std::pair(60ms, 10ms), std::pair(10ms, 60ms)}) {
      pair.near.set_timeouts(read_limit, write_limit);
      std::error_code read_ended;
      const auto begun = clock::now();
      join_handle<std::string> reading = spawn(read_to_end(pair.near, &read_ended));
      join_handle<std::error_code> writing = spawn(write_whole(pair.near, data));
      if (read_limit < write_limit) {
        co_await reading;
        EXPECT_GE(clock::now() - begun, read_limit);
        EXPECT_FALSE(writing.done());
        EXPECT_EQ(co_await writing, errc::timed_out);
      } else {
        EXPECT_EQ(co_await writing, errc::timed_out);
        EXPECT_GE(clock::now() - begun, write_limit);
        EXPECT_FALSE(reading.done());
        co_await reading;
      }
      EXPECT_GE(clock::now() - begun, 60ms);
      EXPECT_EQ(read_ended, errc::timed_out);
    }
  });
}

// ---- cancel -----------------------------------------------------------------------------------------------------------

task<> read_into(tcp_stream& from, std::string& got) {
  for (;;) {
    auto part = co_await from.recv();
    EXPECT_TRUE(part) << part.error().message();
    if (!part || part->empty()) break;
    got += part->text();
  }
}

task<> send_pieces(tcp_stream& to, const std::string& all) {
  std::mt19937_64 random(test_seed(2));
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t size = std::min<std::size_t>(all.size() - at, 1 + random() % 3'000);
    EXPECT_FALSE(co_await write_whole(to, std::string_view(all).substr(at, size)));
    at += size;
    if (random() % 2) co_await yield();
  }
  EXPECT_TRUE(to.shutdown_write());
}

TEST_P(interrupted_stream, a_cancelled_reader_loses_nothing_for_the_next) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const std::string sent = numbered_bytes(scaled(2'000'000));
    join_handle<> sending = spawn(send_pieces(pair.far, sent));
    std::string got;
    std::mt19937_64 random(test_seed(3));
    unsigned cancelled_readers = 0;
    for (bool ended = false; !ended;) {
      join_handle<> reader = spawn(read_into(pair.near, got));
      for (std::uint64_t i = random() % 8; i; --i) co_await yield();
      if (random() % 8 == 0) co_await settle(100us);
      if (cancelled_readers < 2'000) reader.cancel();
      const outcome<void> became = co_await reader.outcome();
      ended = became.has_value();
      cancelled_readers += became.is_cancelled();
    }
    co_await sending;
    EXPECT_GT(cancelled_readers, 10U);
    EXPECT_SAME_BYTES(got, sent);
  });
}

TEST_P(interrupted_stream, cancel_ends_a_blocked_write) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    shrink_buffers(pair.near, pair.far);
    const std::string data(too_much, 'x');
    join_handle<std::error_code> writing = spawn(write_whole(pair.near, data));
    co_await settle();
    EXPECT_FALSE(writing.done());
    writing.cancel();
    const auto became = co_await writing.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
}

// The one in flight is called off and sent again without the one that was cut.
TEST_P(interrupted_stream, a_cancelled_writer_leaves_its_neighbours_whole) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    EXPECT_TRUE(pair.near.set_option(socket_option::send_buffer_bytes, 4096));
    const std::string full(too_much, 'x');
    const std::string as(200'000, 'a');
    const std::string bs(200'000, 'b');
    const std::string cs(200'000, 'c');
    join_handle<std::error_code> first = spawn(write_whole(pair.near, full));
    join_handle<std::error_code> a = spawn(write_whole(pair.near, as));
    join_handle<std::error_code> b = spawn(write_whole(pair.near, bs));
    join_handle<std::error_code> c = spawn(write_whole(pair.near, cs));
    co_await settle();
    b.cancel();
    first.cancel();
    const auto cut = co_await b.outcome();
    EXPECT_TRUE(cut.is_cancelled());
    const auto first_cut = co_await first.outcome();
    EXPECT_TRUE(first_cut.is_cancelled());
    join_handle<std::string> reading = spawn(read_to_end(pair.far));
    EXPECT_FALSE(co_await a);
    EXPECT_FALSE(co_await c);
    EXPECT_TRUE(pair.near.shutdown_write());
    const std::string got = co_await reading;
    const std::size_t begin = got.find_first_not_of('x');
    EXPECT_SAME_BYTES(got.substr(std::min(begin, got.size())), as + cs);
  });
}

TEST_P(interrupted_stream, with_timeout_around_recv_leaves_the_stream_usable) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    for (int i = 0; i < 5; ++i) {
      const auto silent = co_await with_timeout(2ms, read_up_to(pair.near, 1));
      EXPECT_EQ(silent.error(), errc::timed_out);
      EXPECT_FALSE(co_await write_whole(pair.far, "."));
      const auto came = co_await with_timeout(10s, read_up_to(pair.near, 1));
      EXPECT_TRUE(came && *came == ".");
    }
  });
}

}  // namespace
}  // namespace axle::test
