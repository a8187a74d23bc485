// CPython's test_asyncio/test_tasks.py, case by case: sleep, shield, gather, calls from other threads.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <thread>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

std::exception_ptr made(const char* text) { return std::make_exception_ptr(wrong(text)); }
task<int> awaits(future<int> f) { co_return co_await f; }
template <class T>
task<T> joins(const join_handle<T>& handle) {
  co_return co_await handle;
}

// ---- sleep ----------------------------------------------------------------------------------------------------------

TEST(asyncio_sleep, sleep) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    auto sleeper = []() -> task<int> {
      co_await sleep(50ms);
      co_return co_await value_after(50ms, 7);
    };
    const auto t = spawn(sleeper());
    EXPECT_EQ(co_await t, 7);
    EXPECT_EQ(since(begin), 100ms);
  });
}

// sleep_cancel: its timer is called off, so nothing keeps the loop.
TEST(asyncio_sleep, sleep_cancel) {
  on_sim([]() -> task<> {
    const auto begin = clock::now();
    const auto t = spawn(sleeps(10s));
    co_await yield();
    t.cancel();
    co_await yield();
    EXPECT_TRUE(t.was_cancelled());
    co_await sleep(20s);
    EXPECT_EQ(since(begin), 20s);
  });
}

// SleepTests.test_sleep_zero
TEST(asyncio_sleep, sleep_zero) {
  on_sim([]() -> task<> {
    int result = 0;
    call_soon([&] { ++result; });
    EXPECT_EQ(result, 0);
    co_await sleep(0s);
    EXPECT_EQ(result, 1) << "by call_soon";
  });
}

// ---- shield ---------------------------------------------------------------------------------------------------------

// shield_result, shield_exception, shield_shortcut, shield_coroutine_use_running_loop
TEST(asyncio_shield, shield_result) {
  on_sim([]() -> task<> {
    const int later = co_await shield(value_after(10ms, 42));
    const int at_once = co_await shield(ready_value(42));
    EXPECT_EQ(later, 42);
    EXPECT_EQ(at_once, 42);
    EXPECT_THROW(static_cast<void>(co_await shield(fails_after(10ms, "expected"))), wrong);
  });
}

TEST(asyncio_shield, shield_cancel_inner) {
  on_sim([]() -> task<> {
    const auto inner = spawn(value_after(10s, 42));
    auto outer = [&]() -> task<int> { co_return co_await shield(joins(inner)); };
    const auto t = spawn(outer());
    co_await yield();
    inner.cancel();
    EXPECT_THROW(static_cast<void>(co_await t), cancelled);
  });
}

// shield_effect, shield_cancel_outer, shield_cancel_outer_result. Differs: the inner one runs inside the task, so the task
// ends after it, at its next await, and not beside it.
TEST(asyncio_shield, shield_effect) {
  on_sim([]() -> task<> {
    event waiter;
    numbers log;
    auto outer = [&]() -> task<> {
      co_await shield(passes(waiter, log, 1));
      log.push_back(10);
      co_await yield();
      log.push_back(100);
    };
    const auto f = spawn(outer());
    co_await yield();
    f.cancel();
    co_await rounds(2);
    EXPECT_FALSE(f.done());
    waiter.set();
    EXPECT_THROW(co_await f, cancelled);
    EXPECT_EQ(log, (numbers{1, 10}));
  });
}

// shield_cancel_outer_exception, shield_duplicate_log_once: what fails in it is not lost. Differs: the task meets it.
TEST(asyncio_shield, shield_cancel_outer_exception) {
  on_sim([]() -> task<> {
    auto outer = []() -> task<int> { co_return co_await shield(fails_after(10ms, "foo")); };
    const auto f = spawn(outer());
    co_await yield();
    f.cancel();
    EXPECT_EQ(ending_of(co_await f.outcome()), "foo");
  });
}

// What asyncio's shield(task) is there: a task that was spawned is joined, and lives on without the joiner.
TEST(asyncio_shield, a_joined_task_needs_no_shield) {
  on_sim([]() -> task<> {
    event waiter;
    numbers log;
    const auto inner = spawn(passes(waiter, log, 1));
    auto outer = [&]() -> task<> {
      co_await inner;
      log.push_back(100);
    };
    const auto f = spawn(outer());
    co_await yield();
    f.cancel();
    EXPECT_THROW(co_await f, cancelled);
    waiter.set();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(inner.done());
  });
}

TEST(asyncio_shield, shield_gather) {
  on_sim([]() -> task<> {
    event gate;
    numbers log;
    auto both = [&]() -> task<> { co_await gather(passes(gate, log, 1), passes(gate, log, 2)); };
    auto outer = [&]() -> task<> { co_await shield(both()); };
    const auto f = spawn(outer());
    co_await rounds(2);
    f.cancel();
    co_await yield();
    gate.set();
    EXPECT_EQ(ending_of(co_await f.outcome()), "value") << "nothing is awaited after the shield";
    EXPECT_EQ(log, (numbers{1, 2}));
  });
}

