// Queues against a model: many tasks, cancels and sleeps by chance, every item counted; and misuse.
#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

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
