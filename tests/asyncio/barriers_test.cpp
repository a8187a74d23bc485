// CPython's test_asyncio/test_locks.py, case by case: Barrier.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <algorithm>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

constexpr int n = 5;

/// Spawns `count` times f(), and waits for all.
template <class F>
task<> in_parallel(int count, F& f) {
  std::vector<task<>> all;
  for (int i = 0; i < count; ++i) all.push_back(f());
  co_await gather(std::move(all));
}
task<int> arrives(barrier& at) {
  const auto place = co_await at.wait();
  co_return place ? static_cast<int>(*place) : -1;
}

task<> barrier_of_nobody() {
  const barrier at(0);
  co_return;
}
TEST(asyncio_barrier_death, barrier_parties) {
  EXPECT_DEATH(in_a_task(barrier_of_nobody), "a barrier of no tasks opens never");
}

// Differs: in the order of arrival, where CPython only promises each number once.
TEST(asyncio_barrier, context_manager) {
  on_sim([]() -> task<> {
    barrier at(3);
    const auto [a, b, c] = co_await gather(arrives(at), arrives(at), arrives(at));
    EXPECT_EQ((numbers{a, b, c}), (numbers{0, 1, 2}));
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, filling_one_task) {
  on_sim([]() -> task<> {
    barrier at(1);
    EXPECT_EQ(co_await arrives(at), 0);
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, filling_one_task_twice) {
  on_sim([]() -> task<> {
    barrier at(1);
    const auto t1 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 0U);
    const auto t2 = spawn(arrives(at));
    co_await yield();
    EXPECT_TRUE(t1.done() && t2.done());
    EXPECT_EQ(co_await t1, co_await t2);
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, filling_task_by_task) {
  on_sim([]() -> task<> {
    barrier at(3);
    const auto t1 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 1U);
    const auto t2 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 2U);
    const auto t3 = spawn(arrives(at));
    co_await rounds(2);
    EXPECT_TRUE(t1.done() && t2.done() && t3.done());
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, filling_tasks_wait_twice) {
  on_sim([]() -> task<> {
    barrier at(n);
    int first = 0, second = 0;
    auto coro = [&]() -> task<> {
      co_await arrives(at);
      ++first;
      co_await arrives(at);
      ++second;
    };
    co_await in_parallel(n, coro);
    EXPECT_EQ(first, n);
    EXPECT_EQ(second, n);
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, filling_tasks_check_return_value) {
  on_sim([]() -> task<> {
    barrier at(n);
    numbers places;
    auto coro = [&]() -> task<> {
      co_await arrives(at);
      places.push_back(co_await arrives(at));
    };
    co_await in_parallel(n, coro);
    std::sort(places.begin(), places.end());
    EXPECT_EQ(places, (numbers{0, 1, 2, 3, 4}));
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

// Differs: there is no draining; the next round begins when the last has come, and who is fast waits in it already.
TEST(asyncio_barrier, draining_state) {
  on_sim([]() -> task<> {
    barrier at(n);
    numbers waiting_then;
    auto coro = [&]() -> task<> {
      co_await arrives(at);
      waiting_then.push_back(static_cast<int>(at.waiting()));
      co_await arrives(at);
    };
    co_await in_parallel(n, coro);
    EXPECT_EQ(waiting_then, (numbers{0, 1, 2, 3, 4}));
  });
}

TEST(asyncio_barrier, blocking_tasks_while_draining) {
  on_sim([]() -> task<> {
    const int rewait = 2;
    barrier at(n), nowaiting(n - rewait);
    int left = rewait, passed_between = 0;
    auto coro = [&]() -> task<> {
      co_await arrives(at);
      if (left-- > 0) {
        co_await arrives(at);
      } else {
        co_await arrives(nowaiting);
        ++passed_between;
        co_await arrives(at);
      }
    };
    co_await in_parallel(n, coro);
    EXPECT_EQ(passed_between, n - rewait);
  });
}

TEST(asyncio_barrier, filling_tasks_cancel_one) {
  on_sim([]() -> task<> {
    barrier at(3);
    const auto t1 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 1U);
    const auto t2 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 2U);
    t1.cancel();
    co_await yield();
    EXPECT_EQ(at.waiting(), 1U);
    EXPECT_THROW(co_await t1, cancelled);
    EXPECT_TRUE(t1.was_cancelled());

    const auto t3 = spawn(arrives(at));
    co_await yield();
    EXPECT_EQ(at.waiting(), 2U);
    const auto t4 = spawn(arrives(at));
    EXPECT_EQ(co_await t2, 0) << "the cancelled one's place went to it";
    EXPECT_EQ(co_await t3, 1);
    EXPECT_EQ(co_await t4, 2);
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, reset_barrier) {
  on_sim([]() -> task<> {
    barrier at(1);
    at.reset();
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
    co_return;
  });
}

TEST(asyncio_barrier, reset_barrier_while_tasks_waiting) {
  on_sim([]() -> task<> {
    barrier at(n);
    numbers places;
    auto coro = [&]() -> task<> { places.push_back(co_await arrives(at)); };
    auto tasks = spawn(in_parallel(n - 1, coro));
    co_await rounds(2);
    at.reset();
    co_await tasks;
    EXPECT_EQ(places, (numbers{-1, -1, -1, -1}));
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

// Differs: when the last has come all have passed; a reset that comes later turns away nobody of that round.
// reset_barrier_when_tasks_half_draining, ..._half_draining_half_blocking
TEST(asyncio_barrier, reset_barrier_when_tasks_half_draining) {
  on_sim([]() -> task<> {
    barrier at(n);
    int passed = 0, turned_away = 0;
    auto coro = [&]() -> task<> {
      const int place = co_await arrives(at);
      ++(place < 0 ? turned_away : passed);
      if (passed == n / 2) at.reset();
    };
    co_await in_parallel(n, coro);
    EXPECT_EQ(passed, n);
    EXPECT_EQ(turned_away, 0);
    EXPECT_FALSE(at.broken());
  });
}

// Differs: those that wait again are in the next round, and it is those that the reset turns away.
TEST(asyncio_barrier, reset_barrier_when_tasks_half_draining_half_blocking) {
  on_sim([]() -> task<> {
    barrier at(n);
    int count = 0, turned_away_in_the_first = 0, turned_away_in_the_second = 0;
    auto coro = [&]() -> task<> {
      const int first = co_await arrives(at);
      turned_away_in_the_first += first < 0;
      if (++count <= n / 2) {
        const int second = co_await arrives(at);
        turned_away_in_the_second += second < 0;
      } else if (count == n / 2 + 1) {
        at.reset();
      }
    };
    co_await in_parallel(n, coro);
    EXPECT_EQ(turned_away_in_the_first, 0);
    EXPECT_EQ(turned_away_in_the_second, n / 2);
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_FALSE(at.broken());
  });
}

TEST(asyncio_barrier, reset_barrier_while_tasks_waiting_and_waiting_again) {
  on_sim([]() -> task<> {
    barrier at(n);
    int turned_away = 0, passed = 0;
    auto coro1 = [&]() -> task<> {
      turned_away += (co_await arrives(at)) < 0;
      passed += (co_await arrives(at)) >= 0;
    };
    auto coro2 = [&]() -> task<> { passed += (co_await arrives(at)) >= 0; };
    auto tasks = spawn(in_parallel(n - 1, coro1));
    co_await rounds(2);
    at.reset();
    co_await yield();
    auto last = spawn(coro2());
    co_await tasks;
    co_await last;
    EXPECT_FALSE(at.broken());
    EXPECT_EQ(turned_away, n - 1);
    EXPECT_EQ(passed, n);
    EXPECT_EQ(at.waiting(), 0U);
  });
}

// Differs: those that wait again wait in the next round, so the reset of the last to leave turns them away.
TEST(asyncio_barrier, reset_barrier_while_tasks_draining) {
  on_sim([]() -> task<> {
    barrier at(n);
    int count = 0, turned_away = 0, passed = 0;
    auto coro = [&]() -> task<> {
      co_await arrives(at);
      if (++count == n) {
        at.reset();
      } else {
        turned_away += (co_await arrives(at)) < 0;
      }
      passed += (co_await arrives(at)) >= 0;
    };
    co_await in_parallel(n, coro);
    EXPECT_FALSE(at.broken());
    EXPECT_EQ(turned_away, n - 1);
    EXPECT_EQ(passed, n);
    EXPECT_EQ(at.waiting(), 0U);
  });
}

TEST(asyncio_barrier, abort_barrier) {
  on_sim([]() -> task<> {
    barrier at(1);
    at.abort();
    EXPECT_EQ(at.waiting(), 0U);
    EXPECT_TRUE(at.broken());
    EXPECT_EQ(co_await arrives(at), -1);
  });
}

// Differs: nobody of the round that is over is turned away, only those that wait again.
TEST(asyncio_barrier, abort_barrier_when_tasks_half_draining_half_blocking) {
  on_sim([]() -> task<> {
    barrier at(n);
    int count = 0, turned_away_in_the_first = 0, turned_away_in_the_second = 0;
    auto coro = [&]() -> task<> {
      const int first = co_await arrives(at);
      turned_away_in_the_first += first < 0;
      if (++count > n / 2) {
        at.abort();
      } else {
        turned_away_in_the_second += (co_await arrives(at)) < 0;
      }
    };
    co_await in_parallel(n, coro);
    EXPECT_TRUE(at.broken());
    EXPECT_EQ(turned_away_in_the_first, 0);
    EXPECT_EQ(turned_away_in_the_second, n / 2);
    EXPECT_EQ(at.waiting(), 0U);
  });
}

TEST(asyncio_barrier, abort_barrier_when_exception) {
  on_sim([]() -> task<> {
    barrier at(n);
    int passed_twice = 0, turned_away = 0;
    auto coro = [&]() -> task<> {
      const int place = co_await arrives(at);
      try {
        if (place == n / 2) throw wrong("RuntimeError");
        const int again = co_await arrives(at);
        ++(again < 0 ? turned_away : passed_twice);
      } catch (const wrong&) {
        at.abort();
      }
    };
    co_await in_parallel(n, coro);
    EXPECT_TRUE(at.broken());
    EXPECT_EQ(passed_twice, 0);
    EXPECT_EQ(turned_away, n - 1);
    EXPECT_EQ(at.waiting(), 0U);
  });
}

TEST(asyncio_barrier, abort_barrier_when_exception_then_resetting) {
  on_sim([]() -> task<> {
    barrier barrier1(n), barrier2(n);
    int passed_twice = 0, turned_away = 0, passed_in_the_end = 0;
    auto coro = [&]() -> task<> {
      const int place = co_await arrives(barrier1);
      if (place == n / 2) {
        barrier1.abort();
      } else {
        const int again = co_await arrives(barrier1);
        ++(again < 0 ? turned_away : passed_twice);
      }
      const int second = co_await arrives(barrier2);
      if (second == n / 2) barrier1.reset();
      co_await arrives(barrier2);
      passed_in_the_end += (co_await arrives(barrier1)) >= 0;
    };
    co_await in_parallel(n, coro);
    EXPECT_FALSE(barrier1.broken());
    EXPECT_EQ(passed_twice, 0);
    EXPECT_EQ(turned_away, n - 1);
    EXPECT_EQ(passed_in_the_end, n);
    EXPECT_EQ(barrier1.waiting(), 0U);
  });
}

}  // namespace
}  // namespace axle::test
