// sharded<T>: a service on each core, its instances and the calls to them; misuse. sharded_life_test.cpp has starting and stopping.
// Several loops on real threads: AXLE_DRIVER chooses the driver.
#include <algorithm>
#include <functional>
#include <memory>

#include "sharded_support.hpp"

namespace axle::test {
namespace {

TEST_P(shards, each_core_has_an_instance_of_its_own_on_lines_of_its_own) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    EXPECT_FALSE(s.started());
    co_await s.start(std::ref(alive), 100);
    EXPECT_TRUE(s.started());
    EXPECT_EQ(alive, static_cast<int>(core_count()));
    const auto look = [&s]() -> task<> {
      EXPECT_EQ(s.local().value, 100 + static_cast<int>(this_core()));
      co_return;
    };
    co_await for_each_core(look);
    const auto at = co_await s.map([](plain& p) { return reinterpret_cast<std::uintptr_t>(&p); });
    for (std::size_t i = 1; i < at.size(); ++i) {
      const std::uintptr_t apart = std::max(at[i], at[i - 1]) - std::min(at[i], at[i - 1]);
      EXPECT_GE(apart, 128U);
    }
    co_await s.stop();
    EXPECT_EQ(alive, 0);
    co_await s.stop();
    co_await s.start(std::ref(alive));
    EXPECT_EQ(s.local().value, static_cast<int>(this_core()));
    co_await s.stop();
    EXPECT_FALSE(s.started());
  };
  run_here(main);
  EXPECT_EQ(alive, 0);
}

TEST_P(shards, start_with_gives_each_core_what_is_made_for_it) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    const auto make = [&alive](unsigned core) { return plain(alive, static_cast<int>(core) * 10); };
    co_await s.start_with(make);
    const auto values = co_await s.map(&plain::get);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<int>(i) * 11);
    co_await s.stop();
  };
  run_here(main);
}

task<int> slow_sum(plain& p, int a, int b) {
  co_await sleep(1ms);
  co_return p.value + a + b;
}
task<int> fails_there(plain& p, std::string why) {
  co_await yield();
  if (p.value >= 0) throw wrong(why);
  co_return 0;
}

TEST_P(shards, calls_reach_the_instance_and_bring_back_values_and_exceptions) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    for (unsigned core = 0; core < core_count(); ++core) {
      const int at = static_cast<int>(core);
      EXPECT_EQ(co_await s.invoke_on(core, &plain::get), at);
      EXPECT_EQ(co_await s.invoke_on(core, [](plain&) { return this_core(); }), core);
      EXPECT_EQ(co_await s.invoke_on(core, &plain::add, 5), at + 5);
      co_await s.invoke_on(core, [](plain& p) { p.value = 1; });
      EXPECT_EQ(co_await s.invoke_on(core, slow_sum, 2, 3), 6);
      auto moved = co_await s.invoke_on(
          core, [](plain& p, std::unique_ptr<int> given) { return std::make_unique<int>(*given + p.value); },
          std::make_unique<int>(2));
      EXPECT_EQ(*moved, 3);
      EXPECT_EQ(
          ending_of(co_await spawn(s.invoke_on(core, fails_there, std::string("over there"))).outcome()),
          "over there");
      const auto throws = [](plain& p) -> int { return p.value > 0 ? throw wrong("at once") : 0; };
      EXPECT_EQ(ending_of(co_await spawn(s.invoke_on(core, throws)).outcome()), "at once");
    }
    co_await s.stop();
  };
  run_here(main);
}

TEST_P(shards, invoke_on_all_and_on_others) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    const auto set = [](plain& p, int to) { p.value = to; };
    co_await s.invoke_on_all(set, 7);
    const auto set_slowly = [](plain& p, int to) -> task<> {
      co_await yield();
      p.value = to;
    };
    co_await s.invoke_on_others(set_slowly, 8);
    auto expected = std::vector<int>(core_count(), 8);
    expected[this_core()] = 7;
    const auto values = co_await s.map(&plain::get);
    EXPECT_EQ(values, expected);
    co_await s.stop();
  };
  run_here(main);
}

