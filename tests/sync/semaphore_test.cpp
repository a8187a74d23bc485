// semaphore and bounded_semaphore: order, many permits, a model with cancels by chance.
#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

TEST(semaphore, gives_at_once_what_it_has) {
  on_sim([]() -> task<> {
    semaphore s(2);
    auto one = co_await s.acquire();
    const auto two = co_await s.acquire();
    EXPECT_EQ(s.available(), 0U);
    EXPECT_FALSE(s.try_acquire());
    one.release();
    EXPECT_FALSE(one);
    EXPECT_EQ(s.available(), 1U);
    EXPECT_TRUE(s.try_acquire());
    EXPECT_EQ(s.available(), 1U) << "the one that was not kept came back";
    EXPECT_EQ(s.statistics().waiting.total, 0U);
  });
}

TEST(semaphore, permits_move_and_come_back_once) {
  on_sim([]() -> task<> {
    semaphore s(5);
    {
      auto a = co_await s.acquire(2);
      auto b = std::move(a);
      EXPECT_FALSE(a);  // NOLINT: moved from on purpose
      EXPECT_TRUE(b);
      EXPECT_EQ(s.available(), 3U);
      auto c = s.try_acquire(3);
      EXPECT_EQ(s.available(), 0U);
      c = std::move(b);
      EXPECT_EQ(s.available(), 3U) << "what c held came back";
      auto& same = c;
      c = std::move(same);
      EXPECT_TRUE(c);
      semaphore::permit empty;
      EXPECT_FALSE(empty);
      c = std::move(empty);
      EXPECT_EQ(s.available(), 5U);
    }
    EXPECT_EQ(s.available(), 5U);
  });
}

TEST(semaphore, kept_permits_are_given_back_by_release) {
  on_sim([]() -> task<> {
    semaphore s(1);
    {
      auto permit = co_await s.acquire();
      permit.keep();
      EXPECT_FALSE(permit);
    }
    EXPECT_EQ(s.available(), 0U);
    s.release();
    EXPECT_EQ(s.available(), 1U);
    s.release(4);
    EXPECT_EQ(s.available(), 5U) << "an unbounded one takes more than it had";
    s.release(0);
    EXPECT_EQ(s.available(), 5U);
  });
}

TEST(semaphore, of_no_permits_is_a_signal_that_counts) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    for (const char* name : {"a", "b", "c"}) spawn(holds(s, 1, 1h, log, name)).detach();
    co_await yield();
    EXPECT_TRUE(log.empty());
    s.release(2);
    EXPECT_EQ(s.available(), 0U) << "they were handed over";
    co_await yield();
    EXPECT_EQ(log, (trace{"a", "b"}));
    s.release();
    co_await yield();
    EXPECT_EQ(log, (trace{"a", "b", "c"}));
    co_await sleep(2h);
    EXPECT_EQ(s.available(), 3U);
  });
}

TEST(semaphore, serves_first_come_first_served) {
  on_sim([]() -> task<> {
    semaphore s(1);
    trace log;
    for (int i = 0; i < 10; ++i) spawn(holds(s, 1, 1ms, log, std::to_string(i))).detach();
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
    EXPECT_EQ(s.statistics().waiting.total, 9U);
    EXPECT_EQ(s.statistics().waiting.most, 9U);
    EXPECT_EQ(s.statistics().waiting.now, 0U);
  });
}

// asyncio: test_acquire_fifo_order, test_release_no_waiters, and the bug of bpo-45997.
TEST(semaphore, a_late_comer_cannot_snatch_what_was_handed_over) {
  on_sim([]() -> task<> {
    semaphore s(1);
    trace log;
    auto held = co_await s.acquire();
    spawn(holds(s, 1, 1ms, log, "first")).detach();
    co_await yield();
    held.release();
    EXPECT_FALSE(s.try_acquire());
    co_await holds(s, 1, 1ms, log, "late");
    EXPECT_EQ(log, (trace{"first", "late"}));
  });
}

TEST(semaphore, one_who_asks_for_much_is_not_passed_by_those_who_ask_for_little) {
  on_sim([]() -> task<> {
    semaphore s(3);
    trace log;
    spawn(holds(s, 2, 2ms, log, "two")).detach();
    spawn(holds(s, 3, 1ms, log, "three")).detach();
    spawn(holds(s, 1, 1ms, log, "one")).detach();
    co_await sleep(1ms);
    EXPECT_EQ(log, (trace{"two"}));
    EXPECT_EQ(s.available(), 1U);
    EXPECT_FALSE(s.try_acquire()) << "others wait";
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"two", "three", "one"}));
    EXPECT_EQ(s.available(), 3U);
  });
}

