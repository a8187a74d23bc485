// What every task is doing, at which line, and who waits for whom in a circle.
#include <algorithm>
#include <map>

#include "../support.hpp"

namespace axle::test {
namespace {

const task_info& named(const std::vector<task_info>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const task_info& each) { return each.name == name; });
  EXPECT_NE(found, all.end()) << "no task is called " << name;
  return found == all.end() ? all.front() : *found;
}

constexpr unsigned inner_line = __LINE__ + 1;
task<> inner() { co_await sleep(1h); }
constexpr unsigned outer_line = __LINE__ + 1;
task<> outer() { co_await inner(); }

TEST(all_tasks, know_the_line_of_each_await_innermost_first) {
  on_sim([]() -> task<> {
    auto running = spawn(outer(), {.name = "outer"});
    co_await yield();
    const auto all = all_tasks();
    EXPECT_EQ(all.size(), 2U);
    const task_info& info = named(all, "outer");
    EXPECT_EQ(info.state, task_state::suspended);
    EXPECT_EQ(info.waits_for, "sleep");
    EXPECT_EQ(info.awaits.size(), 2U);
    EXPECT_EQ(info.awaits[0].line(), inner_line);
    EXPECT_EQ(info.awaits[1].line(), outer_line);
    EXPECT_NE(std::string_view(info.awaits[0].function_name()).find("inner"), std::string_view::npos);
    EXPECT_NE(std::string_view(info.awaits[0].file_name()).find("inspect_test.cpp"), std::string_view::npos);
    EXPECT_EQ(info.id, running.id());
    running.cancel();
  });
}

TEST(all_tasks, know_those_that_have_not_begun_and_the_one_that_runs) {
  on_sim([]() -> task<> {
    auto waiting = spawn(outer(), {.name = "fresh"});
    const auto all = all_tasks();
    EXPECT_EQ(all.front().state, task_state::running) << "the oldest first: main";
    EXPECT_TRUE(all.front().awaits.empty());
    const task_info& fresh = named(all, "fresh");
    EXPECT_EQ(fresh.state, task_state::pending);
    EXPECT_EQ(fresh.awaits.size(), 1U);
    EXPECT_EQ(fresh.awaits[0].line(), outer_line);
    EXPECT_TRUE(fresh.waits_for.empty());
    waiting.cancel();
    EXPECT_TRUE(named(all_tasks(), "fresh").cancelling);
    static_cast<void>(co_await waiting.outcome());
  });
}

task<> gathers() { co_await gather(sleeps(1h), outer()); }

TEST(all_tasks, know_whose_children_they_are) {
  on_sim([]() -> task<> {
    auto parent = spawn(gathers(), {.name = "parent"});
    co_await yield();
    co_await yield();
    const auto all = all_tasks();
    const task_info& info = named(all, "parent");
    EXPECT_EQ(info.waits_for, "gather");
    EXPECT_EQ(info.waits_for_tasks.size(), 2U);
    int children = 0;
    for (const task_info& each : all) {
      if (each.parent != info.id) continue;
      ++children;
      EXPECT_EQ(each.waits_for, "sleep");
      EXPECT_EQ(each.spawned_at.line(), info.spawned_at.line()) << "born where the parent was";
    }
    EXPECT_EQ(children, 2);
    parent.cancel();
  });
}

TEST(all_tasks, of_another_core) {
  const auto main = []() -> task<> {
    const std::vector<task_info> there = co_await on(1, all_tasks);
    EXPECT_LE(there.size(), 1U);
  };
  run({.cores = 2, .driver = "epoll"}, main);
}

task<> joins(join_handle<>& other) { co_await other; }
task<> awaits_turn(mutex& of) { const auto held = co_await of.lock(); }

TEST(all_tasks, know_who_holds_and_who_is_joined) {
  on_sim([]() -> task<> {
    mutex m;
    auto first = spawn(sleeps(1h), {.name = "first"});
    auto second = spawn(joins(first), {.name = "second"});
    {
      const auto held = co_await m.lock();
      auto third = spawn(awaits_turn(m), {.name = "third"});
      co_await yield();
      const auto all = all_tasks();
      EXPECT_EQ(named(all, "second").waits_for_tasks, std::vector<std::uint32_t>{first.id()});
      EXPECT_EQ(named(all, "third").waits_for, "mutex");
      EXPECT_EQ(named(all, "third").waits_for_tasks, std::vector<std::uint32_t>{current_task().id});
      EXPECT_TRUE(deadlocks(all).empty());
    }
    first.cancel();
    static_cast<void>(co_await second.outcome());
  });
}

task<> locks_both(mutex& one, mutex& other) {
  const auto first = co_await one.lock();
  co_await yield();
  const auto second = co_await other.lock();
}