// gather_shield. Differs: shielded children are waited for.
TEST(asyncio_shield, gather_shield) {
  on_sim([]() -> task<> {
    event gate;
    numbers log;
    auto parent = [&]() -> task<> {
      co_await gather(shield(passes(gate, log, 1)), shield(passes(gate, log, 2)));
      log.push_back(10);
      co_await checkpoint();
      log.push_back(100);
    };
    const auto f = spawn(parent());
    co_await rounds(2);
    f.cancel();
    co_await rounds(2);
    EXPECT_FALSE(f.done());
    gate.set();
    EXPECT_THROW(co_await f, cancelled);
    EXPECT_EQ(log, (numbers{1, 2, 10}));
  });
}

// ---- FutureGatherTests, CoroutineGatherTests: gather, gather_settled ------------------------------------------------

// success, constructor_homogenous_futures: values in the order of the arguments, when the last is there.
TEST(asyncio_gather, success) {
  on_sim([]() -> task<> {
    promise<int> a, b, c;
    auto gathers = [&]() -> task<numbers> {
      const auto [x, y, z] =
          co_await gather(awaits(a.get_future()), awaits(b.get_future()), awaits(c.get_future()));
      numbers all = {x, y, z};
      co_return all;
    };
    const auto fut = spawn(gathers());
    co_await rounds(2);
    b.set_value(1);
    a.set_value(2);
    co_await rounds(3);
    EXPECT_FALSE(fut.done());
    c.set_value(3);
    const numbers all = co_await fut;
    EXPECT_EQ(all, (numbers{2, 1, 3}));
  });
}

TEST(asyncio_gather, result_exception_success) {
  on_sim([]() -> task<> {
    auto [a, b, c] = co_await gather_settled(value_after(2ms, 2), value_after(1ms, 1), value_after(3ms, 3));
    EXPECT_EQ((numbers{std::move(a).value(), std::move(b).value(), std::move(c).value()}),
              (numbers{2, 1, 3}));
  });
}

// Differs: the first failure ends the others, and they have ended when it is thrown; CPython lets them run on.
TEST(asyncio_gather, one_exception) {
  on_sim([]() -> task<> {
    event never;
    numbers log;
    const auto begin = clock::now();
    EXPECT_THROW(static_cast<void>(co_await gather(ready_value(1), fails_after(1ms, "ZeroDivisionError"),
                                                   passes(never, log, 3), sleeps(1h))),
                 wrong);
    EXPECT_EQ(never.statistics().now, 0U);
    EXPECT_EQ(since(begin), 1ms);
    never.set();
    co_await yield();
    EXPECT_TRUE(log.empty());
  });
}

TEST(asyncio_gather, return_exceptions) {
  on_sim([]() -> task<> {
    promise<int> a, b, c, d;
    trace became;
    auto gathers = [&]() -> task<> {
      auto all = co_await gather_settled(awaits(a.get_future()), awaits(b.get_future()),
                                         awaits(c.get_future()), awaits(d.get_future()));
      const auto note = [&](outcome<int>& each) {
        became.push_back(each.has_value() ? std::to_string(each.look()) : ending_of(std::move(each)));
      };
      std::apply([&](auto&... each) { (note(each), ...); }, all);
    };
    const auto fut = spawn(gathers());
    co_await rounds(2);
    b.set_value(1);
    c.set_exception(made("exc"));
    a.set_value(3);
    co_await rounds(3);
    EXPECT_FALSE(fut.done());
    d.set_exception(made("exc2"));
    co_await fut;
    EXPECT_EQ(became, (trace{"3", "1", "exc", "exc2"}));
  });
}

// constructor_empty_sequence_use_running_loop
TEST(asyncio_gather, constructor_empty_sequence) {
  on_sim([]() -> task<> {
    std::vector<task<int>> none;
    const auto values = co_await gather(std::move(none));
    EXPECT_TRUE(values.empty());
  });
}

// Differs as one_exception does.
TEST(asyncio_gather, one_cancellation) {
  on_sim([]() -> task<> {
    promise<int> b;
    event never;
    numbers log;
    call_later(1ms, [&] { b.cancel(); });
    EXPECT_THROW(
        static_cast<void>(co_await gather(ready_value(1), awaits(b.get_future()), passes(never, log, 3))),
        cancelled);
    EXPECT_EQ(never.statistics().now, 0U);
  });
}

TEST(asyncio_gather, result_exception_one_cancellation) {
  on_sim([]() -> task<> {
    const auto victim = spawn(value_after(1h, 0));
    call_later(1ms, [&] { victim.cancel(); });
    auto [a, b, c, d] = co_await gather_settled(ready_value(1), fails_after(2ms, "ZeroDivisionError"),
                                                joins(victim), value_after(3ms, 3));
    EXPECT_EQ(std::move(a).value(), 1);
    EXPECT_EQ(ending_of(std::move(b)), "ZeroDivisionError");
    EXPECT_THROW(std::move(c).value(), cancelled);
    EXPECT_EQ(std::move(d).value(), 3);
  });
}

