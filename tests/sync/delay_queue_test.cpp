// delay_queue: never early, in order, by key, with a bound, closed, cancelled, beyond a run.
#include <algorithm>
#include <map>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

struct got {
  int item;
  std::int64_t at_ms;
  bool operator==(const got&) const = default;
};
std::ostream& operator<<(std::ostream& out, const got& of) { return out << of.item << '@' << of.at_ms; }

struct receipts {
  std::vector<got> all;
  int ended = 0;
  clock::time_point start = clock::now();
  void add(int item) {
    all.push_back(
        {item, std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - start).count()});
  }
};
task<> gets(delay_queue<int>& from, receipts& log, int count = 1) {
  for (; count > 0; --count) {
    const auto item = co_await from.get();
    if (!item) {
      EXPECT_TRUE(is(item.error(), errc::broken_pipe));
      ++log.ended;
      co_return;
    }
    log.add(*item);
  }
}
task<> puts(delay_queue<int>& to, int item, std::chrono::nanoseconds delay, std::vector<int>& in) {
  const auto had = co_await to.put(item, delay);
  if (had) {
    in.push_back(item);
  } else {
    EXPECT_TRUE(is(had.error(), errc::broken_pipe));
  }
}

TEST(delay_queue, gives_items_when_they_are_due_the_earliest_first_and_equal_ones_in_order) {
  on_sim([]() -> task<> {
    delay_queue<int> q(unbounded);
    receipts log;
    const std::pair<int, std::chrono::milliseconds> all[] = {{1, 30ms}, {2, 10ms}, {3, 20ms}, {4, 10ms},
                                                             {5, 0ms},  {6, 10ms}, {7, -5ms}};
    for (const auto& [item, delay] : all) EXPECT_TRUE(co_await q.put(item, delay));
    EXPECT_EQ(q.size(), 7U);
    co_await gets(q, log, 7);
    EXPECT_EQ(log.all, (std::vector<got>{{5, 0}, {7, 0}, {2, 10}, {4, 10}, {6, 10}, {3, 20}, {1, 30}}));
    EXPECT_TRUE(q.empty());
    EXPECT_EQ(q.statistics().total, 7U);
    EXPECT_EQ(q.statistics().most, 7U);
  });
}

TEST(delay_queue, is_exact_to_the_nanosecond_and_takes_a_time_as_well) {
  on_sim([]() -> task<> {
    delay_queue<std::unique_ptr<int>> q(4);
    const auto when = clock::now() + 1h + 1ns;
    EXPECT_TRUE(q.try_put(std::make_unique<int>(1), when));
    const auto early = q.try_get();
    EXPECT_TRUE(is(early.error(), errc::operation_would_block));
    const auto item = co_await q.get();
    EXPECT_EQ(**item, 1);
    EXPECT_EQ(woken_at(), when);
  });
}

TEST(delay_queue, an_item_that_is_due_sooner_goes_before_the_one_that_is_waited_for) {
  on_sim([]() -> task<> {
    delay_queue<int> q(unbounded);
    receipts log;
    EXPECT_TRUE(q.try_put(1, 50ms));
    spawn(gets(q, log, 3)).detach();
    co_await sleep(10ms);
    EXPECT_TRUE(q.try_put(2, 10ms));
    EXPECT_TRUE(q.try_put(3, 0ms));
    EXPECT_EQ(q.size(), 2U) << "it was handed over";
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<got>{{3, 10}, {2, 20}, {1, 50}}));
  });
}

TEST(delay_queue, serves_getters_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    delay_queue<int> q(unbounded);
    receipts logs[3];
    for (auto& log : logs) spawn(gets(q, log)).detach();
    co_await yield();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_put(i, 5ms));
    const auto none = q.try_get();
    EXPECT_FALSE(none);
    co_await sleep(1s);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(logs[i].all, (std::vector<got>{{i, 5}}));
    EXPECT_EQ(q.statistics().getters.total, 3U);
    EXPECT_EQ(q.statistics().getters.most, 3U);
  });
}

TEST(delay_queue, what_is_due_is_not_snatched_from_one_that_waits) {
  on_sim([]() -> task<> {
    delay_queue<int> q(unbounded);
    receipts log;
    // This task's own timer is armed first, so it is before the queue's.
    auto snatches = [&]() -> task<> {
      co_await sleep(5ms);
      const auto item = q.try_get();
      EXPECT_FALSE(item);
    };
    const auto snatcher = spawn(snatches());
    co_await yield();
    EXPECT_TRUE(q.try_put(1, 5ms));
    spawn(gets(q, log)).detach();
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<got>{{1, 5}}));
  });
}

// ---- keys -----------------------------------------------------------------------------------------------------------

