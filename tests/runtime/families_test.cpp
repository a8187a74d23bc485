// Scopes with many children, and what passes between them: order, names, failures, cancels from within.
#include "../support.hpp"

namespace axle::test {
namespace {

using std::chrono::steady_clock;

/// Fails if what the test does takes longer than is sane: the work of a scope must grow with its children, not with
/// their square.
class takes_less_than {
 public:
  explicit takes_less_than(std::chrono::seconds limit) : limit_(limit), start_(steady_clock::now()) {}
  takes_less_than(const takes_less_than&) = delete;
  takes_less_than& operator=(const takes_less_than&) = delete;
  ~takes_less_than() { EXPECT_LT(steady_clock::now() - start_, limit_ * (sanitized ? 10 : 1)); }

 private:
  std::chrono::seconds limit_;
  steady_clock::time_point start_;
};

constexpr std::size_t many = 100'000;

std::vector<task<int>> many_of(std::size_t count, std::chrono::nanoseconds each) {
  std::vector<task<int>> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(value_after(each, static_cast<int>(i)));
  return all;
}

TEST(gather, of_a_hundred_thousand_is_cancelled_in_linear_time) {
  on_sim([]() -> task<> {
    const takes_less_than limit(3s);
    auto body = []() -> task<> { static_cast<void>(co_await gather(many_of(many, 1h))); };
    auto running = spawn(body());
    co_await sleep(1s);
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
}

TEST(gather, of_a_hundred_thousand_of_which_one_fails_ends_in_linear_time) {
  on_sim([]() -> task<> {
    const takes_less_than limit(3s);
    auto all = many_of(many, 1h);
    all.push_back(fails_after(1s, "the last"));
    EXPECT_THROW(static_cast<void>(co_await gather(std::move(all))), wrong);
  });
}

TEST(first_of, of_a_hundred_thousand_that_are_due_together_ends_in_linear_time) {
  on_sim([]() -> task<> {
    const takes_less_than limit(3s);
    const auto first = co_await first_of(many_of(many, 1h));
    EXPECT_EQ(first.index, 0U);
    EXPECT_EQ(first.value, 0);
  });
}

task<> spawns_many(task_group& group, bool fail) {
  for (std::size_t i = 0; i < many; ++i) group.spawn(value_after(1h, 0));
  co_await sleep(1s);
  if (fail) throw wrong("body");
  group.cancel();
}
TEST(task_group, of_a_hundred_thousand_is_cancelled_in_linear_time) {
  on_sim([]() -> task<> {
    const takes_less_than limit(3s);
    co_await with_task_group(spawns_many, false);
    EXPECT_THROW(co_await with_task_group(spawns_many, true), wrong);
  });
}

constexpr std::size_t due_at_once = 1000;  // fewer than one turn fires
task<int> fails_at(clock::time_point when) {
  co_await sleep_until(when);
  throw wrong("child");
}
task<> spawns_failing(task_group& group) {
  const auto when = clock::now() + 1s;
  for (std::size_t i = 0; i < due_at_once; ++i) group.spawn(fails_at(when));
  co_return;
}
TEST(task_group, every_failure_of_one_moment_is_reported) {
  on_sim([]() -> task<> {
    const takes_less_than limit(3s);
    std::size_t count = 0;
    try {
      co_await with_task_group(spawns_failing);
    } catch (const exception_group& several) {
      count = several.errors().size();
    }
    EXPECT_EQ(count, due_at_once);  // every sleep had ended before the first failure could cancel it
  });
}

// ---- groups ---------------------------------------------------------------------------------------------------------

TEST(task_group, children_have_names_and_may_spawn_more) {
  trace names;
  auto says_name = [&]() -> task<> {
    names.push_back(std::string(current_task().name));
    co_return;
  };
  auto spawns_on = [&](task_group& group) -> task<> {
    group.spawn(says_name(), {.name = "grandchild"});
    names.push_back(std::string(current_task().name));
    co_return;
  };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(spawns_on(group), {.name = "child"});
    co_return;
  };
  on_sim([&]() -> task<> { co_await with_task_group(body); });
  EXPECT_EQ(names, (trace{"child", "grandchild"}));
}

TEST(task_group, one_spawned_into_a_failed_or_cancelled_group_never_begins) {
  int begun = 0;
  auto begins = [&]() -> task<> {
    ++begun;
    co_return;
  };
  auto cancelled_first = [&](task_group& group) -> task<> {
    group.cancel();
    group.spawn(begins());
    EXPECT_TRUE(group.cancelled());
    co_return;
  };
  auto fails_and_spawns = [&](task_group& group) -> task<> {
    struct spawning {
      std::function<void()> at_end;
      ~spawning() { at_end(); }
    };
    auto spawn_late = [&] { group.spawn(begins()); };
    auto with_destructor = [&]() -> task<> {
      const spawning late{spawn_late};
      co_await sleep(1h);
    };
    group.spawn(with_destructor());
    co_await sleep(1ms);
    throw wrong("body");
  };
  on_sim([&]() -> task<> {
    co_await with_task_group(cancelled_first);
    EXPECT_THROW(co_await with_task_group(fails_and_spawns), wrong);
  });
  EXPECT_EQ(begun, 0);
}

TEST(task_group, a_cancel_from_outside_reaches_what_is_spawned_during_it) {
  int alive = 0;
  auto held = [&]() -> task<> {
    const counted here(alive);
    co_await sleep(1h);
  };
  auto body = [&](task_group& group) -> task<> {
    auto clean_up = [&]() -> task<> {
      group.spawn(held());
      co_return;
    };
    co_await axle::finally(held(), clean_up);
  };
  auto scope = [&]() -> task<> { co_await with_task_group(body); };
  on_sim([&]() -> task<> {
    auto running = spawn(scope());
    co_await sleep(1s);
    const auto before = clock::now();
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_EQ(alive, 0);
    EXPECT_LT(clock::now() - before, 1s);
  });
}

task<int> spawns_and_returns(task_group& group) {
  group.spawn(sleeps(1h));
  co_return 1;
}
task<int> whole_group() { co_return co_await with_task_group(spawns_and_returns); }
TEST(task_group, with_children_cut_off_has_no_value_though_its_body_has_one) {
  on_sim([]() -> task<> {
    const auto late = co_await with_timeout(1s, whole_group());
    EXPECT_EQ(late.error(), std::make_error_condition(errc::timed_out));
    const auto in_time = co_await with_timeout(2h, whole_group());
    EXPECT_EQ(in_time.value(), 1);
  });
}
TEST(task_group, that_ended_itself_has_the_value_of_its_body) {
  const auto body = [](task_group& group) -> task<int> {
    group.spawn(axle::finally(sleeps(1h), sleeps, 2s));
    co_await sleep(1ms);
    group.cancel();
    co_return 1;
  };
  const auto scope = [&]() -> task<int> { co_return co_await with_task_group(body); };
  on_sim([&]() -> task<> {
    const auto got = co_await with_timeout(1s, scope());  // strikes during the clean-up
    EXPECT_EQ(got.value(), 1);
  });
}

TEST(task_group, cancelled_by_its_child_with_a_failure_in_the_clean_up_throws_that) {
  auto fails_in_clean_up = []() -> task<> { co_await fails_after(1ms, "clean-up"); };
  auto body = [&](task_group& group) -> task<> {
    group.spawn(axle::finally(sleeps(1h), fails_in_clean_up));
    auto cancels = [](task_group& of) -> task<> {
      co_await sleep(1ms);
      of.cancel();
    };
    group.spawn(cancels(group));
    co_await sleep(1h);
  };
  on_sim([&]() -> task<> { EXPECT_THROW(co_await with_task_group(body), wrong); });
}

// ---- the others -----------------------------------------------------------------------------------------------------

TEST(gather, children_start_in_order_behind_what_is_ready) {
  trace log;
  auto says = [&](std::string text) -> task<> {
    log.push_back(std::move(text));
    co_return;
  };
  on_sim([&]() -> task<> {
    auto before = spawn(says("before"));
    co_await gather(says("a"), says("b"), says("c"));
    co_await before;
  });
  EXPECT_EQ(log, (trace{"before", "a", "b", "c"}));
}

TEST(gather, gives_references_and_move_only_values_and_never_copies) {
  int place = 3;
  auto reference = [&]() -> task<int&> { co_return place; };
  auto unique = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); };
  on_sim([&]() -> task<> {
    auto both = co_await gather(reference(), unique());
    EXPECT_EQ(&std::get<0>(both), &place);
    EXPECT_EQ(*std::get<1>(both), 4);
    std::vector<task<std::unique_ptr<int>>> range;
    for (int i = 0; i < 3; ++i) range.push_back(unique());
    const auto all = co_await gather(std::move(range));
    EXPECT_EQ(*all.at(2), 4);
  });
}

TEST(gather, a_child_cancelled_from_elsewhere_makes_it_throw_cancelled) {
  on_sim([]() -> task<> {
    auto victim = spawn(sleeps(1h));
    auto joins = [&]() -> task<> { co_await victim; };
    auto cancels = [&]() -> task<> {
      co_await sleep(1ms);
      victim.cancel();
      co_await sleep(1h);
    };
    EXPECT_THROW(co_await gather(joins(), cancels()), cancelled);
  });
}

TEST(gather, unawaited_destroys_its_tasks_unrun) {
  const frames_return guard;
  { const auto unused = gather(ready_value(1), nothing()); }
  { const auto unused = first_of(ready_value(1), nothing()); }
  { const auto unused = with_timeout(1s, ready_value(1)); }
  { const auto unused = axle::finally(ready_value(1), nothing); }
  { const auto unused = shield(ready_value(1)); }
}

TEST(first_of, a_loser_that_fails_while_it_is_cancelled_is_not_lost) {
  auto fails_in_clean_up = []() -> task<> { co_await fails_after(1ms, "loser"); };
  on_sim([&]() -> task<> {
    std::string what;
    try {
      co_await first_of(sleeps(1ms), axle::finally(sleeps(1h), fails_in_clean_up));
    } catch (const wrong& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "loser");
  });
}

TEST(with_timeout, loops_of_ready_work_starve_nobody) {
  std::size_t others = 0;
  auto other = [&]() -> task<> {
    for (;;) {
      ++others;
      co_await yield();
    }
  };
  on_sim([&]() -> task<> {
    auto running = spawn(other());
    for (std::size_t i = 0; i < scaled(200'000); ++i) (co_await with_timeout(1h, ready_value(1))).value();
    running.cancel();
  });
  EXPECT_GT(others, scaled(200'000) / 4'096);
}

TEST(with_timeout, nested_ones_strike_at_the_nearest_and_only_that_reports) {
  on_sim([]() -> task<> {
    auto inner = []() -> task<std::string> {
      const auto in_time = co_await with_timeout(2s, sleeps(1h));
      co_return in_time ? "slept" : "inner";
    };
    auto middle = [&]() -> task<std::string> {
      const auto in_time = co_await with_timeout(3s, inner());
      co_return in_time ? *in_time : "middle";
    };
    const auto before = clock::now();
    const auto outer = co_await with_timeout(4s, middle());
    EXPECT_EQ(outer.value(), "inner");
    EXPECT_LT(clock::now() - before, 2100ms);
  });
}

TEST(with_timeout, of_a_shielded_task_waits_for_its_end_and_delivers_its_value) {
  on_sim([]() -> task<> {
    const auto late = co_await with_timeout(1s, shield(value_after(1h, 6)));
    EXPECT_EQ(late.value_or(0), 6);
  });
}

TEST(with_timeout, exceptions_come_out_of_it_late_or_not) {
  auto fails_in_clean_up = []() -> task<> { co_await fails_after(1ms, "late"); };
  on_sim([&]() -> task<> {
    EXPECT_THROW(static_cast<void>(co_await with_timeout(1s, fails_after(1ms, "early"))), wrong);
    EXPECT_THROW(static_cast<void>(co_await with_timeout(1s, axle::finally(sleeps(1h), fails_in_clean_up))),
                 wrong);
  });
}

TEST(shield, nested_in_shield_holds_until_the_outermost_ends) {
  trace log;
  auto inner = [&]() -> task<> {
    co_await shield(sleeps(1ms));
    log.push_back("after the inner");
    co_await sleep(1ms);
    log.push_back("still shielded");
  };
  auto body = [&]() -> task<> {
    co_await shield(inner());
    log.push_back("after the outer");
    co_await yield();
    log.push_back("not reached");
  };
  on_sim([&]() -> task<> {
    auto running = spawn(body());
    co_await yield();
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
  EXPECT_EQ(log, (trace{"after the inner", "still shielded", "after the outer"}));
}

TEST(finally, an_exception_of_the_clean_up_replaces_any_ending_of_the_body) {
  auto fails = []() -> task<> { co_await fails_after(1ms, "clean-up"); };
  on_sim([&]() -> task<> {
    std::string first, second, third;
    auto ends = [&](task<int> body) -> task<std::string> {
      auto running = spawn(axle::finally(std::move(body), fails));
      co_await sleep(1s);
      running.cancel();
      co_return ending_of(co_await running.outcome());
    };
    EXPECT_EQ(co_await ends(value_after(1ms, 1)), "clean-up");
    EXPECT_EQ(co_await ends(fails_after(1ms, "body")), "clean-up");
    EXPECT_EQ(co_await ends(value_after(1h, 1)), "clean-up");
  });
}

task<> fails_with(std::string why) {
  co_await shield(sleeps(1ms));  // so that the first failure finds the others begun
  throw wrong(why);
}
TEST(exception_group, says_the_same_once) {
  on_sim([]() -> task<> {
    std::string said;
    const auto body = [](task_group& group) -> task<> {
      for (const char* why : {"port in use", "other", "port in use"}) group.spawn(fails_with(why));
      co_return;
    };
    try {
      co_await with_task_group(body);
    } catch (const exception_group& all) {
      said = all.what();
    }
    EXPECT_EQ(said, "3 tasks of one scope failed: [port in use] (2 times) [other]");
  });
}

}  // namespace
}  // namespace axle::test
