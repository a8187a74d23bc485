// queue, priority_queue, lifo_queue: order, fairness, room, join, close; that no item is lost or made.
#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "../support.hpp"

namespace axle::test {
namespace {

bool is(std::error_code error, errc expected) { return error == std::make_error_condition(expected); }

template <class Queue>
task<> gets_one(Queue& from, std::vector<int>& into) {
  auto item = co_await from.get();
  if (item) into.push_back(*item);
}
template <class Queue>
task<> puts_one(Queue& to, int item, std::vector<int>& in) {
  const auto had = co_await to.put(item);
  if (had) in.push_back(item);
}
task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

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

task<> produces(queue<int>& q, int count, std::size_t& most) {
  for (int i = 0; i < count; ++i) {
    const auto had = co_await q.put(i);
    EXPECT_TRUE(had);
    most = std::max(most, q.size());
  }
  q.close();
}
task<> consumes(queue<int>& q, std::vector<int>& into) {
  for (;;) {
    const auto item = co_await q.get();
    if (!item) co_return;
    into.push_back(*item);
    if (*item % 3 == 0) co_await yield();
  }
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
    EXPECT_TRUE(co_await vectors.put({1, 2, 3}));
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

task<> joins(queue<int>& q, int& joined) {
  co_await q.join();
  ++joined;
}

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

// ---- model ----------------------------------------------------------------------------------------------------------

// Items are numbered from one producer to any; every one must be in exactly one of: got, left in the queue, never put.
struct model {
  queue<int>* q = nullptr;
  std::mt19937_64 random;
  int next = 0;
  std::vector<int> put;  // in the order in which the queue took them, as far as the putter knows
  std::vector<int> got;
  int running = 0;
};

task<> random_putter(model& in) {
  const counted here(in.running);
  for (;;) {
    const int item = in.next++;
    const auto had = co_await in.q->put(item);
    if (!had) co_return;
    in.put.push_back(item);
    if (in.random() % 3 == 0) co_await sleep(std::chrono::microseconds(in.random() % 50));
    if (in.random() % 3 == 0) co_await yield();
  }
}
task<> random_getter(model& in) {
  const counted here(in.running);
  for (;;) {
    auto item = co_await in.q->get();
    if (!item) co_return;
    in.got.push_back(*item);
    if (in.random() % 3 == 0) co_await sleep(std::chrono::microseconds(in.random() % 50));
    if (in.random() % 3 == 0) co_await yield();
  }
}
task<> random_timed(model& in, bool gets) {
  const counted here(in.running);
  const auto limit = std::chrono::microseconds(in.random() % 30);
  auto work = gets ? random_getter(in) : random_putter(in);
  static_cast<void>(co_await with_timeout(limit, std::move(work)));
}

task<> random_play(model& in, int steps) {
  std::vector<join_handle<>> tasks;
  for (int i = 0; i < steps; ++i) {
    const auto what = in.random() % 8;
    if (what < 2) {
      tasks.push_back(spawn(what ? random_putter(in) : random_getter(in)));
    } else if (what < 4) {
      tasks.push_back(spawn(random_timed(in, what == 2)));
    } else if (what < 6 && !tasks.empty()) {
      const std::size_t which = in.random() % tasks.size();
      tasks[which].cancel();
      if (in.random() % 2) {
        tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(which));
      }
    } else if (what == 6) {
      co_await yield();
    } else {
      co_await sleep(std::chrono::microseconds(in.random() % 20));
    }
  }
  for (auto& one : tasks) one.cancel();
  co_await sleep(1s);
  EXPECT_EQ(in.running, 0);
}

class queue_model : public ::testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(queue_model, loses_and_makes_no_item_and_keeps_the_order) {
  const auto seed = test_seed(static_cast<std::uint64_t>(std::get<0>(GetParam())));
  const auto bound = static_cast<std::size_t>(std::get<1>(GetParam()));
  model in;
  in.random.seed(seed);
  auto main = [&]() -> task<> {
    queue<int> q(bound);
    in.q = &q;
    co_await random_play(in, 3000);
    EXPECT_EQ(q.statistics().getters.now, 0U);
    EXPECT_EQ(q.statistics().putters.now, 0U);
    std::vector<int> left;
    while (auto item = q.try_get()) left.push_back(*item);
    EXPECT_EQ(q.statistics().total, in.put.size())
        << "a put that was taken in was not reported, or the reverse";
    EXPECT_EQ(q.unfinished(), in.put.size());

    std::vector<int> out = in.got;
    out.insert(out.end(), left.begin(), left.end());
    std::sort(out.begin(), out.end());
    std::sort(in.put.begin(), in.put.end());
    EXPECT_GT(out.size(), 100U) << "the model does too little";
    EXPECT_EQ(out, in.put);
  };
  on_sim(main);
}

INSTANTIATE_TEST_SUITE_P(seeds, queue_model,
                         ::testing::Combine(::testing::Range(1, 6), ::testing::Values(1, 2, 7)));

// One thing at a time, so that the order is known: against a model of deques.
struct pending {
  join_handle<> handle;
  int id;
};
struct orderly {
  std::map<int, int> got;  // by the getter's number
  std::vector<int> in;     // putters that were let in
};
task<> numbered_get(queue<int>& q, orderly& log, int id) {
  const auto item = co_await q.get();
  if (item) log.got[id] = *item;
}
task<> numbered_put(queue<int>& q, orderly& log, int id) {
  const auto had = co_await q.put(id);
  if (had) log.in.push_back(id);
}

task<> orderly_play(std::uint64_t seed, std::size_t bound) {
  std::mt19937_64 random(seed);
  queue<int> q(bound);
  orderly log;
  std::map<int, int> expect_got;
  std::vector<int> expect_in;
  std::deque<int> items;
  std::deque<pending> getters, putters;
  int next = 0;
  for (int step = 0; step < 5000; ++step) {
    const int id = next++;
    switch (random() % 4) {
      case 0: {  // a getter comes
        auto handle = spawn(numbered_get(q, log, id));
        if (items.empty()) {
          getters.push_back({std::move(handle), id});
        } else {
          expect_got[id] = items.front();
          items.pop_front();
          if (!putters.empty()) {
            items.push_back(putters.front().id);
            expect_in.push_back(putters.front().id);
            putters.pop_front();
          }
        }
        break;
      }
      case 1: {  // a putter comes
        auto handle = spawn(numbered_put(q, log, id));
        if (!getters.empty()) {
          expect_got[getters.front().id] = id;
          getters.pop_front();
          expect_in.push_back(id);
        } else if (items.size() < bound) {
          items.push_back(id);
          expect_in.push_back(id);
        } else {
          putters.push_back({std::move(handle), id});
        }
        break;
      }
      default: {  // one that waits is cancelled
        auto& from = random() % 2 ? getters : putters;
        if (from.empty()) break;
        const auto which = static_cast<std::ptrdiff_t>(random() % from.size());
        from[static_cast<std::size_t>(which)].handle.cancel();
        from.erase(from.begin() + which);
        break;
      }
    }
    co_await rounds(3);
    EXPECT_EQ(q.size(), items.size());
    EXPECT_EQ(q.statistics().getters.now, getters.size());
    EXPECT_EQ(q.statistics().putters.now, putters.size());
  }
  EXPECT_EQ(log.got, expect_got);
  EXPECT_EQ(log.in, expect_in);
  q.close();
  co_await rounds(3);
}

TEST(queue, agrees_with_a_model_step_by_step) {
  for (const std::uint64_t seed : {11U, 12U, 13U}) {
    auto main = [&]() -> task<> { co_await orderly_play(seed, seed - 10); };
    on_sim(main);
  }
}

TEST(queue, passes_a_million_items) {
  const int count = static_cast<int>(scaled(1'000'000));
  auto main = [&]() -> task<> {
    queue<int> q(64);
    std::size_t most = 0;
    std::vector<int> got;
    co_await gather(produces(q, count, most), consumes(q, got));
    EXPECT_EQ(got.size(), static_cast<std::size_t>(count));
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
  };
  on_sim(main);
}

TEST(queue, may_be_used_in_one_run_after_another) {
  queue<int> q(2);
  auto first = [&]() -> task<> {
    EXPECT_TRUE(co_await q.put(1));
    std::vector<int> in;
    EXPECT_TRUE(co_await q.put(2));
    spawn(puts_one(q, 3, in)).detach();  // ended with the run
    co_await yield();
  };
  auto second = [&]() -> task<> {
    EXPECT_EQ((co_await q.get()).value(), 1);
    EXPECT_EQ((co_await q.get()).value(), 2);
    EXPECT_TRUE(q.empty());
  };
  on_sim(first);
  EXPECT_EQ(q.statistics().putters.now, 0U);
  on_sim(second);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

void done_too_often() {
  on_sim([]() -> task<> {
    queue<int> q(2);
    EXPECT_TRUE(q.try_put(1));
    q.task_done();
    q.task_done();
    co_return;
  });
}
void without_room() {
  on_sim([]() -> task<> {
    queue<int> q(0);
    co_return;
  });
}
void destroyed_with_getters() {
  on_sim([]() -> task<> {
    std::vector<int> got;
    queue<int> q(2);
    spawn(gets_one(q, got)).detach();
    co_await yield();
  });
}
void destroyed_with_putters() {
  on_sim([]() -> task<> {
    std::vector<int> in;
    queue<int> q(1);
    for (int i = 0; i < 2; ++i) spawn(puts_one(q, i, in)).detach();
    co_await yield();
  });
}
void destroyed_with_joiners() {
  on_sim([]() -> task<> {
    int joined = 0;
    queue<int> q(1);
    EXPECT_TRUE(q.try_put(1));
    spawn(joins(q, joined)).detach();
    co_await yield();
  });
}
template <class Use>
void used_on_another_core(Use use) {
  auto main = [&]() -> task<> {
    queue<int> q(4);
    EXPECT_TRUE(q.try_put(1));
    auto far = [&]() -> task<> { co_await use(q); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
task<> far_get(queue<int>& q) { static_cast<void>(co_await q.get()); }
task<> far_put(queue<int>& q) { static_cast<void>(co_await q.put(1)); }
task<> far_join(queue<int>& q) { co_await q.join(); }
task<> far_try_get(queue<int>& q) {
  static_cast<void>(q.try_get());
  co_return;
}
task<> far_try_put(queue<int>& q) {
  static_cast<void>(q.try_put(1));
  co_return;
}
task<> far_close(queue<int>& q) {
  q.close();
  co_return;
}
task<> far_done(queue<int>& q) {
  q.task_done();
  co_return;
}

TEST(queue_death, misuse) {
  EXPECT_DEATH(done_too_often(), "task_done\\(\\) was called more often");
  EXPECT_DEATH(without_room(), "room for nothing");
  EXPECT_DEATH(destroyed_with_getters(), "queue was destroyed while 1 tasks wait");
  EXPECT_DEATH(destroyed_with_putters(), "queue was destroyed while 1 tasks wait");
  EXPECT_DEATH(destroyed_with_joiners(), "queue was destroyed while 1 tasks wait");
}
TEST(queue_death, used_on_another_core) {
  const char* const both = "queue.*core 0.*core 1";
  EXPECT_DEATH(used_on_another_core(far_get), both);
  EXPECT_DEATH(used_on_another_core(far_put), both);
  EXPECT_DEATH(used_on_another_core(far_join), both);
  EXPECT_DEATH(used_on_another_core(far_try_get), both);
  EXPECT_DEATH(used_on_another_core(far_try_put), both);
  EXPECT_DEATH(used_on_another_core(far_close), both);
  EXPECT_DEATH(used_on_another_core(far_done), both);
}
TEST(queue_death, used_without_a_loop) {
  EXPECT_DEATH(
      {
        queue<int> q(1);
        static_cast<void>(q.try_put(1));
      },
      "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
