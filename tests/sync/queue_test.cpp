// queue, priority_queue, lifo_queue: order, room, join; queue_close_test.cpp has close and cancels. After test_asyncio where
// it has such a test.
#include <algorithm>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- order ----------------------------------------------------------------------------------------------------------

TEST(queue, gives_items_in_the_order_in_which_they_were_put) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(co_await q.put(i));
    EXPECT_EQ(q.size(), 100U);
    for (int i = 0; i < 100; ++i) {
      const auto item = co_await q.get();
      EXPECT_EQ(item.value(), i);
    }
    EXPECT_TRUE(q.empty());
  });
}

TEST(lifo_queue, gives_the_latest_first) {
  on_sim([]() -> task<> {
    lifo_queue<int> q(unbounded);
    for (const int i : {1, 3, 2}) EXPECT_TRUE(q.try_put(i));
    trace got;
    for (int i = 0; i < 3; ++i) got.push_back(std::to_string(q.try_get().value()));
    EXPECT_EQ(got, (trace{"2", "3", "1"}));
    co_return;
  });
}

using numbered = std::pair<int, int>;
struct by_first {
  bool operator()(const numbered& a, const numbered& b) const { return a.first < b.first; }
};

TEST(priority_queue, gives_the_least_first_and_equal_ones_in_the_order_put) {
  on_sim([]() -> task<> {
    priority_queue<numbered, by_first> q(unbounded);
    std::vector<numbered> expected;
    std::mt19937 random(1);
    for (int i = 0; i < 1000; ++i) {
      const numbered item{static_cast<int>(random() % 10), i};
      expected.push_back(item);
      EXPECT_TRUE(q.try_put(item));
    }
    std::sort(expected.begin(), expected.end());
    std::vector<numbered> got;
    while (!q.empty()) got.push_back(q.try_get().value());
    EXPECT_EQ(got, expected);
    co_return;
  });
}

TEST(priority_queue, keeps_its_order_when_puts_and_gets_alternate) {
  on_sim([]() -> task<> {
    priority_queue<int> q(unbounded);
    std::multimap<int, int> model;
    std::mt19937 random(2);
    for (int i = 0; i < 10'000; ++i) {
      if (random() % 2 || model.empty()) {
        const int item = static_cast<int>(random() % 100);
        EXPECT_TRUE(q.try_put(item));
        model.emplace(item, i);
      } else {
        EXPECT_EQ(q.try_get().value(), model.begin()->first);
        model.erase(model.begin());
      }
    }
    co_return;
  });
}

TEST(queue, serves_getters_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    std::vector<int> got[3];
    for (auto& into : got) spawn(gets_one(q, into)).detach();
    co_await yield();
    EXPECT_EQ(q.statistics().getters.now, 3U);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_put(i));
    EXPECT_EQ(q.statistics().getters.now, 0U);
    EXPECT_EQ(q.size(), 0U) << "they were handed over";
    co_await yield();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(got[i], std::vector<int>{i});
  });
}

TEST(queue, a_late_getter_cannot_snatch_an_item_that_was_handed_over) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    std::vector<int> first;
    spawn(gets_one(q, first)).detach();
    co_await yield();
    EXPECT_TRUE(q.try_put(1));
    EXPECT_FALSE(q.try_get());
    co_await yield();
    EXPECT_EQ(first, std::vector<int>{1});
  });
}

TEST(queue, serves_putters_in_the_order_in_which_they_came) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    std::vector<int> in, out;
    for (int i = 0; i < 5; ++i) spawn(puts_one(q, i, in)).detach();
    co_await rounds(2);
    EXPECT_EQ(in, std::vector<int>{0});
    EXPECT_EQ(q.statistics().putters.now, 4U);
    for (int i = 0; i < 5; ++i) out.push_back(q.try_get().value());
    co_await rounds(2);
    EXPECT_EQ(out, (std::vector<int>{0, 1, 2, 3, 4}));
    EXPECT_EQ(in, out);
  });
}

TEST(queue, a_late_putter_cannot_take_the_room_of_one_that_waits) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    std::vector<int> in;
    EXPECT_TRUE(q.try_put(0));
    spawn(puts_one(q, 1, in)).detach();
    co_await yield();
    EXPECT_EQ(q.try_get().value(), 0);
    EXPECT_TRUE(is(q.try_put(2).error(), errc::operation_would_block));
    EXPECT_EQ(q.try_get().value(), 1);
    EXPECT_TRUE(q.try_put(2));
    co_await yield();
    EXPECT_EQ(in, std::vector<int>{1});
  });
}