TEST(delay_queue, items_are_removed_by_their_keys) {
  on_sim([]() -> task<> {
    delay_queue<int> q(8);
    std::vector<delay_queue<int>::key> keys;
    for (int i = 0; i < 5; ++i) keys.push_back(q.try_put(i, (i + 1) * 10ms).value());
    receipts log;
    spawn(gets(q, log, 4)).detach();
    co_await yield();
    EXPECT_EQ(q.remove(keys[0]), 0) << "the one that is waited for";
    EXPECT_EQ(q.remove(keys[3]), 3);
    EXPECT_EQ(q.remove(keys[3]), std::nullopt);
    EXPECT_EQ(q.remove({}), std::nullopt);
    const auto again = q.try_put(9, 25ms).value();
    EXPECT_EQ(q.remove(keys[0]), std::nullopt) << "its place is another's now";
    EXPECT_EQ(q.remove(keys[3]), std::nullopt);
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<got>{{1, 20}, {9, 25}, {2, 30}, {4, 50}}));
    EXPECT_EQ(q.remove(again), std::nullopt);
    EXPECT_FALSE(q.reset(again, 1s));
  });
}

TEST(delay_queue, items_are_put_off_and_brought_forward_by_their_keys) {
  on_sim([]() -> task<> {
    delay_queue<int> q(8);
    std::vector<delay_queue<int>::key> keys;
    for (int i = 0; i < 4; ++i) keys.push_back(q.try_put(i, 10ms).value());
    receipts log;
    spawn(gets(q, log, 4)).detach();
    co_await yield();
    EXPECT_TRUE(q.reset(keys[0], 40ms));
    EXPECT_TRUE(q.reset(keys[3], 5ms));
    EXPECT_TRUE(q.reset(keys[1], 10ms));  // behind its equals
    co_await sleep(20ms);
    EXPECT_EQ(log.all, (std::vector<got>{{3, 5}, {2, 10}, {1, 10}}));
    EXPECT_TRUE(q.reset(keys[0], clock::now()));
    co_await sleep(1s);
    EXPECT_EQ(log.all.back(), (got{0, 20})) << "it was due at once";
    EXPECT_FALSE(q.reset(keys[0], 1ms));
  });
}

// ---- bound ----------------------------------------------------------------------------------------------------------

TEST(delay_queue, putters_wait_for_room_and_are_served_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    delay_queue<int> q(1);
    std::vector<int> in;
    receipts log;
    for (int i = 0; i < 4; ++i) spawn(puts(q, i, 10ms, in)).detach();
    co_await rounds(2);
    EXPECT_EQ(in, (std::vector<int>{0}));
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.statistics().putters.now, 3U);
    const auto refused = q.try_put(9, 0ms);
    EXPECT_TRUE(is(refused.error(), errc::operation_would_block));
    co_await gets(q, log, 4);
    co_await yield();
    EXPECT_EQ(in, (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(log.all, (std::vector<got>{{0, 10}, {1, 10}, {2, 10}, {3, 10}}))
        << "the delay counts from the put, not from the room";
  });
}

TEST(delay_queue, an_item_removed_makes_room) {
  on_sim([]() -> task<> {
    delay_queue<int> q(1);
    std::vector<int> in;
    const auto key = q.try_put(1, 1h).value();
    spawn(puts(q, 2, 10ms, in)).detach();
    receipts log;
    spawn(gets(q, log)).detach();
    co_await rounds(2);
    EXPECT_EQ(q.remove(key), 1);
    EXPECT_EQ(q.size(), 1U);
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<got>{{2, 10}}));
    EXPECT_EQ(in, (std::vector<int>{2}));
  });
}

// ---- close ----------------------------------------------------------------------------------------------------------

TEST(delay_queue, what_is_in_it_when_it_is_closed_can_still_be_got_when_it_is_due) {
  on_sim([]() -> task<> {
    delay_queue<int> q(2);
    std::vector<int> in;
    receipts log;
    EXPECT_TRUE(q.try_put(1, 10ms));
    EXPECT_TRUE(q.try_put(2, 20ms));
    spawn(puts(q, 3, 0ms, in)).detach();
    for (int i = 0; i < 3; ++i) spawn(gets(q, log, 2)).detach();
    co_await rounds(2);
    q.close();
    q.close();
    EXPECT_TRUE(q.closed());
    const auto late = co_await q.put(4, 0ms);
    EXPECT_TRUE(is(late.error(), errc::broken_pipe));
    EXPECT_TRUE(is(q.try_put(4, 0ms).error(), errc::broken_pipe));
    EXPECT_TRUE(is(q.try_get().error(), errc::operation_would_block));
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<got>{{1, 10}, {2, 20}}));
    EXPECT_EQ(log.ended, 3) << "with the last item those who wait go on";
    EXPECT_TRUE(in.empty());
    EXPECT_TRUE(is(q.try_get().error(), errc::broken_pipe));
    const auto none = co_await q.get();
    EXPECT_TRUE(is(none.error(), errc::broken_pipe));
  });
}