TEST(asyncio_gather, cancellation_broadcast) {
  on_sim([]() -> task<> {
    event waiter;
    numbers log;
    auto outer = [&]() -> task<> {
      co_await gather(passes(waiter, log, 1), passes(waiter, log, 1));
      log.push_back(100);
    };
    const auto f = spawn(outer());
    co_await rounds(2);
    EXPECT_EQ(waiter.statistics().now, 2U);
    f.cancel();
    EXPECT_THROW(co_await f, cancelled);
    EXPECT_EQ(waiter.statistics().now, 0U);
    waiter.set();
    co_await yield();
    EXPECT_EQ(log, numbers{});
  });
}

// Two fail, one after the other: asyncio throws the first. Differs: the second is cancelled before it can fail; if both
// fail in the same turn, both are thrown.
TEST(asyncio_gather, exception_marking) {
  on_sim([]() -> task<> {
    event a, b;
    auto inner = [&](event& e) -> task<> {
      co_await e.wait();
      throw wrong("should not be ignored");
    };
    auto outer = [&]() -> task<> { co_await gather(inner(a), inner(b)); };
    const auto one = spawn(outer());
    co_await rounds(2);
    a.set();
    EXPECT_EQ(ending_of(co_await one.outcome()), "should not be ignored");
    a.clear();
    const auto two = spawn(outer());
    co_await rounds(2);
    a.set();
    b.set();
    EXPECT_EQ(ending_of(co_await two.outcome()),
              "2 tasks of one scope failed: [should not be ignored] (2 times)");
  });
}

// All children are done, then the cancel comes: too late for gather. It ends the task at its next await.
TEST(asyncio_gather, cancel_gather_1) {
  on_sim([]() -> task<> {
    promise<int> fut;
    trace log;
    auto gathers = [&]() -> task<int> {
      const auto [got] = co_await gather(awaits(fut.get_future()));
      log.push_back("gathered");
      co_return got;
    };
    const auto t = spawn(gathers());
    co_await rounds(2);
    fut.set_value(42);
    t.cancel();
    EXPECT_EQ(co_await t, 42);
    EXPECT_FALSE(t.was_cancelled());
    EXPECT_EQ(log, trace{"gathered"});
  });
}

// A cancel is not taken for a child's exception.
TEST(asyncio_gather, cancel_gather_2) {
  on_sim([]() -> task<> {
    auto test = []() -> task<> {
      for (int time = 0; time <= 20; ++time) static_cast<void>(co_await gather_settled(sleeps(50ms)));
    };
    const auto begin = clock::now();
    const auto t = spawn(test());
    co_await sleep(210ms);
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_EQ(since(begin), 210ms);
  });
}

// ---- RunCoroutineThreadsafeTests: post_to and promise ---------------------------------------------------------------

// A real thread asks the loop of core 0, on the driver of the machine.
task<int> adds(int a, int b, bool fails) {
  co_await sleep(1ms);
  if (fails) throw wrong("Fail!");
  co_return a + b;
}
task<> tells(task<int> work, promise<int> into) {
  const auto asked_for = spawn(std::move(work));
  auto became = co_await asked_for.outcome();
  if (became.is_cancelled()) {
    into.cancel();
  } else if (became.has_value()) {
    into.set_value(std::move(became).value());
  } else {
    into.set_exception(became.error());
  }
}
/// What the thread got: the value as text, "cancelled", or the exception's text.
std::string asked_by_a_thread(task<int> (*work)()) {
  std::string got;
  run([&]() -> task<> {
    event finished;
    std::thread stranger([&] {
      promise<int> set;
      auto f = set.get_future();
      const auto posted = post_to(
          0, [work](promise<int>&& into) { spawn(tells(work(), std::move(into))).detach(); }, std::move(set));
      EXPECT_TRUE(posted);
      try {
        got = std::to_string(f.get());
      } catch (const cancelled&) {
        got = "cancelled";
      } catch (const std::exception& error) {
        got = error.what();
      }
      EXPECT_TRUE(post_to(0, [&] { finished.set(); }));
    });
    co_await finished.wait();
    stranger.join();
  });
  return got;
}

TEST(asyncio_run_coroutine_threadsafe, run_coroutine_threadsafe) {
  EXPECT_EQ(asked_by_a_thread([] { return adds(1, 2, false); }), "3");
}
TEST(asyncio_run_coroutine_threadsafe, run_coroutine_threadsafe_with_exception) {
  EXPECT_EQ(asked_by_a_thread([] { return adds(1, 2, true); }), "Fail!");
}
task<int> is_cancelled() {
  const auto work = spawn(adds(1, 2, false));
  work.cancel();
  co_return co_await work;
}
// run_coroutine_threadsafe_task_cancelled
TEST(asyncio_run_coroutine_threadsafe, run_coroutine_threadsafe_task_cancelled) {
  EXPECT_EQ(asked_by_a_thread(is_cancelled), "cancelled");
}

}  // namespace
}  // namespace axle::test
