// spawn and join_handle: lives of their own, states, names, failures that nobody joined, and misuse.
#include <algorithm>

#include "../support.hpp"

namespace axle::test {
namespace {

TEST(spawn, runs_behind_what_is_ready_and_is_joined_for_its_value) {
  trace log;
  auto says = [&](std::string text) -> task<std::string> {
    log.push_back(text);
    co_return text + "!";
  };
  on_sim([&]() -> task<> {
    auto a = spawn(says("a"));
    auto b = spawn(says("b"));
    log.push_back("main");
    const std::string from_b = co_await b;
    const std::string from_a = co_await a;
    EXPECT_EQ(from_a + from_b, "a!b!");
  });
  EXPECT_EQ(log, (trace{"main", "a", "b"}));
}

TEST(spawn, joins_give_move_only_values_references_and_exceptions) {
  int place = 0;
  auto unique = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); };
  auto reference = [&]() -> task<int&> { co_return place; };
  on_sim([&]() -> task<> {
    auto a = spawn(unique());
    auto b = spawn(reference());
    auto c = spawn(fails_after(1ms, "wrong"));
    auto d = spawn(reference());
    const std::unique_ptr<int> owned = co_await a;
    EXPECT_EQ(*owned, 4);
    int& same = co_await b;
    EXPECT_EQ(&same, &place);
    EXPECT_THROW(co_await c, wrong);
    auto became = co_await d.outcome();
    EXPECT_EQ(&std::move(became).value(), &place);
  });
}

TEST(spawn, a_function_and_its_arguments_live_as_long_as_the_task) {
  int alive = 0;
  on_sim([&]() -> task<> {
    {
      auto remembers = [held = counted(alive)](const std::string& text) -> task<std::size_t> {
        co_await sleep(1ms);
        co_return text.size();
      };
      auto running = spawn(std::move(remembers), std::string(100, 'x'));
      EXPECT_EQ(co_await running, 100U);
    }
    EXPECT_EQ(alive, 0);
  });
}

TEST(spawn, states_are_those_of_asyncios_diagram) {
  join_handle<> self;
  task_state inside = task_state::pending;
  auto body = [&]() -> task<> {
    inside = self.state();
    co_await sleep(1ms);
  };
  on_sim([&]() -> task<> {
    self = spawn(body());
    EXPECT_EQ(self.state(), task_state::pending);
    EXPECT_FALSE(self.done());
    co_await yield();
    EXPECT_EQ(inside, task_state::running);
    EXPECT_EQ(self.state(), task_state::suspended);
    const auto became = co_await self.outcome();
    EXPECT_TRUE(became.has_value());
    EXPECT_EQ(self.state(), task_state::finished);
    EXPECT_TRUE(self.done());
    EXPECT_FALSE(self.was_cancelled());
    self.detach();
    EXPECT_FALSE(static_cast<bool>(self));
  });
}

TEST(spawn, names_ids_and_places_of_birth_can_be_read_inside_and_out) {
  on_sim([]() -> task<> {
    std::string name = "a name that is long enough to need memory of its own";
    task_description seen{};
    std::string seen_name;
    auto looks = [&]() -> task<> {
      seen = current_task();
      seen_name = seen.name;
      co_return;
    };
    auto named = spawn(looks(), {.name = name});
    const auto line = static_cast<unsigned>(__LINE__ - 1);
    name = "changed";
    auto unnamed = spawn(nothing());
    EXPECT_EQ(named.name(), "a name that is long enough to need memory of its own");
    EXPECT_EQ(unnamed.name(), "");
    EXPECT_NE(named.id(), unnamed.id());
    EXPECT_EQ(named.spawned_at().line(), line);
    EXPECT_NE(std::string(named.spawned_at().file_name()).find("spawn_test.cpp"), std::string::npos);
    co_await named;
    EXPECT_EQ(seen_name, named.name());
    EXPECT_EQ(seen.id, named.id());
    EXPECT_EQ(seen.spawned_at.line(), line);
  });
}

TEST(spawn, a_dropped_handle_does_not_end_the_task) {
  bool ended = false;
  auto body = [&]() -> task<> {
    co_await sleep(1ms);
    ended = true;
  };
  on_sim([&]() -> task<> {
    { const auto dropped = spawn(body()); }
    co_await sleep(2ms);
    EXPECT_TRUE(ended);
  });
}

