// CPython's test_asyncio/test_queues.py, case by case, first half: queue, lifo_queue, priority_queue.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <numeric>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

task<int> gets(queue<int>& q) { co_return (co_await q.get()).value(); }
task<> puts(queue<int>& q, int item) { (co_await q.put(item)).value(); }
template <class Queue>
void fill(Queue& q, const numbers& items) {
  for (const int item : items) q.try_put(item).value();
}
template <class Queue>
numbers drain(Queue& q) {
  numbers items;
  while (auto item = q.try_get()) items.push_back(*item);
  return items;
}

// ---- QueueBasicTests ------------------------------------------------------------------------------------------------

TEST(asyncio_queue, empty) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    EXPECT_TRUE(q.empty());
    co_await puts(q, 1);
    EXPECT_FALSE(q.empty());
    EXPECT_EQ(co_await gets(q), 1);
    EXPECT_TRUE(q.empty());
  });
}

TEST(asyncio_queue, full) {
  on_sim([]() -> task<> {
    queue<int> any(unbounded);
    EXPECT_FALSE(any.full());
    queue<int> q(1);
    co_await puts(q, 1);
    EXPECT_TRUE(q.full());
  });
}

TEST(asyncio_queue, order) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    fill(q, {1, 3, 2});
    EXPECT_EQ(drain(q), (numbers{1, 3, 2}));
    co_return;
  });
}

TEST(asyncio_queue, maxsize) {
  on_sim([]() -> task<> {
    queue<int> q(2);
    numbers put;
    EXPECT_EQ(q.bound(), 2U);
    auto putter = [&]() -> task<> {
      for (int i = 0; i < 3; ++i) {
        co_await puts(q, i);
        put.push_back(i);
      }
    };
    const auto t = spawn(putter());
    co_await rounds(2);
    EXPECT_EQ(put, (numbers{0, 1}));
    EXPECT_EQ(co_await gets(q), 0);
    co_await yield();
    EXPECT_EQ(put, (numbers{0, 1, 2}));
    EXPECT_EQ(co_await gets(q), 1);
    EXPECT_EQ(co_await gets(q), 2);
    EXPECT_TRUE(t.done());
  });
}

// Differs: room for nothing is a CHECK; no bound is said in words.
TEST(asyncio_queue_death, maxsize_zero) { EXPECT_DEATH(queue<int>(0), "a queue with room for nothing"); }

// ---- QueueGetTests --------------------------------------------------------------------------------------------------

TEST(asyncio_queue_get, blocking_get) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    fill(q, {1});
    EXPECT_EQ(co_await gets(q), 1);
  });
}

TEST(asyncio_queue_get, get_with_putters) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    fill(q, {1});
    const auto waiter = spawn(puts(q, 2));
    co_await yield();
    EXPECT_EQ(q.statistics().putters.now, 1U);
    EXPECT_EQ(co_await gets(q), 1);
    EXPECT_EQ(q.statistics().putters.now, 0U);
    co_await waiter;
  });
}

TEST(asyncio_queue_get, blocking_get_wait) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    event started;
    bool finished = false;
    auto queue_get = [&]() -> task<int> {
      started.set();
      const int got = co_await gets(q);
      finished = true;
      co_return got;
    };
    const auto begin = clock::now();
    const auto t = spawn(queue_get());
    co_await started.wait();
    EXPECT_FALSE(finished);
    call_later(10ms, [&] { fill(q, {1}); });
    EXPECT_EQ(co_await t, 1);
    EXPECT_TRUE(finished);
    EXPECT_EQ(since(begin), 10ms);
  });
}

TEST(asyncio_queue_get, nonblocking_get) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    fill(q, {1});
    EXPECT_EQ(q.try_get().value(), 1);
    co_return;
  });
}

// Differs: an error value, not QueueEmpty.
TEST(asyncio_queue_get, nonblocking_get_exception) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    EXPECT_TRUE(is(q.try_get().error(), errc::operation_would_block));
    co_return;
  });
}

TEST(asyncio_queue_get, get_cancelled_race) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    const auto t1 = spawn(gets(q));
    const auto t2 = spawn(gets(q));
    co_await yield();
    t1.cancel();
    co_await yield();
    EXPECT_TRUE(t1.was_cancelled());
    co_await puts(q, 7);
    co_await yield();
    EXPECT_EQ(co_await t2, 7);
  });
}

TEST(asyncio_queue_get, get_with_waiting_putters) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    spawn(puts(q, 1)).detach();
    spawn(puts(q, 2)).detach();
    EXPECT_EQ(co_await gets(q), 1);
    EXPECT_EQ(co_await gets(q), 2);
  });
}

TEST(asyncio_queue_get, why_are_getters_waiting) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    numbers got;
    auto producer = [&]() -> task<> {
      for (int i = 0; i < 5; ++i) co_await puts(q, i);
    };
    auto consumer = [&]() -> task<> {
      for (int i = 0; i < 5; ++i) got.push_back(co_await gets(q));
    };
    co_await gather(producer(), consumer());
    EXPECT_EQ(got, (numbers{0, 1, 2, 3, 4}));
  });
}

TEST(asyncio_queue_get, cancelled_getters_not_being_held_in_self_getters) {
  on_sim([]() -> task<> {
    queue<int> q(5);
    const auto late = co_await with_timeout(100ms, gets(q));
    EXPECT_TRUE(is(late.error(), errc::timed_out));
    EXPECT_EQ(q.statistics().getters.now, 0U);
  });
}

// ---- QueuePutTests --------------------------------------------------------------------------------------------------

