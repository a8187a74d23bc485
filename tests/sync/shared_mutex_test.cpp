// shared_mutex; and misuse of both mutexes.
#include <algorithm>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

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
