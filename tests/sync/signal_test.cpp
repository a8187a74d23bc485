// event, condition, barrier, latch, once, once_value: who is woken, in which order, and what a cancel leaves behind.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "../support.hpp"

namespace axle::test {
namespace {

task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

// ---- event ----------------------------------------------------------------------------------------------------------

task<> waits(event& of, trace& log, std::string name) {
  co_await of.wait();
  log.push_back(std::move(name));
}

// asyncio: test_wait, test_wait_on_set, test_clear.
TEST(event, wakes_all_that_wait_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    event e;
    trace log;
    EXPECT_FALSE(e.is_set());
    for (const char* name : {"a", "b", "c"}) spawn(waits(e, log, name)).detach();
    co_await yield();
    EXPECT_TRUE(log.empty());
    EXPECT_EQ(e.statistics().now, 3U);
    e.set();
    EXPECT_TRUE(e.is_set());
    EXPECT_EQ(e.statistics().now, 0U);
    co_await yield();
    EXPECT_EQ(log, (trace{"a", "b", "c"}));
    co_await e.wait();
    e.set();
    e.clear();
    EXPECT_FALSE(e.is_set());
    EXPECT_EQ(e.statistics().total, 3U);
    EXPECT_EQ(e.statistics().most, 3U);
  });
}

// asyncio: test_clear_with_waiters.
TEST(event, one_that_was_woken_goes_on_though_the_event_is_cleared_at_once) {
  on_sim([]() -> task<> {
    event e;
    trace log;
    spawn(waits(e, log, "a")).detach();
    co_await yield();
    e.set();
    e.clear();
    spawn(waits(e, log, "b")).detach();
    co_await rounds(3);
    EXPECT_EQ(log, (trace{"a"}));
    EXPECT_EQ(e.statistics().now, 1U);
    e.set();
    co_await rounds(2);
    EXPECT_EQ(log, (trace{"a", "b"}));
  });
}

TEST(event, one_that_waits_again_at_once_is_not_woken_twice) {
  on_sim([]() -> task<> {
    event e;
    int times = 0;
    auto again = [&]() -> task<> {
      for (;;) {
        co_await e.wait();
        e.clear();
        ++times;
      }
    };
    const auto running = spawn(again());
    co_await yield();
    e.set();
    co_await rounds(5);
    EXPECT_EQ(times, 1);
    running.cancel();
    co_await rounds(2);
  });
}

TEST(event, may_be_destroyed_when_it_has_been_set) {
  on_sim([]() -> task<> {
    auto e = std::make_unique<event>();
    trace log;
    spawn(waits(*e, log, "a")).detach();
    co_await yield();
    e->set();
    e.reset();
    co_await yield();
    EXPECT_EQ(log, (trace{"a"}));
  });
}

TEST(event, may_be_set_by_a_callback) {
  on_sim([]() -> task<> {
    event e;
    const auto sets = [&] { e.set(); };
    call_later(1h, sets);
    const auto before = clock::now();
    co_await e.wait();
    EXPECT_GE(clock::now() - before, 1h);
    EXPECT_LT(clock::now() - before, 1h + 1s);
  });
}

