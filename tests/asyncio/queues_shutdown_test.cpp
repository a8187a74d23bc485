// CPython's test_asyncio/test_queues.py, second half: join() and shutdown() of each kind of queue.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <numeric>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

template <class Queue>
void fill(Queue& q, const numbers& items) {
  for (const int item : items) q.try_put(item).value();
}

// ---- QueueJoinTests, QueueShutdownTests: of each kind of queue ------------------------------------------------------

template <class Queue>
task<> joins(Queue& q) {
  co_await q.join();
}
template <class Queue>
task<errc> fails_to_get(Queue& q) {
  const auto item = co_await q.get();
  co_return item ? errc() : static_cast<errc>(item.error().value());
}
template <class Queue>
task<errc> fails_to_put(Queue& q, int item) {
  const auto had = co_await q.put(item);
  co_return had ? errc() : static_cast<errc>(had.error().value());
}
template <class Queue>
task<> expect_that_all_is_refused(Queue& q) {
  const errc put = co_await fails_to_put(q, 9);
  const errc got = co_await fails_to_get(q);
  EXPECT_EQ(put, errc::broken_pipe);
  EXPECT_EQ(got, errc::broken_pipe);
  EXPECT_TRUE(is(q.try_put(9).error(), errc::broken_pipe));
  EXPECT_TRUE(is(q.try_get().error(), errc::broken_pipe));
}

template <class Queue>
class asyncio_queue_join : public ::testing::Test {};
template <class Queue>
class asyncio_queue_join_death : public ::testing::Test {};
template <class Queue>
class asyncio_queue_shutdown : public ::testing::Test {};
struct kinds {
  template <class Queue>
  static std::string GetName(int index) {
    constexpr const char* names[] = {"queue", "lifo_queue", "priority_queue"};
    return names[index];
  }
};
using all_kinds = ::testing::Types<queue<int>, lifo_queue<int>, priority_queue<int>>;
TYPED_TEST_SUITE(asyncio_queue_join, all_kinds, kinds);
TYPED_TEST_SUITE(asyncio_queue_join_death, all_kinds, kinds);
TYPED_TEST_SUITE(asyncio_queue_shutdown, all_kinds, kinds);

// Differs: a CHECK, not a ValueError.
template <class Queue>
task<> reports_too_much() {
  Queue q(unbounded);
  q.task_done();
  co_return;
}
TYPED_TEST(asyncio_queue_join_death, task_done_underflow) {
  EXPECT_DEATH(in_a_task(reports_too_much<TypeParam>), "task_done\\(\\) was called more often");
}

TYPED_TEST(asyncio_queue_join, task_done) {
  on_sim([]() -> task<> {
    TypeParam q(unbounded);
    numbers items(100);
    std::iota(items.begin(), items.end(), 0);
    fill(q, items);
    int sum = 0;
    bool running = true;
    auto worker = [&]() -> task<> {
      while (running) {
        const auto item = co_await q.get();
        sum += *item;
        q.task_done();
      }
    };
    const auto first = spawn(worker());
    const auto second = spawn(worker());
    co_await q.join();
    EXPECT_EQ(sum, 99 * 100 / 2);
    running = false;
    fill(q, {0, 0});
    co_await first;
    co_await second;
  });
}

TYPED_TEST(asyncio_queue_join, join_empty_queue) {
  on_sim([]() -> task<> {
    TypeParam q(unbounded);
    co_await q.join();
    co_await q.join();
  });
}

TYPED_TEST(asyncio_queue_shutdown, shutdown_empty) {
  on_sim([]() -> task<> {
    TypeParam q(unbounded);
    const auto get_task = spawn(fails_to_get(q));
    co_await yield();
    q.close();
    EXPECT_EQ(q.size(), 0U);
    co_await q.join();
    co_await yield();
    EXPECT_TRUE(get_task.done());
    EXPECT_EQ(co_await get_task, errc::broken_pipe);
    co_await expect_that_all_is_refused(q);
  });
}

TYPED_TEST(asyncio_queue_shutdown, shutdown_nonempty) {
  on_sim([]() -> task<> {
    TypeParam q(1);
    fill(q, {1});
    const auto join_task = spawn(joins(q));
    const auto put_task = spawn(fails_to_put(q, 2));
    co_await yield();
    EXPECT_FALSE(put_task.done());
    q.close();
    EXPECT_EQ(q.size(), 1U);
    co_await yield();
    EXPECT_TRUE(put_task.done());
    EXPECT_EQ(co_await put_task, errc::broken_pipe);

    const auto left = co_await q.get();
    EXPECT_EQ(left.value(), 1);
    co_await yield();
    EXPECT_FALSE(join_task.done());
    co_await expect_that_all_is_refused(q);
    EXPECT_EQ(q.unfinished(), 1U);
    q.task_done();
    co_await yield();
    EXPECT_TRUE(join_task.done());
    EXPECT_EQ(q.unfinished(), 0U);
  });
}

// shutdown_immediate, shutdown_immediate_with_unfinished. Differs: close() drops nothing; who wants that takes out what is
// left, and reports it.
TYPED_TEST(asyncio_queue_shutdown, shutdown_immediate) {
  on_sim([]() -> task<> {
    for (const bool one_is_got : {false, true}) {
      TypeParam q(unbounded);
      fill(q, {1, 2});
      const auto join_task = spawn(joins(q));
      if (one_is_got) q.try_get().value();
      q.close();
      while (q.try_get()) q.task_done();
      EXPECT_EQ(q.size(), 0U);
      co_await yield();
      EXPECT_EQ(join_task.done(), !one_is_got);
      co_await expect_that_all_is_refused(q);
      if (one_is_got) q.task_done();
      co_await join_task;
    }
  });
}

}  // namespace
}  // namespace axle::test
