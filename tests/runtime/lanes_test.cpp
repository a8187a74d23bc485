// What travels between loops: order, loss, full lanes, windows, calls from threads without a loop, and loops that go to sleep
// while messages come. Real threads and drivers: AXLE_DRIVER chooses.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

#if defined(AXLE_PLAIN_FRAMES)  // sanitizers
constexpr std::int64_t floods = 20'000;
#else
constexpr std::int64_t floods = 300'000;
#endif

axle::run_options two_loops(axle::poll_mode poll = axle::poll_mode::adaptive) {
  return {.cores = 2, .poll = poll};
}

/// Numbers that must arrive in order, each once.
struct counter {
  std::int64_t next = 0;
  bool in_order = true;
  void take(std::int64_t number) noexcept {
    in_order &= number == next;
    ++next;
  }
};

// ---- posts ----------------------------------------------------------------------------------------------------------

axle::task<> flood(counter& there, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    auto accepted = axle::post_to(1, [](counter* to, std::int64_t number) { to->take(number); }, &there, i);
    while (!accepted) {
      co_await axle::yield();
      accepted = axle::post_to(1, [](counter* to, std::int64_t number) { to->take(number); }, &there, i);
    }
    if (i % 1'000 == 999) co_await axle::yield();
  }
  const std::int64_t arrived = co_await axle::on(1, [](counter* of) { return of->next; }, &there);
  EXPECT_EQ(arrived, count) << "a call overtook posts";
}

// Far more than a lane holds, to a core that is asleep at first.
TEST(lanes, a_flood_of_posts_arrives_once_and_in_order) {
  counter there;
  axle::run(two_loops(), [&] { return flood(there, floods); });
  EXPECT_EQ(there.next, floods);
  EXPECT_TRUE(there.in_order);
}

