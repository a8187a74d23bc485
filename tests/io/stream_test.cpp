// tcp_stream on every driver: bytes, ends and errors, connecting, options and misuse.
//
// Where a test must meet an operation that is waiting, it lets a few milliseconds pass (settle); on the simulator they
// are virtual. Buffers are shrunk where a write has to block.
#include "tests/io/io_support.hpp"

#include <vector>

namespace axle::test {
namespace {

class stream : public each_driver {};
AXLE_ON_EACH_DRIVER(stream);

// ---- bytes ------------------------------------------------------------------------------------------------------------

task<> echo_sizes(const std::vector<std::size_t>& sizes) {
  ends pair = co_await connect_pair();
  join_handle<> server = spawn(echo(std::move(pair.far)));
  std::size_t at = 0;
  for (const std::size_t size : sizes) {
    const std::string sent = numbered_bytes(size, at);
    at += size;
    join_handle<std::error_code> writing = spawn(write_whole(pair.near, sent));
    const std::string back = co_await read_up_to(pair.near, size);
    const std::error_code failed = co_await writing;
    EXPECT_FALSE(failed) << failed.message();
    EXPECT_SAME_BYTES(back, sent) << "of " << size;
  }
  pair.near.close();
  co_await server;
}

TEST_P(stream, echoes_every_size_byte_by_byte) {
  std::mt19937_64 random(test_seed(1));
  std::vector<std::size_t> sizes = {1, 2, 16'383, 16'384, 16'385, 65'536, 65'537, 1024 * 1024};
  for (std::size_t i = 0; i < scaled(24, 4); ++i)
    sizes.push_back(1 + random() % (std::size_t{1} << (1 + random() % 20)));
  on_this([&sizes] { return echo_sizes(sizes); });
}

TEST_P(stream, read_exactly_fills_over_many_arrivals) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const std::string sent = numbered_bytes(100'000);
    join_handle<std::error_code> writing = spawn(write_whole(pair.far, sent));
    std::string got;
    for (const std::size_t size : {1UL, 7UL, 40'000UL, 59'992UL}) {
      std::string part(size, '?');
      const auto read = co_await pair.near.read_exactly(bytes_of(part));
      EXPECT_TRUE(read) << read.error().message();
      got += part;
    }
    EXPECT_SAME_BYTES(got, sent);
    EXPECT_FALSE(co_await writing);
  });
}

TEST_P(stream, read_exactly_tells_of_an_early_end) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    EXPECT_FALSE(co_await write_whole(pair.far, "four"));
    pair.far.close();
    std::string room(5, '?');
    const auto read = co_await pair.near.read_exactly(bytes_of(room));
    EXPECT_EQ(read.error(), errc::no_message_available);
  });
}

TEST_P(stream, read_takes_at_least_one_byte_and_leaves_the_rest) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const std::string sent = numbered_bytes(5'000);
    EXPECT_FALSE(co_await write_whole(pair.far, sent));
    EXPECT_TRUE(pair.far.shutdown_write());
    std::string got;
    for (;;) {
      std::string part(137, '?');
      const auto read = co_await pair.near.read(bytes_of(part));
      EXPECT_TRUE(read) << read.error().message();
      if (!read || *read == 0) break;
      got += part.substr(0, *read);
      // A lease after a partial copy begins where the copy ended.
      auto lease = co_await pair.near.recv();
      EXPECT_TRUE(lease) << lease.error().message();
      if (!lease || lease->empty()) break;
      got += lease->text();
    }
    EXPECT_SAME_BYTES(got, sent);
  });
}

TEST_P(stream, writes_two_hundred_parts_in_order) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const std::string sent = numbered_bytes(200 * 199 / 2 * 7);
    std::vector<std::span<const std::byte>> parts;  // the first is empty
    for (std::size_t i = 0, at = 0; i < 200; at += i * 7, ++i)
      parts.push_back(std::as_bytes(std::span(sent)).subspan(at, i * 7));
    join_handle<std::string> reading = spawn(read_up_to(pair.far, sent.size()));
    const auto written = co_await pair.near.write_all(std::span<const std::span<const std::byte>>(parts));
    EXPECT_TRUE(written) << written.error().message();
    const std::string got = co_await reading;
    EXPECT_SAME_BYTES(got, sent);
  });
}

TEST_P(stream, writes_nothing_at_once) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    EXPECT_FALSE(co_await write_whole(pair.near, ""));
    EXPECT_FALSE(co_await write_whole(pair.near, "x"));
    EXPECT_EQ(co_await read_up_to(pair.far, 1), "x");
  });
}

task<> write_several(tcp_stream& to, const std::vector<std::string>& messages) {
  for (const std::string& each : messages) EXPECT_FALSE(co_await write_whole(to, each));
}

