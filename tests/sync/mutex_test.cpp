// mutex, shared_mutex: exclusion, order, cancelled waiters, readers and writers, misuse.
#include <algorithm>
#include <random>

#include "../support.hpp"

namespace axle::test {
namespace {

task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}
task<> holds(mutex& of, std::chrono::nanoseconds d, trace& log, std::string name) {
  const auto held = co_await of.lock();
  EXPECT_TRUE(held);
  log.push_back(std::move(name));
  co_await sleep(d);
}

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

// ---- shared_mutex ---------------------------------------------------------------------------------------------------

task<> writes(shared_mutex& of, std::chrono::nanoseconds d, trace& log, std::string name) {
  const auto held = co_await of.lock();
  EXPECT_TRUE(held.is_exclusive());
  log.push_back(std::move(name));
  co_await sleep(d);
}
task<> reads(shared_mutex& of, std::chrono::nanoseconds d, trace& log, std::string name) {
  const auto held = co_await of.lock_shared();
  EXPECT_FALSE(held.is_exclusive());
  log.push_back(std::move(name));
  co_await sleep(d);
}

TEST(shared_mutex, has_many_readers_or_one_writer) {
  on_sim([]() -> task<> {
    shared_mutex m;
    {
      const auto a = co_await m.lock_shared();
      const auto b = m.try_lock_shared();
      EXPECT_TRUE(a);
      EXPECT_TRUE(b);
      EXPECT_EQ(m.statistics().readers, 2U);
      EXPECT_FALSE(m.try_lock());
    }
    {
      auto w = co_await m.lock();
      EXPECT_TRUE(m.statistics().writing);
      EXPECT_FALSE(m.try_lock());
      EXPECT_FALSE(m.try_lock_shared());
      w.unlock();
      EXPECT_FALSE(w);
    }
    EXPECT_FALSE(m.statistics().writing);
    EXPECT_EQ(m.statistics().readers, 0U);
    EXPECT_EQ(m.statistics().waiting.total, 0U);
  });
}

TEST(shared_mutex, guards_move_with_what_they_hold) {
  on_sim([]() -> task<> {
    shared_mutex m;
    auto r = co_await m.lock_shared();
    auto moved = std::move(r);
    EXPECT_FALSE(r);  // NOLINT: moved from on purpose
    moved.unlock();
    auto w = co_await m.lock();
    EXPECT_TRUE(m.statistics().writing);
    moved = std::move(w);
    EXPECT_TRUE(moved.is_exclusive());
    moved = shared_mutex::guard();
    EXPECT_FALSE(m.statistics().writing);
  });
}

TEST(shared_mutex, a_reader_stands_behind_a_waiting_writer_and_readers_go_in_together) {
  on_sim([]() -> task<> {
    shared_mutex m;
    trace log;
    spawn(reads(m, 1ms, log, "r0")).detach();
    co_await yield();
    spawn(writes(m, 1ms, log, "w1")).detach();
    spawn(reads(m, 1ms, log, "r2")).detach();
    spawn(reads(m, 5ms, log, "r3")).detach();
    spawn(writes(m, 1ms, log, "w4")).detach();
    spawn(reads(m, 1ms, log, "r5")).detach();
    co_await yield();
    EXPECT_EQ(log, (trace{"r0"}));
    EXPECT_FALSE(m.try_lock_shared()) << "a writer waits";
    EXPECT_EQ(m.statistics().waiting.now, 5U);
    co_await sleep(2500us);
    EXPECT_EQ(log, (trace{"r0", "w1", "r2", "r3"}));
    EXPECT_EQ(m.statistics().readers, 2U);
    co_await sleep(2ms);
    EXPECT_EQ(log.size(), 4U) << "w4 waits for r3";
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"r0", "w1", "r2", "r3", "w4", "r5"}));
    EXPECT_EQ(m.statistics().readers, 0U);
  });
}

