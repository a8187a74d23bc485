// watch: the latest value; who waits sees the newest, never an old one twice.
// The parts with several cores or threads use the machine's own driver; the rest is on the simulator.
#include "far_support.hpp"

namespace axle::test {
namespace {

using numbers = std::vector<int>;

task<> sees_one(watcher<int>& by, numbers& into) {
  const auto value = co_await by.changed();
  if (value) into.push_back(*value);
}
task<> sees_all(watcher<int> by, numbers& into) {
  for (;;) {
    const auto value = co_await by.changed();
    if (!value) co_return;
    into.push_back(*value);
  }
}

TEST(watch, gives_the_latest_value) {
  watch<std::string> w("a");
  EXPECT_EQ(w.get(), "a");
  EXPECT_TRUE(w.set("b"));
  EXPECT_TRUE(w.update([](std::string& value) { value += "c"; }));
  EXPECT_EQ(w.get(), "bc");
  w.close();
  EXPECT_FALSE(w.set("d"));
  EXPECT_FALSE(w.update([](std::string& value) { value += "d"; }));
  EXPECT_EQ(w.get(), "bc");
  EXPECT_EQ(w.statistics().sets, 2U);
  EXPECT_EQ(watch<int>().get(), 0);
}

TEST(watch, an_update_that_throws_sets_nothing) {
  watch<int> w(1);
  EXPECT_THROW(w.update([](int& value) {
    value = 2;
    throw wrong("no");
  }),
               wrong);
  EXPECT_EQ(w.get(), 1);
  EXPECT_TRUE(w.update([](int& value) { ++value; }));
  EXPECT_EQ(w.get(), 2);
}

TEST(watch, several_sets_are_one_change_to_the_newest) {
  on_sim([]() -> task<> {
    watch<int> w(0);
    numbers seen;
    EXPECT_TRUE(w.set(1));
    auto watching = spawn(sees_all(w.watcher(), seen));
    co_await rounds(2);
    EXPECT_TRUE(seen.empty()) << "what was set before counts as seen";
    EXPECT_EQ(w.statistics().waiters.now, 1U);
    for (int i = 2; i <= 4; ++i) EXPECT_TRUE(w.set(i));
    co_await rounds(2);
    EXPECT_TRUE(w.set(5));
    co_await rounds(2);
    EXPECT_TRUE(w.set(6));
    w.close();
    co_await watching;
    EXPECT_EQ(seen, (numbers{4, 5, 6})) << "the last one is seen although it was closed";
  });
}

TEST(watch, each_watcher_sees_for_itself) {
  on_sim([]() -> task<> {
    watch<int> w(0);
    auto first = w.watcher();
    auto second = w.watcher();
    EXPECT_TRUE(w.set(1));
    EXPECT_EQ((co_await first.changed()).value(), 1);
    EXPECT_TRUE(w.set(2));
    auto moved = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ((co_await moved.changed()).value(), 2);
    EXPECT_EQ((co_await second.changed()).value(), 2);
    first = std::move(second);
    EXPECT_TRUE(w.set(3));
    EXPECT_EQ((co_await first.changed()).value(), 3);
    {
      const auto passing = w.watcher();
      EXPECT_EQ(w.statistics().watchers, 3U);
    }
    EXPECT_EQ(w.statistics().watchers, 2U);
  });
}

TEST(watch, close_sends_home_who_waits) {
  on_sim([]() -> task<> {
    watch<int> w(0);
    auto by = w.watcher();
    numbers seen;
    auto waiting = spawn(sees_one(by, seen));
    co_await yield();
    w.close();
    w.close();
    EXPECT_TRUE(w.closed());
    co_await waiting;
    EXPECT_TRUE(seen.empty());
    EXPECT_EQ(said(co_await by.changed()), "closed");
  });
}

TEST(watch, a_cancelled_or_timed_out_wait_misses_nothing) {
  on_sim([]() -> task<> {
    watch<int> w(0);
    auto by = w.watcher();
    numbers seen;
    EXPECT_FALSE(co_await with_timeout(1ms, sees_one(by, seen)));
    auto cut = spawn(sees_one(by, seen));
    co_await yield();
    cut.cancel();
    EXPECT_TRUE(w.set(1));
    EXPECT_TRUE((co_await cut.outcome()).is_cancelled());
    auto unborn = spawn(sees_one(by, seen));
    unborn.cancel();
    EXPECT_TRUE((co_await unborn.outcome()).is_cancelled());
    EXPECT_TRUE(seen.empty());
    EXPECT_EQ((co_await by.changed()).value(), 1);

    auto given = spawn(sees_one(by, seen));
    co_await yield();
    EXPECT_TRUE(w.set(2));
    given.cancel();
    EXPECT_TRUE((co_await given.outcome()).has_value());
    EXPECT_EQ(seen, numbers{2});
    EXPECT_EQ(w.statistics().waiters.now, 0U);
  });
}

// ---- across cores and threads ---------------------------------------------------------------------------------------

// Two parts that must always be seen together, larger than what is copied in one go.
struct pair_of {
  int first = 0;
  std::vector<int> second{0};
};

task<> watches_far(watch<pair_of>& w, int last, std::atomic<int>& torn, std::atomic<int>& ready) {
  auto by = w.watcher();
  ++ready;
  int latest = 0;
  for (;;) {
    const auto value = co_await by.changed();
    if (!value) break;
    torn += value->first != value->second[0] || value->first <= latest;
    latest = value->first;
  }
  EXPECT_EQ(latest, last) << "the last value is always seen";
}

TEST(watch, all_cores_see_whole_values_in_order_and_the_last) {
  const int each = static_cast<int>(scaled(5'000));
  watch<pair_of> w;
  std::atomic<int> torn{0}, ready{0}, setters{3};
  const auto increments = [](pair_of& value) {
    ++value.first;
    value.second = {value.first};
  };
  auto ends = [&] {
    if (--setters == 0) w.close();
  };
  std::thread stranger([&] {
    while (ready < 4) std::this_thread::yield();
    for (int i = 0; i < each; ++i) EXPECT_TRUE(w.update(increments));
    const auto value = w.get();
    torn += value.first != value.second[0];
    ends();
  });
  auto sets = [&]() -> task<> {
    const bool mine = this_core() < 2;
    if (!mine) co_return;
    while (ready < 4) co_await yield();
    for (int i = 0; i < each; ++i) {
      EXPECT_TRUE(w.update(increments));
      if (i % 8 == 0) co_await yield();
    }
    ends();
  };
  auto work = [&]() -> task<> { co_await gather(watches_far(w, each * 3, torn, ready), sets()); };
  on_cores(4, work);
  stranger.join();
  EXPECT_EQ(torn.load(), 0);
  EXPECT_EQ(w.get().first, each * 3) << "no update is lost";
  EXPECT_EQ(w.statistics().sets, static_cast<std::uint64_t>(each) * 3);
}

// Each value is set when the one before was seen, by a watcher whose waits are cancelled at random: none is missed.
TEST(watch, waits_cancelled_while_another_core_sets_miss_nothing) {
  const int values = static_cast<int>(scaled(4'000));
  numbers seen;
  std::size_t cut = 0;
  std::atomic<int> acknowledged{0};
  auto sets = [&acknowledged](watch<int>& w, int count) -> task<> {
    for (int i = 1; i <= count; ++i) {
      EXPECT_TRUE(w.set(i));
      while (acknowledged < i) co_await yield();
    }
  };
  auto main = [&]() -> task<> {
    watch<int> w(0);
    {
      auto by = w.watcher();
      auto setter = spawn(runs_on(1, sets, std::ref(w), values));
      for (int i = 0; acknowledged < values; ++i) {
        auto waiting = spawn(sees_one(by, seen));
        co_await rounds(i % 3);
        waiting.cancel();
        const auto became = co_await waiting.outcome();
        cut += became.is_cancelled();
        acknowledged = seen.empty() ? 0 : seen.back();
      }
      co_await setter;
    }
  };
  run({.cores = 2}, main);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(values));
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int>(i) + 1);
  EXPECT_GT(cut, 0U);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

task<> outlived_by_a_watcher() {
  watcher<int> left;
  watch<int> w(0);
  left = w.watcher();
  co_return;
}
task<> awaited_twice() {
  watch<int> w(0);
  auto by = w.watcher();
  numbers seen;
  for (int i = 0; i < 2; ++i) spawn(sees_one(by, seen)).detach();
  co_await yield();
}
TEST(watch_death, misuse) {
  EXPECT_DEATH(in_a_task(outlived_by_a_watcher), "a watch was destroyed while it has 1 watchers");
  EXPECT_DEATH(in_a_task(awaited_twice), "awaited again while a task waits with it");
  EXPECT_DEATH(static_cast<void>(watcher<int>().changed()), "this watcher is empty");
  watch<int> w(0);
  auto by = w.watcher();
  EXPECT_DEATH(by.changed().await_ready(), "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