TEST(event, lets_others_run_when_it_is_waited_for_again_and_again) {
  on_sim([]() -> task<> {
    event e;
    e.set();
    int others = 0;
    auto counts = [&]() -> task<> {
      for (;;) {
        ++others;
        co_await yield();
      }
    };
    const auto other = spawn(counts());
    for (int i = 0; i < 10'000; ++i) co_await e.wait();
    EXPECT_GT(others, 1);
    other.cancel();
    co_await rounds(2);
  });
}

task<> counts_when(event& of, std::size_t& woken) {
  co_await of.wait();
  ++woken;
}
TEST(event, wakes_a_hundred_thousand_in_linear_time) {
  const std::size_t many = scaled(100'000);
  auto main = [&]() -> task<> {
    event e;
    std::size_t woken = 0;
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < many; ++i) all.push_back(spawn(counts_when(e, woken)));
    co_await sleep(1ms);
    EXPECT_EQ(e.statistics().now, many);
    for (std::size_t i = 1; i < many; i += 2) all[many - i].cancel();
    co_await sleep(1ms);
    EXPECT_EQ(e.statistics().now, many / 2);
    e.set();
    co_await sleep(1ms);
    EXPECT_EQ(woken, many / 2);
    EXPECT_EQ(e.statistics().most, many);
  };
  on_sim(main);
}

TEST(event, may_be_used_in_one_run_after_another) {
  event e;
  trace log;
  auto first = [&]() -> task<> {
    spawn(waits(e, log, "never")).detach();
    co_await yield();
  };
  auto second = [&]() -> task<> {
    spawn(waits(e, log, "a")).detach();
    co_await yield();
    e.set();
    co_await yield();
  };
  on_sim(first);
  EXPECT_EQ(e.statistics().now, 0U);
  on_sim(second);
  EXPECT_EQ(log, (trace{"a"}));
}

// ---- condition ------------------------------------------------------------------------------------------------------

struct monitor {
  mutex lock;
  condition changed;
  int value = 0;
  trace log;
};
task<> waits(monitor& in, std::string name) {
  auto held = co_await in.lock.lock();
  co_await in.changed.wait(held);
  EXPECT_TRUE(held);
  EXPECT_EQ(in.lock.statistics().holder, current_task().id);
  in.log.push_back(name);
}
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

// ---- barrier --------------------------------------------------------------------------------------------------------

struct arrivals {
  std::vector<std::size_t> places;
  int turned_away = 0;
};
task<> arrives(barrier& at, arrivals& log) {
  const auto place = co_await at.wait();
  if (place) {
    log.places.push_back(*place);
  } else {
    EXPECT_EQ(place.error(), std::make_error_condition(errc::operation_canceled));
    ++log.turned_away;
  }
}
std::vector<std::size_t> up_to(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

// asyncio: test_filling_one_task, test_filling_tasks, test_filling_tasks_wait_twice, test_draining_*.
TEST(barrier, opens_when_the_last_has_come_and_tells_each_its_place) {
  on_sim([]() -> task<> {
    barrier b(4);
    arrivals log;
    EXPECT_EQ(b.parties(), 4U);
    for (int round = 1; round <= 3; ++round) {
      log.places.clear();
      for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
      co_await rounds(2);
      EXPECT_EQ(b.waiting(), 3U);
      EXPECT_TRUE(log.places.empty());
      const auto mine = co_await b.wait();
      EXPECT_EQ(mine.value(), 3U);
      EXPECT_EQ(b.waiting(), 0U);
      co_await rounds(2);
      EXPECT_EQ(log.places, up_to(3));
    }
    EXPECT_EQ(b.statistics().total, 9U);
  });
}

TEST(barrier, of_one_never_waits) {
  on_sim([]() -> task<> {
    barrier b(1);
    for (int i = 0; i < 3000; ++i) {
      const auto place = co_await b.wait();
      EXPECT_EQ(place.value(), 0U);
    }
    EXPECT_EQ(b.statistics().total, 0U);
  });
}

TEST(barrier, keeps_rounds_apart_when_its_tasks_come_again_at_once) {
  on_sim([]() -> task<> {
    constexpr int parties = 5, times = 1000;
    barrier b(parties);
    std::vector<int> at(parties, 0);
    int ahead = 0;
    auto runs = [&](int who) -> task<> {
      for (int i = 0; i < times; ++i) {
        const auto place = co_await b.wait();
        EXPECT_TRUE(place);
        const auto me = static_cast<std::size_t>(who);
        ++at[me];
        const auto [least, most] = std::minmax_element(at.begin(), at.end());
        ahead = std::max(ahead, *most - *least);
      }
    };
    std::vector<task<>> all;
    for (int i = 0; i < parties; ++i) all.push_back(runs(i));
    co_await gather(std::move(all));
    EXPECT_EQ(at, std::vector<int>(parties, times));
    EXPECT_LE(ahead, 1);
    EXPECT_EQ(b.waiting(), 0U);
  });
}

TEST(barrier, more_than_it_is_for_begin_the_next_round) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 8; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(3);
    EXPECT_EQ(log.places.size(), 6U);
    EXPECT_EQ(b.waiting(), 2U);
    b.abort();
    co_await rounds(2);
    EXPECT_EQ(log.turned_away, 2);
  });
}

