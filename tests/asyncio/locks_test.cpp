// CPython's test_asyncio/test_locks.py, case by case: Lock and Event. (The others: conditions, semaphores and barriers_test.cpp.)
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include "asyncio_support.hpp"

namespace axle::test {
namespace {

// ---- LockTests: mutex -----------------------------------------------------------------------------------------------

task<> locks(mutex& lock, mutex::guard& into, numbers& log, int number) {
  into = co_await lock.lock();
  log.push_back(number);
}
task<> locks_until(mutex& lock, event* until) {
  const auto held = co_await lock.lock();
  if (until) co_await until->wait();
}

TEST(asyncio_lock, acquire) {
  on_sim([]() -> task<> {
    mutex lock;
    mutex::guard held[4];
    numbers log;
    held[0] = co_await lock.lock();
    const auto t1 = spawn(locks(lock, held[1], log, 1));
    const auto t2 = spawn(locks(lock, held[2], log, 2));
    co_await yield();
    EXPECT_EQ(log, numbers{});

    held[0].unlock();
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    co_await yield();
    EXPECT_EQ(log, numbers{1});

    const auto t3 = spawn(locks(lock, held[3], log, 3));
    held[1].unlock();
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2}));
    held[2].unlock();
    co_await yield();
    EXPECT_EQ(log, (numbers{1, 2, 3}));
    EXPECT_TRUE(t1.done() && t2.done() && t3.done());
  });
}

TEST(asyncio_lock, acquire_cancel) {
  on_sim([]() -> task<> {
    mutex lock;
    mutex::guard never;
    numbers log;
    const auto held = co_await lock.lock();
    const auto waiter = spawn(locks(lock, never, log, 1));
    call_soon([&] { waiter.cancel(); });
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_EQ(lock.statistics().waiting.now, 0U);
    EXPECT_EQ(log, numbers{});
  });
}

// Differs: unlocking hands the lock to C at once, so it is never seen free in between.
TEST(asyncio_lock, cancel_race) {
  on_sim([]() -> task<> {
    mutex lock;
    event fa;
    const auto ta = spawn(locks_until(lock, &fa));
    co_await yield();
    EXPECT_TRUE(lock.locked());
    const auto tb = spawn(locks_until(lock, nullptr));
    co_await yield();
    EXPECT_EQ(lock.statistics().waiting.now, 1U);
    const auto tc = spawn(locks_until(lock, nullptr));
    co_await yield();
    EXPECT_EQ(lock.statistics().waiting.now, 2U);

    fa.set();
    tb.cancel();
    EXPECT_EQ(lock.statistics().waiting.now, 1U);
    co_await yield();
    EXPECT_EQ(lock.statistics().holder, tc.id());
    EXPECT_TRUE(ta.done());
    EXPECT_TRUE(tb.was_cancelled());
    co_await tc;
    EXPECT_FALSE(lock.locked());
  });
}

TEST(asyncio_lock, cancel_release_race) {
  on_sim([]() -> task<> {
    mutex lock;
    mutex::guard held[4];
    numbers log;
    held[0] = co_await lock.lock();
    const auto t1 = spawn(locks(lock, held[1], log, 1));
    const auto t2 = spawn(locks(lock, held[2], log, 2));
    const auto t3 = spawn(locks(lock, held[3], log, 3));
    co_await yield();
    EXPECT_EQ(lock.statistics().waiting.now, 3U);
    call_soon([&] {
      t1.cancel();
      held[0].unlock();
    });
    EXPECT_THROW(co_await t1, cancelled);
    EXPECT_EQ(log, numbers{2}) << "one lock was taken";
    EXPECT_TRUE(t1.was_cancelled());
    EXPECT_TRUE(t2.done());
    t3.cancel();
    co_await yield();
    EXPECT_TRUE(t3.was_cancelled());
  });
}

TEST(asyncio_lock, finished_waiter_cancelled) {
  on_sim([]() -> task<> {
    mutex lock;
    mutex::guard held[3];
    numbers log;
    held[0] = co_await lock.lock();
    const auto tb = spawn(locks(lock, held[1], log, 1));
    co_await yield();
    EXPECT_EQ(lock.statistics().waiting.now, 1U);
    const auto tc = spawn(locks(lock, held[2], log, 2));
    tb.cancel();
    held[0].unlock();
    co_await yield();
    EXPECT_TRUE(lock.locked());
    EXPECT_TRUE(tb.was_cancelled());
    co_await tc;
    EXPECT_EQ(log, numbers{2});
  });
}