TEST(shared_mutex, when_a_waiting_writer_is_cancelled_the_readers_behind_it_go_in) {
  on_sim([]() -> task<> {
    shared_mutex m;
    trace log;
    spawn(reads(m, 1h, log, "r0")).detach();
    co_await yield();
    const auto writer = spawn(writes(m, 1ms, log, "w1"));
    spawn(reads(m, 1h, log, "r2")).detach();
    spawn(reads(m, 1h, log, "r3")).detach();
    const auto last = spawn(writes(m, 1ms, log, "w4"));
    co_await yield();
    writer.cancel();
    co_await rounds(2);
    EXPECT_TRUE(writer.was_cancelled());
    EXPECT_EQ(log, (trace{"r0", "r2", "r3"}));
    EXPECT_EQ(m.statistics().readers, 3U);
    EXPECT_EQ(m.statistics().waiting.now, 1U);
    co_await sleep(2h);
    EXPECT_EQ(log.back(), "w4");
    EXPECT_TRUE(last.done());
  });
}

TEST(shared_mutex, a_cancelled_reader_between_writers_changes_nothing_for_them) {
  on_sim([]() -> task<> {
    shared_mutex m;
    trace log;
    spawn(writes(m, 1ms, log, "w0")).detach();
    co_await yield();
    const auto reader = spawn(reads(m, 1ms, log, "r1"));
    spawn(writes(m, 1ms, log, "w2")).detach();
    co_await yield();
    reader.cancel();
    co_await rounds(2);
    EXPECT_EQ(log, (trace{"w0"})) << "a writer is in it";
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"w0", "w2"}));
  });
}

TEST(shared_mutex, one_let_in_and_cancelled_in_the_same_turn_lets_the_next_in) {
  on_sim([]() -> task<> {
    shared_mutex m;
    trace log;
    auto held = co_await m.lock();
    const auto a = spawn(writes(m, 1h, log, "w"));
    const auto b = spawn(reads(m, 1h, log, "r"));
    co_await yield();
    held.unlock();
    a.cancel();
    co_await rounds(4);
    EXPECT_EQ(log, (trace{"w", "r"}));
    EXPECT_EQ(m.statistics().readers, 1U);
    b.cancel();
    co_await rounds(4);
    EXPECT_EQ(m.statistics().readers, 0U);
  });
}

TEST(shared_mutex, never_lets_a_writer_in_with_others_when_tasks_are_cancelled_at_random) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::mt19937_64 random(seed);
    int readers = 0, writers = 0, most_readers = 0;
    std::size_t passed = 0;
    auto main = [&]() -> task<> {
      shared_mutex m;
      auto passes = [&](bool write) -> task<> {
        auto held = write ? m.lock() : m.lock_shared();
        const auto guard = co_await held;
        const counted here(write ? writers : readers);
        EXPECT_TRUE(writers == 0 || (writers == 1 && readers == 0));
        most_readers = std::max(most_readers, readers);
        ++passed;
        if (random() % 2) co_await yield();
        if (random() % 2) co_await sleep(std::chrono::microseconds(random() % 10));
      };
      auto limited = [&](bool write) -> task<> {
        static_cast<void>(co_await with_timeout(std::chrono::microseconds(random() % 50), passes(write)));
      };
      std::vector<join_handle<>> all;
      for (int i = 0; i < 3000; ++i) {
        const bool write = random() % 3 == 0;
        all.push_back(spawn(random() % 2 ? passes(write) : limited(write)));
        if (random() % 3 == 0) all[random() % all.size()].cancel();
        if (random() % 3 == 0) co_await sleep(std::chrono::microseconds(random() % 20));
      }
      co_await sleep(1h);
      for (auto& one : all) EXPECT_TRUE(one.done());
      EXPECT_FALSE(m.statistics().writing);
      EXPECT_EQ(m.statistics().readers, 0U);
      EXPECT_EQ(m.statistics().waiting.now, 0U);
    };
    on_sim(main);
    EXPECT_GT(most_readers, 1);
    EXPECT_GT(passed, 500U);
  }
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