// asyncio: test_abort_barrier, test_abort_barrier_when_tasks_half_filling, test_wait_cancelled...
TEST(barrier, abort_turns_away_all_that_wait_and_come_until_reset) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    b.abort();
    EXPECT_TRUE(b.broken());
    EXPECT_EQ(b.waiting(), 0U);
    co_await rounds(2);
    EXPECT_EQ(log.turned_away, 2);
    for (int i = 0; i < 4; ++i) co_await arrives(b, log);
    EXPECT_EQ(log.turned_away, 6);
    b.abort();
    b.reset();
    EXPECT_FALSE(b.broken());
    for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(3);
    EXPECT_EQ(log.places.size(), 3U);
    EXPECT_EQ(log.turned_away, 6);
  });
}

TEST(barrier, reset_turns_away_those_that_wait_and_begins_anew) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    b.reset();
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    b.reset();
    EXPECT_FALSE(b.broken());
    for (int i = 0; i < 3; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(4);
    EXPECT_EQ(log.turned_away, 2);
    EXPECT_EQ(log.places, (std::vector<std::size_t>{2, 0, 1})) << "the last goes on without waiting";
  });
}

TEST(barrier, those_let_go_before_an_abort_have_their_places) {
  on_sim([]() -> task<> {
    barrier b(3);
    arrivals log;
    for (int i = 0; i < 2; ++i) spawn(arrives(b, log)).detach();
    co_await rounds(2);
    const auto mine = co_await b.wait();
    b.abort();
    EXPECT_EQ(mine.value(), 2U);
    co_await rounds(2);
    EXPECT_EQ(log.places, up_to(2));
    EXPECT_EQ(log.turned_away, 0);
  });
}

task<> expect_places_after_a_cancel(std::size_t parties, std::size_t victim, std::size_t come_before) {
  barrier b(parties);
  arrivals log;
  std::vector<join_handle<>> all;
  for (std::size_t i = 0; i < come_before; ++i) all.push_back(spawn(arrives(b, log)));
  co_await rounds(2);
  all[victim].cancel();
  co_await rounds(2);
  EXPECT_TRUE(all[victim].was_cancelled());
  EXPECT_EQ(b.waiting(), come_before - 1);
  while (all.size() < parties + 1) {
    EXPECT_TRUE(log.places.empty());
    all.push_back(spawn(arrives(b, log)));
    co_await rounds(2);
  }
  std::sort(log.places.begin(), log.places.end());
  EXPECT_EQ(log.places, up_to(parties))
      << "the places of a round are 0 to " << parties - 1 << ", victim " << victim;
}

// Who has place 0 does what is to be done once, so every round must have one, and one only.
TEST(barrier, the_places_of_a_round_differ_though_one_was_cancelled) {
  on_sim([]() -> task<> {
    const std::size_t parties = 4;
    for (std::size_t come_before = 1; come_before < parties; ++come_before)
      for (std::size_t victim = 0; victim < come_before; ++victim)
        co_await expect_places_after_a_cancel(parties, victim, come_before);
  });
}

TEST(barrier, the_places_of_a_round_differ_when_tasks_are_cancelled_at_random) {
  on_sim([]() -> task<> {
    std::mt19937_64 random(3);
    constexpr std::size_t parties = 5;
    barrier b(parties);
    for (int round = 0; round < 200; ++round) {
      arrivals log;
      std::vector<join_handle<>> waiting;
      while (log.places.empty()) {
        if (!waiting.empty() && random() % 3 == 0) {
          const auto which = static_cast<std::ptrdiff_t>(random() % waiting.size());
          waiting[static_cast<std::size_t>(which)].cancel();
          waiting.erase(waiting.begin() + which);
        } else {
          waiting.push_back(spawn(arrives(b, log)));
        }
        co_await rounds(2);
      }
      std::sort(log.places.begin(), log.places.end());
      EXPECT_EQ(log.places, up_to(parties)) << "round " << round;
      if (::testing::Test::HasFailure()) break;
    }
  });
}

