// CPython's test_asyncio/test_locks.py, case by case: Condition.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include "asyncio_support.hpp"

namespace axle::test {
namespace {

// As in CPython's cases, what is locked stays locked until the test unlocks it, or is let go of by the task itself.
task<> waits_and_keeps(mutex& lock, condition& cond, mutex::guard& held, numbers& log, int number) {
  held = co_await lock.lock();
  co_await cond.wait(held);
  log.push_back(number);
}
task<> waits_and_lets_go(mutex& lock, condition& cond, numbers& log, int number) {
  auto held = co_await lock.lock();
  co_await cond.wait(held);
  log.push_back(number);
}
task<> waits_for(condition& cond, mutex::guard& held) { co_await cond.wait(held); }

TEST(asyncio_condition, wait) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    mutex::guard held[4];
    numbers log;
    const auto t1 = spawn(waits_and_keeps(lock, cond, held[1], log, 1));
    const auto t2 = spawn(waits_and_keeps(lock, cond, held[2], log, 2));
    const auto t3 = spawn(waits_and_keeps(lock, cond, held[3], log, 3));
    co_await yield();
    EXPECT_EQ(log, numbers{});
    EXPECT_FALSE(lock.locked());

    held[0] = co_await lock.lock();
    cond.notify();
    co_await yield();
    EXPECT_EQ(log, numbers{});
    EXPECT_TRUE(lock.locked());
    held[0].unlock();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(lock.locked());

    cond.notify(2);
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(lock.locked());
    held[1].unlock();
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2}));
    EXPECT_TRUE(lock.locked());
    held[2].unlock();
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2, 3}));
    EXPECT_TRUE(lock.locked());
    EXPECT_TRUE(t1.done() && t2.done() && t3.done());
  });
}

// The lock is had again before the task ends; the guard in its frame then lets go of it.
TEST(asyncio_condition, wait_cancel) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    bool locked_at_the_end = false;
    struct look {
      mutex& lock;
      bool& into;
      ~look() { into = lock.locked(); }
    };
    auto body = [&]() -> task<> {
      auto held = co_await lock.lock();
      const look last{lock, locked_at_the_end};
      co_await cond.wait(held);
    };
    const auto waiter = spawn(body());
    call_soon([&] { waiter.cancel(); });
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_EQ(cond.statistics().now, 0U);
    EXPECT_TRUE(locked_at_the_end);
    EXPECT_FALSE(lock.locked());
  });
}

TEST(asyncio_condition, wait_cancel_contested) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    mutex::guard held[2];
    numbers log;
    held[0] = co_await lock.lock();
    EXPECT_TRUE(lock.locked());
    held[0].unlock();
    const auto waiter = spawn(waits_and_keeps(lock, cond, held[1], log, 1));
    co_await yield();
    EXPECT_FALSE(lock.locked());

    held[0] = co_await lock.lock();
    cond.notify();
    call_soon([&] { waiter.cancel(); });
    call_soon([&] { held[0].unlock(); });
    EXPECT_EQ(ending_of(co_await waiter.outcome()), "value") << "it was notified before it was cancelled";
    EXPECT_TRUE(lock.locked());
  });
}

// Differs: a notified task goes on, with the lock, to its next await; CPython's raises CancelledError from wait().
TEST(asyncio_condition, wait_cancel_after_notify) {
  on_sim([]() -> task<> {
    for (const bool awaits_again : {true, false}) {
      mutex lock;
      condition cond;
      trace log;
      auto body = [&]() -> task<> {
        auto held = co_await lock.lock();
        co_await cond.wait(held);
        log.push_back("notified");
        if (awaits_again) co_await yield();
        log.push_back("end");
      };
      const auto waiter = spawn(body());
      co_await yield();
      auto held = co_await lock.lock();
      cond.notify();
      co_await yield();
      waiter.cancel();
      co_await yield();
      EXPECT_TRUE(log.empty());
      held.unlock();
      co_await rounds(2);
      EXPECT_TRUE(waiter.done());
      EXPECT_EQ(waiter.was_cancelled(), awaits_again);
      EXPECT_EQ(log, awaits_again ? trace{"notified"} : (trace{"notified", "end"}));
      EXPECT_FALSE(lock.locked());
    }
  });
}

