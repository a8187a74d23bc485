// queue: closed, or its users cancelled, at every moment.
#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- close ----------------------------------------------------------------------------------------------------------

task<> gets_error(queue<int>& q, trace& log) {
  const auto item = co_await q.get();
  log.push_back(item ? "item" : is(item.error(), errc::broken_pipe) ? "get: closed" : "get: ?");
}
task<> puts_error(queue<int>& q, trace& log) {
  const auto had = co_await q.put(1);
  log.push_back(had ? "in" : is(had.error(), errc::broken_pipe) ? "put: closed" : "put: ?");
}

TEST(queue, close_sends_waiting_getters_home) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    trace log;
    for (int i = 0; i < 3; ++i) spawn(gets_error(q, log)).detach();
    co_await yield();
    q.close();
    q.close();
    EXPECT_TRUE(q.closed());
    co_await yield();
    EXPECT_EQ(log, (trace{"get: closed", "get: closed", "get: closed"}));
    co_await gets_error(q, log);
    co_await puts_error(q, log);
    EXPECT_EQ(log.back(), "put: closed");
  });
}

TEST(queue, close_sends_waiting_putters_home_and_keeps_what_is_in_it) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    trace log;
    EXPECT_TRUE(q.try_put(7));
    for (int i = 0; i < 2; ++i) spawn(puts_error(q, log)).detach();
    co_await yield();
    q.close();
    co_await yield();
    EXPECT_EQ(log, (trace{"put: closed", "put: closed"}));
    EXPECT_EQ(q.size(), 1U);
    EXPECT_EQ(q.unfinished(), 1U);
    EXPECT_EQ((co_await q.get()).value(), 7);
    EXPECT_FALSE(co_await q.get());
  });
}

TEST(queue, what_was_handed_over_before_the_close_arrives) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    trace log;
    for (int i = 0; i < 2; ++i) spawn(gets_error(q, log)).detach();
    co_await yield();
    EXPECT_TRUE(q.try_put(1));
    q.close();
    co_await yield();
    EXPECT_EQ(log, (trace{"item", "get: closed"}));

    queue<int> full(1);
    EXPECT_TRUE(full.try_put(0));
    spawn(puts_error(full, log)).detach();
    co_await yield();
    EXPECT_TRUE(full.try_get());
    full.close();
    co_await yield();
    EXPECT_EQ(log.back(), "in");
    EXPECT_EQ(full.size(), 1U);
  });
}

// Every answer is there at once, more of them than a task may have in one go.
TEST(queue, a_closed_one_answers_for_ever_and_lets_others_run) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    q.close();
    int others = 0;
    auto counts = [&]() -> task<> {
      for (;;) {
        co_await yield();
        ++others;
      }
    };
    const auto other = spawn(counts());
    for (int i = 0; i < 10'000; ++i) {
      EXPECT_FALSE(co_await q.get());
      EXPECT_FALSE(co_await q.put(1));
    }
    EXPECT_GT(others, 0);
    other.cancel();
  });
}

// ---- cancelled ------------------------------------------------------------------------------------------------------

// asyncio: test_cancelled_getters_not_being_held_in_self_getters.
TEST(queue, cancelled_getters_do_not_swallow_items) {
  on_sim([]() -> task<> {
    queue<int> q(5);
    std::vector<int> got;
    for (int i = 0; i < 100; ++i) {
      const auto r = co_await with_timeout(1ms, gets_one(q, got));
      EXPECT_FALSE(r);
    }
    EXPECT_EQ(q.statistics().getters.now, 0U);
    EXPECT_TRUE(q.try_put(1));
    EXPECT_EQ(q.size(), 1U);
  });
}

TEST(queue, cancelled_putters_do_not_hold_room_nor_put) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    std::vector<int> in;
    EXPECT_TRUE(q.try_put(0));
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(co_await with_timeout(1ms, puts_one(q, 1, in)));
    EXPECT_EQ(q.try_get().value(), 0);
    EXPECT_TRUE(q.empty());
    EXPECT_TRUE(q.try_put(2));
    EXPECT_TRUE(in.empty());
  });
}

// asyncio: test_why_are_getters_waiting, test_why_are_putters_waiting.
task<> puts_now(queue<int>& q, int count) {
  for (int i = 0; i < count; ++i) {
    const auto had = co_await q.put(i);
    EXPECT_TRUE(had);
  }
}
task<> gets_now(queue<int>& q, int count) {
  for (int i = 0; i < count; ++i) {
    const auto item = co_await q.get();
    EXPECT_EQ(item.value(), i);
  }
}
TEST(queue, producer_and_consumer_pass_any_number_through_one_place) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    co_await gather(puts_now(q, 10'000), gets_now(q, 10'000));
    co_await gather(gets_now(q, 10'000), puts_now(q, 10'000));
  });
}

}  // namespace
}  // namespace axle::test