// Differs, the other way round: cancelled after the hand-over, the waiter has the lock until its next await.
TEST(asyncio_lock, a_waiter_cancelled_after_the_hand_over_has_the_lock_and_passes_it_on) {
  on_sim([]() -> task<> {
    mutex lock;
    trace log;
    auto body = [&]() -> task<> {
      const auto held = co_await lock.lock();
      log.push_back("entered");
      co_await yield();
      log.push_back("not reached");
    };
    auto held = co_await lock.lock();
    const auto tb = spawn(body());
    const auto tc = spawn(locks_until(lock, nullptr));
    co_await yield();
    held.unlock();
    tb.cancel();
    co_await tc;
    EXPECT_TRUE(tb.was_cancelled());
    EXPECT_EQ(log, trace{"entered"});
    EXPECT_FALSE(lock.locked());
  });
}

// Differs: who holds no guard has nothing to unlock; an empty one is a CHECK.
void unlock_an_empty_guard() {
  mutex::guard none;
  none.unlock();
}
TEST(asyncio_lock_death, release_not_acquired) {
  EXPECT_DEATH(unlock_an_empty_guard(), "this guard holds no mutex");
}

TEST(asyncio_lock, release_no_waiters) {
  on_sim([]() -> task<> {
    mutex lock;
    auto held = co_await lock.lock();
    EXPECT_TRUE(lock.locked());
    held.unlock();
    EXPECT_FALSE(lock.locked());
  });
}

TEST(asyncio_lock, context_manager) {
  on_sim([]() -> task<> {
    mutex lock;
    EXPECT_FALSE(lock.locked());
    {
      const auto held = co_await lock.lock();
      EXPECT_TRUE(lock.locked());
    }
    EXPECT_FALSE(lock.locked());
  });
}

// ---- EventTests: event ----------------------------------------------------------------------------------------------

// The third began to wait last and is told first: it finds the event set in its first turn, which came before theirs.
TEST(asyncio_event, wait) {
  on_sim([]() -> task<> {
    event ev;
    numbers log;
    EXPECT_FALSE(ev.is_set());
    const auto t1 = spawn(passes(ev, log, 1));
    const auto t2 = spawn(passes(ev, log, 2));
    co_await yield();
    EXPECT_EQ(log, numbers{});
    const auto t3 = spawn(passes(ev, log, 3));
    ev.set();
    co_await yield();
    EXPECT_EQ(log, (numbers{3, 1, 2}));
    EXPECT_TRUE(t1.done() && t2.done() && t3.done());
  });
}

TEST(asyncio_event, wait_on_set) {
  on_sim([]() -> task<> {
    event ev;
    ev.set();
    co_await ev.wait();
    EXPECT_EQ(ev.statistics().total, 0U) << "it did not wait";
  });
}

TEST(asyncio_event, wait_cancel) {
  on_sim([]() -> task<> {
    event ev;
    numbers log;
    const auto waiter = spawn(passes(ev, log, 1));
    call_soon([&] { waiter.cancel(); });
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_EQ(ev.statistics().now, 0U);
  });
}

TEST(asyncio_event, clear) {
  on_sim([]() -> task<> {
    event ev;
    EXPECT_FALSE(ev.is_set());
    ev.set();
    EXPECT_TRUE(ev.is_set());
    ev.clear();
    EXPECT_FALSE(ev.is_set());
    co_return;
  });
}

TEST(asyncio_event, clear_with_waiters) {
  on_sim([]() -> task<> {
    event ev;
    numbers log;
    const auto t = spawn(passes(ev, log, 1));
    co_await yield();
    EXPECT_EQ(log, numbers{});
    ev.set();
    ev.clear();
    EXPECT_FALSE(ev.is_set());
    ev.set();
    ev.set();
    EXPECT_EQ(ev.statistics().now, 0U) << "differs: who is woken leaves the list at once";
    co_await yield();
    EXPECT_EQ(log, numbers{1});
    EXPECT_TRUE(t.done());
  });
}

}  // namespace
}  // namespace axle::test