task<> waits_without_the_lock() {
  condition cond;
  mutex::guard none;
  co_await cond.wait(none);
}
TEST(asyncio_condition_death, wait_unacquired) {
  EXPECT_DEATH(in_a_task(waits_without_the_lock), "takes a guard that holds its mutex");
}

TEST(asyncio_condition, wait_for) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    bool presult = false;
    numbers log;
    const auto predicate = [&] { return presult; };
    auto body = [&]() -> task<> {
      auto held = co_await lock.lock();
      co_await cond.wait(held, predicate);
      log.push_back(1);
    };
    const auto t = spawn(body());
    co_await yield();
    EXPECT_EQ(log, numbers{});

    auto held = co_await lock.lock();
    cond.notify();
    held.unlock();
    co_await yield();
    EXPECT_EQ(log, numbers{});

    presult = true;
    held = co_await lock.lock();
    cond.notify();
    held.unlock();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(t.done());
  });
}

task<> waits_for_it_without_the_lock(bool holds) {
  condition cond;
  mutex::guard none;
  const auto predicate = [holds] { return holds; };
  co_await cond.wait(none, predicate);
}
task<> waits_for_false_without_the_lock() { return waits_for_it_without_the_lock(false); }
TEST(asyncio_condition, wait_for_unacquired) {
  on_sim([] { return waits_for_it_without_the_lock(true); });
}
TEST(asyncio_condition_death, wait_for_unacquired) {
  EXPECT_DEATH(in_a_task(waits_for_false_without_the_lock), "takes a guard that holds its mutex");
}

// Differs: those that are notified together queue for the lock, so each runs a round after the one before.
TEST(asyncio_condition, notify) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    numbers log;
    const auto t1 = spawn(waits_and_lets_go(lock, cond, log, 1));
    const auto t2 = spawn(waits_and_lets_go(lock, cond, log, 2));
    const auto t3 = spawn(waits_and_lets_go(lock, cond, log, 3));
    co_await yield();
    EXPECT_EQ(log, numbers{});

    auto held = co_await lock.lock();
    cond.notify(1);
    held.unlock();
    co_await yield();
    EXPECT_EQ(log, numbers{1});

    held = co_await lock.lock();
    cond.notify(1);
    cond.notify(2048);
    held.unlock();
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2}));
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2, 3}));
    EXPECT_TRUE(t1.done() && t2.done() && t3.done());
  });
}

TEST(asyncio_condition, notify_all) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    numbers log;
    const auto t1 = spawn(waits_and_lets_go(lock, cond, log, 1));
    const auto t2 = spawn(waits_and_lets_go(lock, cond, log, 2));
    co_await yield();
    EXPECT_EQ(log, numbers{});
    auto held = co_await lock.lock();
    cond.notify_all();
    held.unlock();
    co_await rounds(2);
    EXPECT_EQ(log, (numbers{1, 2}));
    EXPECT_TRUE(t1.done() && t2.done());
  });
}

// Differs: allowed. A condition has no lock of its own, and on one core nothing can come in between.
TEST(asyncio_condition, notify_unacquired) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    numbers log;
    cond.notify();
    const auto t = spawn(waits_and_lets_go(lock, cond, log, 1));
    co_await rounds(2);
    EXPECT_EQ(log, numbers{}) << "a notification is not kept";
    cond.notify();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(t.done());
  });
}

// notify_all_unacquired
TEST(asyncio_condition, notify_all_unacquired) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    numbers log;
    cond.notify_all();
    const auto t1 = spawn(waits_and_lets_go(lock, cond, log, 1));
    const auto t2 = spawn(waits_and_lets_go(lock, cond, log, 2));
    co_await yield();
    cond.notify_all();
    co_await rounds(2);
    EXPECT_EQ(log, (numbers{1, 2}));
    EXPECT_TRUE(t1.done() && t2.done());
  });
}

