// CPython's test_asyncio/test_waitfor.py, case by case, with with_timeout; and of test_tasks.py what concerns asyncio.wait
// and as_completed. A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <limits>
#include <set>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

// ---- AsyncioWaitForTest: with_timeout -------------------------------------------------------------------------------

constexpr auto forever = std::chrono::nanoseconds::max();

task<> sets_at_its_end(bool& exited, std::chrono::nanoseconds d) {
  co_await sleep(d);
  exited = true;
}
task<> joins(const join_handle<int>& handle, int& got) { got = co_await handle; }
task<> counts_as_running(bool& running) {
  struct mark {
    bool& running;
    ~mark() { running = false; }
  } const until_the_end{running};
  running = true;
  co_await sleep(10s);
}

// asyncio_wait_for_cancelled, asyncio_wait_for_timeout: with work that is not to be cut off, it is waited for. Differs: in
// the second the value was reached after all, and is given.
TEST(asyncio_wait_for, asyncio_wait_for_cancelled) {
  on_sim([]() -> task<> {
    bool exited = false;
    auto body = [&]() -> task<> {
      std::ignore = co_await with_timeout(400ms, shield(sets_at_its_end(exited, 200ms)));
      co_await checkpoint();
    };
    const auto waiter = spawn(body());
    co_await yield();
    waiter.cancel();
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_TRUE(exited);
  });
}
TEST(asyncio_wait_for, asyncio_wait_for_timeout) {
  on_sim([]() -> task<> {
    bool exited = false;
    const auto became = co_await with_timeout(100ms, shield(sets_at_its_end(exited, 200ms)));
    EXPECT_TRUE(exited);
    EXPECT_TRUE(became);
  });
}

TEST(asyncio_wait_for, wait_for_timeout_less_then_0_or_0_future_done) {
  on_sim([]() -> task<> {
    promise<int> set;
    set.set_value(7);
    auto waits = [&]() -> task<int> { co_return co_await set.get_future(); };
    const auto begin = clock::now();
    const auto became = co_await with_timeout(0s, waits());
    EXPECT_EQ(became.value(), 7);
    EXPECT_EQ(since(begin), 0s);
  });
}

// Differs: it starts, and gets as far as it comes without waiting.
TEST(asyncio_wait_for, wait_for_timeout_less_then_0_or_0_coroutine_do_not_started) {
  on_sim([]() -> task<> {
    trace log;
    auto foo = [&]() -> task<> {
      log.push_back("started");
      co_await sleep(1ns);
      log.push_back("not reached");
    };
    for (const auto timeout : {0s, -1s}) {
      const auto became = co_await with_timeout(timeout, foo());
      EXPECT_TRUE(is(became.error(), errc::timed_out));
    }
    EXPECT_EQ(log, (trace{"started", "started"}));
  });
}

// wait_for_timeout_less_then_0_or_0, wait_for: it has ended when the timeout is told.
TEST(asyncio_wait_for, wait_for) {
  on_sim([]() -> task<> {
    for (const auto timeout : {100ms, 0ms, -1000ms}) {
      bool running = false;
      const auto begin = clock::now();
      const auto became = co_await with_timeout(timeout, counts_as_running(running));
      EXPECT_TRUE(is(became.error(), errc::timed_out));
      EXPECT_EQ(since(begin), std::max(timeout, 0ms));
      EXPECT_FALSE(running);
    }
  });
}

// Differs: what runs on its own already is not cancelled because somebody gave up waiting for it.
TEST(asyncio_wait_for, wait_for_a_task_that_is_spawned) {
  on_sim([]() -> task<> {
    int got = 0;
    const auto running = spawn(value_after(200ms, 7));
    const auto became = co_await with_timeout(100ms, joins(running, got));
    EXPECT_TRUE(is(became.error(), errc::timed_out));
    EXPECT_FALSE(running.done());
    EXPECT_EQ(co_await running, 7);
  });
}

TEST(asyncio_wait_for, wait_for_blocking) {
  on_sim([]() -> task<> {
    const auto became = co_await with_timeout(forever, ready_value(7));
    EXPECT_EQ(became.value(), 7);
  });
}

TEST(asyncio_wait_for, wait_for_race_condition) {
  on_sim([]() -> task<> {
    promise<int> set;
    auto waits = [&]() -> task<int> { co_return co_await set.get_future(); };
    call_later(100ms, [&] { set.set_value(7); });
    const auto became = co_await with_timeout(200ms, waits());
    EXPECT_EQ(became.value(), 7);
  });
}