TEST(delay_queue, closed_when_it_is_empty_or_emptied_by_remove_it_lets_getters_go) {
  on_sim([]() -> task<> {
    receipts log;
    delay_queue<int> q(2);
    spawn(gets(q, log)).detach();
    co_await yield();
    q.close();
    co_await yield();
    EXPECT_EQ(log.ended, 1);
    delay_queue<int> other(2);
    const auto key = other.try_put(1, 1h).value();
    spawn(gets(other, log)).detach();
    co_await yield();
    other.close();
    co_await yield();
    EXPECT_EQ(log.ended, 1);
    EXPECT_EQ(other.remove(key), 1);
    co_await yield();
    EXPECT_EQ(log.ended, 2);
  });
}

// ---- cancels --------------------------------------------------------------------------------------------------------

TEST(delay_queue, cancelled_getters_lose_nothing) {
  on_sim([]() -> task<> {
    delay_queue<int> q(4);
    receipts log;
    EXPECT_TRUE(q.try_put(1, 10ms));
    const auto before_start = spawn(gets(q, log));
    before_start.cancel();
    const auto waiting = spawn(gets(q, log));
    co_await sleep(5ms);
    waiting.cancel();
    EXPECT_EQ(q.statistics().getters.now, 0U);
    co_await sleep(1s);
    EXPECT_TRUE(before_start.was_cancelled() && waiting.was_cancelled());
    EXPECT_EQ(q.size(), 1U);
    static_cast<void>(q.get());
    co_await gets(q, log);
    EXPECT_EQ(log.all, (std::vector<got>{{1, 1005}}));
  });
}

TEST(delay_queue,
     served_and_cancelled_in_the_same_turn_a_getter_has_its_item_and_the_other_way_round_it_has_none) {
  on_sim([]() -> task<> {
    delay_queue<int> q(4);
    receipts log;
    const auto served = spawn(gets(q, log, 2));
    co_await yield();
    EXPECT_TRUE(q.try_put(1, 0ms));
    served.cancel();
    co_await rounds(2);
    EXPECT_TRUE(served.was_cancelled()) << "at its next get";
    EXPECT_EQ(log.all.size(), 1U);
    const auto gone = spawn(gets(q, log, 2));
    co_await yield();
    gone.cancel();
    EXPECT_TRUE(q.try_put(2, 0ms));
    co_await rounds(2);
    EXPECT_EQ(log.all.size(), 1U);
    EXPECT_EQ(q.try_get().value(), 2);
  });
}

TEST(delay_queue, cancelled_putters_put_nothing_and_one_that_was_let_in_did) {
  on_sim([]() -> task<> {
    delay_queue<int> q(1);
    std::vector<int> in;
    EXPECT_TRUE(q.try_put(1, 0ms));
    const auto a = spawn(puts(q, 2, 0ms, in));
    const auto b = spawn(puts(q, 3, 0ms, in));
    co_await yield();
    a.cancel();
    EXPECT_EQ(q.try_get().value(), 1);
    b.cancel();
    co_await rounds(2);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_EQ(in, (std::vector<int>{3}));
    EXPECT_EQ(q.try_get().value(), 3);
    static_cast<void>(q.put(4, 0ms));
    EXPECT_TRUE(q.empty());
  });
}

TEST(delay_queue, a_get_that_times_out_leaves_the_item) {
  on_sim([]() -> task<> {
    for (const auto limit : {10ms - 20us, 10ms + 0us, 10ms + 20us}) {
      delay_queue<int> q(4);
      receipts log;
      EXPECT_TRUE(q.try_put(1, 10ms));
      const auto became = co_await with_timeout(limit, gets(q, log));
      EXPECT_EQ(log.all.size() + q.size(), 1U);
      EXPECT_EQ(static_cast<bool>(became), q.empty());
      if (limit < 10ms) EXPECT_FALSE(became);
      if (limit > 10ms) EXPECT_TRUE(became);
    }
  });
}

// ---- model ----------------------------------------------------------------------------------------------------------