template <class F>
void in_a_task(F f) {
  auto main = [&]() -> task<> { co_await f(); };
  on_sim(main);
}
task<> locks_twice() {
  mutex m;
  const auto one = co_await m.lock();
  const auto two = co_await m.lock();
}
task<> locks_what_it_tried() {
  mutex m;
  const auto one = m.try_lock();
  const auto two = co_await m.lock();
}
task<> locks_what_it_was_handed() {
  mutex m;
  trace log;
  auto waits = [&]() -> task<> {
    const auto one = co_await m.lock();
    const auto two = co_await m.lock();
  };
  auto held = co_await m.lock();
  spawn(waits()).detach();
  co_await yield();
  held.unlock();
  co_await sleep(1s);
}
task<> unlocks_twice() {
  mutex m;
  auto one = co_await m.lock();
  one.unlock();
  one.unlock();
}
task<> unlocks_what_moved() {
  mutex m;
  auto one = co_await m.lock();
  const auto two = std::move(one);
  one.unlock();  // NOLINT: moved from on purpose
}
task<> unlocks_what_it_did_not_get() {
  mutex m;
  const auto one = co_await m.lock();
  auto two = m.try_lock();
  two.unlock();
}
task<> destroys_with_waiters() {
  trace log;
  auto m = std::make_unique<mutex>();
  const auto held = co_await m->lock();
  spawn(holds(*m, 1s, log, "")).detach();
  co_await yield();
  m.reset();
}
task<> destroys_shared_with_waiters() {
  trace log;
  auto m = std::make_unique<shared_mutex>();
  const auto held = co_await m->lock();
  spawn(reads(*m, 1s, log, "")).detach();
  co_await yield();
  m.reset();
}
task<> unlocks_shared_twice() {
  shared_mutex m;
  auto one = co_await m.lock_shared();
  one.unlock();
  one.unlock();
}
TEST(mutex_death, misuse) {
  EXPECT_DEATH(in_a_task(locks_twice), "holds this mutex already");
  EXPECT_DEATH(in_a_task(locks_what_it_tried), "holds this mutex already");
  EXPECT_DEATH(in_a_task(locks_what_it_was_handed), "holds this mutex already");
  EXPECT_DEATH(in_a_task(unlocks_twice), "this guard holds no mutex");
  EXPECT_DEATH(in_a_task(unlocks_what_moved), "this guard holds no mutex");
  EXPECT_DEATH(in_a_task(unlocks_what_it_did_not_get), "this guard holds no mutex");
  EXPECT_DEATH(in_a_task(destroys_with_waiters), "a mutex was destroyed while 1 tasks wait");
}
TEST(shared_mutex_death, misuse) {
  EXPECT_DEATH(in_a_task(unlocks_shared_twice), "this guard holds no mutex");
  EXPECT_DEATH(in_a_task(destroys_shared_with_waiters), "a shared_mutex was destroyed while 1 tasks wait");
}

template <class Mutex>
void used_on_another_core(task<> (*use)(Mutex&)) {
  auto main = [&]() -> task<> {
    Mutex m;
    const auto here = m.try_lock();
    auto far = [&]() -> task<> { co_await use(m); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
template <class Mutex>
task<> far_lock(Mutex& m) {
  const auto held = co_await m.lock();
}
template <class Mutex>
task<> far_try(Mutex& m) {
  const auto held = m.try_lock();
  co_return;
}
task<> far_lock_shared(shared_mutex& m) { const auto held = co_await m.lock_shared(); }
task<> far_try_shared(shared_mutex& m) {
  const auto held = m.try_lock_shared();
  co_return;
}
void unlocked_on_another_core() {
  auto main = []() -> task<> {
    mutex m;
    auto held = m.try_lock();
    auto unlocks = [&] { held.unlock(); };
    co_await on(1, unlocks);
  };
  run({.cores = 2}, main);
}
TEST(mutex_death, used_on_another_core) {
  const char* const both = "mutex.*core 0.*core 1";
  EXPECT_DEATH(used_on_another_core<mutex>(far_lock<mutex>), both);
  EXPECT_DEATH(used_on_another_core<mutex>(far_try<mutex>), both);
  EXPECT_DEATH(unlocked_on_another_core(), both);
}
TEST(shared_mutex_death, used_on_another_core) {
  const char* const both = "shared_mutex.*core 0.*core 1";
  EXPECT_DEATH(used_on_another_core<shared_mutex>(far_lock<shared_mutex>), both);
  EXPECT_DEATH(used_on_another_core<shared_mutex>(far_try<shared_mutex>), both);
  EXPECT_DEATH(used_on_another_core<shared_mutex>(far_lock_shared), both);
  EXPECT_DEATH(used_on_another_core<shared_mutex>(far_try_shared), both);
}

}  // namespace
}  // namespace axle::test