TEST_P(stream, messages_of_two_writers_stay_whole) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    EXPECT_TRUE(pair.near.set_option(socket_option::send_buffer_bytes, 4096));
    constexpr std::size_t size = 30'000;
    constexpr std::size_t count = 20;
    const std::vector<std::string> as(count, std::string(size, 'a'));
    const std::vector<std::string> bs(count, std::string(size, 'b'));
    join_handle<> first = spawn(write_several(pair.near, as));
    join_handle<> second = spawn(write_several(pair.near, bs));
    const std::string got = co_await read_up_to(pair.far, 2 * count * size);
    co_await first;
    co_await second;
    EXPECT_EQ(got.size(), 2 * count * size);
    for (std::size_t at = 0; at + size <= got.size(); at += size) {
      const std::string_view message = std::string_view(got).substr(at, size);
      EXPECT_EQ(message.find_first_not_of(message[0]), std::string_view::npos) << "the message at " << at;
    }
  });
}

// ---- ends and errors --------------------------------------------------------------------------------------------------

TEST_P(stream, half_closed_still_reads_the_rest) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const std::string reply = numbered_bytes(300'000);
    EXPECT_FALSE(co_await write_whole(pair.near, "request"));
    EXPECT_TRUE(pair.near.shutdown_write());
    EXPECT_EQ(co_await read_to_end(pair.far), "request");
    join_handle<std::error_code> replying = spawn(write_whole(pair.far, reply));
    const std::string got = co_await read_up_to(pair.near, reply.size());
    EXPECT_SAME_BYTES(got, reply);
    EXPECT_FALSE(co_await replying);
    pair.far.close();
    EXPECT_EQ(co_await read_to_end(pair.near), "");
    const auto late = co_await pair.near.write_all(std::string_view("more"));
    EXPECT_EQ(late.error(), errc::broken_pipe);
  });
}

TEST_P(stream, the_end_is_read_again_and_again) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    pair.far.close();
    for (int i = 0; i < 3; ++i) {
      auto end = co_await pair.near.recv();
      EXPECT_TRUE(end) << end.error().message();
      EXPECT_TRUE(end && end->empty());
    }
  });
}

TEST_P(stream, a_reset_is_an_error_to_a_waiting_reader) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    std::error_code ended;
    join_handle<std::string> reading = spawn(read_to_end(pair.near, &ended));
    co_await settle();
    EXPECT_TRUE(pair.far.set_option(socket_option::linger_seconds, 0));
    pair.far.close();
    EXPECT_EQ(co_await reading, "");
    EXPECT_EQ(ended, errc::connection_reset);
    const auto late = co_await pair.near.write_all(std::string_view("late"));
    EXPECT_FALSE(late);
  });
}

TEST_P(stream, a_reset_is_an_error_to_a_blocked_writer) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    shrink_buffers(pair.near, pair.far);
    const std::string data(too_much, 'x');
    join_handle<std::error_code> writing = spawn(write_whole(pair.near, data));
    co_await settle();
    EXPECT_TRUE(pair.far.set_option(socket_option::linger_seconds, 0));
    pair.far.close();
    const std::error_code failed = co_await writing;
    EXPECT_TRUE(failed == errc::connection_reset || failed == errc::broken_pipe) << failed.message();
  });
}

task<std::error_code> write_until_it_fails(tcp_stream& to) {
  const std::string block(10'000, 'x');
  for (;;) {
    const auto written = co_await to.write_all(block);
    if (!written) co_return written.error();
  }
}

TEST_P(stream, may_be_closed_while_the_peer_keeps_sending) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    join_handle<std::error_code> writing = spawn(write_until_it_fails(pair.far));
    const std::string some = co_await read_up_to(pair.near, 100'000);
    EXPECT_GE(some.size(), 100'000U);
    pair.near.close();
    const std::error_code failed = co_await writing;
    EXPECT_TRUE(failed == errc::connection_reset || failed == errc::broken_pipe) << failed.message();
  });
}

// ---- connecting -------------------------------------------------------------------------------------------------------

TEST_P(stream, connect_refused_is_an_error) {
  on_this([]() -> task<> {
    const auto nobody = co_await tcp_stream::connect(address("127.0.0.1", 1));
    EXPECT_EQ(nobody.error(), errc::connection_refused);
    const auto nowhere = co_await tcp_stream::connect(address());
    EXPECT_EQ(nowhere.error(), errc::invalid_argument);
  });
}

// With the backlog full, the kernel drops further requests.
TEST_P(stream, connect_times_out) {
  on_this([]() -> task<> {
    tcp_listener listener = tcp_listener::bind(loopback, {.backlog = 1}).value();
    const address there = listener.local_address().value();
    std::vector<tcp_stream> connected;
    std::error_code failed;
    while (!failed && connected.size() < 64) {
      auto next = co_await tcp_stream::connect(there, 50ms);
      failed = next.error();
      if (next) connected.push_back(std::move(*next));
    }
    EXPECT_EQ(failed, errc::timed_out);
    EXPECT_GE(connected.size(), 1U);
  });
}

