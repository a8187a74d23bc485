// barrier and latch.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- barrier --------------------------------------------------------------------------------------------------------

std::vector<std::size_t> up_to(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

// asyncio: test_filling_one_task, test_filling_tasks, test_filling_tasks_wait_twice, test_draining_*.
TEST(barrier, opens_when_the_last_has_come_and_tells_each_its_place) {
  on_sim([]() -> task<> {
    barrier b(4);
    arrivals log;
    EXPECT_EQ(b.parties(), 4U);
    for (int round = 1; round <= 3; ++round) {
      log.places.clear();
      for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
      co_await rounds(2);
      EXPECT_EQ(b.waiting(), 3U);
      EXPECT_TRUE(log.places.empty());
      const auto mine = co_await b.wait();
      EXPECT_EQ(mine.value(), 3U);
      EXPECT_EQ(b.waiting(), 0U);
      co_await rounds(2);
      EXPECT_EQ(log.places, up_to(3));
    }
    EXPECT_EQ(b.statistics().total, 9U);
  });
}

TEST(barrier, of_one_never_waits) {
  on_sim([]() -> task<> {
    barrier b(1);
    for (int i = 0; i < 3000; ++i) {
      const auto place = co_await b.wait();
      EXPECT_EQ(place.value(), 0U);
    }
    EXPECT_EQ(b.statistics().total, 0U);
  });
}

TEST(barrier, keeps_rounds_apart_when_its_tasks_come_again_at_once) {
  on_sim([]() -> task<> {
    constexpr int parties = 5, times = 1000;
    barrier b(parties);
    std::vector<int> at(parties, 0);
    int ahead = 0;
    auto runs = [&](int who) -> task<> {
      for (int i = 0; i < times; ++i) {
        const auto place = co_await b.wait();
        EXPECT_TRUE(place);
        const auto me = static_cast<std::size_t>(who);
        ++at[me];
        const auto [least, most] = std::minmax_element(at.begin(), at.end());
        ahead = std::max(ahead, *most - *least);
      }
    };
    std::vector<task<>> all;
    for (int i = 0; i < parties; ++i) all.push_back(runs(i));
    co_await gather(std::move(all));
    EXPECT_EQ(at, std::vector<int>(parties, times));
    EXPECT_LE(ahead, 1);
    EXPECT_EQ(b.waiting(), 0U);
  });
}

TEST(barrier, more_than_it_is_for_begin_the_next_round) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 8; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(3);
    EXPECT_EQ(log.places.size(), 6U);
    EXPECT_EQ(b.waiting(), 2U);
    b.abort();
    co_await rounds(2);
    EXPECT_EQ(log.turned_away, 2);
  });
}

// asyncio: test_abort_barrier, test_abort_barrier_when_tasks_half_filling, test_wait_cancelled...
TEST(barrier, abort_turns_away_all_that_wait_and_come_until_reset) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    b.abort();
    EXPECT_TRUE(b.broken());
    EXPECT_EQ(b.waiting(), 0U);
    co_await rounds(2);
    EXPECT_EQ(log.turned_away, 2);
    for (int i = 0; i < 4; ++i) co_await arrives(b, log);
    EXPECT_EQ(log.turned_away, 6);
    b.abort();
    b.reset();
    EXPECT_FALSE(b.broken());
    for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(3);
    EXPECT_EQ(log.places.size(), 3U);
    EXPECT_EQ(log.turned_away, 6);
  });
}

TEST(barrier, reset_turns_away_those_that_wait_and_begins_anew) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    b.reset();
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    b.reset();
    EXPECT_FALSE(b.broken());
    for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(4);
    EXPECT_EQ(log.turned_away, 2);
    EXPECT_EQ(log.places, (std::vector<std::size_t>{2, 0, 1})) << "the last goes on without waiting";
  });
}

TEST(barrier, those_let_go_before_an_abort_have_their_places) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    const auto mine = co_await b.wait();
    b.abort();
    EXPECT_EQ(mine.value(), 2U);
    co_await rounds(2);
    EXPECT_EQ(log.places, up_to(2));
    EXPECT_EQ(log.turned_away, 0);
  });
}

