// Cancellation, as promised: destroyed from the inside out, never thrown, never swallowed, never losing a value.
#include <coroutine>

#include "../foreign_coroutine.hpp"
#include "../support.hpp"

namespace axle::test {
namespace {

task<> sleeps_noted(trace& log, std::string name) {
  const noted end(log, name);
  co_await sleep(1h);
  log.push_back("not reached");
}
task<> nested(trace& log, int depth) {
  const noted end(log, std::to_string(depth));
  if (depth == 0) {
    co_await sleep(1h);
  } else {
    co_await nested(log, depth - 1);
  }
}

TEST(cancellation, destroys_frames_from_the_inside_out) {
  trace log;
  on_sim([&]() -> task<> {
    auto running = spawn(nested(log, 3));
    co_await yield();
    EXPECT_TRUE(log.empty());
    running.cancel();
    EXPECT_TRUE(log.empty());  // it takes effect when the task's turn comes
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_EQ(log, (trace{"0", "1", "2", "3"}));
  });
}

TEST(cancellation, destroys_the_locals_of_a_frame_in_reverse_order) {
  trace log;
  auto body = [&]() -> task<> {
    const noted first(log, "first");
    const noted second(log, "second");
    co_await sleep(1h);
  };
  on_sim([&]() -> task<> {
    auto running = spawn(body());
    co_await yield();
    running.cancel();
    std::ignore = co_await running.outcome();
  });
  EXPECT_EQ(log, (trace{"second", "first"}));
}

TEST(cancellation, is_no_exception_and_catch_all_cannot_swallow_it) {
  trace log;
  auto stubborn = [&]() -> task<> {
    for (;;) {
      try {
        co_await sleep(1h);
      } catch (...) {
        log.push_back("caught");
      }
      log.push_back("went on");
    }
  };
  on_sim([&]() -> task<> {
    auto running = spawn(stubborn());
    co_await yield();
    running.cancel();
    EXPECT_THROW(co_await running, cancelled);
  });
  EXPECT_TRUE(log.empty());
}

TEST(cancellation, of_a_task_that_has_not_begun_means_that_it_never_does) {
  bool began = false;
  int alive = 0;
  auto body = [&](counted) -> task<> {
    began = true;
    co_return;
  };
  on_sim([&]() -> task<> {
    auto running = spawn(body(counted(alive)));
    EXPECT_EQ(running.state(), task_state::pending);
    running.cancel();
    EXPECT_EQ(alive, 1);
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_EQ(alive, 0);
  });
  EXPECT_FALSE(began);
}

TEST(cancellation, of_a_running_task_takes_effect_at_its_next_await) {
  trace log;
  join_handle<> self;
  auto body = [&]() -> task<> {
    const noted end(log, "end");
    self.cancel();
    log.push_back("still running");
    co_await nothing();  // never suspends: no place to end at
    log.push_back("after a call");
    co_await sleep(0s);
    log.push_back("not reached");
  };
  on_sim([&]() -> task<> {
    self = spawn(body());
    const auto became = co_await self.outcome();
    EXPECT_TRUE(became.is_cancelled());
    self.detach();
  });
  EXPECT_EQ(log, (trace{"still running", "after a call", "end"}));
}

TEST(cancellation, of_a_running_task_that_awaits_nothing_more_lets_it_end_with_its_value) {
  join_handle<int> self;
  auto body = [&]() -> task<int> {
    self.cancel();
    co_return 5;
  };
  on_sim([&]() -> task<> {
    self = spawn(body());
    EXPECT_EQ(co_await self, 5);
    self.detach();
  });
}

TEST(cancellation, of_a_finished_task_changes_nothing) {
  on_sim([]() -> task<> {
    auto done = spawn(ready_value(3));
    co_await yield();
    EXPECT_TRUE(done.done());
    done.cancel();
    done.cancel();
    EXPECT_FALSE(done.was_cancelled());
    EXPECT_EQ(co_await done, 3);
  });
}

TEST(cancellation, asked_for_many_times_ends_once) {
  trace log;
  on_sim([&]() -> task<> {
    auto running = spawn(sleeps_noted(log, "end"));
    co_await yield();
    for (int i = 0; i < 100; ++i) running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
    running.cancel();
  });
  EXPECT_EQ(log, trace{"end"});
}

TEST(cancellation, of_a_task_whose_wait_is_over_but_whose_turn_has_not_come_delivers_the_value_first) {
  trace log;
  auto child = [&]() -> task<int> {
    co_await sleep(1ms);
    log.push_back("slept");
    co_return 1;
  };
  auto body = [&]() -> task<> {
    log.push_back(std::to_string(co_await child()));
    co_await yield();
    log.push_back("not reached");
  };
  on_sim([&]() -> task<> {
    auto running = spawn(body());
    co_await yield();
    // Due at the same time, but armed before: it runs first, when the task is queued already.
    const auto before = call_later(1ms - 1us, [] {});
    co_await sleep(1ms);  // behind the task in the queue
    EXPECT_EQ(log, (trace{"slept", "1"}));
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
}

TEST(cancellation, is_level_triggered) {
  trace log;
  struct clean_up {
    trace& log;
    ~clean_up() { log.push_back("cleaned"); }
  };
  auto body = [&]() -> task<> {
    const clean_up at_end{log};
    // Each of these would be a way to shake off a cancel that strikes only once.
    co_await shield(sleeps(1ms));
    log.push_back("after the shield");
    co_await yield();
    log.push_back("not reached");
  };
  on_sim([&]() -> task<> {
    auto running = spawn(body());
    co_await yield();
    running.cancel();
    std::ignore = co_await running.outcome();
  });
  EXPECT_EQ(log, (trace{"after the shield", "cleaned"}));
}

// After a cancel from within, each kind of await must end the task, whatever it is.
using one_await = std::function<task<>()>;

TEST(cancellation, ends_the_task_at_whatever_is_awaited_next) {
  on_sim([]() -> task<> {
    auto finished = spawn(ready_value(1));
    auto unfinished = spawn(sleeps(1h));
    co_await yield();
    auto body_of_group = [](task_group&) -> task<> { co_return; };
    const std::vector<std::pair<const char*, one_await>> all = {
        {"sleep", []() -> task<> { co_await sleep(1ms); }},
        {"sleep(0)", []() -> task<> { co_await sleep(0s); }},
        {"sleep_until the past", []() -> task<> { co_await sleep_until(clock::time_point()); }},
        {"yield", []() -> task<> { co_await yield(); }},
        {"checkpoint", []() -> task<> { co_await checkpoint(); }},
        {"join of a finished task", [&]() -> task<> { std::ignore = co_await finished.outcome(); }},
        {"join", [&]() -> task<> { std::ignore = co_await unfinished.outcome(); }},
        {"gather", []() -> task<> { co_await gather(sleeps(1ms), sleeps(2ms)); }},
        {"first_of", []() -> task<> { co_await first_of(sleeps(1ms), sleeps(2ms)); }},
        {"with_timeout", []() -> task<> { static_cast<void>(co_await with_timeout(1h, sleeps(1ms))); }},
        {"group", [&]() -> task<> { co_await with_task_group(body_of_group); }},
        {"on", []() -> task<> { co_await on(0, [] { return sleeps(1h); }); }},
    };
    for (const auto& [name, await_it] : all) {
      join_handle<> self;
      bool went_on = false;
      auto body = [&]() -> task<> {
        self.cancel();
        co_await await_it();
        went_on = true;
      };
      self = spawn(body());
      const auto became = co_await self.outcome();
      EXPECT_TRUE(became.is_cancelled()) << name;
      EXPECT_FALSE(went_on) << name;
    }
    unfinished.cancel();
  });
}

TEST(cancellation, lets_a_completed_child_deliver_however_many_awaits_were_ready_before) {
  // The 1,024th ready await in a row makes room for others; a value in hand must survive that too.
  on_sim([]() -> task<> {
    for (int before = 1'015; before < 1'035; ++before) {
      join_handle<int> self;
      auto cancels_itself = [&]() -> task<int> {
        self.cancel();
        co_return 7;
      };
      auto body = [&]() -> task<int> {
        for (int i = 0; i < before; ++i) co_await ready_value(0);
        co_return co_await cancels_itself();
      };
      self = spawn(body());
      const auto became = co_await self.outcome();
      EXPECT_TRUE(became.has_value()) << "after " << before << " ready awaits";
    }
  });
}

TEST(cancellation, of_the_joiner_does_not_cancel_the_joined) {
  on_sim([]() -> task<> {
    auto joined = spawn(value_after(10ms, 4));
    auto join_it = [&]() -> task<> { std::ignore = co_await joined.outcome(); };
    auto joiner = spawn(join_it());
    co_await yield();
    joiner.cancel();
    const auto became = co_await joiner.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_FALSE(joined.done());
    EXPECT_EQ(co_await joined, 4);
  });
}

TEST(cancellation, of_the_joined_throws_in_the_joiner_or_is_a_plain_value) {
  on_sim([]() -> task<> {
    auto first = spawn(sleeps(1h));
    auto second = spawn(sleeps(1h));
    first.cancel();
    second.cancel();
    EXPECT_THROW(co_await first, cancelled);
    const auto became = co_await second.outcome();
    EXPECT_TRUE(became.is_cancelled());
    EXPECT_FALSE(became.has_value());
    EXPECT_EQ(became.error(), nullptr);
  });
}

TEST(cancellation, may_come_from_a_destructor_that_runs_because_of_one) {
  trace log;
  struct canceller {
    join_handle<>& of;
    ~canceller() { of.cancel(); }
  };
  on_sim([&]() -> task<> {
    auto second = spawn(sleeps_noted(log, "second"));
    auto body = [&]() -> task<> {
      const canceller at_end{second};
      co_await sleep(1h);
    };
    auto first = spawn(body());
    co_await yield();
    first.cancel();
    const auto became = co_await second.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
  EXPECT_EQ(log, trace{"second"});
}

TEST(cancellation, a_destructor_may_spawn_and_cancel_its_own_task) {
  bool spawned_ran = false;
  auto mark = [&]() -> task<> {
    spawned_ran = true;
    co_return;
  };
  on_sim([&]() -> task<> {
    join_handle<> self;
    auto at_end = [&] {
      self.cancel();
      spawn(mark()).detach();
    };
    struct on_exit {
      std::function<void()> call;
      ~on_exit() { call(); }
    };
    auto body = [&]() -> task<> {
      const on_exit guard{at_end};
      co_await sleep(1h);
    };
    self = spawn(body());
    co_await yield();
    self.cancel();
    std::ignore = co_await self.outcome();
    co_await yield();
  });
  EXPECT_TRUE(spawned_ran);
}

task<> deep_sleep(std::size_t depth, int& alive) {
  const counted here(alive);
  if (depth == 0) {
    co_await sleep(1h);
  } else {
    co_await deep_sleep(depth - 1, alive);
  }
}

TEST(cancellation, of_a_hundred_thousand_suspended_frames_needs_no_stack) {
  int alive = 0;
  on_sim([&]() -> task<> {
    auto running = spawn(deep_sleep(100'000, alive));
    co_await sleep(1s);
    EXPECT_EQ(alive, 100'001);
    running.cancel();
    std::ignore = co_await running.outcome();
    EXPECT_EQ(alive, 0);
  });
}

TEST(cancellation, of_a_thousand_nested_scopes_reaches_the_innermost_and_comes_back) {
  trace log;
  std::function<task<>(int)> in_scopes = [&](int depth) -> task<> {
    const noted end(log, std::to_string(depth));
    if (depth == 0) co_await sleep(1h);
    if (depth % 2) {
      static_cast<void>(co_await with_timeout(2h, in_scopes(depth - 1)));
    } else {
      co_await gather(in_scopes(depth - 1), nothing());
    }
  };
  on_sim([&]() -> task<> {
    auto running = spawn(in_scopes(1'000));
    co_await sleep(1s);
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
  ASSERT_EQ(log.size(), 1'001U);
  for (int i = 0; i <= 1'000; ++i) ASSERT_EQ(log[static_cast<std::size_t>(i)], std::to_string(i));
}

// ---- another library's coroutines -----------------------------------------------------------------------------------

foreign foreign_over(std::function<task<>()> inner, trace& log) {
  const noted end(log, "foreign frame");
  try {
    co_await inner();
  } catch (const cancelled&) {
    log.push_back("cancelled thrown");
    throw;
  }
}
foreign foreign_sleeping(trace& log) {
  const noted end(log, "foreign frame");
  try {
    co_await sleep(1h);
  } catch (const cancelled&) {
    log.push_back("cancelled thrown");
    throw;
  }
}

TEST(cancellation, reaches_another_librarys_coroutine_as_the_exception) {
  for (const bool leaf : {true, false}) {
    trace log;
    auto inner = [&]() -> task<> {
      const noted end(log, "inner frame");
      co_await sleep(1h);
    };
    auto body = [&]() -> task<> {
      const noted end(log, "outer frame");
      if (leaf) co_await foreign_sleeping(log);
      co_await foreign_over(inner, log);
    };
    on_sim([&]() -> task<> {
      auto running = spawn(body());
      co_await yield();
      running.cancel();
      const auto became = co_await running.outcome();
      EXPECT_FALSE(became.has_value());
    });
    const trace expected = leaf ? trace{"cancelled thrown", "foreign frame", "outer frame"}
                                : trace{"inner frame", "cancelled thrown", "foreign frame", "outer frame"};
    EXPECT_EQ(log, expected);
  }
}

TEST(cancellation, a_task_cancelled_through_another_librarys_coroutine_counts_as_cancelled) {
  trace log;
  auto body = [&]() -> task<> { co_await foreign_sleeping(log); };
  on_sim([&]() -> task<> {
    auto running = spawn(body());
    co_await yield();
    running.cancel();
    const auto became = co_await running.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
}

}  // namespace
}  // namespace axle::test