TEST(barrier, a_cancelled_last_one_does_not_open_it) {
  on_sim([]() -> task<> {
    barrier b(2);
    arrivals log;
    spawn(arrives(b, log)).detach();
    auto late = [&]() -> task<> {
      co_await shield(sleeps(1ms));
      co_await arrives(b, log);
    };
    const auto last = spawn(late());
    co_await rounds(2);
    last.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(last.was_cancelled());
    EXPECT_EQ(b.waiting(), 1U);
    EXPECT_TRUE(log.places.empty());
    co_await arrives(b, log);
    co_await rounds(2);
    EXPECT_EQ(log.places.size(), 2U);
  });
}

// ---- latch ----------------------------------------------------------------------------------------------------------

task<> waits(latch& of, int& passed) {
  co_await of.wait();
  ++passed;
}

TEST(latch, opens_for_good_when_it_is_counted_down) {
  on_sim([]() -> task<> {
    latch l(3);
    int passed = 0;
    for (int i = 0; i < 4; ++i) spawn(waits(l, passed)).detach();
    co_await rounds(2);
    l.count_down();
    l.add(2);
    EXPECT_EQ(l.left(), 4U);
    l.count_down(3);
    l.count_down(0);
    co_await rounds(2);
    EXPECT_EQ(passed, 0);
    EXPECT_EQ(l.statistics().now, 4U);
    l.count_down();
    EXPECT_EQ(l.left(), 0U);
    co_await rounds(2);
    EXPECT_EQ(passed, 4);
    co_await waits(l, passed);
    l.count_down(0);
    EXPECT_EQ(l.statistics().total, 4U);
  });
}

TEST(latch, of_zero_is_open) {
  on_sim([]() -> task<> {
    latch l(0);
    int passed = 0;
    for (int i = 0; i < 3000; ++i) co_await waits(l, passed);
    EXPECT_EQ(passed, 3000);
  });
}

TEST(latch, waits_for_many_tasks) {
  on_sim([]() -> task<> {
    const std::size_t many = scaled(10'000);
    latch l(many);
    auto works = [&](std::size_t i) -> task<> {
      co_await sleep(std::chrono::microseconds(i % 100));
      l.count_down();
    };
    for (std::size_t i = 0; i < many; ++i) spawn(works(i)).detach();
    co_await l.wait();
    EXPECT_EQ(l.left(), 0U);
    co_await rounds(2);
  });
}

// ---- once -----------------------------------------------------------------------------------------------------------

struct counting {
  int begun = 0;
  int done = 0;
};
task<> works_for(std::chrono::nanoseconds d, counting& in) {
  ++in.begun;
  co_await sleep(d);
  ++in.done;
}
task<> fails_at_first(counting& in, int times) {
  co_await sleep(1ms);
  if (in.begun++ < times) throw wrong("attempt " + std::to_string(in.begun));
  ++in.done;
}

TEST(once, is_done_by_the_first_while_the_others_wait) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    int after = 0;
    auto needs = [&]() -> task<> {
      co_await o.call(works_for, 1ms, std::ref(c));
      EXPECT_EQ(c.done, 1);
      ++after;
    };
    std::vector<task<>> all;
    for (int i = 0; i < 10; ++i) all.push_back(needs());
    EXPECT_FALSE(o.done());
    co_await gather(std::move(all));
    co_await needs();
    EXPECT_TRUE(o.done());
    EXPECT_EQ(c.begun, 1);
    EXPECT_EQ(after, 11);
  });
}