task<> expect_places_after_a_cancel(std::size_t parties, std::size_t victim, std::size_t come_before) {
  barrier b(parties);
  arrivals log;
  std::vector<join_handle<>> all;
  for (std::size_t i = 0; i < come_before; ++i) all.push_back(spawn(arrives(b, log)));
  co_await rounds(2);
  all[victim].cancel();
  co_await rounds(2);
  EXPECT_TRUE(all[victim].was_cancelled());
  EXPECT_EQ(b.waiting(), come_before - 1);
  while (all.size() < parties + 1) {
    EXPECT_TRUE(log.places.empty());
    all.push_back(spawn(arrives(b, log)));
    co_await rounds(2);
  }
  std::sort(log.places.begin(), log.places.end());
  EXPECT_EQ(log.places, up_to(parties))
      << "the places of a round are 0 to " << parties - 1 << ", victim " << victim;
}

// Who has place 0 does what is to be done once, so every round must have one, and one only.
TEST(barrier, the_places_of_a_round_differ_though_one_was_cancelled) {
  on_sim([]() -> task<> {
    const std::size_t parties = 4;
    for (std::size_t come_before = 1; come_before < parties; ++come_before)
      for (std::size_t victim = 0; victim < come_before; ++victim)
        co_await expect_places_after_a_cancel(parties, victim, come_before);
  });
}

TEST(barrier, the_places_of_a_round_differ_when_tasks_are_cancelled_at_random) {
  on_sim([]() -> task<> {
    std::mt19937_64 random(3);
    constexpr std::size_t parties = 5;
    barrier b(parties);
    for (int round = 0; round < 200; ++round) {
      arrivals log;
      std::vector<join_handle<>> waiting;
      while (log.places.empty()) {
        if (!waiting.empty() && random() % 3 == 0) {
          const auto which = static_cast<std::ptrdiff_t>(random() % waiting.size());
          waiting[static_cast<std::size_t>(which)].cancel();
          waiting.erase(waiting.begin() + which);
        } else {
          waiting.push_back(spawn(arrives(b, log)));
        }
        co_await rounds(2);
      }
      std::sort(log.places.begin(), log.places.end());
      EXPECT_EQ(log.places, up_to(parties)) << "round " << round;
      if (::testing::Test::HasFailure()) break;
    }
  });
}

TEST(barrier, a_cancelled_last_one_does_not_open_it) {
  on_sim([]() -> task<> {
    barrier b(2);
    arrivals log;
    spawn(arrives(b, log)).detach();
    auto late = [&]() -> task<> {
      co_await shield(sleeps(1ms));
      co_await arrives(b, log);
    };
    const auto last = spawn(late());
    co_await rounds(2);
    last.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(last.was_cancelled());
    EXPECT_EQ(b.waiting(), 1U);
    EXPECT_TRUE(log.places.empty());
    co_await arrives(b, log);
    co_await rounds(2);
    EXPECT_EQ(log.places.size(), 2U);
  });
}

// ---- latch ----------------------------------------------------------------------------------------------------------

TEST(latch, opens_for_good_when_it_is_counted_down) {
  on_sim([]() -> task<> {
    latch l(3);
    int passed = 0;
    for (int i = 0; i < 4; ++i) spawn(waits(l, passed)).detach();
    co_await rounds(2);
    l.count_down();
    l.add(2);
    EXPECT_EQ(l.left(), 4U);
    l.count_down(3);
    l.count_down(0);
    co_await rounds(2);
    EXPECT_EQ(passed, 0);
    EXPECT_EQ(l.statistics().now, 4U);
    l.count_down();
    EXPECT_EQ(l.left(), 0U);
    co_await rounds(2);
    EXPECT_EQ(passed, 4);
    co_await waits(l, passed);
    l.count_down(0);
    EXPECT_EQ(l.statistics().total, 4U);
  });
}

TEST(latch, of_zero_is_open) {
  on_sim([]() -> task<> {
    latch l(0);
    int passed = 0;
    for (int i = 0; i < 3000; ++i) co_await waits(l, passed);
    EXPECT_EQ(passed, 3000);
  });
}

TEST(latch, waits_for_many_tasks) {
  on_sim([]() -> task<> {
    const std::size_t many = scaled(10'000);
    latch l(many);
    auto works = [&](std::size_t i) -> task<> {
      co_await sleep(std::chrono::microseconds(i % 100));
      l.count_down();
    };
    for (std::size_t i = 0; i < many; ++i) spawn(works(i)).detach();
    co_await l.wait();
    EXPECT_EQ(l.left(), 0U);
    co_await rounds(2);
  });
}

}  // namespace
}  // namespace axle::test