TEST_P(shards, map_reduce_goes_in_the_order_of_the_cores) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    const auto digit = [](plain& p) -> task<int> {
      if (p.value % 2 == 0) co_await sleep(1ms);  // these come last
      co_return p.value;
    };
    const auto append = [](std::string so_far, int n) { return so_far + std::to_string(n); };
    const auto text = co_await s.map_reduce(digit, std::string(":"), append);
    EXPECT_EQ(text, std::string(":01234567").substr(0, core_count() + 1));
    const int sum = co_await s.map_reduce(&plain::get, 0, std::plus());
    EXPECT_EQ(sum, static_cast<int>(core_count() * (core_count() - 1) / 2));
    const auto truths = co_await s.map([](plain& p) { return p.value >= 0; });
    EXPECT_EQ(std::count(truths.begin(), truths.end(), true), static_cast<int>(core_count()));
    co_await s.stop();
  };
  run_here(main);
}

TEST_P(shards, a_failure_on_one_core_ends_the_calls_on_the_others) {
  std::atomic<int> alive{0}, waiting{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    const auto waits = [&waiting](plain&) -> task<> {
      struct counting {
        explicit counting(std::atomic<int>& at) : n(at) { ++n; }
        ~counting() { --n; }
        std::atomic<int>& n;
      } const guard(waiting);
      if (this_core() + 1 == core_count()) throw wrong("last");
      co_await sleep(1h);
    };
    EXPECT_EQ(ending_of(co_await spawn(s.invoke_on_all(waits)).outcome()), "last");
    EXPECT_EQ(waiting, 0);
    co_await s.stop();
  };
  run_here(main);
}

TEST_P(shards, a_cancelled_call_ends_over_there_before_the_caller_goes_on) {
  std::atomic<int> alive{0}, waiting{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    const auto waits = [](plain&, std::atomic<int>* n) -> task<> {
      struct counting {
        explicit counting(std::atomic<int>* at) : n(at) { ++*n; }
        ~counting() { --*n; }
        std::atomic<int>* n;
      } const guard(n);
      co_await sleep(1h);
    };
    for (unsigned core = 0; core < core_count(); ++core) {
      const auto in_time = co_await with_timeout(2ms, s.invoke_on(core, waits, &waiting));
      EXPECT_FALSE(in_time);
      EXPECT_EQ(waiting, 0);
      auto at_once = spawn(s.invoke_on(core, waits, &waiting));
      at_once.cancel();
      EXPECT_EQ(ending_of(co_await at_once.outcome()), "cancelled");
      auto on_its_way = spawn(s.invoke_on(core, waits, &waiting));
      co_await yield();
      on_its_way.cancel();
      EXPECT_EQ(ending_of(co_await on_its_way.outcome()), "cancelled");
      EXPECT_EQ(waiting, 0);
    }
    static_cast<void>(s.invoke_on(0, waits, &waiting));  // never awaited
    co_await s.stop();                                   // and no call is counted any more
  };
  run_here(main);
}

TEST_P(shards, one_sharded_serves_one_run_after_another) {
  std::atomic<int> alive{0};
  sharded<plain> s;
  for (const int cores : {GetParam(), 1, 2}) {
    const auto main = [&]() -> task<> {
      co_await s.start(std::ref(alive));
      const auto values = co_await s.map(&plain::get);
      EXPECT_EQ(values.size(), core_count());
      co_await s.stop();
    };
    run({.cores = cores}, main);
  }
  EXPECT_EQ(alive, 0);
}

INSTANTIATE_TEST_SUITE_P(on, shards, testing::Values(1, 2, 4, 8), testing::PrintToStringParamName());