// wait_for_cancellation_race_condition, wait_for_cancel_suppressed, wait_for_self_cancellation. Differs: nothing can be
// suppressed. What must get to its end is shielded.
TEST(asyncio_wait_for, wait_for_cancel_suppressed) {
  on_sim([]() -> task<> {
    trace log;
    auto return_42 = [&]() -> task<int> {
      try {
        co_await sleep(10s);
      } catch (...) {
        log.push_back("caught");
      }
      co_return 42;
    };
    const auto became = co_await with_timeout(100ms, return_42());
    EXPECT_TRUE(is(became.error(), errc::timed_out));
    EXPECT_TRUE(log.empty());
    const auto shielded = co_await with_timeout(100ms, shield(return_42()));
    EXPECT_EQ(shielded.value(), 42);
  });
}

// wait_for_waits_for_task_cancellation, ..._w_timeout_0
TEST(asyncio_wait_for, wait_for_waits_for_task_cancellation) {
  on_sim([]() -> task<> {
    for (const auto timeout : {1ms, 0ms}) {
      bool task_done = false;
      auto cleans_up = [&]() -> task<> { co_await sets_at_its_end(task_done, 5ms); };
      const auto begin = clock::now();
      const auto became = co_await with_timeout(timeout, axle::finally(sleeps(10s), cleans_up));
      EXPECT_TRUE(is(became.error(), errc::timed_out));
      EXPECT_TRUE(task_done);
      EXPECT_EQ(since(begin), timeout + 5ms);
    }
  });
}

// wait_for_reraises_exception_during_cancellation
TEST(asyncio_wait_for, wait_for_reraises_exception_during_cancellation) {
  on_sim([]() -> task<> {
    auto raises = []() -> task<> { co_await fails_after(0s, "FooException"); };
    EXPECT_THROW(std::ignore = co_await with_timeout(1ms, axle::finally(sleeps(200ms), raises)), wrong);
  });
}

// cancel_blocking_wait_for, cancel_wait_for: with and without an end.
TEST(asyncio_wait_for, cancel_wait_for) {
  on_sim([]() -> task<> {
    for (const std::chrono::nanoseconds timeout : {std::chrono::nanoseconds(60s), forever}) {
      bool running = false;
      auto body = [&]() -> task<> {
        std::ignore = co_await with_timeout(timeout, counts_as_running(running));
      };
      const auto waiter = spawn(body());
      co_await yield();
      EXPECT_TRUE(running);
      call_soon([&] { waiter.cancel(); });
      EXPECT_THROW(co_await waiter, cancelled);
      EXPECT_FALSE(running);
    }
  });
}

// Done and cancelled in the same turn: the cancel is not lost.
TEST(asyncio_wait_for, wait_for_issue86296) {
  on_sim([]() -> task<> {
    trace log;
    auto inner = [&]() -> task<int> {
      co_await yield();
      co_return 7;
    };
    auto body = [&]() -> task<> {
      const auto became = co_await with_timeout(100s, inner());
      EXPECT_EQ(became.value(), 7);
      log.push_back("done");
      co_await sleep(1s);
      log.push_back("not reached");
    };
    const auto t = spawn(body());
    co_await rounds(2);
    EXPECT_FALSE(t.done());
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_EQ(log, trace{"done"});
  });
}

// ---- WaitForShieldTests: joining a task that was spawned is asyncio's shield ----------------------------------------

TEST(asyncio_wait_for_shield, zero_timeout) {
  on_sim([]() -> task<> {
    int got = 0;
    const auto running = spawn(value_after(10ms, 7));
    const auto became = co_await with_timeout(0s, joins(running, got));
    EXPECT_TRUE(is(became.error(), errc::timed_out));
    EXPECT_FALSE(running.done());
    co_await sleep(100ms);
    EXPECT_TRUE(running.done());
    EXPECT_FALSE(running.was_cancelled());
  });
}

TEST(asyncio_wait_for_shield, none_timeout) {
  on_sim([]() -> task<> {
    int got = 0;
    const auto running = spawn(value_after(100ms, 7));
    const auto became = co_await with_timeout(forever, joins(running, got));
    EXPECT_TRUE(became);
    EXPECT_TRUE(running.done());
    EXPECT_EQ(got, 7);
  });
}

