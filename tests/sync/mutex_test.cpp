// mutex: order, hand-over, cancels, other cores.
#include <algorithm>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

TEST(mutex, is_locked_while_a_guard_holds_it) {
  on_sim([]() -> task<> {
    mutex m;
    EXPECT_FALSE(m.locked());
    {
      const auto held = co_await m.lock();
      EXPECT_TRUE(held);
      EXPECT_TRUE(m.locked());
      EXPECT_EQ(m.statistics().holder, current_task().id);
      EXPECT_FALSE(m.try_lock());
    }
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(m.statistics().holder, 0U);
    auto held = m.try_lock();
    EXPECT_TRUE(held);
    held.unlock();
    EXPECT_FALSE(held);
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(m.statistics().waiting.total, 0U);
  });
}

TEST(mutex, guards_move_and_unlock_once) {
  on_sim([]() -> task<> {
    mutex one, two;
    auto a = co_await one.lock();
    auto b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT: moved from on purpose
    EXPECT_TRUE(one.locked());
    auto c = co_await two.lock();
    c = std::move(b);
    EXPECT_FALSE(two.locked());
    EXPECT_TRUE(one.locked());
    auto& same = c;
    c = std::move(same);
    EXPECT_TRUE(c);
    c = mutex::guard();
    EXPECT_FALSE(one.locked());
  });
}

// asyncio: test_acquire.
TEST(mutex, is_handed_over_in_the_order_asked) {
  on_sim([]() -> task<> {
    mutex m;
    trace log;
    for (int i = 0; i < 10; ++i) spawn(holds(m, 1ms, log, std::to_string(i))).detach();
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
    EXPECT_EQ(m.statistics().waiting.total, 9U);
    EXPECT_EQ(m.statistics().waiting.most, 9U);
    EXPECT_EQ(m.statistics().waiting.now, 0U);
    EXPECT_FALSE(m.locked());
  });
}

// asyncio: test_acquire_fifo_order, bpo-32734.
TEST(mutex, nobody_can_take_it_between_unlocking_and_the_waiters_turn) {
  on_sim([]() -> task<> {
    mutex m;
    trace log;
    auto held = co_await m.lock();
    const auto waiter = spawn(holds(m, 1ms, log, "first"));
    co_await yield();
    held.unlock();
    EXPECT_TRUE(m.locked());
    EXPECT_EQ(m.statistics().holder, waiter.id()) << "it is the waiter's already";
    EXPECT_FALSE(m.try_lock());
    co_await holds(m, 1ms, log, "late");
    EXPECT_EQ(log, (trace{"first", "late"}));
  });
}

// asyncio: test_acquire_cancel, test_cancel_race, test_cancel_release_race, test_finished_waiter_cancelled.
TEST(mutex, a_cancelled_waiter_does_not_hold_up_those_behind_it) {
  on_sim([]() -> task<> {
    mutex m;
    trace log;
    auto held = co_await m.lock();
    std::vector<join_handle<>> all;
    for (const char* name : {"a", "b", "c", "d"}) all.push_back(spawn(holds(m, 1ms, log, name)));
    co_await yield();
    all[0].cancel();
    all[2].cancel();
    held.unlock();
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"b", "d"}));
    EXPECT_FALSE(m.locked());
  });
}

TEST(mutex, one_who_was_handed_it_and_cancelled_in_the_same_turn_unlocks_it) {
  on_sim([]() -> task<> {
    mutex m;
    trace log;
    auto held = co_await m.lock();
    const auto a = spawn(holds(m, 1h, log, "a"));
    const auto b = spawn(holds(m, 1h, log, "b"));
    const auto c = spawn(holds(m, 1h, log, "c"));
    co_await yield();
    held.unlock();
    a.cancel();
    b.cancel();
    co_await rounds(4);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_TRUE(b.was_cancelled());
    EXPECT_EQ(log, (trace{"a", "c"}));
    c.cancel();
    co_await rounds(4);
    EXPECT_FALSE(m.locked());
  });
}

task<mutex::guard> locked(mutex& m) { co_return co_await m.lock(); }

TEST(mutex, its_guard_may_be_a_tasks_value) {
  on_sim([]() -> task<> {
    mutex m;
    {
      const auto held = co_await locked(m);
      EXPECT_TRUE(m.locked());
    }
    EXPECT_FALSE(m.locked());
    {
      const auto held = co_await with_timeout(1s, locked(m));
      EXPECT_TRUE(held.has_value());
      EXPECT_TRUE(m.locked());
      const auto late = co_await with_timeout(1s, locked(m));
      EXPECT_FALSE(late);
    }
    EXPECT_FALSE(m.locked());
    {
      auto running = spawn(locked(m));
      co_await rounds(2);
      EXPECT_TRUE(m.locked()) << "the value is not joined yet";
      running.detach();
      co_await rounds(2);
    }
    EXPECT_FALSE(m.locked()) << "nobody will have it any more";
  });
}