TEST(once, when_it_fails_the_caller_hears_of_it_and_the_next_does_it_again) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    trace log;
    auto needs = [&](std::string name) -> task<> {
      try {
        co_await o.call(fails_at_first, std::ref(c), 2);
        log.push_back(name + ": done");
      } catch (const wrong& error) {
        log.push_back(name + ": " + error.what());
      }
    };
    co_await gather(needs("a"), needs("b"), needs("c"), needs("d"));
    EXPECT_EQ(log, (trace{"a: attempt 1", "b: attempt 2", "c: done", "d: done"}));
    EXPECT_EQ(c.begun, 3);
    EXPECT_EQ(c.done, 1);
  });
}

TEST(once, when_the_one_at_it_is_cancelled_the_next_does_it_again) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    auto needs = [&]() -> task<> { co_await o.call(works_for, 1ms, std::ref(c)); };
    const auto a = spawn(needs());
    const auto b = spawn(needs());
    const auto third = spawn(needs());
    co_await rounds(2);
    a.cancel();
    co_await rounds(3);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_EQ(c.begun, 2);
    EXPECT_FALSE(o.done());
    third.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(o.done());
    EXPECT_EQ(c.done, 1);
    EXPECT_TRUE(b.done() && !b.was_cancelled());
    EXPECT_TRUE(third.was_cancelled());
  });
}

task<std::unique_ptr<int>> makes(int value, int& times) {
  ++times;
  co_await sleep(1ms);
  co_return std::make_unique<int>(value);
}
TEST(once_value, gives_all_the_same_value) {
  on_sim([]() -> task<> {
    once_value<std::unique_ptr<int>> o;
    int times = 0;
    EXPECT_EQ(o.peek(), nullptr);
    std::set<std::unique_ptr<int>*> seen;
    auto needs = [&](int value) -> task<> {
      auto& made = co_await o.get(makes, value, std::ref(times));
      seen.insert(&made);
      EXPECT_EQ(*made, 1);
    };
    co_await gather(needs(1), needs(2), needs(3));
    co_await needs(4);
    EXPECT_EQ(times, 1);
    EXPECT_EQ(seen.size(), 1U);
    EXPECT_EQ(o.peek(), *seen.begin());
  });
}

task<int> makes_at_the_third(int& attempts) {
  co_await sleep(1ms);
  if (++attempts < 3) throw wrong("not yet");
  co_return attempts;
}
TEST(once_value, is_made_by_the_next_when_it_failed_or_was_cancelled) {
  on_sim([]() -> task<> {
    once_value<int> o;
    int attempts = 0, failed = 0;
    auto needs = [&]() -> task<> {
      try {
        const int value = co_await o.get(makes_at_the_third, std::ref(attempts));
        EXPECT_EQ(value, 3);
      } catch (const wrong&) {
        ++failed;
      }
    };
    const auto cut = spawn(needs());
    co_await rounds(2);
    const auto b = spawn(needs());
    const auto c = spawn(needs());
    const auto d = spawn(needs());
    co_await rounds(2);
    cut.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(cut.was_cancelled());
    EXPECT_TRUE(b.done() && c.done() && d.done());
    EXPECT_EQ(failed, 2);
    EXPECT_EQ(attempts, 3);
    EXPECT_EQ(*o.peek(), 3);
  });
}

// ---- what waits in coroutines of another library: a cancel comes as an exception -------------------------------------

struct foreign {
  struct promise_type {
    std::coroutine_handle<> awaiter = std::noop_coroutine();
    std::exception_ptr error;
    foreign get_return_object() { return foreign(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().awaiter;
      }
      void await_resume() noexcept {}
    };
    last final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
  };
  explicit foreign(std::coroutine_handle<promise_type> h) : frame(h) {}
  foreign(const foreign&) = delete;
  foreign& operator=(const foreign&) = delete;
  ~foreign() { frame.destroy(); }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
    frame.promise().awaiter = h;
    return frame;
  }
  void await_resume() {
    if (frame.promise().error) std::rethrow_exception(frame.promise().error);
  }
  std::coroutine_handle<promise_type> frame;
};