TEST(spawn, a_failure_that_nobody_joined_is_reported_once_with_the_name) {
  const unjoined_failures reported;
  on_sim([]() -> task<> {
    spawn(fails_after(1ms, "detached"), {.name = "first"}).detach();
    {
      const auto dropped_later = spawn(fails_after(1ms, "dropped when finished"), {.name = "second"});
      co_await sleep(2ms);
    }
    auto joined = spawn(fails_after(1ms, "joined"), {.name = "third"});
    EXPECT_THROW(co_await joined, wrong);
    auto looked_at = spawn(fails_after(1ms, "looked at"), {.name = "fourth"});
    EXPECT_EQ(ending_of(co_await looked_at.outcome()), "looked at");
  });
  trace seen = unjoined_failures::seen();
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (trace{"first: detached", "second: dropped when finished"}));
}

TEST(spawn, a_failure_during_the_end_of_run_is_reported_too) {
  const unjoined_failures reported;
  auto fails_in_clean_up = []() -> task<> { co_await fails_after(1ms, "clean-up"); };
  on_sim([&]() -> task<> {
    spawn(axle::finally(sleeps(1h), fails_in_clean_up), {.name = "left over"}).detach();
    co_await yield();
  });
  EXPECT_EQ(unjoined_failures::seen(), trace{"left over: clean-up"});
}

void fail_unjoined() {
  run({.driver = "sim"}, []() -> task<> {
    spawn(fails_after(1ms, "nobody cares"), {.name = "the culprit"}).detach();
    co_await sleep(1s);
  });
}
TEST(spawn, without_a_handler_an_unjoined_failure_names_the_task_and_ends_the_program) {
  EXPECT_DEATH(fail_unjoined(),
               "task \"the culprit\" spawned at .*spawn_test.cpp.* nobody joined it: nobody cares");
}