task<> keeps(mutex::guard held, std::chrono::nanoseconds d) {
  co_await sleep(d);
  held.unlock();
}

// The guard is movable: a task may lock, give the guard to another, and ask for the mutex again.
int locks_again_what_it_gave_away() {
  bool had = false;
  auto main = [&]() -> task<> {
    mutex m;
    auto held = co_await m.lock();
    spawn(keeps(std::move(held), 1ms)).detach();
    const auto again = co_await m.lock();
    had = static_cast<bool>(again);
  };
  on_sim(main);
  return had ? 0 : 1;
}
TEST(mutex, may_be_awaited_by_one_who_gave_its_guard_to_another_task) {
  std::string said;
  EXPECT_EQ(in_child(locks_again_what_it_gave_away, 20, &said), 0) << said;
}

// The wait is not by the holder, although it was the holder's child that locked.
int child_waits_for_what_it_gave_to_its_parent() {
  bool had = false;
  auto main = [&]() -> task<> {
    mutex m;
    auto gives = [&]() -> task<> {
      mutex::guard held;
      auto takes = [&]() -> task<> {
        held = co_await m.lock();
        co_await yield();
        const auto frees = [&] { held.unlock(); };
        call_later(1ms, frees);
        const auto again = co_await m.lock();
        had = true;
      };
      co_await gather(takes(), sleeps(1s));
    };
    co_await gives();
  };
  on_sim(main);
  return had ? 0 : 1;
}
TEST(mutex, may_be_awaited_by_its_holder_if_a_callback_frees_it_or_says_so) {
  std::string said;
  const int status = in_child(child_waits_for_what_it_gave_to_its_parent, 20, &said);
  EXPECT_TRUE(status == 0 || said.find("holds this mutex already") != std::string::npos) << said;
}

TEST(mutex, may_be_tried_by_a_callback) {
  on_sim([]() -> task<> {
    mutex m;
    trace log;
    mutex::guard held;
    const auto tries = [&] { held = m.try_lock(); };
    call_soon(tries);
    co_await rounds(2);
    EXPECT_TRUE(held);
    spawn(holds(m, 1ms, log, "a")).detach();
    co_await rounds(2);
    EXPECT_TRUE(log.empty());
    const auto frees = [&] { held.unlock(); };
    call_soon(frees);
    co_await rounds(4);
    EXPECT_EQ(log, (trace{"a"}));
    co_await sleep(1s);
  });
}

TEST(mutex, is_locked_a_million_times_by_many_tasks_one_at_a_time) {
  const std::size_t each = scaled(100'000);
  auto main = [&]() -> task<> {
    mutex m;
    int inside = 0, most = 0;
    std::size_t passed = 0;
    auto passes = [&]() -> task<> {
      for (std::size_t i = 0; i < each; ++i) {
        const auto held = co_await m.lock();
        const counted here(inside);
        most = std::max(most, inside);
        ++passed;
        if (i % 8 == 0) co_await yield();
      }
    };
    std::vector<task<>> all;
    for (int i = 0; i < 10; ++i) all.push_back(passes());
    co_await gather(std::move(all));
    EXPECT_EQ(passed, 10 * each);
    EXPECT_EQ(most, 1);
    EXPECT_FALSE(m.locked());
  };
  on_sim(main);
}

TEST(mutex, is_never_lost_when_tasks_are_cancelled_at_random) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::mt19937_64 random(seed);
    int inside = 0;
    std::size_t passed = 0;
    auto main = [&]() -> task<> {
      mutex m;
      auto passes = [&]() -> task<> {
        for (int i = 0; i < 5; ++i) {
          const auto held = co_await m.lock();
          const counted here(inside);
          EXPECT_EQ(inside, 1);
          ++passed;
          if (random() % 2) co_await yield();
          if (random() % 2) co_await sleep(std::chrono::microseconds(random() % 10));
        }
      };
      auto limited = [&]() -> task<> {
        static_cast<void>(co_await with_timeout(std::chrono::microseconds(random() % 50), passes()));
      };
      std::vector<join_handle<>> all;
      for (int i = 0; i < 2000; ++i) {
        all.push_back(spawn(random() % 2 ? passes() : limited()));
        if (random() % 2) all[random() % all.size()].cancel();
        if (random() % 3 == 0) co_await sleep(std::chrono::microseconds(random() % 20));
      }
      co_await sleep(1h);
      for (auto& one : all) EXPECT_TRUE(one.done());
      EXPECT_FALSE(m.locked());
      EXPECT_EQ(m.statistics().waiting.now, 0U);
    };
    on_sim(main);
    EXPECT_EQ(inside, 0);
    EXPECT_GT(passed, 100U);
  }
}

