// A loop hosted by another: here by poll(), as a GUI's would be. On the real drivers, for the descriptor is the kernel's.
#include <axle/guest.hpp>

#include <poll.h>

#include <array>
#include <span>
#include <thread>

#include "../support.hpp"

namespace axle::test {
namespace {

std::string chosen_driver() {
  const char* named = std::getenv("AXLE_DRIVER");
  return named && std::string_view(named) != "sim" ? named : "";
}

run_options hosted() {
  static const std::string driver = chosen_driver();
  return {.driver = driver};
}

// The host: sleeps until the guest has something to do. Counts its turns.
template <class Guest>
int host(Guest& of) {
  int turns = 0;
  for (bool more = true; more; ++turns) {
    pollfd ready = {.fd = of.descriptor(), .events = POLLIN, .revents = 0};
    const int got = poll(&ready, 1, 10'000);
    EXPECT_EQ(got, 1) << "the guest had something to do and did not say so";
    if (got != 1) break;
    more = of.turn();
  }
  return turns;
}

task<int> sleeps_and_counts(int times) {
  int count = 0;
  for (; count < times; ++count) co_await sleep(2ms);  // wall clock: the descriptor is what is tested
  co_return count;
}

TEST(guest, runs_to_its_end_and_gives_its_result) {
  const frames_return guard;
  guest<int> of(hosted(), sleeps_and_counts(5));
  const int turns = host(of);
  EXPECT_TRUE(of.ended());
  EXPECT_FALSE(of.turn());
  EXPECT_EQ(of.result(), 5);
  EXPECT_LT(turns, 60) << "it was to sleep in the host, not to spin";
}

TEST(guest, main_begins_in_the_first_turn) {
  bool begun = false;
  auto begins = [&begun]() -> task<> {
    begun = true;
    co_return;
  };
  guest<> of(hosted(), begins());
  EXPECT_FALSE(begun);
  host(of);
  EXPECT_TRUE(begun);
  of.result();
}

TEST(guest, an_exception_comes_out_of_result) {
  guest<int> of(hosted(), fails_after(1ms, "in the guest"));
  host(of);
  EXPECT_THROW(of.result(), wrong);
}

TEST(guest, io_of_its_own) {
  const frames_return guard;
  auto talks = []() -> task<std::size_t> {
    auto listener = io::tcp_listener::bind({"127.0.0.1", 0}).value();
    const auto at = listener.local_address().value();
    auto echoes = [](io::tcp_listener& from) -> task<> {
      auto peer = (co_await from.accept()).value();
      while (auto data = co_await peer.recv()) {
        if (data->empty()) break;
        if (!co_await peer.write_all(*data)) break;
      }
    };
    auto server = spawn(echoes(listener));
    auto client = (co_await io::tcp_stream::connect(at)).value();
    std::size_t got = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string hello = "hello";
      const auto sent = co_await client.write_all(std::as_bytes(std::span(hello)));
      EXPECT_TRUE(sent);
      std::array<std::byte, 5> answer;
      const auto read = co_await client.read_exactly(answer);
      if (read) got += answer.size();
    }
    client.close();
    co_await server;
    co_return got;
  };
  guest<std::size_t> of(hosted(), talks());
  host(of);
  EXPECT_EQ(of.result(), 500U);
}

// A message from a thread of the host's must make the descriptor readable, however asleep the guest is.
TEST(guest, another_thread_wakes_it) {
  const std::size_t rounds = 200;
  auto waits = [](std::size_t count) -> task<std::size_t> {
    std::size_t got = 0;
    for (; got < count; ++got) {
      promise<int> later;
      auto kept = later.get_future();
      std::thread sender([sent = std::move(later)]() mutable { sent.set_value(1); });
      co_await kept;
      sender.join();
    }
    co_return got;
  };
  guest<std::size_t> of(hosted(), waits(rounds));
  host(of);
  EXPECT_EQ(of.result(), rounds);
}

TEST(guest, the_host_posts_to_it_between_turns) {
  int got = 0;
  auto waits = [](int& posted) -> task<> {
    while (posted < 3) co_await sleep(1ms);  // wall clock: the descriptor is what is tested
  };
  guest<> of(hosted(), waits(got));
  for (int i = 0; i < 3; ++i) {
    of.turn();
    EXPECT_TRUE(post_to(0, [&got] { ++got; }));
  }
  host(of);
  EXPECT_EQ(got, 3);
  of.result();
}

task<> waits_in_scope(int& alive) {
  const counted here(alive);
  co_await sleep(100h);  // wall clock: cancelled at once
}

TEST(guest, cancel_does_what_ctrl_c_would) {
  int alive = 0;
  guest<> of(hosted(), waits_in_scope(alive));
  of.turn();
  EXPECT_EQ(alive, 1);
  of.cancel();
  of.cancel();
  host(of);
  EXPECT_EQ(alive, 0);
  EXPECT_THROW(of.result(), cancelled);
}

TEST(guest, destroyed_early_it_ends_first) {
  const std::size_t descriptors = open_descriptors();
  const frames_return guard;
  int alive = 0;
  {
    guest<> of(hosted(), waits_in_scope(alive));
    of.turn();
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
  { const guest<> unused(hosted(), waits_in_scope(alive)); }
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(guest, leaves_the_host_its_thread) {
  guest<int> of(hosted(), sleeps_and_counts(1));
  of.turn();
  // Between turns the thread runs no loop: another run is possible.
  EXPECT_EQ(on_sim([]() -> task<int> { co_return 7; }), 7);
  host(of);
  EXPECT_EQ(of.result(), 1);
}

TEST(guest, two_guests_in_one_host) {
  guest<int> a(hosted(), sleeps_and_counts(5));
  guest<int> b(hosted(), sleeps_and_counts(7));
  while (!a.ended() || !b.ended()) {
    pollfd both[] = {{.fd = a.ended() ? -1 : a.descriptor(), .events = POLLIN, .revents = 0},
                     {.fd = b.ended() ? -1 : b.descriptor(), .events = POLLIN, .revents = 0}};
    ASSERT_GT(poll(both, 2, 10'000), 0);
    if (both[0].revents) a.turn();
    if (both[1].revents) b.turn();
  }
  EXPECT_EQ(a.result() + b.result(), 12);
}

TEST(guest, a_turn_may_be_made_in_a_catch_block) {
  guest<int> of(hosted(), sleeps_and_counts(2));
  try {
    throw wrong("the host's");
  } catch (const wrong& error) {
    host(of);
    EXPECT_STREQ(error.what(), "the host's");
  }
  EXPECT_EQ(of.result(), 2);
}

TEST(guest, a_driver_that_cannot_be_hosted_is_refused_by_name) {
  try {
    guest<int> of({.driver = "sim"}, sleeps_and_counts(1));
    ADD_FAILURE() << "was to be refused";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string_view(error.what()).find("sim"), std::string_view::npos);
  }
  EXPECT_THROW(guest<int>({.driver = "none"}, sleeps_and_counts(1)), std::invalid_argument);
}

TEST(guest_death_test, misuse) {
  EXPECT_DEATH(
      {
        guest<int> of(hosted(), sleeps_and_counts(1));
        (void)of.result();
      },
      "before its end");
  EXPECT_DEATH(
      {
        guest<int> of(hosted(), sleeps_and_counts(1));
        run([&of]() -> task<> {
          of.turn();
          co_return;
        });
      },
      "inside a loop");
  EXPECT_DEATH(
      {
        guest<int> of(hosted(), sleeps_and_counts(1));
        std::thread([&of] { of.turn(); }).join();
      },
      "a thread that did not make it");
}

}  // namespace
}  // namespace axle::test