TEST(lifo_queue, takes_in_the_item_of_a_waiting_putter_as_the_latest) {
  on_sim([]() -> task<> {
    lifo_queue<int> q(2);
    std::vector<int> in;
    for (int i = 0; i < 4; ++i) spawn(puts_one(q, i, in)).detach();
    co_await yield();
    EXPECT_EQ(q.try_get().value(), 1);
    EXPECT_EQ(q.try_get().value(), 2);
    EXPECT_EQ(q.try_get().value(), 3);
    EXPECT_EQ(q.try_get().value(), 0);
    co_await rounds(2);
    EXPECT_EQ(in, (std::vector<int>{0, 1, 2, 3}));
  });
}

TEST(priority_queue, sorts_in_the_item_of_a_waiting_putter) {
  on_sim([]() -> task<> {
    priority_queue<int> q(2);
    std::vector<int> in;
    for (const int i : {5, 6, 1, 9}) spawn(puts_one(q, i, in)).detach();
    co_await yield();
    EXPECT_EQ(q.try_get().value(), 5);  // 1 goes in
    EXPECT_EQ(q.try_get().value(), 1);  // 9 goes in
    EXPECT_EQ(q.try_get().value(), 6);
    EXPECT_EQ(q.try_get().value(), 9);
    co_await rounds(2);
  });
}

// ---- room -----------------------------------------------------------------------------------------------------------

TEST(queue, says_what_there_is_without_waiting) {
  on_sim([]() -> task<> {
    queue<int> q(2);
    EXPECT_EQ(q.bound(), 2U);
    EXPECT_TRUE(q.empty());
    EXPECT_FALSE(q.full());
    EXPECT_TRUE(is(q.try_get().error(), errc::operation_would_block));
    EXPECT_TRUE(q.try_put(1));
    EXPECT_TRUE(q.try_put(2));
    EXPECT_TRUE(q.full());
    EXPECT_TRUE(is(q.try_put(3).error(), errc::operation_would_block));
    EXPECT_EQ(q.size(), 2U);
    q.close();
    EXPECT_TRUE(is(q.try_put(3).error(), errc::broken_pipe));
    EXPECT_EQ(q.try_get().value(), 1);
    EXPECT_EQ(q.try_get().value(), 2);
    EXPECT_TRUE(is(q.try_get().error(), errc::broken_pipe));
    co_return;
  });
}

TEST(queue, a_fast_producer_is_held_back) {
  on_sim([]() -> task<> {
    queue<int> q(3);
    std::size_t most = 0;
    std::vector<int> got;
    co_await gather(produces(q, 1000, most), consumes(q, got));
    EXPECT_LE(most, 3U);
    EXPECT_LE(q.statistics().most, 3U);
    EXPECT_EQ(q.statistics().total, 1000U);
    EXPECT_EQ(got.size(), 1000U);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
  });
}

TEST(queue, keeps_its_statistics) {
  on_sim([]() -> task<> {
    queue<int> q(2);
    std::vector<int> in, out;
    for (int i = 0; i < 5; ++i) spawn(puts_one(q, i, in)).detach();
    co_await yield();
    EXPECT_EQ(q.statistics().size, 2U);
    EXPECT_EQ(q.statistics().most, 2U);
    EXPECT_EQ(q.statistics().total, 2U);
    EXPECT_EQ(q.statistics().putters.now, 3U);
    EXPECT_EQ(q.statistics().putters.most, 3U);
    for (int i = 0; i < 7; ++i) spawn(gets_one(q, out)).detach();
    co_await rounds(3);
    EXPECT_EQ(q.statistics().size, 0U);
    EXPECT_EQ(q.statistics().total, 5U);
    EXPECT_EQ(q.statistics().putters.now, 0U);
    EXPECT_EQ(q.statistics().putters.total, 3U);
    EXPECT_EQ(q.statistics().getters.now, 2U);
    EXPECT_EQ(q.statistics().getters.total, 2U);
    q.close();
    co_await yield();
    EXPECT_EQ(q.statistics().getters.now, 0U);
    EXPECT_EQ(out.size(), 5U);
  });
}

// ---- items of all kinds ---------------------------------------------------------------------------------------------

struct only_moves {
  explicit only_moves(int& alive, int n) : number(n), alive_(&alive) { ++*alive_; }
  only_moves(only_moves&& other) noexcept : number(other.number), alive_(other.alive_) { ++*alive_; }
  only_moves& operator=(only_moves&& other) noexcept {
    number = other.number;
    return *this;
  }
  ~only_moves() { --*alive_; }
  bool operator<(const only_moves& other) const { return number < other.number; }
  int number;

 private:
  int* alive_;
};

template <class Queue>
task<> puts_moved(Queue& q, int& alive, int number) {
  static_cast<void>(co_await q.put(only_moves(alive, number)));
}
template <class Queue>
task<> passes_moved_items(int& alive) {
  Queue q(2);
  for (int i = 0; i < 5; ++i) spawn(puts_moved(q, alive, i)).detach();
  co_await rounds(2);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(co_await q.get());
  const auto cut = spawn(puts_moved(q, alive, 9));
  co_await rounds(2);
  cut.cancel();
  q.close();
  co_await rounds(2);
  EXPECT_EQ(alive, 2) << "two are in the queue; the one turned away and the one cut off are gone";
}