struct foreign_log {
  trace log;
  mutex lock;
  condition changed;
  event set;
  semaphore permits{0};
  queue<int> items{1};
};
foreign waits_foreign(foreign_log& in, int at) {
  auto held = mutex::guard();
  try {
    if (at == 0) co_await in.set.wait();
    if (at == 1) {
      const auto permit = co_await in.permits.acquire();
      in.log.push_back("permit");
    }
    if (at == 2) {
      const auto item = co_await in.items.get();
      in.log.push_back("item " + std::to_string(item.value()));
    }
    if (at == 3) {
      held = co_await in.lock.lock();
      co_await in.changed.wait(held);
    }
    in.log.push_back("went on");
  } catch (const cancelled&) {
    if (at == 3) EXPECT_TRUE(in.lock.locked()) << "it has the mutex again";
    in.log.push_back("cut off");
    throw;
  }
}
task<> runs_foreign(foreign_log& in, int at) { co_await waits_foreign(in, at); }

class foreign_waiter : public ::testing::TestWithParam<int> {};

TEST_P(foreign_waiter, learns_of_a_cancel_by_exception_and_leaves_the_list) {
  const int at = GetParam();
  auto main = [&]() -> task<> {
    foreign_log in;
    const auto waiter = spawn(runs_foreign(in, at));
    co_await rounds(3);
    EXPECT_FALSE(waiter.done());
    waiter.cancel();
    co_await rounds(3);
    EXPECT_TRUE(waiter.was_cancelled());
    EXPECT_EQ(in.log, (trace{"cut off"}));
    EXPECT_FALSE(in.lock.locked());
    in.permits.release();
    EXPECT_EQ(in.permits.available(), 1U);
  };
  on_sim(main);
}
TEST_P(foreign_waiter, has_what_it_was_given_though_it_is_cancelled_in_the_same_turn) {
  const int at = GetParam();
  auto main = [&]() -> task<> {
    foreign_log in;
    const auto waiter = spawn(runs_foreign(in, at));
    co_await rounds(3);
    in.set.set();
    in.permits.release();
    EXPECT_TRUE(in.items.try_put(5));
    in.changed.notify();
    waiter.cancel();
    co_await rounds(3);
    EXPECT_TRUE(waiter.done());
    EXPECT_EQ(in.log.back(), "went on");
    EXPECT_EQ(in.permits.available(), 1U);
    EXPECT_EQ(in.items.size(), at == 2 ? 0U : 1U);
    EXPECT_FALSE(in.lock.locked());
  };
  on_sim(main);
}
INSTANTIATE_TEST_SUITE_P(each, foreign_waiter, ::testing::Values(0, 1, 2, 3));

// ---- misuse ---------------------------------------------------------------------------------------------------------

template <class F>
void in_a_task(F f) {
  auto main = [&]() -> task<> { co_await f(); };
  on_sim(main);
}
task<> condition_without_the_mutex() {
  condition c;
  mutex::guard none;
  co_await c.wait(none);
}
task<> condition_with_an_unlocked_guard() {
  condition c;
  mutex m;
  auto held = co_await m.lock();
  held.unlock();
  co_await c.wait(held);
}
task<> barrier_of_none() {
  barrier b(0);
  co_return;
}
task<> latch_below_zero() {
  latch l(2);
  l.count_down(3);
  co_return;
}
task<> latch_closed_again() {
  latch l(1);
  l.count_down();
  l.add();
  co_return;
}
task<> event_destroyed_with_waiters() {
  trace log;
  event e;
  for (int i = 0; i < 2; ++i) spawn(waits(e, log, "")).detach();
  co_await yield();
}
task<> barrier_destroyed_with_waiters() {
  arrivals log;
  barrier b(2);
  spawn(arrives(b, log)).detach();
  co_await yield();
}
task<> latch_destroyed_with_waiters() {
  int passed = 0;
  latch l(2);
  spawn(waits(l, passed)).detach();
  co_await yield();
}
task<> condition_destroyed_with_waiters() {
  monitor m;
  spawn(waits(m, "")).detach();
  co_await rounds(2);
}
once* the_once = nullptr;
task<> calls_itself() { co_await the_once->call(nothing); }
task<> once_within_itself() {
  once o;
  the_once = &o;
  co_await o.call(calls_itself);
}
TEST(condition_death, misuse) {
  EXPECT_DEATH(in_a_task(condition_without_the_mutex), "takes a guard that holds its mutex");
  EXPECT_DEATH(in_a_task(condition_with_an_unlocked_guard), "takes a guard that holds its mutex");
  EXPECT_DEATH(in_a_task(condition_destroyed_with_waiters), "a condition was destroyed while 1 tasks wait");
}
TEST(barrier_death, misuse) {
  EXPECT_DEATH(in_a_task(barrier_of_none), "a barrier of no tasks");
  EXPECT_DEATH(in_a_task(barrier_destroyed_with_waiters), "a barrier was destroyed while 1 tasks wait");
}
TEST(latch_death, misuse) {
  EXPECT_DEATH(in_a_task(latch_below_zero), "has 2 left was counted down by 3");
  EXPECT_DEATH(in_a_task(latch_closed_again), "cannot be closed again");
  EXPECT_DEATH(in_a_task(latch_destroyed_with_waiters), "a latch was destroyed while 1 tasks wait");
}
TEST(event_death, misuse) {
  EXPECT_DEATH(in_a_task(event_destroyed_with_waiters), "an? event was destroyed while 2 tasks wait");
  EXPECT_DEATH(event().set(), "runs no axle loop");
}
TEST(once_death, called_within_itself) {
  EXPECT_DEATH(in_a_task(once_within_itself), "holds this mutex already");
}

