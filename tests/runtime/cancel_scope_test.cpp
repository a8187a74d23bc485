// cancel_scope: what ends it, what it tells, how scopes nest.
#include "../support.hpp"

namespace axle::test {
namespace {

bool is(std::error_code error, errc expected) { return error == std::make_error_condition(expected); }

TEST(cancel_scope, gives_the_value_of_what_ran_in_it) {
  on_sim([]() -> task<> {
    cancel_scope scope;
    const auto value = co_await scope.run(value_after(1s, 7));
    EXPECT_EQ(value.value(), 7);
    EXPECT_FALSE(scope.cancelled());
    const auto at_once = co_await scope.run(ready_value(8));
    EXPECT_EQ(at_once.value(), 8);
    const auto of_void = co_await scope.run(nothing());
    EXPECT_TRUE(of_void.has_value());
    EXPECT_THROW(static_cast<void>(co_await scope.run(fails_after(1s, "no"))), wrong);
  });
}

TEST(cancel_scope, is_ended_by_its_deadline) {
  on_sim([]() -> task<> {
    cancel_scope scope(10ms);
    const auto start = clock::now();
    const auto late = co_await scope.run(sleeps(1h));
    EXPECT_TRUE(is(late.error(), errc::timed_out));
    EXPECT_TRUE(took(clock::now() - start, 10ms));
    EXPECT_TRUE(scope.cancelled());
    EXPECT_TRUE(scope.timed_out());
    EXPECT_EQ(scope.reason(), "timed out");
  });
}

TEST(cancel_scope, is_ended_by_a_call_with_a_reason) {
  on_sim([]() -> task<> {
    cancel_scope scope;
    call_later(5ms, [&scope] {
      scope.cancel("the user left");
      scope.cancel("again");
    });
    const auto start = clock::now();
    const auto ended = co_await scope.run(value_after(1h, 1));
    EXPECT_TRUE(is(ended.error(), errc::operation_canceled));
    EXPECT_TRUE(took(clock::now() - start, 5ms));
    EXPECT_EQ(scope.reason(), "the user left");
    EXPECT_FALSE(scope.timed_out());
  });
}

TEST(cancel_scope, cancelled_before_it_runs_lets_nothing_begin) {
  on_sim([]() -> task<> {
    cancel_scope scope;
    scope.cancel("no");
    bool begun = false;
    const auto body = [&begun]() -> task<> {
      begun = true;
      co_return;
    };
    const auto ended = co_await scope.run(body());
    EXPECT_TRUE(is(ended.error(), errc::operation_canceled));
    EXPECT_FALSE(begun);
  });
}

TEST(cancel_scope, delivers_a_value_that_was_reached_in_the_same_turn) {
  on_sim([]() -> task<> {
    cancel_scope scope;
    event done;
    const auto body = [&]() -> task<int> {
      co_await done.wait();
      co_return 3;
    };
    call_later(1ms, [&] {
      done.set();
      scope.cancel();
    });
    const auto value = co_await scope.run(body());
    EXPECT_EQ(value.value(), 3) << "it was woken before the cancel";
    cancel_scope other;
    event never;
    const auto waits = [&]() -> task<int> {
      co_await never.wait();
      co_return 3;
    };
    call_later(1ms, [&] {
      other.cancel();
      never.set();
    });
    const auto none = co_await other.run(waits());
    EXPECT_TRUE(is(none.error(), errc::operation_canceled)) << "and here after it";
  });
}

TEST(cancel_scope, deadline_can_be_moved_while_it_runs) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    cancel_scope later(10ms);
    call_later(5ms, [&] { later.set_deadline(start + 30ms); });
    static_cast<void>(co_await later.run(sleeps(1h)));
    EXPECT_TRUE(took(clock::now() - start, 30ms));
    const auto again = clock::now();
    cancel_scope sooner(1h);
    call_later(5ms, [&] { sooner.set_deadline(again + 6ms); });
    static_cast<void>(co_await sooner.run(sleeps(1h)));
    EXPECT_TRUE(took(clock::now() - again, 6ms));
    cancel_scope never(10ms);
    call_later(5ms, [&] { never.set_deadline(clock::time_point::max()); });
    const auto all = co_await never.run(sleeps(1s));
    EXPECT_TRUE(all.has_value());
  });
}

task<bool> inner_of(cancel_scope& inner) {
  const auto ended = co_await inner.run(sleeps(1h));
  co_return ended.has_value();
}

