// Options changed while a run is under way: on the calling core, on all; that they take effect; what is refused.
#include "tests/runtime/options_support.hpp"

namespace axle::test {
namespace {

TEST_F(options, each_changes_while_running_or_says_that_it_may_not) {
  run([]() -> task<> {
    for (const option_state& each : current_options()) {
      const option_change became = change_option(each.name, other_than(each));
      EXPECT_EQ(static_cast<bool>(became), each.may_change) << each.name;
      const option_state now = find(current_options(), each.name);
      if (each.may_change) {
        EXPECT_EQ(now.value, other_than(each));
        EXPECT_EQ(now.source, option_source::change);
        const option_change bad = change_option(each.name, "nonsense");
        EXPECT_TRUE(bad.refused.starts_with(std::string(each.name) + ": \"nonsense\" is not "))
            << bad.refused;
        EXPECT_EQ(find(current_options(), each.name).value, other_than(each));
      } else {
        EXPECT_EQ(became.refused,
                  std::string(each.name) +
                      " stands for as long as the run; what may change is drain, tasks_per_turn, "
                      "run_budget, poll, spin_limit, slow_callback");
        EXPECT_EQ(now.value, each.value);
      }
    }
    EXPECT_EQ(change_option("tasks_per_trun", "1").refused,
              "no option is named \"tasks_per_trun\"; did you mean tasks_per_turn?");
    co_return;
  });
}

// How often a task that is always ready runs before a timer that is due.
task<unsigned> runs_before_the_timer() {
  co_await sleep(1ms);  // into a turn of its own
  bool fired = false;
  const auto fire = [&fired] { fired = true; };
  call_later(0s, fire);
  unsigned ran = 0;
  while (!fired) {
    ++ran;
    co_await yield();
  }
  co_return ran;
}

TEST_F(options, tasks_per_turn_changes_the_order_of_tasks_and_timers) {
  run([]() -> task<> {
    for (const unsigned wanted : {256U, 10U, 1'000U}) {
      const option_change became = change_option("tasks_per_turn", std::to_string(wanted));
      EXPECT_TRUE(became) << became.refused;
      const unsigned ran = co_await runs_before_the_timer();
      EXPECT_GE(ran, wanted - 2);
      EXPECT_LE(ran, wanted + 2);
    }
  });
}

task<> notes_when_it_ends(clock::time_point& end) {
  struct at_end {
    clock::time_point& end;
    ~at_end() { end = clock::now(); }
  } const noting{end};
  co_await sleep(1h);
}
task<> stubborn(clock::time_point& end) { co_await shield(notes_when_it_ends(end)); }

TEST_F(options, drain_changes_how_long_a_shield_holds) {
  for (const auto& [text, value] : {std::pair("3s", 3s), std::pair("40s", 40s)}) {
    clock::time_point told, end;
    const auto main = [&]() -> task<> {
      spawn(stubborn(end)).detach();
      co_await sleep(1s);
      EXPECT_TRUE(change_option("drain", text));
      told = clock::now();
    };
    run(main);
    EXPECT_TRUE(took(end - told, value)) << text;
  }
}

int warned = 0;

TEST_F(options, slow_callback_changes_what_debug_warns_of) {
  const variable driver("AXLE_DRIVER", "epoll");  // the simulator's clock stands while a task computes
  warned = 0;
  const warning_handler before = set_warning_handler([](std::string_view) noexcept { ++warned; });
  run({.debug = true, .slow_callback = 1h}, []() -> task<> {
    const auto busy = []() -> task<> {
      for (const auto end = clock::now() + 200us; clock::now() < end;) {}
      co_return;
    };
    co_await spawn(busy);
    EXPECT_EQ(warned, 0);
    EXPECT_TRUE(change_option("slow_callback", "100us"));
    co_await spawn(busy);
    EXPECT_GE(warned, 1);
  });
  set_warning_handler(before);
}

// Real loops.
class options_on_cores : public ::testing::Test {
  variable driver_{"AXLE_DRIVER", getenv("AXLE_DRIVER") ? getenv("AXLE_DRIVER") : ""};
};

std::string run_budget_here() { return find(current_options(), "run_budget").value; }

TEST_F(options_on_cores, each_core_tells_its_own) {
  run({.cores = 3, .run_budget = 1ms}, []() -> task<> {
    for (unsigned core = 0; core < 3; ++core) EXPECT_EQ(co_await on(core, run_budget_here), "1ms");
    const option_change there =
        co_await on(1U, change_option, std::string_view("run_budget"), std::string_view("2ms"));
    EXPECT_TRUE(there) << there.refused;
    EXPECT_EQ(run_budget_here(), "1ms");
    EXPECT_EQ(co_await on(1U, run_budget_here), "2ms");
    EXPECT_EQ(co_await on(2U, run_budget_here), "1ms");
  });
}

TEST_F(options_on_cores, a_change_everywhere_reaches_each) {
  run({.cores = 3}, []() -> task<> {
    const auto from_core_1 = []() -> task<> {
      const option_change became = co_await change_option_everywhere("run_budget", "300us");
      EXPECT_TRUE(became) << became.refused;
    };
    co_await on(1U, from_core_1);
    for (unsigned core = 0; core < 3; ++core) EXPECT_EQ(co_await on(core, run_budget_here), "300us");
    const option_change refused = co_await change_option_everywhere("run_budget", "never");
    EXPECT_TRUE(refused.refused.starts_with("run_budget: \"never\" is not a duration")) << refused.refused;
    EXPECT_EQ(co_await on(2U, run_budget_here), "300us");
  });
}

TEST(options_death, asked_for_outside_a_run_is_a_check) {
  EXPECT_DEATH(static_cast<void>(current_options()), "current_options");
  EXPECT_DEATH(static_cast<void>(change_option("drain", "1s")), "change_option");
}

}  // namespace
}  // namespace axle::test