TEST(deadlocks, of_two_mutexes_taken_in_different_order) {
  on_sim([]() -> task<> {
    mutex a, b;
    auto one = spawn(locks_both(a, b), {.name = "one"});
    auto two = spawn(locks_both(b, a), {.name = "two"});
    co_await sleep(1ms);
    const auto found = deadlocks();
    EXPECT_EQ(found.size(), 1U);
    std::vector<std::uint32_t> circle = found.empty() ? std::vector<std::uint32_t>() : found[0];
    std::sort(circle.begin(), circle.end());
    EXPECT_EQ(circle, (std::vector<std::uint32_t>{one.id(), two.id()}));
    const std::string text = describe(all_tasks());
    EXPECT_NE(text.find("deadlock: #"), std::string::npos) << text;
    one.cancel();
    co_await two;
    EXPECT_TRUE(deadlocks().empty());
  });
}

struct circle_of_joins {
  std::vector<join_handle<>> all;
};
task<> joins_next(circle_of_joins& in, std::size_t mine) {
  co_await yield();
  static_cast<void>(co_await in.all[(mine + 1) % in.all.size()].outcome());
}

TEST(deadlocks, of_a_circle_of_joins_with_others_that_wait_for_it) {
  on_sim([]() -> task<> {
    circle_of_joins in;
    for (std::size_t i = 0; i < 5; ++i) in.all.push_back(spawn(joins_next(in, i)));
    co_await sleep(1ms);
    const auto found = deadlocks();
    EXPECT_EQ(found.size(), 1U);
    EXPECT_EQ(found.empty() ? 0 : found[0].size(), 5U);
    in.all[2].cancel();
    co_await sleep(1ms);
    for (const auto& each : in.all) EXPECT_TRUE(each.done());
  });
}

task<> locks(mutex& m) { const auto held = co_await m.lock(); }
task<> locks_and_gathers(mutex& m) {
  const auto held = co_await m.lock();
  co_await gather(locks(m), sleeps(1ms));
}
task<> locks_and_times_out(mutex& m, errc& became) {
  const auto held = co_await m.lock();
  const auto late = co_await with_timeout(1h, locks(m));
  if (!late) became = errc::timed_out;
}

TEST(deadlocks, of_a_parent_whose_child_wants_what_it_holds) {
  on_sim([]() -> task<> {
    mutex m;
    auto parent = spawn(locks_and_gathers(m));
    co_await sleep(1s);
    const auto found = deadlocks();
    EXPECT_EQ(found.size(), 1U);
    EXPECT_EQ(found.empty() ? 0 : found[0].size(), 2U);
    parent.cancel();
    static_cast<void>(co_await parent.outcome());
  });
}

TEST(deadlocks, are_none_where_a_timeout_will_end_the_wait) {
  on_sim([]() -> task<> {
    mutex m;
    errc became{};
    auto parent = spawn(locks_and_times_out(m, became));
    co_await sleep(1s);
    EXPECT_TRUE(deadlocks().empty());
    co_await parent;
    EXPECT_EQ(became, errc::timed_out);
  });
}

task<> waits_for(event& of) { co_await of.wait(); }
task<> first_wins(mutex& m, event& other) {
  const auto held = co_await m.lock();
  co_await first_of(locks(m), waits_for(other));
}

TEST(deadlocks, are_none_where_one_of_several_can_still_end) {
  on_sim([]() -> task<> {
    mutex m;
    event other;
    auto parent = spawn(first_wins(m, other));
    co_await sleep(1s);
    EXPECT_TRUE(deadlocks().empty());
    other.set();
    co_await parent;
  });
}

TEST(dump_tasks, folds_what_looks_alike) {
  on_sim([]() -> task<> {
    std::vector<join_handle<>> all;
    for (int i = 0; i < 1000; ++i) all.push_back(spawn(outer()));
    co_await yield();
    const std::string text = describe(all_tasks());
    EXPECT_NE(text.find("1001 tasks"), std::string::npos) << text;
    EXPECT_NE(text.find("and 997 more like #"), std::string::npos) << text;
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 10) << text;
    for (auto& each : all) each.cancel();
  });
}

TEST(dump_tasks, says_where_and_for_whom) {
  std::string said;
  on_sim([&said]() -> task<> {
    mutex m;
    {
      const auto held = co_await m.lock();
      auto waiting = spawn(awaits_turn(m), {.name = "waits"});
      co_await yield();
      said = describe(all_tasks());
      waiting.cancel();
      static_cast<void>(co_await waiting.outcome());
    }
  });
  EXPECT_NE(said.find("\"waits\" suspended, waits for mutex (#1) at "), std::string::npos) << said;
  EXPECT_NE(said.find("inspect_test.cpp:"), std::string::npos) << said;
}

}  // namespace
}  // namespace axle::test
