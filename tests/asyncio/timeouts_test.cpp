// CPython's test_asyncio/test_timeouts.py, case by case: with_timeout and with_deadline.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include "asyncio_support.hpp"

namespace axle::test {
namespace {

/// How a with_timeout came out: "value" or the name of its error.
template <class T>
std::string came_out(const result<T>& became) {
  return became ? "value" : is(became.error(), errc::timed_out) ? "timed out" : became.error().message();
}
task<> yields() { co_await yield(); }
task<> throws_at_once() {
  throw wrong("KeyError");
  co_return;
}
task<> fails_in_clean_up() { co_await fails_after(0s, "ZeroDivisionError"); }

TEST(asyncio_timeout, timeout_basic) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    EXPECT_EQ(came_out(co_await with_timeout(10ms, sleeps(10s))), "timed out");
    EXPECT_EQ(since(begin), 10ms);
  });
}

TEST(asyncio_timeout, timeout_at_basic) {
  on_sim([]() -> task<> {
    const auto deadline = clock::now() + 10ms;
    EXPECT_EQ(came_out(co_await with_deadline(deadline, sleeps(10s))), "timed out");
    EXPECT_EQ(since(deadline), 0s);
  });
}

// The outermost reports; what lies between is cancelled. waiter_cancelled is the same with one.
TEST(asyncio_timeout, nested_timeouts) {
  on_sim([]() -> task<> {
    trace log;
    const auto deadline = clock::now() + 10ms;
    auto inner = [&]() -> task<> {
      const noted end(log, "cancelled");
      co_await sleep(10s);
    };
    auto outer = [&]() -> task<> {
      const auto became = co_await with_deadline(deadline, inner());
      log.push_back("inner: " + came_out(became));
    };
    EXPECT_EQ(came_out(co_await with_deadline(deadline, outer())), "timed out");
    EXPECT_EQ(log, trace{"cancelled"});
  });
}

// Differs: the waiter's destructors run; it catches nothing.
TEST(asyncio_timeout, waiter_cancelled) {
  on_sim([]() -> task<> {
    trace log;
    auto waiter = [&]() -> task<> {
      const noted end(log, "destroyed");
      try {
        co_await sleep(10s);
      } catch (...) {
        log.push_back("caught");
      }
    };
    EXPECT_EQ(came_out(co_await with_timeout(10ms, waiter())), "timed out");
    EXPECT_EQ(log, trace{"destroyed"});
  });
}

TEST(asyncio_timeout, timeout_not_called) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    EXPECT_EQ(came_out(co_await with_timeout(10s, sleeps(10ms))), "value");
    EXPECT_EQ(since(begin), 10ms);
    co_await sleep(20s);  // past it: the alarm has been called off
  });
}

// timeout_disabled, timeout_at_disabled: no end is the longest duration, or the last point in time.
TEST(asyncio_timeout, timeout_disabled) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    EXPECT_EQ(came_out(co_await with_timeout(std::chrono::nanoseconds::max(), sleeps(10ms))), "value");
    EXPECT_EQ(came_out(co_await with_deadline(clock::time_point::max(), sleeps(24h))), "value");
    EXPECT_EQ(since(begin), 24h + 10ms);
  });
}

TEST(asyncio_timeout, timeout_zero) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    EXPECT_EQ(came_out(co_await with_timeout(0s, sleeps(10s))), "timed out");
    EXPECT_EQ(since(begin), 0s);
  });
}

// timeout_zero_sleep_zero, timeout_in_the_past_sleep_zero. Differs: timers come after what is ready, so a task that only
// gives up its turn, and waits for nothing, comes through.
TEST(asyncio_timeout, timeout_zero_sleep_zero) {
  on_sim([]() -> task<> {
    const auto past = clock::now() - 11s;
    EXPECT_EQ(came_out(co_await with_timeout(0s, yields())), "value");
    EXPECT_EQ(came_out(co_await with_timeout(-11s, yields())), "value");
    EXPECT_EQ(came_out(co_await with_deadline(past, yields())), "value");
    EXPECT_EQ(came_out(co_await with_timeout(-11s, sleeps(1ns))), "timed out");
    EXPECT_EQ(came_out(co_await with_deadline(past, sleeps(1ns))), "timed out");
  });
}

TEST(asyncio_timeout, foreign_exception_passed) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    EXPECT_THROW(std::ignore = co_await with_timeout(10ms, throws_at_once()), wrong);
    EXPECT_EQ(since(begin), 0s);
  });
}

// foreign_exception_on_timeout, foreign_exception_on_timeout_2, timeout_exception_context: an exception of the clean-up
// is thrown in place of the timeout. Differs: exceptions hold no chain of those before them.
TEST(asyncio_timeout, foreign_exception_on_timeout) {
  on_sim([]() -> task<> {
    EXPECT_THROW(std::ignore = co_await with_timeout(10ms, axle::finally(sleeps(1s), fails_in_clean_up)),
                 wrong);
  });
}

TEST(asyncio_timeout, foreign_cancel_doesnt_timeout_if_not_expired) {
  on_sim([]() -> task<> {
    trace log;
    join_handle<> self;
    auto inner = [&]() -> task<> {
      self.cancel();
      co_await sleep(10s);
    };
    auto body = [&]() -> task<> { log.push_back(came_out(co_await with_timeout(10s, inner()))); };
    const auto begin = clock::now();
    self = spawn(body());
    EXPECT_THROW(co_await self, cancelled);
    EXPECT_TRUE(log.empty()) << "no timeout was told";
    EXPECT_EQ(since(begin), 0s);
  });
}