TEST(cancel_scope, outer_ends_the_inner_which_was_not_cancelled_itself) {
  on_sim([]() -> task<> {
    cancel_scope outer(10ms);
    cancel_scope inner(1h);
    const auto ended = co_await outer.run(inner_of(inner));
    EXPECT_TRUE(is(ended.error(), errc::timed_out));
    EXPECT_FALSE(inner.cancelled());
  });
}

TEST(cancel_scope, inner_ends_and_the_outer_goes_on) {
  on_sim([]() -> task<> {
    cancel_scope outer(1h);
    cancel_scope inner(10ms);
    const auto ended = co_await outer.run(inner_of(inner));
    EXPECT_EQ(ended.value(), false);
    EXPECT_FALSE(outer.cancelled());
    EXPECT_TRUE(inner.timed_out());
  });
}

TEST(cancel_scope, shield_holds_a_cancel_from_outside_but_not_its_own_deadline) {
  on_sim([]() -> task<> {
    trace log;
    const auto body = [&log]() -> task<> {
      cancel_scope shield({.deadline = clock::now() + 20ms, .shield = true});
      const auto first = co_await shield.run(value_after(10ms, 1));
      log.push_back(first ? "kept" : "lost");
      co_await sleep(0s);
      log.emplace_back("not reached");
    };
    auto one = spawn(body);
    co_await yield();
    one.cancel();
    const auto start = clock::now();
    EXPECT_EQ(ending_of(co_await one.outcome()), "cancelled");
    EXPECT_TRUE(took(clock::now() - start, 10ms));
    EXPECT_EQ(log, trace{"kept"});
    const auto slow = [&log]() -> task<> {
      cancel_scope shield({.deadline = clock::now() + 20ms, .shield = true});
      static_cast<void>(co_await shield.run(sleeps(1h)));
      log.emplace_back("not reached");
    };
    auto two = spawn(slow);
    co_await yield();
    two.cancel();
    const auto again = clock::now();
    EXPECT_EQ(ending_of(co_await two.outcome()), "cancelled");
    EXPECT_TRUE(took(clock::now() - again, 20ms));
    EXPECT_EQ(log, trace{"kept"});
  });
}

TEST(cancel_scope, waits_until_what_it_ended_has_ended_and_says_how_long_that_took) {
  on_sim([]() -> task<> {
    cancel_scope scope(10ms);
    const auto ended = co_await scope.run(shield(sleeps(50ms)));
    EXPECT_TRUE(ended.has_value()) << "its value was reached all the same";
    EXPECT_TRUE(scope.timed_out());
    EXPECT_TRUE(took(scope.time_to_end(), 40ms));
  });
}

constexpr unsigned leaf_line = __LINE__ + 1;
task<> leaf() { co_await sleep(1h); }
task<> branch() { co_await gather(leaf(), leaf()); }

TEST(cancel_scope, records_the_way_of_the_cancel) {
  on_sim([]() -> task<> {
    cancel_scope scope({.deadline = clock::now() + 10ms, .record_path = true});
    static_cast<void>(co_await scope.run(branch()));
    const auto& path = scope.cancel_path();
    EXPECT_EQ(path.size(), 2U);
    REQUIRE_IN_TASK(path.size() == 2);
    EXPECT_EQ(path[0].waits_for, "gather");
    EXPECT_EQ(path[1].waits_for, "sleep");
    EXPECT_EQ(path[1].at.line(), leaf_line);
    EXPECT_NE(path[0].task, path[1].task);
    cancel_scope silent(1ms);
    static_cast<void>(co_await silent.run(branch()));
    EXPECT_TRUE(silent.cancel_path().empty());
  });
}

TEST(cancel_scope, that_was_ended_ends_the_next_run_as_well) {
  on_sim([]() -> task<> {
    cancel_scope scope(1ms);
    static_cast<void>(co_await scope.run(sleeps(1h)));
    const auto again = co_await scope.run(ready_value(1));
    EXPECT_TRUE(is(again.error(), errc::timed_out));
  });
}

TEST(cancel_scope, dropped_unused_costs_nothing) {
  on_sim([]() -> task<> {
    cancel_scope scope(1ms);
    static_cast<void>(scope.run(sleeps(1h)));
    co_await sleep(1s);
    EXPECT_FALSE(scope.cancelled()) << "the deadline counts while it runs";
  });
}

void run_twice_at_once() {
  run({.driver = "sim"}, []() -> task<> {
    cancel_scope scope;
    co_await gather(inner_of(scope), inner_of(scope));
  });
}
TEST(cancel_scope_death, two_runs_at_once_are_a_check) {
  EXPECT_DEATH(run_twice_at_once(), "a cancel_scope runs one task at a time");
}

}  // namespace
}  // namespace axle::test
