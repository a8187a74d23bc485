// condition.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- condition ------------------------------------------------------------------------------------------------------

task<> waits_and_holds(monitor& in, std::string name, std::chrono::nanoseconds d) {
  auto held = co_await in.lock.lock();
  co_await in.changed.wait(held);
  in.log.push_back(name);
  co_await sleep(d);
}

// asyncio: test_wait, test_notify.
TEST(condition, notify_wakes_so_many_oldest_first) {
  on_sim([]() -> task<> {
    monitor m;
    for (const char* name : {"a", "b", "c", "d", "e"}) spawn(waits(m, name)).detach();
    co_await rounds(3);
    EXPECT_FALSE(m.lock.locked());
    EXPECT_EQ(m.changed.statistics().now, 5U);
    m.changed.notify();
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"a"}));
    m.changed.notify(0);
    co_await rounds(6);
    EXPECT_EQ(m.log.size(), 1U);
    m.changed.notify(2);
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"a", "b", "c"}));
    m.changed.notify(100);
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"a", "b", "c", "d", "e"}));
    m.changed.notify_all();  // nobody
    m.changed.notify();
    EXPECT_FALSE(m.lock.locked());
    EXPECT_EQ(m.changed.statistics().now, 0U);
  });
}

TEST(condition, a_notification_before_anybody_waits_is_lost) {
  on_sim([]() -> task<> {
    monitor m;
    m.changed.notify(5);
    const auto waiter = spawn(waits(m, "a"));
    co_await rounds(5);
    EXPECT_TRUE(m.log.empty());
    waiter.cancel();
    co_await rounds(3);
  });
}

TEST(condition, those_that_are_notified_get_the_mutex_one_after_the_other) {
  on_sim([]() -> task<> {
    monitor m;
    for (const char* name : {"a", "b", "c"}) spawn(waits_and_holds(m, name, 1ms)).detach();
    co_await rounds(3);
    {
      const auto held = co_await m.lock.lock();
      m.changed.notify_all();
      co_await rounds(3);
      EXPECT_TRUE(m.log.empty()) << "the notifier has the mutex";
      EXPECT_EQ(m.changed.statistics().now, 0U);
      EXPECT_EQ(m.lock.statistics().waiting.now, 3U);
    }
    co_await rounds(3);
    EXPECT_EQ(m.log, (trace{"a"}));
    co_await sleep(1s);
    EXPECT_EQ(m.log, (trace{"a", "b", "c"}));
    EXPECT_FALSE(m.lock.locked());
  });
}

TEST(condition, one_that_was_notified_stands_behind_those_that_wait_for_the_mutex_already) {
  on_sim([]() -> task<> {
    monitor m;
    auto locks = [&]() -> task<> {
      const auto held = co_await m.lock.lock();
      m.log.push_back("locker");
    };
    spawn(waits(m, "waiter")).detach();
    co_await rounds(2);
    {
      const auto held = co_await m.lock.lock();
      spawn(locks()).detach();
      co_await rounds(2);
      m.changed.notify();
    }
    co_await rounds(5);
    EXPECT_EQ(m.log, (trace{"locker", "waiter"}));
  });
}

// asyncio: test_wait_for.
task<> waits_until(monitor& in, int value, std::string name) {
  auto held = co_await in.lock.lock();
  const auto reached = [&in, value] {
    EXPECT_TRUE(in.lock.locked());
    return in.value >= value;
  };
  co_await in.changed.wait(held, reached);
  EXPECT_TRUE(held);
  in.log.push_back(name);
}
TEST(condition, with_a_predicate_goes_on_when_it_holds) {
  on_sim([]() -> task<> {
    monitor m;
    co_await waits_until(m, 0, "at once");
    spawn(waits_until(m, 2, "two")).detach();
    spawn(waits_until(m, 1, "one")).detach();
    co_await rounds(3);
    m.changed.notify_all();
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"at once"}));
    m.value = 1;
    m.changed.notify_all();
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"at once", "one"}));
    m.value = 2;
    m.changed.notify_all();
    co_await rounds(6);
    EXPECT_EQ(m.log, (trace{"at once", "one", "two"}));
  });
}