TEST(asyncio_wait_for_shield, shielded_timeout) {
  on_sim([]() -> task<> {
    int got = 0;
    const auto running = spawn(value_after(100ms, 7));
    const auto became = co_await with_timeout(10ms, joins(running, got));
    EXPECT_TRUE(is(became.error(), errc::timed_out));
    EXPECT_FALSE(running.done());
    EXPECT_EQ(co_await running, 7);
  });
}

// ---- test_tasks.py: asyncio.wait ------------------------------------------------------------------------------------

using places = std::vector<std::size_t>;

std::vector<join_handle<int>> two(task<int> a, task<int> b) {
  std::vector<join_handle<int>> both;
  both.push_back(spawn(std::move(a)));
  both.push_back(spawn(std::move(b)));
  return both;
}
task<int> fails_at_once() {
  throw wrong("err");
  co_return 0;
}
task<int> yields(int count) {
  co_await rounds(count);
  co_return count;
}

// wait, wait_with_iterator_of_tasks. Differs: it tells numbers, in the order of the ends.
TEST(asyncio_wait, wait) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    const auto tasks = two(value_after(150ms, 1), value_after(100ms, 2));
    for (int again = 0; again < 2; ++again) {
      const waited became = co_await wait(tasks);
      EXPECT_EQ(became.done, again ? (places{0, 1}) : (places{1, 0}))
          << "who had ended before comes in place";
      EXPECT_EQ(became.pending, places{});
      EXPECT_EQ(since(begin), 150ms);
    }
  });
}

// wait_errors, wait_invalid_args. Differs: of no tasks it returns at once; the rest does not compile.
TEST(asyncio_wait, wait_errors) {
  on_sim([]() -> task<> {
    const std::vector<join_handle<int>> none;
    for (const auto when :
         {wait_until::first_completed, wait_until::first_exception, wait_until::all_completed}) {
      const waited became = co_await wait(none, when);
      EXPECT_TRUE(became.done.empty() && became.pending.empty());
    }
  });
}

TEST(asyncio_wait, wait_first_completed) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    const auto tasks = two(value_after(10s, 1), value_after(100ms, 2));
    const waited became = co_await wait(tasks, wait_until::first_completed);
    EXPECT_EQ(became.done, places{1});
    EXPECT_EQ(became.pending, places{0});
    EXPECT_FALSE(tasks[0].done());
    EXPECT_EQ(since(begin), 100ms);
    co_await wait(tasks);
    EXPECT_EQ(since(begin), 10s);
  });
}

// What has ended when the waiter's turn comes is told, though it was not what woke it.
TEST(asyncio_wait, wait_really_done) {
  on_sim([]() -> task<> {
    const auto tasks = two(yields(1), yields(1));
    const waited became = co_await wait(tasks, wait_until::first_completed);
    EXPECT_EQ(became.done, (places{0, 1}));
    EXPECT_EQ(became.pending, places{});
  });
}

// wait_first_exception, wait_first_exception_in_wait
TEST(asyncio_wait, wait_first_exception) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    auto tasks = two(value_after(10s, 1), fails_at_once());
    const waited at_once = co_await wait(tasks, wait_until::first_exception);
    EXPECT_EQ(at_once.done, places{1});
    EXPECT_EQ(at_once.pending, places{0});
    EXPECT_EQ(since(begin), 0s);
    EXPECT_THROW(co_await tasks[1], wrong);

    tasks[1] = spawn(fails_after(10ms, "err"));
    const waited later = co_await wait(tasks, wait_until::first_exception);
    EXPECT_EQ(later.done, places{1});
    EXPECT_EQ(later.pending, places{0});
    EXPECT_EQ(since(begin), 10ms);
    EXPECT_THROW(co_await tasks[1], wrong);
    co_await wait(tasks);
  });
}

TEST(asyncio_wait, wait_with_exception) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    const auto tasks = two(value_after(100ms, 1), fails_after(150ms, "really"));
    for (int again = 0; again < 2; ++again) {
      const waited became = co_await wait(tasks);
      EXPECT_EQ(became.done, (places{0, 1}));
      EXPECT_EQ(became.pending, places{});
      EXPECT_EQ(since(begin), 150ms);
    }
    EXPECT_EQ(ending_of(co_await tasks[0].outcome()), "value");
    EXPECT_EQ(ending_of(co_await tasks[1].outcome()), "really");
  });
}