TEST(semaphore, when_one_who_asked_for_much_is_cancelled_those_behind_it_go_on_at_once) {
  on_sim([]() -> task<> {
    semaphore s(3);
    trace log;
    const auto held = co_await s.acquire(1);
    const auto big = spawn(holds(s, 3, 1ms, log, "big"));
    spawn(holds(s, 1, 1h, log, "a")).detach();
    spawn(holds(s, 1, 1h, log, "b")).detach();
    const auto c = spawn(holds(s, 1, 1h, log, "c"));
    co_await yield();
    EXPECT_TRUE(log.empty());
    big.cancel();
    co_await rounds(2);
    EXPECT_TRUE(big.was_cancelled());
    EXPECT_EQ(log, (trace{"a", "b"})) << "two permits are free and nobody stands before them";
    EXPECT_EQ(s.available(), 0U);
    EXPECT_EQ(s.statistics().waiting.now, 1U);
    c.cancel();
    co_await sleep(2h);
  });
}

TEST(semaphore, when_one_who_asked_for_much_times_out_those_behind_it_go_on) {
  on_sim([]() -> task<> {
    semaphore s(2);
    trace log;
    const auto held = co_await s.acquire(1);
    auto limited = [&]() -> task<> {
      const auto r = co_await with_timeout(1ms, holds(s, 2, 1ms, log, "big"));
      log.push_back(r ? "in time" : "late");
    };
    const auto big = spawn(limited());
    spawn(holds(s, 1, 1h, log, "small")).detach();
    co_await sleep(1s);
    EXPECT_EQ(log.size(), 2U);
    EXPECT_TRUE(std::count(log.begin(), log.end(), "small"));
    co_await sleep(2h);
  });
}

TEST(semaphore, several_are_served_by_one_release_as_far_as_it_goes) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    for (const std::size_t count : {1U, 2U, 3U, 1U})
      spawn(holds(s, count, 1h, log, std::to_string(count))).detach();
    co_await yield();
    s.release(5);
    co_await yield();
    EXPECT_EQ(log, (trace{"1", "2"}));
    EXPECT_EQ(s.available(), 2U);
    s.release(1);
    co_await yield();
    EXPECT_EQ(log, (trace{"1", "2", "3"}));
    s.release(1);
    co_await yield();
    EXPECT_EQ(log, (trace{"1", "2", "3", "1"}));
    co_await sleep(2h);
    EXPECT_EQ(s.available(), 7U);
  });
}

TEST(semaphore, none_asked_for_is_none_waited_for) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    co_await holds(s, 0, 1ms, log, "none");
    EXPECT_EQ(log, (trace{"none"}));
    EXPECT_EQ(s.statistics().waiting.total, 0U);
    EXPECT_EQ(s.available(), 0U);
  });
}

TEST(semaphore, none_asked_for_is_none_waited_for_even_when_others_wait) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    spawn(holds(s, 1, 1ms, log, "one")).detach();
    co_await yield();
    const auto none = spawn(holds(s, 0, 1ms, log, "none"));
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"none"}));
    s.release(1);
    co_await sleep(1s);
  });
}

// asyncio: test_release_notify_first, test_acquire_cancel_before_awoken, test_acquire_hang.
TEST(semaphore, cancelled_waiters_do_not_keep_permits) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    std::vector<join_handle<>> all;
    for (int i = 0; i < 4; ++i) all.push_back(spawn(holds(s, 1, 1h, log, std::to_string(i))));
    co_await yield();
    all[0].cancel();
    all[1].cancel();
    s.release();
    co_await rounds(2);
    EXPECT_EQ(log, (trace{"2"}));
    all[2].cancel();  // gives it back, to the fourth
    co_await rounds(3);
    EXPECT_EQ(log, (trace{"2", "3"}));
    all[3].cancel();
    co_await rounds(3);
    EXPECT_EQ(s.available(), 1U);
  });
}