// asyncio: test_wait_cancel, test_wait_cancel_contested, test_wait_cancel_after_notify.
TEST(condition, one_cancelled_as_it_waits_has_the_mutex_when_it_ends) {
  on_sim([]() -> task<> {
    monitor m;
    bool held_at_end = false;
    struct looks {
      monitor& in;
      bool& held;
      ~looks() { held = in.lock.locked() && in.lock.statistics().holder == current_task().id; }
    };
    auto body = [&]() -> task<> {
      auto held = co_await m.lock.lock();
      const looks at_end{m, held_at_end};
      co_await m.changed.wait(held);
      ADD_FAILURE() << "was cancelled";
    };
    const auto waiter = spawn(body());
    co_await rounds(2);
    {
      const auto held = co_await m.lock.lock();
      waiter.cancel();
      co_await sleep(1s);
      EXPECT_FALSE(waiter.done()) << "it wants the mutex first";
      waiter.cancel();  // again, as it waits for the mutex
      co_await sleep(1s);
      EXPECT_FALSE(waiter.done());
      EXPECT_EQ(m.changed.statistics().now, 0U);
    }
    co_await rounds(3);
    EXPECT_TRUE(waiter.was_cancelled());
    EXPECT_TRUE(held_at_end);
    EXPECT_FALSE(m.lock.locked());
  });
}

// asyncio gh-112202: a notification must not be lost with the one that was to have it.
TEST(condition, a_notification_is_not_lost_when_the_one_notified_is_cancelled_as_it_waits_for_the_mutex) {
  on_sim([]() -> task<> {
    monitor m;
    const auto a = spawn(waits_and_holds(m, "a", 1ms));
    const auto b = spawn(waits_and_holds(m, "b", 1ms));
    co_await rounds(3);
    {
      const auto held = co_await m.lock.lock();
      m.changed.notify();
      a.cancel();
      co_await rounds(3);
      a.cancel();
      EXPECT_FALSE(a.done());
    }
    co_await sleep(1s);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_EQ(m.log.size(), 1U) << "either the one, who then ends, or the other";
    b.cancel();
    co_await rounds(5);
    EXPECT_FALSE(m.lock.locked());
  });
}

TEST(condition, a_notification_goes_to_the_next_when_the_first_was_cancelled_before) {
  on_sim([]() -> task<> {
    monitor m;
    const auto a = spawn(waits(m, "a"));
    const auto b = spawn(waits(m, "b"));
    co_await rounds(3);
    const auto held = co_await m.lock.lock();
    a.cancel();
    m.changed.notify();
    auto releases = [](mutex::guard) -> task<> { co_return; };
    auto& given = const_cast<mutex::guard&>(held);
    co_await releases(std::move(given));
    co_await rounds(5);
    EXPECT_EQ(m.log, (trace{"b"}));
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_TRUE(b.done());
  });
}

TEST(condition, one_that_wants_the_mutex_to_end_stands_in_line_for_it) {
  on_sim([]() -> task<> {
    monitor m;
    const auto a = spawn(waits(m, "a"));
    co_await rounds(2);
    auto held = co_await m.lock.lock();
    bool first_had_ended = false;
    auto locks = [&]() -> task<> {
      const auto mine = co_await m.lock.lock();
      first_had_ended = a.done();
      co_await sleep(1ms);
    };
    auto before = [&]() -> task<> {
      const auto mine = co_await m.lock.lock();
      EXPECT_FALSE(a.done());
    };
    spawn(before()).detach();
    co_await rounds(2);
    a.cancel();
    spawn(locks()).detach();
    co_await rounds(2);
    held.unlock();
    co_await sleep(1s);
    EXPECT_TRUE(first_had_ended);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_TRUE(m.log.empty());
    EXPECT_FALSE(m.lock.locked());
  });
}

TEST(condition, one_notified_when_it_times_out_is_either_and_the_notification_is_not_lost) {
  for (const auto early : {-1ns, 0ns, 1ns}) {
    auto main = [&]() -> task<> {
      monitor m;
      auto limited = [&]() -> task<> {
        const auto r = co_await with_timeout(1ms, waits(m, "limited"));
        static_cast<void>(r);
      };
      const auto due = clock::now() + 1ms;
      const auto a = spawn(limited());
      const auto b = spawn(waits(m, "other"));
      co_await rounds(3);
      co_await sleep_until(due + early);
      m.changed.notify();
      co_await sleep(1s);
      EXPECT_TRUE(a.done());
      EXPECT_EQ(m.log.size(), 1U) << "one was notified, one had it";
      b.cancel();
      co_await rounds(3);
    };
    on_sim(main);
  }
}

TEST(condition, one_cancelled_before_it_waits_keeps_the_mutex_and_unlocks_it) {
  on_sim([]() -> task<> {
    monitor m;
    auto body = [&]() -> task<> {
      auto held = co_await m.lock.lock();
      co_await shield(sleeps(1ms));
      co_await m.changed.wait(held);
      ADD_FAILURE() << "was cancelled";
    };
    const auto waiter = spawn(body());
    co_await rounds(2);
    waiter.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(waiter.was_cancelled());
    EXPECT_FALSE(m.lock.locked());
    EXPECT_EQ(m.changed.statistics().total, 0U);
  });
}