TEST(queue, destroys_every_item_exactly_once) {
  int alive = 0;
  auto main = [&]() -> task<> {
    co_await passes_moved_items<queue<only_moves>>(alive);
    co_await passes_moved_items<lifo_queue<only_moves>>(alive);
    co_await passes_moved_items<priority_queue<only_moves>>(alive);
  };
  on_sim(main);
  EXPECT_EQ(alive, 0);
}

TEST(queue, carries_items_that_cannot_be_copied_and_whose_owner_is_checked) {
  on_sim([]() -> task<> {
    queue<std::unique_ptr<int>> q(1);
    EXPECT_TRUE(co_await q.put(std::make_unique<int>(5)));
    auto kept = std::make_unique<int>(6);
    EXPECT_FALSE(q.try_put(std::move(kept)));
    EXPECT_TRUE(kept != nullptr) << "the item is as it was";
    q.close();
    EXPECT_FALSE(q.try_put(std::move(kept)));
    EXPECT_TRUE(kept != nullptr);
    const auto got = co_await q.get();
    EXPECT_EQ(**got, 5);
  });
}

TEST(queue, of_vectors_bools_and_error_codes) {
  on_sim([]() -> task<> {
    queue<std::vector<int>> vectors(4);
    const std::vector<int> three{1, 2, 3};
    EXPECT_TRUE(co_await vectors.put(three));
    EXPECT_EQ((co_await vectors.get()).value().size(), 3U);
    queue<bool> bools(4);
    EXPECT_TRUE(co_await bools.put(false));
    const auto got = co_await bools.get();
    EXPECT_TRUE(got.has_value());
    EXPECT_FALSE(*got);
    priority_queue<std::string> strings(4);
    EXPECT_TRUE(co_await strings.put("b"));
    EXPECT_TRUE(co_await strings.put("a"));
    EXPECT_EQ((co_await strings.get()).value(), "a");
  });
}

// ---- join -----------------------------------------------------------------------------------------------------------

TEST(queue, join_returns_when_every_item_is_done) {
  on_sim([]() -> task<> {
    queue<int> q(unbounded);
    int joined = 0;
    co_await q.join();  // nothing to do
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_put(i));
    EXPECT_EQ(q.unfinished(), 3U);
    spawn(joins(q, joined)).detach();
    spawn(joins(q, joined)).detach();
    co_await yield();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_get());
    co_await yield();
    EXPECT_EQ(joined, 0) << "empty is not done";
    q.task_done();
    q.task_done();
    co_await yield();
    EXPECT_EQ(joined, 0);
    q.task_done();
    co_await yield();
    EXPECT_EQ(joined, 2);
    EXPECT_EQ(q.unfinished(), 0U);
    EXPECT_TRUE(q.try_put(1));
    spawn(joins(q, joined)).detach();
    co_await yield();
    EXPECT_EQ(joined, 2) << "a new round";
    q.task_done();
    co_await yield();
    EXPECT_EQ(joined, 3);
  });
}

TEST(queue, items_handed_to_waiting_getters_and_from_waiting_putters_count_as_unfinished) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    std::vector<int> out, in;
    spawn(gets_one(q, out)).detach();
    co_await yield();
    for (int i = 0; i < 3; ++i) spawn(puts_one(q, i, in)).detach();
    co_await rounds(2);
    EXPECT_EQ(q.unfinished(), 2U) << "one is got, one is in, one waits";
    EXPECT_TRUE(q.try_get());
    EXPECT_EQ(q.unfinished(), 3U);
    EXPECT_TRUE(q.try_get());
    for (int i = 0; i < 3; ++i) q.task_done();
    co_await q.join();
    co_await yield();
  });
}

TEST(queue, a_cancelled_put_is_not_unfinished) {
  on_sim([]() -> task<> {
    queue<int> q(1);
    std::vector<int> in;
    EXPECT_TRUE(q.try_put(0));
    const auto putter = spawn(puts_one(q, 1, in));
    co_await yield();
    putter.cancel();
    co_await yield();
    EXPECT_EQ(q.unfinished(), 1U);
    EXPECT_TRUE(q.try_get());
    q.task_done();
    co_await q.join();
  });
}

TEST(queue, join_after_close_waits_for_what_is_still_to_do) {
  on_sim([]() -> task<> {
    queue<int> q(2);
    int joined = 0;
    EXPECT_TRUE(q.try_put(0));
    q.close();
    spawn(joins(q, joined)).detach();
    co_await yield();
    EXPECT_EQ(joined, 0);
    EXPECT_TRUE(q.try_get());
    q.task_done();
    co_await yield();
    EXPECT_EQ(joined, 1);
  });
}

}  // namespace
}  // namespace axle::test