// wait_with_timeout, wait_concurrent_complete. Differs: a timeout is with_timeout's value; who has ended, the handles say.
TEST(asyncio_wait, wait_with_timeout) {
  on_sim([]() -> task<> {
    for (const auto timeout : {110ms, 100ms}) {
      const auto begin = clock::now();
      const auto tasks = two(value_after(100ms, 1), value_after(150ms, 2));
      const auto became = co_await with_timeout(timeout, wait(tasks));
      EXPECT_TRUE(is(became.error(), errc::timed_out));
      EXPECT_EQ(since(begin), timeout);
      co_await yield();
      EXPECT_TRUE(tasks[0].done());
      EXPECT_FALSE(tasks[1].done());
      co_await wait(tasks);
    }
  });
}

// Cancelling who waits leaves the tasks running.
TEST(asyncio_wait, yield_wait_does_not_shield_cancel) {
  on_sim([]() -> task<> {
    event waiter;
    numbers log;
    auto outer = [&]() -> task<> {
      std::vector<join_handle<>> inner;
      inner.push_back(spawn(passes(waiter, log, 1)));
      co_await wait(inner);
      log.push_back(100);
    };
    const auto f = spawn(outer());
    co_await rounds(2);
    f.cancel();
    EXPECT_THROW(co_await f, cancelled);
    waiter.set();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
  });
}

// ---- test_tasks.py: as_completed ------------------------------------------------------------------------------------

// as_completed, as_completed_same_tasks_in_as_out, as_completed_coroutine_use_running_loop
TEST(asyncio_as_completed, as_completed) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    std::vector<join_handle<int>> handles;
    handles.push_back(spawn(value_after(10ms, 'b')));
    handles.push_back(spawn(value_after(150ms, 'c')));
    handles.push_back(spawn(value_after(10ms, 'a')));
    as_completed done(handles);
    std::string values;
    while (const auto number = co_await done.next())
      values.push_back(static_cast<char>(co_await handles[*number]));
    EXPECT_EQ(values, "bac");
    EXPECT_EQ(since(begin), 150ms);
  });
}

// as_completed_with_timeout, as_completed_with_unused_timeout: the timeout stands around the loop.
TEST(asyncio_as_completed, as_completed_with_timeout) {
  on_sim([]() -> task<> {
    for (const auto timeout : {120ms, 1000ms}) {
      const auto begin = clock::now();
      const auto handles = two(value_after(100ms, 1), value_after(150ms, 2));
      numbers values;
      auto loop = [&]() -> task<> {
        as_completed done(handles);
        while (const auto number = co_await done.next()) values.push_back(co_await handles[*number]);
      };
      const auto became = co_await with_timeout(timeout, loop());
      const bool in_time = timeout == 1000ms;
      EXPECT_EQ(static_cast<bool>(became), in_time);
      EXPECT_EQ(values, in_time ? (numbers{1, 2}) : numbers{1});
      EXPECT_EQ(since(begin), in_time ? 150ms : 120ms);
      co_await wait(handles);
    }
  });
}

TEST(asyncio_as_completed, as_completed_resume_iterator) {
  on_sim([]() -> task<> {
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 4; ++i) handles.push_back(spawn(ready_value(i)));
    as_completed done(handles);
    numbers collected;
    for (const int iterations : {2, 4}) {
      for (int i = 0; i < iterations; ++i) {
        const auto number = co_await done.next();
        if (!number) break;
        collected.push_back(co_await handles[*number]);
      }
    }
    EXPECT_EQ(collected, (numbers{0, 1, 2, 3}));
  });
}

// as_completed_reverse_wait. Differs: next() may not be asked for by two tasks at once, so there is no order to reverse.
task<> takes_next(as_completed& done) { static_cast<void>(co_await done.next()); }
void asks_twice_at_once() {
  run({.driver = "sim"}, []() -> task<> {
    const auto handles = two(value_after(50ms, 1), value_after(50ms, 2));
    as_completed done(handles);
    co_await gather(takes_next(done), takes_next(done));
  });
}
TEST(asyncio_as_completed_death, as_completed_concurrent) {
  EXPECT_DEATH(asks_twice_at_once(), "two tasks wait for the next of one as_completed");
}

}  // namespace
}  // namespace axle::test
