// event.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- event ----------------------------------------------------------------------------------------------------------

// asyncio: test_wait, test_wait_on_set, test_clear.
TEST(event, wakes_all_that_wait_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    event e;
    trace log;
    EXPECT_FALSE(e.is_set());
    for (const char* name : {"a", "b", "c"}) spawn(waits(e, log, name)).detach();
    co_await yield();
    EXPECT_TRUE(log.empty());
    EXPECT_EQ(e.statistics().now, 3U);
    e.set();
    EXPECT_TRUE(e.is_set());
    EXPECT_EQ(e.statistics().now, 0U);
    co_await yield();
    EXPECT_EQ(log, (trace{"a", "b", "c"}));
    co_await e.wait();
    e.set();
    e.clear();
    EXPECT_FALSE(e.is_set());
    EXPECT_EQ(e.statistics().total, 3U);
    EXPECT_EQ(e.statistics().most, 3U);
  });
}

// asyncio: test_clear_with_waiters.
TEST(event, one_that_was_woken_goes_on_though_the_event_is_cleared_at_once) {
  on_sim([]() -> task<> {
    event e;
    trace log;
    spawn(waits(e, log, "a")).detach();
    co_await yield();
    e.set();
    e.clear();
    spawn(waits(e, log, "b")).detach();
    co_await rounds(3);
    EXPECT_EQ(log, (trace{"a"}));
    EXPECT_EQ(e.statistics().now, 1U);
    e.set();
    co_await rounds(2);
    EXPECT_EQ(log, (trace{"a", "b"}));
  });
}

TEST(event, one_that_waits_again_at_once_is_not_woken_twice) {
  on_sim([]() -> task<> {
    event e;
    int times = 0;
    auto again = [&]() -> task<> {
      for (;;) {
        co_await e.wait();
        e.clear();
        ++times;
      }
    };
    const auto running = spawn(again());
    co_await yield();
    e.set();
    co_await rounds(5);
    EXPECT_EQ(times, 1);
    running.cancel();
    co_await rounds(2);
  });
}

TEST(event, may_be_destroyed_when_it_has_been_set) {
  on_sim([]() -> task<> {
    auto e = std::make_unique<event>();
    trace log;
    spawn(waits(*e, log, "a")).detach();
    co_await yield();
    e->set();
    e.reset();
    co_await yield();
    EXPECT_EQ(log, (trace{"a"}));
  });
}

TEST(event, may_be_set_by_a_callback) {
  on_sim([]() -> task<> {
    event e;
    const auto sets = [&] { e.set(); };
    call_later(1h, sets);
    const auto before = clock::now();
    co_await e.wait();
    EXPECT_GE(clock::now() - before, 1h);
    EXPECT_LT(clock::now() - before, 1h + 1s);
  });
}

TEST(event, lets_others_run_when_it_is_waited_for_again_and_again) {
  on_sim([]() -> task<> {
    event e;
    e.set();
    int others = 0;
    auto counts = [&]() -> task<> {
      for (;;) {
        ++others;
        co_await yield();
      }
    };
    const auto other = spawn(counts());
    for (int i = 0; i < 10'000; ++i) co_await e.wait();
    EXPECT_GT(others, 1);
    other.cancel();
    co_await rounds(2);
  });
}

task<> counts_when(event& of, std::size_t& woken) {
  co_await of.wait();
  ++woken;
}
TEST(event, wakes_a_hundred_thousand_in_linear_time) {
  const std::size_t many = scaled(100'000);
  auto main = [&]() -> task<> {
    event e;
    std::size_t woken = 0;
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < many; ++i) all.push_back(spawn(counts_when(e, woken)));
    co_await sleep(1ms);
    EXPECT_EQ(e.statistics().now, many);
    for (std::size_t i = 1; i < many; i += 2) all[many - i].cancel();
    co_await sleep(1ms);
    EXPECT_EQ(e.statistics().now, many / 2);
    e.set();
    co_await sleep(1ms);
    EXPECT_EQ(woken, many / 2);
    EXPECT_EQ(e.statistics().most, many);
  };
  on_sim(main);
}

TEST(event, may_be_used_in_one_run_after_another) {
  event e;
  trace log;
  auto first = [&]() -> task<> {
    spawn(waits(e, log, "never")).detach();
    co_await yield();
  };
  auto second = [&]() -> task<> {
    spawn(waits(e, log, "a")).detach();
    co_await yield();
    e.set();
    co_await yield();
  };
  on_sim(first);
  EXPECT_EQ(e.statistics().now, 0U);
  on_sim(second);
  EXPECT_EQ(log, (trace{"a"}));
}

}  // namespace
}  // namespace axle::test