TEST_P(stream, a_cancelled_connect_closes_its_handle) {
  on_this([]() -> task<> {
    tcp_listener listener = tcp_listener::bind(loopback, {.backlog = 1}).value();
    const address there = listener.local_address().value();
    for (int i = 0; i < 20; ++i) {
      join_handle<result<tcp_stream>> connecting = spawn(tcp_stream::connect(there, i % 2 ? 1h : 0h));
      for (int turns = 0; turns < i; ++turns) co_await yield();
      connecting.cancel();
      const auto became = co_await connecting.outcome();
      EXPECT_FALSE(became.error());
    }
  });
}

TEST_P(stream, knows_both_addresses) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    const address near = pair.near.local_address().value();
    const address far = pair.far.local_address().value();
    EXPECT_NE(near, far);
    EXPECT_EQ(near.bytes(), loopback.bytes());
    EXPECT_NE(near.port(), 0);
    EXPECT_EQ(pair.near.peer_address().value(), far);
    EXPECT_EQ(pair.far.peer_address().value(), near);
  });
}

TEST_P(stream, connects_over_ipv6) {
  const bool has_ipv6 = on_this([]() -> task<bool> {
    const address six("::1", 0);
    const auto tried = tcp_listener::bind(six);
    if (!tried) co_return false;
    ends pair = co_await connect_pair(six);
    EXPECT_TRUE(pair.near.peer_address().value().is_v6());
    EXPECT_EQ(pair.near.peer_address().value(), pair.far.local_address().value());
    EXPECT_FALSE(co_await write_whole(pair.near, "six"));
    EXPECT_EQ(co_await read_up_to(pair.far, 3), "six");
    co_return true;
  });
  if (!has_ipv6) GTEST_SKIP() << "[::1] cannot be bound here";
}

// ---- options and misuse -----------------------------------------------------------------------------------------------

TEST_P(stream, options_can_be_set_and_read) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    for (tcp_stream* each : {&pair.near, &pair.far}) {
      EXPECT_NE(each->option(socket_option::no_delay).value(), 0) << "the default of every stream";
      EXPECT_EQ(each->option(socket_option::linger_seconds).value(), -1);
      for (const auto& [option, value] :
           {std::pair(socket_option::no_delay, 0), std::pair(socket_option::keep_alive, 1),
            std::pair(socket_option::linger_seconds, 7), std::pair(socket_option::linger_seconds, -1)}) {
        EXPECT_TRUE(each->set_option(option, value));
        const int seen = each->option(option).value();
        if (option == socket_option::linger_seconds) {
          EXPECT_EQ(seen, value);
        } else {
          EXPECT_EQ(seen != 0, value != 0);
        }
      }
      for (const socket_option option :
           {socket_option::receive_buffer_bytes, socket_option::send_buffer_bytes}) {
        EXPECT_TRUE(each->set_option(option, 32'768));
        EXPECT_GE(each->option(option).value(), 32'768);
      }
      EXPECT_TRUE(each->option(socket_option::incoming_cpu));
      EXPECT_EQ(each->set_option(socket_option::incoming_cpu, 0).error(), errc::invalid_argument);
    }
    co_return;
  });
}

TEST_P(stream, moves_and_closes_like_a_handle) {
  on_this([]() -> task<> {
    ends pair = co_await connect_pair();
    EXPECT_TRUE(pair.near);
    tcp_stream moved = std::move(pair.near);
    EXPECT_FALSE(pair.near);
    EXPECT_TRUE(moved);
    pair.near.close();  // an empty one may be closed
    moved.close();
    moved.close();
    EXPECT_FALSE(moved);
    EXPECT_EQ(co_await read_to_end(pair.far), "");
    ends other = co_await connect_pair();
    pair.far = std::move(other.near);  // closes what it held
    EXPECT_FALSE(co_await write_whole(pair.far, "x"));
    EXPECT_EQ(co_await read_up_to(other.far, 1), "x");
  });
}

using stream_death = stream;
AXLE_ON_EACH_DRIVER(stream_death);

TEST_P(stream_death, an_empty_stream_is_a_check) {
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     tcp_stream empty;
                     static_cast<void>(co_await empty.recv());
                   }),
               "this tcp_stream is empty");
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     ends pair = co_await connect_pair();
                     pair.near.close();
                     static_cast<void>(co_await pair.near.write_all(std::string_view("x")));
                   }),
               "this tcp_stream is empty");
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     const tcp_stream empty;
                     static_cast<void>(empty.local_address());
                     co_return;
                   }),
               "this tcp_stream is empty");
}

TEST_P(stream_death, two_readers_are_a_check) {
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     ends pair = co_await connect_pair();
                     join_handle<std::string> one = spawn(read_to_end(pair.near));
                     join_handle<std::string> other = spawn(read_to_end(pair.near));
                     co_await one;
                   }),
               "two tasks read one tcp_stream");
}

TEST_P(stream_death, closing_under_a_reader_is_a_check) {
  EXPECT_DEATH(run(options_for(GetParam()),
                   []() -> task<> {
                     ends pair = co_await connect_pair();
                     join_handle<std::string> reading = spawn(read_to_end(pair.near));
                     co_await settle();
                     pair.near.close();
                   }),
               "closed while a task reads or writes it");
}

}  // namespace
}  // namespace axle::test