// Every core calls every other at once; each instance is only ever touched by its core.
TEST(sharded, all_cores_call_all_others) {
  constexpr int rounds = static_cast<int>(scaled(3'000));
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive));
    co_await s.invoke_on_all([](plain& p) { p.value = 0; });
    const auto calls = [&s]() -> task<> {
      for (int i = 0; i < rounds; ++i)
        static_cast<void>(co_await s.invoke_on(static_cast<unsigned>(i) % core_count(), &plain::add, 1));
    };
    co_await for_each_core(calls);
    const int sum = co_await s.map_reduce(&plain::get, 0, std::plus());
    EXPECT_EQ(sum, rounds * static_cast<int>(core_count()));
    co_await s.stop();
  };
  run({.cores = 4}, main);
}

TEST(sharded, works_on_the_simulator_and_leaks_no_block) {
  std::atomic<int> alive{0};
  on_sim([&]() -> task<> {
    sharded<plain> s;
    co_await s.start(std::ref(alive), 5);
    EXPECT_EQ(co_await s.invoke_on(0, slow_sum, 1, 1), 7);
    co_await s.stop();
  });
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

struct empty_service {
  int number = 0;
};

TEST(sharded_death_test, start_stop_and_destruction) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto twice = []() -> task<> {
    sharded<empty_service> s;
    co_await s.start();
    co_await s.start();
  };
  EXPECT_DEATH(run({.cores = 2}, twice), "this sharded is started already: co_await stop\\(\\) before");
  const auto left = []() -> task<> {
    sharded<empty_service> s;
    co_await s.start();
  };
  EXPECT_DEATH(run({.cores = 2}, left), "a sharded was destroyed while it is started: co_await stop\\(\\)");
  const auto at_once = []() -> task<> {
    sharded<empty_service> s;
    auto starting = spawn(s.start(), {.eager = true});
    co_await s.stop();
  };
  EXPECT_DEATH(run({.cores = 2}, at_once), "this sharded is being started");
  const auto two_stops = []() -> task<> {
    sharded<empty_service> s;
    co_await s.start();
    auto stopping = spawn(s.stop(), {.eager = true});
    co_await s.stop();
  };
  EXPECT_DEATH(run({.cores = 2}, two_stops), "this sharded is being stopped");
}

TEST(sharded_death_test, use_where_it_is_not_started) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  sharded<empty_service> s;
  EXPECT_DEATH(s.local(), "sharded::local was used on a thread that runs no axle loop");
  const auto never = [&]() -> task<> {
    s.local().number = 1;
    co_return;
  };
  EXPECT_DEATH(run({.cores = 2}, never), "sharded::local on core 0: this sharded is not started in this run");
  const auto stopped = [&]() -> task<> {
    co_await s.start();
    co_await s.stop();
    co_await s.invoke_on(1, [](empty_service&) {});
  };
  EXPECT_DEATH(run({.cores = 2}, stopped), "sharded::invoke_on on core 1: .* stopped already");
  const auto no_core = [&]() -> task<> {
    co_await s.start();
    co_await s.invoke_on(2, [](empty_service&) {});
  };
  EXPECT_DEATH(run({.cores = 2}, no_core), "core 2 does not exist");
  const auto outlives = [&]() -> task<> { co_await s.start(); };
  const auto stops_late = [&]() -> task<> { co_await s.stop(); };
  EXPECT_DEATH((run({.cores = 2}, outlives), run({.cores = 2}, stops_late)),
               "started in a run that has ended");
}

struct slow_to_stop {
  task<> stop() { co_await sleep(1h); }
};
TEST(sharded_death_test, a_call_after_stop_began) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto late = []() -> task<> {
    sharded<slow_to_stop> s;
    co_await s.start();
    auto stopping = spawn(s.stop());
    for (;;) co_await s.invoke_on(1, [](slow_to_stop&) {});
  };
  EXPECT_DEATH(run({.cores = 2}, late),
               "a call came to a sharded that has stopped on core 1: end what calls it");
}

}  // namespace
}  // namespace axle::test