// asyncio: test_acquire_no_hang: a permit released and its waiter cancelled in one turn must not be stuck.
TEST(semaphore, one_served_and_cancelled_in_the_same_turn_passes_its_permit_on) {
  on_sim([]() -> task<> {
    semaphore s(0);
    trace log;
    const auto a = spawn(holds(s, 1, 1h, log, "a"));
    const auto b = spawn(holds(s, 1, 1h, log, "b"));
    co_await yield();
    s.release();
    a.cancel();
    co_await rounds(4);
    EXPECT_EQ(log, (trace{"a", "b"}));
    EXPECT_TRUE(a.was_cancelled());
    b.cancel();
    co_await rounds(4);
    EXPECT_EQ(s.available(), 1U);
  });
}

TEST(bounded_semaphore, takes_back_what_it_gave) {
  on_sim([]() -> task<> {
    bounded_semaphore s(2);
    {
      const auto both = co_await s.acquire(2);
      EXPECT_EQ(s.available(), 0U);
    }
    EXPECT_EQ(s.available(), 2U);
    s.release(0);
    {
      auto one = co_await s.acquire();
      one.keep();
    }
    s.release();
    EXPECT_EQ(s.available(), 2U);
    EXPECT_FALSE(s.try_acquire(3));
  });
}

// ---- many -----------------------------------------------------------------------------------------------------------

task<> passes(semaphore& s, std::size_t& passed) {
  const auto permit = co_await s.acquire();
  ++passed;
}