template <class Primitive>
void used_on_another_core(Primitive& p, void (*here)(Primitive&), task<> (*there)(Primitive&)) {
  auto main = [&]() -> task<> {
    here(p);
    auto far = [&]() -> task<> { co_await there(p); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
template <class Primitive>
task<> far_wait(Primitive& p) {
  auto waiting = p.wait();
  static_cast<void>(co_await waiting);
}
template <class Primitive, auto Do>
task<> far_do(Primitive& p) {
  Do(p);
  co_return;
}
constexpr auto sets = [](event& e) { e.set(); };
constexpr auto clears = [](event& e) { e.clear(); };
constexpr auto counts_down = [](latch& l) { l.count_down(); };
constexpr auto adds = [](latch& l) { l.add(); };
constexpr auto aborts = [](barrier& b) { b.abort(); };
constexpr auto resets = [](barrier& b) { b.reset(); };
constexpr auto notifies = [](condition& c) { c.notify(); };

TEST(event_death, used_on_another_core) {
  const char* const both = "event.*core 0.*core 1";
  event e;
  EXPECT_DEATH(used_on_another_core<event>(e, sets, far_wait<event>), both);
  EXPECT_DEATH((used_on_another_core<event>(e, sets, far_do<event, sets>)), both);
}
TEST(event_death, cleared_on_another_core) {
  event e;
  EXPECT_DEATH((used_on_another_core<event>(e, sets, far_do<event, clears>)), "event.*core 0.*core 1");
}
TEST(latch_death, used_on_another_core) {
  const char* const both = "latch.*core 0.*core 1";
  latch l(5);
  EXPECT_DEATH(used_on_another_core<latch>(l, counts_down, far_wait<latch>), both);
  EXPECT_DEATH((used_on_another_core<latch>(l, counts_down, far_do<latch, counts_down>)), both);
  EXPECT_DEATH((used_on_another_core<latch>(l, counts_down, far_do<latch, adds>)), both);
}
TEST(barrier_death, used_on_another_core) {
  const char* const both = "barrier.*core 0.*core 1";
  barrier b(5);
  EXPECT_DEATH((used_on_another_core<barrier>(b, resets, far_do<barrier, resets>)), both);
  EXPECT_DEATH((used_on_another_core<barrier>(b, resets, far_do<barrier, aborts>)), both);
  EXPECT_DEATH(used_on_another_core<barrier>(b, resets, far_wait<barrier>), both);
}
TEST(condition_death, used_on_another_core) {
  condition c;
  EXPECT_DEATH((used_on_another_core<condition>(c, notifies, far_do<condition, notifies>)),
               "condition.*core 0.*core 1");
}

}  // namespace
}  // namespace axle::test