// Differs: the lock is always explicit, and several conditions may share it.
TEST(asyncio_condition, explicit_lock) {
  on_sim([]() -> task<> {
    mutex lock;
    condition full, empty;
    numbers log;
    const auto t1 = spawn(waits_and_lets_go(lock, full, log, 1));
    const auto t2 = spawn(waits_and_lets_go(lock, empty, log, 2));
    co_await yield();
    empty.notify();
    co_await yield();
    EXPECT_EQ(log, numbers{2});
    full.notify();
    co_await yield();
    EXPECT_EQ(log, (numbers{2, 1}));
    EXPECT_TRUE(t1.done() && t2.done());
  });
}

TEST(asyncio_condition, timeout_in_block) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    auto held = co_await lock.lock();
    const auto begin = clock::now();
    const auto became = co_await with_timeout(500ms, waits_for(cond, held));
    EXPECT_TRUE(is(became.error(), errc::timed_out));
    EXPECT_EQ(since(begin), 500ms);
    EXPECT_TRUE(lock.locked()) << "it is had again before the timeout is told";
    held.unlock();
    EXPECT_FALSE(lock.locked());
  });
}

// Differs: there is no exception whose identity could be kept; the task is cancelled.
TEST(asyncio_condition, cancelled_error_wakeup) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    trace log;
    const auto never = [] { return false; };
    auto body = [&]() -> task<> {
      auto held = co_await lock.lock();
      try {
        co_await cond.wait(held, never);
      } catch (...) {
        log.push_back("caught");
      }
    };
    const auto waiter = spawn(body());
    co_await yield();
    waiter.cancel();
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_TRUE(log.empty());
    EXPECT_FALSE(lock.locked());
  });
}

// Differs: notified is notified; a cancel that finds it so takes effect at the next await. CPython: test_cancelled_error_re_aquire.
TEST(asyncio_condition, cancelled_error_re_aquire) {
  on_sim([]() -> task<> {
    mutex lock;
    condition cond;
    bool wake = false;
    const auto predicate = [&] { return wake; };
    auto body = [&]() -> task<int> {
      auto held = co_await lock.lock();
      co_await cond.wait(held, predicate);
      co_return 42;
    };
    const auto waiter = spawn(body());
    co_await yield();
    auto held = co_await lock.lock();
    wake = true;
    cond.notify();
    co_await yield();
    waiter.cancel();
    held.unlock();
    EXPECT_EQ(co_await waiter, 42);
    EXPECT_FALSE(lock.locked());
  });
}

// cancelled_wakeup, cancelled_wakeup_relock: a notification is not lost to a cancel. Differs in who takes the item: the
// one that was notified, before it ends; in CPython the other consumer.
void cancels_one_of_two_consumers(int rounds_before_the_cancel) {
  on_sim([=]() -> task<> {
    mutex lock;
    condition cond;
    int state = 0;
    const auto something = [&] { return state != 0; };
    const auto nothing_left = [&] { return state == 0; };
    auto consumer = [&]() -> task<> {
      auto held = co_await lock.lock();
      for (;;) {
        co_await cond.wait(held, something);
        if (state < 0) co_return;
        --state;
      }
    };
    const auto first = spawn(consumer());
    const auto second = spawn(consumer());
    co_await yield();
    auto held = co_await lock.lock();
    ++state;
    cond.notify(1);
    co_await rounds(rounds_before_the_cancel);
    first.cancel();
    std::ignore = co_await with_timeout(10ms, cond.wait(held, nothing_left));
    EXPECT_EQ(state, 0);
    EXPECT_TRUE(first.was_cancelled());
    EXPECT_FALSE(second.done());
    state = -1;
    cond.notify_all();
    held.unlock();
    co_await second;
  });
}
TEST(asyncio_condition, cancelled_wakeup) { cancels_one_of_two_consumers(0); }
TEST(asyncio_condition, cancelled_wakeup_relock) { cancels_one_of_two_consumers(1); }

}  // namespace
}  // namespace axle::test