TEST(semaphore, serves_a_hundred_thousand_in_linear_time) {
  const std::size_t many = scaled(100'000);
  auto main = [&]() -> task<> {
    semaphore s(0);
    std::size_t passed = 0;
    std::vector<join_handle<>> all;
    for (std::size_t i = 0; i < many; ++i) all.push_back(spawn(passes(s, passed)));
    co_await sleep(1ms);
    EXPECT_EQ(s.statistics().waiting.now, many);
    // From the middle outwards: leaving the list must not search it.
    for (std::size_t i = 0; i < many; i += 2) all[(i + many / 2) % many].cancel();
    co_await sleep(1ms);
    EXPECT_EQ(s.statistics().waiting.now, many / 2);
    s.release(1);
    co_await sleep(1s);
    EXPECT_EQ(passed, many / 2);
    EXPECT_EQ(s.available(), 1U);
  };
  on_sim(main);
}

task<> passes_often(semaphore& s, std::size_t times, std::size_t& passed, int& inside, int& most) {
  for (std::size_t i = 0; i < times; ++i) {
    const auto permit = co_await s.acquire();
    const counted here(inside);
    most = std::max(most, inside);
    ++passed;
    if (i % 16 == 0) co_await yield();
  }
}
TEST(semaphore, is_passed_a_million_times) {
  const std::size_t each = scaled(100'000);
  auto main = [&]() -> task<> {
    semaphore s(3);
    std::size_t passed = 0;
    int inside = 0, most = 0;
    std::vector<task<>> all;
    for (int i = 0; i < 10; ++i) all.push_back(passes_often(s, each, passed, inside, most));
    co_await gather(std::move(all));
    EXPECT_EQ(passed, 10 * each);
    EXPECT_LE(most, 3);
    EXPECT_EQ(s.available(), 3U);
  };
  on_sim(main);
}

// ---- model ----------------------------------------------------------------------------------------------------------

struct waiting_one {
  join_handle<> handle;
  int id;
  std::size_t count;
};
struct semaphore_log {
  std::vector<int> served;
  std::map<int, semaphore::permit> held;
};
task<> acquires(semaphore& s, semaphore_log& log, int id, std::size_t count) {
  auto permit = co_await s.acquire(count);
  log.served.push_back(id);
  log.held[id] = std::move(permit);
}

task<> against_a_model(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr std::size_t total = 6;
  bounded_semaphore s(total);
  semaphore_log log;
  std::vector<int> expected;
  std::deque<waiting_one> line;
  std::map<int, std::size_t> holders;
  std::size_t free = total;
  int next = 0;
  const auto hand_out = [&] {
    while (!line.empty() && line.front().count <= free) {
      free -= line.front().count;
      expected.push_back(line.front().id);
      holders[line.front().id] = line.front().count;
      line.pop_front();
    }
  };
  for (int step = 0; step < 5000; ++step) {
    switch (random() % 3) {
      case 0: {
        const std::size_t count = 1 + random() % total;
        line.push_back({spawn(acquires(s, log, next, count)), next, count});
        ++next;
        hand_out();
        break;
      }
      case 1: {  // somebody gives back
        if (holders.empty()) break;
        auto one = std::next(holders.begin(), static_cast<std::ptrdiff_t>(random() % holders.size()));
        free += one->second;
        log.held.erase(one->first);
        holders.erase(one);
        hand_out();
        break;
      }
      default: {  // somebody gives up
        if (line.empty()) break;
        const std::size_t which = random() % line.size();
        line[which].handle.cancel();
        line.erase(line.begin() + static_cast<std::ptrdiff_t>(which));
        hand_out();
        break;
      }
    }
    co_await rounds(3);
    EXPECT_EQ(s.available(), free) << "step " << step;
    EXPECT_EQ(s.statistics().waiting.now, line.size()) << "step " << step;
    EXPECT_EQ(log.held.size(), holders.size()) << "step " << step;
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(log.served, expected);
  for (auto& one : line)
    one.handle.cancel();  // which may serve one behind it, and that one is served before it ends
  line.clear();
  co_await rounds(3);
  log.held.clear();
  co_await rounds(3);
  EXPECT_EQ(s.available(), total);
}

TEST(semaphore, agrees_with_a_model_step_by_step) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    auto main = [&]() -> task<> { co_await against_a_model(seed); };
    on_sim(main);
  }
}

// Everything at once: what cannot be told beforehand must at least add up.
struct chaos {
  semaphore* s = nullptr;
  std::mt19937_64 random;
  std::size_t out = 0;  // permits that are out
  std::size_t served = 0;
};
class taken {
 public:
  taken(chaos& in, std::size_t count, std::size_t limit) : in_(in), count_(count) {
    in_.out += count;
    ++in_.served;
    EXPECT_LE(in_.out, limit);
  }
  taken(const taken&) = delete;
  taken& operator=(const taken&) = delete;
  ~taken() { in_.out -= count_; }

 private:
  chaos& in_;
  std::size_t count_;
};
constexpr std::size_t chaos_permits = 5;
task<> in_chaos(chaos& in) {
  for (int i = 0; i < 5; ++i) {
    const std::size_t count = 1 + in.random() % chaos_permits;
    const auto permit = co_await in.s->acquire(count);
    const taken here(in, count, chaos_permits);
    if (in.random() % 2) co_await yield();
    if (in.random() % 2) co_await sleep(std::chrono::microseconds(in.random() % 40));
  }
}
task<> limited_chaos(chaos& in) {
  const auto limit = std::chrono::microseconds(in.random() % 200);
  static_cast<void>(co_await with_timeout(limit, in_chaos(in)));
}

TEST(semaphore, never_gives_more_than_it_has_nor_loses_any_when_tasks_are_cancelled_at_random) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    chaos in;
    in.random.seed(test_seed(seed));
    auto main = [&]() -> task<> {
      bounded_semaphore s(chaos_permits);
      in.s = &s;
      std::vector<join_handle<>> all;
      for (int i = 0; i < 2000; ++i) {
        all.push_back(spawn(in.random() % 2 ? in_chaos(in) : limited_chaos(in)));
        if (in.random() % 2) all[in.random() % all.size()].cancel();
        if (in.random() % 4 == 0) co_await sleep(std::chrono::microseconds(in.random() % 30));
        if (in.random() % 4 == 0) co_await yield();
      }
      co_await sleep(1h);
      for (auto& one : all) EXPECT_TRUE(one.done());
      EXPECT_EQ(s.available(), chaos_permits);
      EXPECT_EQ(s.statistics().waiting.now, 0U);
      EXPECT_EQ(in.out, 0U);
      EXPECT_GT(in.served, 100U);
    };
    on_sim(main);
  }
}

TEST(semaphore, may_be_used_in_one_run_after_another) {
  semaphore s(2);
  trace log;
  auto first = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) spawn(holds(s, 1, 1h, log, "first")).detach();
    co_await yield();
  };
  auto second = [&]() -> task<> {
    EXPECT_EQ(s.available(), 2U);
    co_await holds(s, 2, 1ms, log, "second");
  };
  on_sim(first);
  EXPECT_EQ(s.statistics().waiting.now, 0U);
  on_sim(second);
  EXPECT_EQ(log, (trace{"first", "first", "second"}));
}

}  // namespace
}  // namespace axle::test