TEST(asyncio_queue_put, blocking_put) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    co_await puts(q, 1);
    EXPECT_EQ(co_await gets(q), 1);
  });
}

TEST(asyncio_queue_put, blocking_put_wait) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    event started;
    bool finished = false;
    auto queue_put = [&]() -> task<> {
      started.set();
      co_await puts(q, 1);
      co_await puts(q, 2);
      finished = true;
    };
    const auto begin = clock::now();
    call_later(10ms, [&] { std::ignore = q.try_get(); });
    const auto t = spawn(queue_put());
    co_await started.wait();
    EXPECT_FALSE(finished);
    co_await t;
    EXPECT_TRUE(finished);
    EXPECT_EQ(since(begin), 10ms);
  });
}

TEST(asyncio_queue_put, nonblocking_put) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    fill(q, {1});
    EXPECT_EQ(q.try_get().value(), 1);
    co_return;
  });
}

// The item that was given to it before the cancel is not lost. Differs: it reaches the very reader, which ends with it.
TEST(asyncio_queue_put, get_cancel_drop_one_pending_reader) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    const auto reader = spawn(gets(q));
    co_await yield();
    fill(q, {1, 2});
    reader.cancel();
    EXPECT_EQ(co_await reader, 1);
    EXPECT_EQ(drain(q), numbers{2});
  });
}

// Differs: the first two were given an item each before the cancel, so it is the third that waits on.
TEST(asyncio_queue_put, get_cancel_drop_many_pending_readers) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    const auto reader1 = spawn(gets(q));
    const auto reader2 = spawn(gets(q));
    const auto reader3 = spawn(gets(q));
    co_await yield();
    fill(q, {1, 2});
    reader1.cancel();
    EXPECT_EQ(co_await reader1, 1);
    EXPECT_EQ(co_await reader2, 2);
    EXPECT_FALSE(reader3.done());
    fill(q, {3});
    EXPECT_EQ(co_await reader3, 3);
  });
}

// put_cancel_drop, cancelled_put_silence_value_error_exception. Differs: the item was taken in before the cancel came, so
// the put is done; CPython's is called off, to be tried again.
TEST(asyncio_queue_put, put_cancel_drop) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    fill(q, {1});
    const auto writer = spawn(puts(q, 2));
    co_await yield();
    EXPECT_EQ(q.try_get().value(), 1);
    writer.cancel();
    EXPECT_EQ(ending_of(co_await writer.outcome()), "value");
    EXPECT_EQ(q.try_get().value(), 2);
    EXPECT_EQ(q.size(), 0U);
  });
}

// Differs: an error value, not QueueFull.
TEST(asyncio_queue_put, nonblocking_put_exception) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    fill(q, {1});
    EXPECT_TRUE(is(q.try_put(2).error(), errc::operation_would_block));
    co_return;
  });
}

TEST(asyncio_queue_put, put_cancelled) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    const auto t = spawn(puts(q, 1));
    EXPECT_EQ(co_await gets(q), 1);
    EXPECT_TRUE(t.done());
  });
}

TEST(asyncio_queue_put, put_cancelled_race) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    const auto put_a = spawn(puts(q, 1));
    const auto put_b = spawn(puts(q, 2));
    const auto put_c = spawn(puts(q, 9));
    co_await yield();
    EXPECT_TRUE(put_a.done());
    EXPECT_FALSE(put_b.done());
    put_c.cancel();
    co_await yield();
    EXPECT_TRUE(put_c.was_cancelled());
    EXPECT_EQ(q.try_get().value(), 1);
    EXPECT_EQ(q.try_get().value(), 2) << "in the moment in which there was room, before its putter's turn";
    EXPECT_TRUE(q.empty());
    co_await put_b;
  });
}

TEST(asyncio_queue_put, put_with_waiting_getters) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    const auto t = spawn(gets(q));
    co_await yield();
    co_await puts(q, 7);
    EXPECT_EQ(co_await t, 7);
  });
}

TEST(asyncio_queue_put, why_are_putters_waiting) {
  on_sim([]() -> task<> {
    queue<int> q(2);
    auto getter = [&]() -> task<> {
      co_await yield();
      for (std::size_t left = q.size(); left; --left) q.try_get().value();
    };
    co_await gather(getter(), puts(q, 0), puts(q, 1), puts(q, 2), puts(q, 3));
    EXPECT_EQ(drain(q), (numbers{2, 3}));
  });
}

TEST(asyncio_queue_put, cancelled_puts_not_being_held_in_self_putters) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    fill(q, {1});
    const auto put_task = spawn(puts(q, 1));
    co_await yield();
    EXPECT_EQ(q.statistics().putters.now, 1U);
    put_task.cancel();
    EXPECT_THROW(co_await put_task, cancelled);
    EXPECT_EQ(q.statistics().putters.now, 0U);
    EXPECT_EQ(q.size(), 1U);
  });
}

// ---- LifoQueueTests, PriorityQueueTests -----------------------------------------------------------------------------

TEST(asyncio_lifo_queue, order) {
  on_sim([]() -> task<> {
    lifo_queue<int> q(unbounded);
    fill(q, {1, 3, 2});
    EXPECT_EQ(drain(q), (numbers{2, 3, 1}));
    co_return;
  });
}

TEST(asyncio_priority_queue, order) {
  on_sim([]() -> task<> {
    priority_queue<int> q(unbounded);
    fill(q, {1, 3, 2});
    EXPECT_EQ(drain(q), (numbers{1, 2, 3}));
    co_return;
  });
}

}  // namespace
}  // namespace axle::test