TEST(asyncio_timeout, outer_task_is_not_cancelled) {
  on_sim([]() -> task<> {
    auto outer = []() -> task<> {
      const auto became = co_await with_timeout(1ms, sleeps(10s));
      EXPECT_EQ(came_out(became), "timed out");
    };
    const auto t = spawn(outer());
    co_await t;
    EXPECT_FALSE(t.was_cancelled());
    EXPECT_TRUE(t.done());
  });
}

// nested_timeouts_concurrent, nested_timeouts_loop_busy: both deadlines have passed before the loop looks, as after a long
// computation. The outer one ends all; differs: the inner one's timeout is not told in between.
TEST(asyncio_timeout, nested_timeouts_loop_busy) {
  on_sim([]() -> task<> {
    trace log;
    const auto now = clock::now();
    for (const auto inner_deadline : {now - 2ms, now + 1h}) {
      auto inside = [&]() -> task<> {
        const auto became = co_await with_deadline(inner_deadline, sleeps(1s));
        log.push_back("inner: " + came_out(became));
        co_await sleep(10s);
        log.push_back("not reached");
      };
      EXPECT_EQ(came_out(co_await with_deadline(now - 1ms, inside())), "timed out");
      EXPECT_EQ(since(now), 0s);
    }
    EXPECT_TRUE(log.empty());
  });
}

// The same when there is time between them: the inner one reports, then the outer one.
TEST(asyncio_timeout, nested_timeouts_one_after_the_other) {
  on_sim([]() -> task<> {
    trace log;
    const auto begin = clock::now();
    auto inside = [&]() -> task<> {
      const auto became = co_await with_timeout(10ms, sleeps(1s));
      log.push_back("inner: " + came_out(became));
      co_await sleep(10s);
      log.push_back("not reached");
    };
    EXPECT_EQ(came_out(co_await with_timeout(100ms, inside())), "timed out");
    EXPECT_EQ(log, trace{"inner: timed out"});
    EXPECT_EQ(since(begin), 100ms);
  });
}

// A clean-up has timeouts of its own, whatever it was that ended the body.
TEST(asyncio_timeout, nested_timeout_in_finally) {
  on_sim([]() -> task<> {
    trace log;
    const auto begin = clock::now();
    auto cleans_up = [&]() -> task<> {
      const auto became = co_await with_timeout(10ms, sleeps(10s));
      log.push_back("clean-up: " + came_out(became));
    };
    EXPECT_EQ(came_out(co_await with_timeout(10ms, axle::finally(sleeps(1s), cleans_up))), "timed out");
    EXPECT_EQ(log, trace{"clean-up: timed out"});
    EXPECT_EQ(since(begin), 20ms);
  });
}

TEST(asyncio_timeout, timeout_after_cancellation) {
  on_sim([]() -> task<> {
    trace log;
    auto cleans_up = [&]() -> task<> {
      const auto became = co_await with_timeout(0s, sleeps(1s));
      log.push_back("clean-up: " + came_out(became));
    };
    const auto t = spawn(axle::finally(sleeps(1s), cleans_up));
    co_await yield();
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_EQ(log, trace{"clean-up: timed out"});
  });
}

// Differs: the clean-up is shielded, from a second cancel as well; its own timeout ends it.
TEST(asyncio_timeout, cancel_in_timeout_after_cancellation) {
  on_sim([]() -> task<> {
    trace log;
    join_handle<> t;
    const auto begin = clock::now();
    auto work = [&]() -> task<> {
      t.cancel();
      co_await sleep(2s);
    };
    auto cleans_up = [&]() -> task<> {
      const auto became = co_await with_timeout(1s, work());
      log.push_back("clean-up: " + came_out(became));
    };
    t = spawn(axle::finally(sleeps(1s), cleans_up));
    co_await yield();
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_EQ(log, trace{"clean-up: timed out"});
    EXPECT_EQ(since(begin), 1s);
  });
}

// timeout_already_entered, timeout_double_enter: what is timed is a task, and a task is used once.
task<> times_a_task_twice() {
  task<> once = nothing();
  std::ignore = co_await with_timeout(1s, std::move(once));
  std::ignore = co_await with_timeout(1s, std::move(once));  // NOLINT: moved from on purpose
}
TEST(asyncio_timeout_death, timeout_double_enter) {
  EXPECT_DEATH(in_a_task(times_a_task_twice), "a task can be awaited once");
}

// The group's child crashes while it is called off; that comes out, not the timeout.
TEST(asyncio_timeout, timeout_taskgroup) {
  on_sim([]() -> task<> {
    auto body = [](task_group& group) -> task<> {
      group.spawn(axle::finally(sleeps(2s), fails_in_clean_up));
      co_await sleep(1s);
    };
    auto groups = [&]() -> task<> { co_await with_task_group(body); };
    const auto begin = clock::now();
    EXPECT_THROW(std::ignore = co_await with_timeout(10ms, groups()), wrong);
    EXPECT_EQ(since(begin), 10ms);
  });
}

}  // namespace
}  // namespace axle::test