TEST(spawn, a_hundred_thousand_tasks_come_and_go) {
  const std::size_t count = scaled(100'000);
  std::size_t ended = 0;
  auto body = [&]() -> task<> {
    co_await yield();
    ++ended;
  };
  on_sim([&]() -> task<> {
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(spawn(body()));
    for (auto& each : all) co_await each;
  });
  EXPECT_EQ(ended, count);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

task<> joins(join_handle<>& of) { co_await of; }
void join_by_two() {
  run({.driver = "sim"}, []() -> task<> {
    auto running = spawn(sleeps(1h));
    auto first = spawn(joins(running));
    auto second = spawn(joins(running));
    co_await first;
    co_await second;
  });
}
task<> awaits_outcome(join_handle<>& of) {
  auto waits = of.outcome();
  co_await yield();  // the other one makes its own meanwhile
  static_cast<void>(co_await waits);
}
void join_by_two_that_were_made_before() {
  run({.driver = "sim"}, []() -> task<> {
    auto running = spawn(sleeps(1h));
    co_await gather(awaits_outcome(running), awaits_outcome(running));
  });
}
void join_again() {
  run({.driver = "sim"}, []() -> task<> {
    auto text = []() -> task<std::string> { co_return std::string(100, 'x'); };
    auto running = spawn(text());
    const std::string once = co_await running;
    const std::string twice = co_await running;
  });
}
void join_oneself() {
  run({.driver = "sim"}, []() -> task<> {
    join_handle<> self;
    auto body = [&]() -> task<> { co_await self; };
    self = spawn(body());
    co_await sleep(1h);
  });
}
void use_an_empty_handle() {
  const join_handle<> empty;
  empty.cancel();
}

TEST(spawn, two_joiners_at_once_are_a_check) {
  EXPECT_DEATH(join_by_two(), "joined already: one joiner at a time");
}
TEST(spawn, two_joiners_that_made_their_awaiters_before_are_a_check_too) {
  EXPECT_DEATH(join_by_two_that_were_made_before(), "one joiner at a time");
}
TEST(spawn, a_value_can_be_joined_once) { EXPECT_DEATH(join_again(), "joined before and its value taken"); }
TEST(spawn, joining_oneself_is_a_check) { EXPECT_DEATH(join_oneself(), "cannot join itself"); }
TEST(spawn, an_empty_handle_is_a_check) { EXPECT_DEATH(use_an_empty_handle(), "this join_handle is empty"); }

void note(trace& log, const char* what) { log.emplace_back(what); }

TEST(on_done, runs_in_order_before_the_joiner) {
  on_sim([]() -> task<> {
    trace log;
    auto running = spawn(sleeps(1ms));
    const auto joins = [&]() -> task<> {
      co_await running;
      log.emplace_back("joined");
    };
    running.on_done(note, std::ref(log), "first");
    auto joiner = spawn(joins);
    co_await yield();
    running.on_done(note, std::ref(log), "second");
    co_await joiner;
    EXPECT_EQ(log, (trace{"first", "second", "joined"}));
  });
}

TEST(on_done, runs_however_the_task_ended) {
  on_sim([]() -> task<> {
    trace log;
    auto failing = spawn(fails_after(1ms, "no"));
    auto cancelled = spawn(sleeps(1h));
    failing.on_done(note, std::ref(log), "failed");
    cancelled.on_done(note, std::ref(log), "cancelled");
    cancelled.cancel();
    co_await sleep(2ms);
    EXPECT_EQ(log, (trace{"cancelled", "failed"}));
    static_cast<void>(co_await failing.outcome());
  });
}

TEST(on_done, of_a_task_that_has_ended_is_called_soon) {
  on_sim([]() -> task<> {
    trace log;
    auto running = spawn(nothing());
    co_await running;
    running.on_done(note, std::ref(log), "late");
    EXPECT_TRUE(log.empty());
    co_await yield();
    EXPECT_EQ(log, trace{"late"});
  });
}

TEST(on_done, can_be_called_off_before_and_after_the_end) {
  on_sim([]() -> task<> {
    trace log;
    auto running = spawn(sleeps(1ms));
    auto before = running.on_done(note, std::ref(log), "before");
    running.on_done(note, std::ref(log), "stays");
    EXPECT_TRUE(before.cancel());
    EXPECT_FALSE(before.cancel());
    co_await sleep(2ms);
    EXPECT_EQ(log, trace{"stays"});
    auto after = running.on_done(note, std::ref(log), "after");
    EXPECT_TRUE(after.cancel());
    co_await yield();
    EXPECT_EQ(log, trace{"stays"});
  });
}

TEST(on_done, may_drop_the_handle_and_leaves_nothing_behind) {
  int calls = 0;
  on_sim([&calls]() -> task<> {
    auto running = spawn(sleeps(1ms));
    running.on_done([&calls] { ++calls; });
    running.detach();
    co_await sleep(2ms);
    EXPECT_EQ(calls, 1);
    auto never = spawn(sleeps(1h));
    never.on_done([&calls] { ++calls; });
  });
}

task<> eager_steps(trace& log) {
  log.emplace_back("begun");
  co_await yield();
  log.emplace_back("ended");
}

TEST(spawn, eagerly_runs_up_to_the_first_wait) {
  on_sim([]() -> task<> {
    trace log;
    auto running = spawn(eager_steps(log), {.eager = true});
    log.emplace_back("spawned");
    EXPECT_EQ(running.state(), task_state::suspended);
    co_await running;
    EXPECT_EQ(log, (trace{"begun", "spawned", "ended"}));
    auto ended = spawn(ready_value(7), {.name = "x", .eager = true});
    EXPECT_TRUE(ended.done());
    EXPECT_EQ(co_await ended, 7);
    auto failed = spawn(fails_after(0s, "at once"), {.eager = true});
    EXPECT_EQ(ending_of(co_await failed.outcome()), "at once");
  });
}

task<> spawns_eagerly(int depth, int& deepest) {
  deepest = std::max(deepest, depth);
  if (depth == 10'000) co_return;
  auto next = spawn(spawns_eagerly(depth + 1, deepest), {.eager = true});
  co_await next;
}

TEST(spawn, eagerly_many_levels_deep_does_not_use_up_the_stack) {
  int deepest = 0;
  on_sim([&deepest]() -> task<> { co_await spawns_eagerly(0, deepest); });
  EXPECT_EQ(deepest, 10'000);
}

TEST(spawn, eagerly_from_a_callback) {
  on_sim([]() -> task<> {
    trace log;
    call_soon([&log] { spawn(eager_steps(log), {.eager = true}).detach(); });
    co_await yield();
    EXPECT_EQ(log, trace{"begun"});
    co_await yield();
    EXPECT_EQ(log, (trace{"begun", "ended"}));
  });
}

owning_task<std::size_t> length_of(std::string text) {
  co_await yield();
  co_return text.size();
}
TEST(owning_task, is_spawned_and_awaited_like_any) {
  on_sim([]() -> task<> {
    const std::size_t awaited = co_await length_of("abc");
    EXPECT_EQ(awaited, 3U);
    auto running = spawn(length_of("abcd"));
    const std::size_t joined = co_await running;
    EXPECT_EQ(joined, 4U);
    auto made_there = spawn(length_of, std::string("abcde"));
    const std::size_t made = co_await made_there;
    EXPECT_EQ(made, 5U);
    const auto [a, b] = co_await gather(length_of("a"), ready_value(1));
    EXPECT_EQ(a, 1U);
    EXPECT_EQ(b, 1);
  });
}

}  // namespace
}  // namespace axle::test