// Small ones go inside a parcel, large ones by pointer: in one order all the same.
TEST(lanes, posts_of_every_size_keep_their_order) {
  counter there;
  axle::run(two_loops(), [&]() -> axle::task<> {
    for (std::int64_t i = 0; i < 3'000; ++i) {
      if (i % 3) {
        EXPECT_TRUE(axle::post_to(1, [](counter* to, std::int64_t n) { to->take(n); }, &there, i));
      } else {
        EXPECT_TRUE(axle::post_to(
            1, [](counter* to, std::int64_t n, std::array<char, 200>) { to->take(n); }, &there, i,
            std::array<char, 200>{}));
      }
    }
    co_await axle::on(1, [] {});
  });
  EXPECT_EQ(there.next, 3'000);
  EXPECT_TRUE(there.in_order);
}

TEST(lanes, a_post_may_throw) {
  static std::atomic<int> reported{0};
  const auto before = axle::set_unjoined_failure_handler(
      [](std::string_view, std::source_location, const std::exception_ptr&) noexcept { ++reported; });
  axle::run(two_loops(), []() -> axle::task<> {
    EXPECT_TRUE(axle::post_to(1, [] { throw std::runtime_error("over there"); }));
    co_await axle::on(1, [] {});
  });
  axle::set_unjoined_failure_handler(before);
  EXPECT_EQ(reported.exchange(0), 1);
}

// What was posted and never run is destroyed, not leaked.
TEST(lanes, posts_that_are_too_late_are_destroyed) {
  const auto watched = std::make_shared<int>(1);
  axle::run(two_loops(), [&]() -> axle::task<> {
    co_await axle::on(1, [] {});
    for (int i = 0; i < 100; ++i)
      EXPECT_TRUE(axle::post_to(1, [](const std::shared_ptr<int>& held) { EXPECT_EQ(*held, 1); }, watched));
  });
  EXPECT_EQ(watched.use_count(), 1);
}

// ---- calls ----------------------------------------------------------------------------------------------------------

struct counted {
  explicit counted(std::atomic<int>& of) : alive(&of) { ++*alive; }
  counted(counted&& other) noexcept : alive(other.alive) { ++*alive; }
  counted(const counted& other) : alive(other.alive) { ++*alive; }
  counted& operator=(const counted&) = delete;
  ~counted() { --*alive; }
  std::atomic<int>* alive;
};

TEST(calls, what_travels_is_destroyed_on_both_sides) {
  std::atomic<int> alive{0};
  axle::run(two_loops(), [&]() -> axle::task<> {
    for (int i = 0; i < 100; ++i) {
      counted small(alive);
      const counted back = co_await axle::on(1, [](counted given) { return given; }, std::move(small));
      EXPECT_EQ(back.alive, &alive);
    }
    for (int i = 0; i < 100; ++i) {
      const auto make = [](std::array<char, 100> given) { return given; };
      const auto large = co_await axle::on(1, make, std::array<char, 100>{{'a'}});
      EXPECT_EQ(large[0], 'a');
    }
  });
  EXPECT_EQ(alive.load(), 0);
}

axle::task<> call_and_count(std::int64_t calls, std::atomic<std::int64_t>& sum) {
  for (std::int64_t i = 0; i < calls; ++i)
    sum += co_await axle::on(1, [](std::int64_t given) { return given + 1; }, i) == i + 1;
}

// More tasks than a lane has places, and than the window has room: some wait, none is lost.
TEST(calls, more_than_the_window_wait_their_turn) {
  std::atomic<std::int64_t> right{0};
  axle::run(two_loops(), [&]() -> axle::task<> {
    std::vector<axle::task<>> callers;
    for (int i = 0; i < 3'000; ++i) callers.push_back(call_and_count(5, right));
    co_await axle::gather(std::move(callers));
  });
  EXPECT_EQ(right.load(), 15'000);
}

axle::task<> wait_for(std::shared_ptr<axle::event> gate) { co_await gate->wait(); }

// One service floods a core that does not answer; the other's calls pass.
TEST(calls, a_service_with_its_own_window_is_not_starved) {
  axle::run(two_loops(), []() -> axle::task<> {
    axle::call_window slow(4), quick(4);
    const auto gate = co_await axle::on(1, [] { return std::make_shared<axle::event>(); });
    const auto call = [&slow, &gate]() -> axle::task<> { co_await axle::on(1, slow, wait_for, gate); };
    std::vector<axle::join_handle<>> flooding;
    for (int i = 0; i < 50; ++i) flooding.push_back(axle::spawn(call()));
    for (int i = 0; i < 100; ++i) {
      const int answer = co_await axle::on(1, quick, [] { return 42; });
      EXPECT_EQ(answer, 42);
    }
    EXPECT_EQ(slow.under_way(1), 4U);
    EXPECT_EQ(slow.statistics(1).now, 46U);
    flooding.back().cancel();  // it waits for room, and leaves
    EXPECT_TRUE((co_await flooding.back().outcome()).is_cancelled());
    EXPECT_EQ(slow.statistics(1).now, 45U);
    flooding.pop_back();
    const auto open = [](std::shared_ptr<axle::event> opened) { opened->set(); };
    co_await axle::on(1, quick, open, gate);
    for (auto& each : flooding) co_await each;
    EXPECT_EQ(slow.under_way(1), 0U);
    EXPECT_EQ(slow.statistics(1).most, 46U);
    // The event is the other core's.
  });
}

// A core that stops answering: its callers wait, others are served, a limit ends the wait when the core answers again.
TEST(calls, a_core_that_stops_answering_holds_up_only_its_callers) {
  axle::run({.cores = 3}, []() -> axle::task<> {
    std::atomic<bool> release{false};
    EXPECT_TRUE(axle::post_to(
        1,
        [](std::atomic<bool>* until) {
          while (!*until) std::this_thread::yield();
        },
        &release));
    const auto call = [](unsigned core) -> axle::task<int> {
      co_return co_await axle::on(core, [] { return 1; });
    };
    auto stuck = axle::spawn(call(1));
    for (int i = 0; i < 100; ++i) {
      const int answer = co_await call(2);
      EXPECT_EQ(answer, 1);
    }
    EXPECT_FALSE(stuck.done());
    release = true;
    const int late = co_await stuck;
    EXPECT_EQ(late, 1);
  });
}

TEST(calls, misuse_is_a_check) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(axle::run(two_loops(), []() -> axle::task<> { co_await axle::on(7, [] {}); }),
               "core 7 does not exist: this run has 2");
  EXPECT_DEATH(axle::run(two_loops(),
                         []() -> axle::task<> {
                           static_cast<void>(axle::call_from_thread(0, [] {}));
                           co_return;
                         }),
               "call_from_thread was called on a loop");
  EXPECT_DEATH(axle::call_window(0), "a call_window for no call at all");
}

// ---- threads without a loop -----------------------------------------------------------------------------------------

TEST(call_from_thread, brings_back_values_and_exceptions) {
  EXPECT_EQ(axle::call_from_thread(0, [] { return 1; }).error(), axle::errc::not_connected);
  axle::run(two_loops(), []() -> axle::task<> {
    axle::event ended;
    std::thread stranger([&ended] {
      for (unsigned core = 0; core < 2; ++core) {
        EXPECT_EQ(axle::call_from_thread(core, [] { return axle::this_core(); }).value(), core);
        EXPECT_EQ(axle::call_from_thread(core, [](int a, int b) { return a + b; }, 40, 2).value(), 42);
        EXPECT_TRUE(axle::call_from_thread(core, [] {}).has_value());
        const auto later = [](std::string text) -> axle::task<std::string> {
          co_await axle::sleep(1ms);
          co_return text + "!";
        };
        EXPECT_EQ(axle::call_from_thread(core, later, std::string("far")).value(), "far!");
        EXPECT_THROW(
            static_cast<void>(axle::call_from_thread(core, []() -> int { throw std::logic_error("no"); })),
            std::logic_error);
        const auto fails = []() -> axle::task<> {
          co_await axle::yield();
          throw std::logic_error("no");
        };
        EXPECT_THROW(static_cast<void>(axle::call_from_thread(core, fails)), std::logic_error);
      }
      EXPECT_TRUE(axle::post_to(0, [](axle::event* of) { of->set(); }, &ended));
    });
    co_await ended.wait();
    stranger.join();
  });
}

// The run ends under it: it is told so, and does not wait for ever.
TEST(call_from_thread, is_cancelled_with_the_run) {
  for (int round = 0; round < 30; ++round) {
    std::thread stranger;
    std::atomic<bool> began{false};
    axle::run(two_loops(), [&]() -> axle::task<> {
      stranger = std::thread([&began] {
        const auto sleeps = [](std::atomic<bool>* says) -> axle::task<> {
          *says = true;
          co_await axle::sleep(1h);
        };
        for (;;) {
          try {
            if (const auto ended = axle::call_from_thread(1, sleeps, &began); !ended) return;
          } catch (const axle::cancelled&) {}
        }
      });
      while (!began) co_await axle::sleep(100us);
    });
    stranger.join();
  }
}

// ---- going to sleep -------------------------------------------------------------------------------------------------

// Two loops send each other messages and go to sleep as often as they can: by blocking, by spinning for a while, never.
struct side {
  std::int64_t received = 0;
  std::int64_t sent = 0;
  bool in_order = true;
};
struct exchange {
  side sides[2];
  std::int64_t target;
};

void receive(exchange* all, unsigned here, std::int64_t number);

void send(exchange* all, unsigned from) {
  side& mine = all->sides[from];
  const auto accepted = axle::post_to(1 - from, receive, all, 1 - from, mine.sent);
  mine.sent += accepted.has_value();
}

// One answer for each, and now and then a burst: so that the lanes are now empty, now full.
void receive(exchange* all, unsigned here, std::int64_t number) {
  side& mine = all->sides[here];
  mine.in_order &= number == mine.received;
  ++mine.received;
  if (mine.sent < all->target) send(all, here);
  if (number % 10'000 == 0)
    for (int i = 0; i < 300 && mine.sent < all->target; ++i) send(all, here);
}

axle::task<> until_received(exchange& all, unsigned here) {
  const side& mine = all.sides[here];
  while (mine.received < all.target || mine.sent < all.target) {
    co_await axle::sleep(100us);
    for (int i = 0; i < 100 && mine.sent < all.target; ++i) send(&all, here);  // a post may have been refused
  }
}

void keep_sending(axle::poll_mode poll, std::int64_t messages) {
  exchange all = {.sides = {}, .target = messages / 2};
  axle::run(two_loops(poll), [&]() -> axle::task<> {
    co_await axle::gather(until_received(all, 0), [](exchange& of) -> axle::task<> {
      co_await axle::on(1, until_received, std::ref(of), 1U);
    }(all));
  });
  for (const side& each : all.sides) {
    EXPECT_EQ(each.received, all.target);
    EXPECT_TRUE(each.in_order);
  }
}

/// AXLE_TEST_MESSAGES=100000000 for the full proof.
std::int64_t messages_wanted() {
  const char* const wanted = std::getenv("AXLE_TEST_MESSAGES");
  return wanted ? std::atoll(wanted) : floods;
}

TEST(sleep_protocol, no_message_is_slept_over_when_loops_block) {
  keep_sending(axle::poll_mode::blocking, messages_wanted());
}
TEST(sleep_protocol, no_message_is_slept_over_when_loops_spin_and_sleep) {
  keep_sending(axle::poll_mode::adaptive, messages_wanted());
}
TEST(sleep_protocol, no_message_is_slept_over_when_loops_never_sleep) {
  keep_sending(axle::poll_mode::busy, messages_wanted());
}
// A process of its own, because the kernel is asked once.
TEST(sleep_protocol, holds_without_membarrier) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        setenv("AXLE_TEST_MEMBARRIER", "0", 1);
        keep_sending(axle::poll_mode::adaptive, messages_wanted() / 3);
        keep_sending(axle::poll_mode::busy, messages_wanted() / 3);
        std::_Exit(testing::Test::HasFailure() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

// Changed while it runs, again and again, with messages under way.
TEST(sleep_protocol, holds_when_the_poll_mode_changes) {
  counter there;
  axle::run(two_loops(), [&]() -> axle::task<> {
    constexpr axle::poll_mode modes[] = {axle::poll_mode::busy, axle::poll_mode::blocking,
                                         axle::poll_mode::adaptive};
    for (std::int64_t i = 0; i < 600; ++i) {
      const auto change = [](axle::poll_mode to) { axle::set_poll_mode(to); };
      co_await axle::on(1, change, modes[i % 3]);
      axle::set_poll_mode(modes[i / 3 % 3]);
      EXPECT_TRUE(axle::post_to(1, [](counter* to, std::int64_t n) { to->take(n); }, &there, i));
    }
    co_await axle::on(1, [] {});
  });
  EXPECT_EQ(there.next, 600);
  EXPECT_TRUE(there.in_order);
}

}  // namespace