TEST(mutex, may_be_used_in_one_run_after_another) {
  mutex m;
  trace log;
  auto first = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) spawn(holds(m, 1h, log, "first")).detach();
    co_await yield();
  };
  auto second = [&]() -> task<> {
    EXPECT_FALSE(m.locked());
    co_await gather(holds(m, 1ms, log, "a"), holds(m, 1ms, log, "b"));
  };
  on_sim(first);
  EXPECT_EQ(m.statistics().waiting.now, 0U);
  on_sim(second);
  // The main task ends while the first holds it; the others are ended as they wait, or are handed it and end then.
  EXPECT_EQ(log.front(), "first");
  EXPECT_EQ(trace(log.end() - 2, log.end()), (trace{"a", "b"}));
}

TEST(mutex, one_that_loses_a_race_but_was_handed_it_gives_it_back) {
  on_sim([]() -> task<> {
    mutex m, n;
    auto first = co_await m.lock();
    auto second = co_await n.lock();
    const auto unlocks = [&] {
      first.unlock();
      second.unlock();
    };
    call_later(1ms, unlocks);
    {
      const auto won = co_await first_of(locked(m), locked(n));
      EXPECT_EQ(won.index, 0U);
      EXPECT_TRUE(m.locked());
      EXPECT_FALSE(n.locked());
    }
    EXPECT_FALSE(m.locked());
    EXPECT_FALSE(n.locked());
    EXPECT_EQ(m.statistics().waiting.now + n.statistics().waiting.now, 0U);
  });
}

task<> in_shield(task<> work) { co_await shield(std::move(work)); }

task<> keeps_in_shield(mutex::guard held) {
  co_await shield(sleeps(1000h));
  held.unlock();
}

// At a run's end shields are pierced when the drain is over.
int ends_with_one_that_waits_in_a_shield(bool holder_is_a_task) {
  mutex m;
  trace log;
  mutex::guard kept;
  auto main = [&]() -> task<> {
    kept = co_await m.lock();
    spawn(in_shield(holds(m, 1ms, log, "shielded"))).detach();
    if (holder_is_a_task) spawn(keeps_in_shield(std::move(kept))).detach();
    co_await rounds(3);
    EXPECT_EQ(m.statistics().waiting.now, 1U);
  };
  on_sim(main);
  const auto left = m.statistics();
  if (kept) {
    auto frees = [&]() -> task<> {
      kept.unlock();
      co_return;
    };
    on_sim(frees);
  }
  return left.waiting.now == 0 && m.locked() == false && log.empty() ? 0 : 1;
}
TEST(mutex, one_that_waits_in_a_shield_for_ever_is_ended_with_the_run) {
  std::string said;
  const auto without = [] { return ends_with_one_that_waits_in_a_shield(false); };
  EXPECT_EQ(in_child(without, 20, &said), 0) << said;
}
TEST(mutex, one_that_waits_in_a_shield_for_a_shielded_holder_is_ended_with_the_run) {
  std::string said;
  const auto with = [] { return ends_with_one_that_waits_in_a_shield(true); };
  EXPECT_EQ(in_child(with, 20, &said), 0) << said;
}

// The cancel is a message to the waiter's core. Needs two cores.
TEST(mutex, a_waiter_may_be_cancelled_from_another_core) {
  auto main = []() -> task<> {
    mutex m;
    trace log;
    auto held = co_await m.lock();
    for (int i = 0; i < 100; ++i) {
      const auto waiter = spawn(holds(m, 0ms, log, "cut"));
      co_await yield();
      const auto cancels = [&] { waiter.cancel(); };
      co_await on(1, cancels);
      const auto became = co_await waiter.outcome();
      EXPECT_TRUE(became.is_cancelled());
    }
    EXPECT_EQ(m.statistics().waiting.now, 0U);
    held.unlock();
    EXPECT_FALSE(m.locked());
    EXPECT_TRUE(log.empty());
  };
  run({.cores = 2}, main);
}

// It belongs to the first core that uses it in a run, which may be another in the next. Needs two cores.
TEST(mutex, may_belong_to_another_core_in_the_next_run) {
  mutex m;
  trace log;
  for (const unsigned core : {0U, 1U, 0U}) {
    auto uses = [&]() -> task<> { co_await gather(holds(m, 1us, log, "a"), holds(m, 1us, log, "b")); };
    auto main = [&]() -> task<> { co_await on(core, uses); };
    run({.cores = 2}, main);
  }
  EXPECT_EQ(log, (trace{"a", "b", "a", "b", "a", "b"}));
}

}  // namespace
}  // namespace axle::test