TEST(delay_queue, agrees_with_a_model) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(test_seed(seed));
    auto main = [&]() -> task<> {
      delay_queue<int> q(64);
      struct expected {
        int item;
        delay_queue<int>::key key;
      };
      std::map<std::pair<clock::time_point, int>, expected> model;  // by deadline and order
      int order = 0;
      for (int step = 0; step < 20'000; ++step) {
        const auto when = clock::now() + std::chrono::nanoseconds(random() % 1000);
        const auto some = [&] {
          return std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
        };
        switch (random() % 5) {
          case 0:
          case 1: {
            const auto key = q.try_put(step, when);
            EXPECT_EQ(static_cast<bool>(key), model.size() < 64);
            if (key) model[{when, order++}] = {step, *key};
            break;
          }
          case 2:
            if (!model.empty()) {
              const auto one = some();
              EXPECT_EQ(q.remove(one->second.key), one->second.item);
              model.erase(one);
            }
            break;
          case 3:
            if (!model.empty()) {
              const auto one = some();
              const expected moved = one->second;
              model.erase(one);
              EXPECT_TRUE(q.reset(moved.key, when));
              model[{when, order++}] = moved;
            }
            break;
          default: {
            co_await sleep(std::chrono::nanoseconds(random() % 200));
            for (auto item = q.try_get(); item; item = q.try_get()) {
              EXPECT_LE(model.begin()->first.first, clock::now());
              EXPECT_EQ(*item, model.begin()->second.item);
              model.erase(model.begin());
            }
            EXPECT_TRUE(model.empty() || model.begin()->first.first > clock::now());
          }
        }
        EXPECT_EQ(q.size(), model.size());
        if (::testing::Test::HasFailure()) co_return;
      }
    };
    on_sim(main);
  }
}

// Many putters and getters, cancelled at random: every item that went in comes out once, none early.
TEST(delay_queue, loses_and_doubles_nothing_when_tasks_are_cancelled_at_random) {
  std::mt19937_64 random(test_seed(1));
  std::vector<int> in, out;
  auto puts_some = [&](delay_queue<int>& q, int item, std::chrono::nanoseconds delay) -> task<> {
    const auto key = co_await q.put(item, delay);
    if (key) in.push_back(item);
  };
  auto gets_one_of = [&](delay_queue<int>& q) -> task<> {
    const auto item = co_await q.get();
    if (item) out.push_back(*item);
  };
  auto main = [&]() -> task<> {
    delay_queue<int> q(5);
    std::vector<join_handle<>> all;
    for (int i = 0; i < 5000; ++i) {
      all.push_back(spawn(puts_some(q, i, std::chrono::nanoseconds(random() % 3000))));
      all.push_back(spawn(gets_one_of(q)));
      if (random() % 2) all[random() % all.size()].cancel();
      if (random() % 2) co_await sleep(std::chrono::nanoseconds(random() % 2000));
    }
    co_await sleep(1h);
    q.close();
    for (;;) {
      const auto item = co_await q.get();
      if (!item) break;
      out.push_back(*item);
    }
    co_await rounds(2);
    for (auto& one : all) EXPECT_TRUE(one.done());
  };
  on_sim(main);
  std::sort(in.begin(), in.end());
  std::sort(out.begin(), out.end());
  EXPECT_EQ(in, out);
  EXPECT_GT(out.size(), 1000U);
}

// ---- life -----------------------------------------------------------------------------------------------------------

TEST(delay_queue, may_be_used_in_one_run_after_another_with_getters_and_items_left_behind) {
  delay_queue<int> q(4);
  receipts log;
  auto first = [&]() -> task<> {
    EXPECT_TRUE(q.try_put(1, 10ms));
    spawn(gets(q, log)).detach();
    co_await sleep(1ms);
  };
  auto second = [&]() -> task<> {
    EXPECT_EQ(q.size(), 1U);
    co_await gets(q, log);
    EXPECT_EQ(log.all.size(), 1U);
  };
  on_sim(first);
  EXPECT_EQ(q.statistics().getters.now, 0U);
  on_sim(second);
}

TEST(delay_queue, items_that_are_left_are_destroyed_with_it) {
  int alive = 0;
  auto main = [&]() -> task<> {
    delay_queue<counted> q(4);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_put(counted(alive), 1h * i));
    EXPECT_EQ(alive, 3);
    { const auto one = co_await q.get(); }
    EXPECT_EQ(alive, 2);
  };
  on_sim(main);
  EXPECT_EQ(alive, 0);
}

task<> destroyed_with_a_getter() {
  receipts log;
  delay_queue<int> q(1);
  spawn(gets(q, log)).detach();
  co_await yield();
}
task<> without_room() {
  const delay_queue<int> q(0);
  co_return;
}
void used_on_another_core() {
  delay_queue<int> q(2);
  auto main = [&]() -> task<> {
    EXPECT_TRUE(q.try_put(1, 1h));
    auto far = [&]() -> task<> {
      const auto item = co_await q.get();
      EXPECT_TRUE(item);
    };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
TEST(delay_queue_death, misuse) {
  EXPECT_DEATH(on_sim(destroyed_with_a_getter), "a delay_queue was destroyed while 1 tasks wait");
  EXPECT_DEATH(on_sim(without_room), "a delay_queue with room for nothing");
  EXPECT_DEATH(used_on_another_core(), "delay_queue.*core 0.*core 1");
}

}  // namespace
}  // namespace axle::test