TEST(condition, a_wait_that_times_out_returns_with_the_mutex) {
  on_sim([]() -> task<> {
    monitor m;
    auto held = co_await m.lock.lock();
    auto wait = [&]() -> task<> { co_await m.changed.wait(held); };
    EXPECT_FALSE(co_await with_timeout(1ms, wait()));
    EXPECT_TRUE(held);
    EXPECT_TRUE(m.lock.locked());
    const auto other = spawn(waits(m, "other"));
    co_await rounds(3);
    EXPECT_EQ(m.lock.statistics().waiting.now, 1U);
    held.unlock();
    co_await rounds(3);
    m.changed.notify();
    co_await rounds(3);
    EXPECT_EQ(m.log, (trace{"other"}));
  });
}

// After a wait in a child the mutex is the parent's again: it may wait in a second child, or for itself.
TEST(condition, may_be_waited_for_in_children_of_the_one_that_holds_the_mutex) {
  on_sim([]() -> task<> {
    monitor m;
    auto held = co_await m.lock.lock();
    auto wait = [&]() -> task<> { co_await m.changed.wait(held); };
    for (int i = 0; i < 3; ++i) {
      const auto notifies = [&] { m.changed.notify(); };
      call_later(1ms, notifies);
      EXPECT_TRUE(co_await with_timeout(1s, wait()));
      EXPECT_TRUE(m.lock.locked());
    }
    const auto notifies = [&] { m.changed.notify(); };
    call_later(1ms, notifies);
    co_await m.changed.wait(held);
    EXPECT_TRUE(m.lock.locked());
    held.unlock();
    EXPECT_FALSE(m.lock.locked());
  });
}

TEST(condition, may_serve_two_mutexes) {
  on_sim([]() -> task<> {
    mutex one, two;
    condition c;
    trace log;
    auto body = [&](mutex& of, std::string name) -> task<> {
      auto held = co_await of.lock();
      co_await c.wait(held);
      log.push_back(name);
    };
    spawn(body(one, "one")).detach();
    spawn(body(two, "two")).detach();
    co_await rounds(3);
    const auto held = co_await one.lock();
    c.notify_all();
    co_await rounds(3);
    EXPECT_EQ(log, (trace{"two"}));
    auto& given = const_cast<mutex::guard&>(held);
    given.unlock();
    co_await rounds(3);
    EXPECT_EQ(log, (trace{"two", "one"}));
  });
}

// A bounded buffer by monitor, its tasks cancelled at random: what is put is got or left, and the mutex is free.
TEST(condition, keeps_a_monitor_whole_when_tasks_are_cancelled_at_random) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::mt19937_64 random(seed);
    std::size_t put = 0, got = 0, full = 0;
    auto main = [&]() -> task<> {
      mutex lock;
      condition has_items, has_room;
      constexpr std::size_t bound = 3;
      auto puts = [&]() -> task<> {
        for (int i = 0; i < 5; ++i) {
          auto held = co_await lock.lock();
          const auto room = [&] { return full < bound; };
          co_await has_room.wait(held, room);
          ++full;
          ++put;
          has_items.notify_all();
          if (random() % 2) co_await yield();
        }
      };
      auto gets = [&]() -> task<> {
        for (int i = 0; i < 5; ++i) {
          auto held = co_await lock.lock();
          const auto some = [&] { return full > 0; };
          co_await has_items.wait(held, some);
          --full;
          ++got;
          EXPECT_LT(full, bound);
          has_room.notify_all();
          if (random() % 2) co_await yield();
        }
      };
      auto limited = [&](task<> work) -> task<> {
        static_cast<void>(co_await with_timeout(std::chrono::microseconds(random() % 100), std::move(work)));
      };
      std::vector<join_handle<>> all;
      for (int i = 0; i < 1500; ++i) {
        auto work = random() % 2 ? puts() : gets();
        all.push_back(random() % 3 ? spawn(std::move(work)) : spawn(limited(std::move(work))));
        if (random() % 3 == 0) all[random() % all.size()].cancel();
        if (random() % 3 == 0) co_await sleep(std::chrono::microseconds(random() % 20));
      }
      co_await sleep(1s);
      EXPECT_FALSE(lock.locked());
      EXPECT_TRUE(has_items.statistics().now == 0 || full == 0);
      EXPECT_TRUE(has_room.statistics().now == 0 || full == bound);
      for (auto& one : all) one.cancel();
      co_await sleep(1s);
      for (auto& one : all) EXPECT_TRUE(one.done());
      EXPECT_FALSE(lock.locked());
      EXPECT_EQ(put, got + full);
      EXPECT_GT(got, 100U);
    };
    on_sim(main);
  }
}

}  // namespace
}  // namespace axle::test
