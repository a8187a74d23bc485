// token_bucket: to the nanosecond, by priority, cancelled, with other rates, beyond a run.
#include <algorithm>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// Exact if it was a timer that let somebody go on.
struct passage {
  std::string who;
  std::int64_t at_ns;  // from the start of the log
  bool is_about = false;
  bool operator==(const passage& other) const {
    if (is_about || other.is_about) return who == other.who && about(at_ns * 1ns, other.at_ns * 1ns);
    return who == other.who && at_ns == other.at_ns;
  }
};
std::ostream& operator<<(std::ostream& out, const passage& of) { return out << of.who << '@' << of.at_ns; }

class passages {
 public:
  void add(std::string who) { all.push_back({std::move(who), (woken_at() - start_).count()}); }
  std::vector<passage> all;

 private:
  clock::time_point start_ = clock::now();
};

task<> takes(token_bucket& of, std::size_t count, int priority, passages& log, std::string name) {
  co_await of.acquire(count, priority);
  log.add(std::move(name));
}

TEST(token_bucket, starts_full_and_then_gives_at_its_rate_to_the_nanosecond) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 100.0, .burst = 3});
    passages log;
    EXPECT_EQ(bucket.available(), 3U);
    for (int i = 0; i < 6; ++i) co_await takes(bucket, 1, 0, log, std::to_string(i));
    EXPECT_EQ(log.all, (std::vector<passage>{{"0", 0, true},
                                             {"1", 0, true},
                                             {"2", 0, true},
                                             {"3", 10'000'000},
                                             {"4", 20'000'000},
                                             {"5", 30'000'000}}));
    EXPECT_EQ(bucket.statistics().given, 6U);
    EXPECT_EQ(bucket.statistics().waiting.total, 3U);
    EXPECT_EQ(bucket.statistics().waiting.now, 0U);
    EXPECT_EQ(bucket.statistics().waiting.most, 1U);
    co_await sleep(20ms - 20us);
    EXPECT_EQ(bucket.available(), 1U);
    co_await sleep(20us);
    EXPECT_EQ(bucket.available(), 2U);
    co_await sleep(1h);
    EXPECT_EQ(bucket.available(), 3U) << "it holds no more than the burst";
  });
}

// The k-th comes at the first nanosecond at which k are due: nothing is lost to rounding, and none is early.
TEST(token_bucket, keeps_rates_that_are_no_whole_number_of_nanoseconds) {
  struct rate {
    double per_second;
    std::int64_t tokens, seconds;
  };
  for (const rate each :
       {rate{3, 3, 1}, rate{7e6, 7'000'000, 1}, rate{0.3, 3, 10}, rate{1e9, 1'000'000'000, 1},
        rate{999'999'937, 999'999'937, 1}, rate{12.7, 127, 10}, rate{1e-6, 1, 1'000'000}}) {
    auto main = [&]() -> task<> {
      // So many at a time that a turn is short beside it.
      const auto portion = static_cast<std::int64_t>(each.per_second / 1e4) + 1;
      token_bucket bucket({.per_second = each.per_second, .burst = static_cast<std::size_t>(portion)});
      co_await bucket.acquire(static_cast<std::size_t>(portion));
      const auto start = clock::now();
      for (std::int64_t k = portion; k <= 1000 * portion; k += portion) {
        if (k * each.seconds > 9'000'000'000) break;  // the test's own arithmetic ends here
        co_await bucket.acquire(static_cast<std::size_t>(portion));
        const std::int64_t exact = (k * each.seconds * 1'000'000'000 + each.tokens - 1) / each.tokens;
        EXPECT_EQ((woken_at() - start).count(), exact) << each.per_second << ": " << k;
        if (::testing::Test::HasFailure()) co_return;
      }
    };
    on_sim(main);
  }
}

TEST(token_bucket, serves_by_priority_and_then_first_come_first_served) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1e3, .burst = 1});
    co_await bucket.acquire();
    passages log;
    const std::pair<int, const char*> all[] = {{0, "a"}, {5, "b"}, {-1, "c"}, {5, "d"}, {0, "e"}, {9, "f"}};
    for (const auto& [priority, name] : all) spawn(takes(bucket, 1, priority, log, name)).detach();
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<passage>{{"f", 1'000'000},
                                             {"b", 2'000'000},
                                             {"d", 3'000'000},
                                             {"a", 4'000'000},
                                             {"e", 5'000'000},
                                             {"c", 6'000'000}}));
  });
}

TEST(token_bucket, one_who_asks_for_much_is_not_passed_by_those_who_ask_for_little) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1e3, .burst = 10});
    co_await bucket.acquire(8);
    passages log;
    spawn(takes(bucket, 10, 0, log, "ten")).detach();
    spawn(takes(bucket, 1, 0, log, "one")).detach();
    spawn(takes(bucket, 1, -1, log, "low")).detach();
    co_await yield();
    EXPECT_EQ(bucket.available(), 2U);
    EXPECT_FALSE(bucket.try_acquire(1)) << "others wait";
    EXPECT_FALSE(bucket.try_acquire(1, -3));
    EXPECT_TRUE(bucket.try_acquire(1, 1)) << "it is more important, and need not wait";
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<passage>{{"ten", 9'000'000}, {"one", 10'000'000}, {"low", 11'000'000}}));
  });
}

TEST(token_bucket, one_of_higher_priority_that_comes_late_goes_first_and_the_others_are_timed_anew) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1e3, .burst = 10});
    co_await bucket.acquire(10);
    passages log;
    spawn(takes(bucket, 5, 0, log, "five")).detach();
    co_await sleep(2ms);
    spawn(takes(bucket, 2, 1, log, "at once")).detach();
    spawn(takes(bucket, 3, 1, log, "three")).detach();
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<passage>{
                           {"at once", 2'000'000, true}, {"three", 5'000'000}, {"five", 10'000'000}}));
  });
}

TEST(token_bucket, none_asked_for_is_none_waited_for) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1, .burst = 1});
    passages log;
    co_await bucket.acquire();
    spawn(takes(bucket, 1, 0, log, "one")).detach();
    co_await yield();
    co_await bucket.acquire(0);
    EXPECT_TRUE(bucket.try_acquire(0));
    EXPECT_TRUE(log.all.empty());
    EXPECT_EQ(bucket.statistics().given, 1U);
    co_await sleep(2s);
  });
}

// ---- cancels --------------------------------------------------------------------------------------------------------

TEST(token_bucket, a_cancelled_wait_takes_nothing_and_the_next_is_timed_anew_at_once) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1e3, .burst = 10});
    co_await bucket.acquire(10);
    passages log;
    const auto big = spawn(takes(bucket, 10, 0, log, "big"));
    spawn(takes(bucket, 2, 0, log, "two")).detach();
    const auto middle = spawn(takes(bucket, 4, 0, log, "middle"));
    spawn(takes(bucket, 3, 0, log, "three")).detach();
    co_await sleep(2ms);
    EXPECT_TRUE(log.all.empty());
    big.cancel();
    middle.cancel();
    EXPECT_EQ(bucket.statistics().waiting.now, 1U) << "two are there already";
    co_await sleep(1s);
    EXPECT_TRUE(big.was_cancelled());
    EXPECT_TRUE(middle.was_cancelled());
    EXPECT_EQ(log.all, (std::vector<passage>{{"two", 2'000'000, true}, {"three", 5'000'000}}));
    EXPECT_EQ(bucket.statistics().given, 15U);
  });
}

TEST(token_bucket, one_that_is_cancelled_before_it_starts_takes_nothing) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1, .burst = 1});
    passages log;
    const auto one = spawn(takes(bucket, 1, 0, log, "one"));
    one.cancel();
    co_await rounds(2);
    EXPECT_TRUE(one.was_cancelled());
    static_cast<void>(bucket.acquire());
    auto asks_when_cancelled = [&]() -> task<> {
      co_await shield(sleeps(1ms));
      co_await bucket.acquire();
    };
    const auto late = spawn(asks_when_cancelled());
    co_await yield();
    late.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(late.was_cancelled());
    EXPECT_EQ(bucket.available(), 1U);
    EXPECT_EQ(bucket.statistics().given, 0U);
    EXPECT_EQ(bucket.statistics().waiting.total, 0U);
  });
}

TEST(token_bucket, served_and_cancelled_in_the_same_turn_it_has_its_token) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1, .burst = 2});
    co_await bucket.acquire(2);
    passages log;
    const auto big = spawn(takes(bucket, 2, 0, log, "big"));
    const auto one = spawn(takes(bucket, 1, 0, log, "one"));
    co_await sleep(1s);
    big.cancel();  // the next is served by this
    one.cancel();
    co_await rounds(3);
    EXPECT_EQ(log.all, (std::vector<passage>{{"one", 1'000'000'000, true}}));
    EXPECT_EQ(bucket.available(), 0U);
  });
}

TEST(token_bucket, a_wait_that_times_out_takes_nothing_and_one_that_is_served_with_the_timeout_does) {
  on_sim([]() -> task<> {
    for (const auto limit : {1s - 20us, 1s + 0us, 1s + 20us}) {
      token_bucket bucket({.per_second = 1, .burst = 1});
      co_await bucket.acquire();
      passages log;
      const auto became = co_await with_timeout(limit, takes(bucket, 1, 0, log, "one"));
      EXPECT_EQ(log.all.size() + bucket.available(), limit < 1s ? 0U : 1U);
      if (limit > 1s) EXPECT_TRUE(became);
      if (limit < 1s) EXPECT_FALSE(became);
      co_await sleep(1s);
      EXPECT_EQ(bucket.available(), 1U);
    }
  });
}

// ---- other rates ----------------------------------------------------------------------------------------------------

TEST(token_bucket, with_another_rate_waiters_are_timed_anew) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 10, .burst = 1});
    passages log;
    const auto start = clock::now();
    const auto since = [start] { return (clock::now() - start).count(); };
    co_await bucket.acquire();
    for (int i = 0; i < 4; ++i) spawn(takes(bucket, 1, 0, log, std::to_string(i))).detach();
    co_await sleep(50ms);
    const std::int64_t first_ns = since();  // half a token has come
    bucket.set_rate({.per_second = 1000, .burst = 1});
    EXPECT_EQ(bucket.rate().per_second, 1000);
    const std::int64_t zero_ns = first_ns + (100'000'000 - first_ns + 99) / 100;
    co_await sleep(1500us);
    const std::int64_t second_ns = since();  // one more has, and part of another
    bucket.set_rate({.per_second = 3, .burst = 1});
    co_await sleep(2s);
    REQUIRE_IN_TASK(log.all.size() == 4);
    EXPECT_EQ(log.all[0], (passage{"0", zero_ns}));
    EXPECT_EQ(log.all[1], (passage{"1", zero_ns + 1'000'000}));
    const auto missing = static_cast<double>(zero_ns + 2'000'000 - second_ns) / 1e6;
    EXPECT_NEAR(static_cast<double>(log.all[2].at_ns), static_cast<double>(second_ns) + missing * 1e9 / 3,
                400);
    EXPECT_NEAR(static_cast<double>(log.all[3].at_ns - log.all[2].at_ns), 1e9 / 3, 1);
  });
}

TEST(token_bucket, with_another_burst_it_keeps_what_it_has_as_far_as_it_can) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 10, .burst = 4});
    bucket.set_rate({.per_second = 10, .burst = 8});
    EXPECT_EQ(bucket.available(), 4U) << "it does not fill by being larger";
    co_await sleep(150ms);
    EXPECT_EQ(bucket.available(), 5U);
    bucket.set_rate({.per_second = 1, .burst = 3});
    EXPECT_EQ(bucket.available(), 3U);
    bucket.set_rate({.per_second = 1, .burst = 100});
    EXPECT_EQ(bucket.available(), 3U);
    co_await sleep(1h);
    EXPECT_EQ(bucket.available(), 100U);
  });
}

TEST(token_bucket, one_that_waits_for_more_than_a_smaller_burst_gets_it_when_so_many_would_have_come) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1000, .burst = 10});
    co_await bucket.acquire(10);
    passages log;
    spawn(takes(bucket, 8, 0, log, "eight")).detach();
    spawn(takes(bucket, 1, 0, log, "one")).detach();
    co_await sleep(1ms);
    bucket.set_rate({.per_second = 1000, .burst = 3});
    co_await sleep(1s);
    EXPECT_EQ(log.all, (std::vector<passage>{{"eight", 8'000'000}, {"one", 9'000'000}}));
    EXPECT_EQ(bucket.available(), 3U);
  });
}

TEST(token_bucket, one_that_would_wait_for_ever_after_set_rate_can_be_cancelled) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 1e9, .burst = 1'000'000'000'000});
    co_await bucket.acquire(1'000'000'000'000);
    passages log;
    const auto one = spawn(takes(bucket, 1'000'000'000'000, 0, log, "one"));
    co_await yield();
    bucket.set_rate({.per_second = 1e-9, .burst = 1});
    co_await sleep(1h);
    one.cancel();
    co_await yield();
    EXPECT_TRUE(one.was_cancelled());
    EXPECT_EQ(bucket.available(), 0U);
  });
}

// ---- model ----------------------------------------------------------------------------------------------------------

// Whatever happens, in no span of time are more tokens given than the burst and what comes in that span.
TEST(token_bucket, never_gives_more_than_its_rate_and_burst_when_tasks_are_cancelled_at_random) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::mt19937_64 random(test_seed(seed));
    struct gift {
      std::int64_t at_ns;
      std::size_t count;
    };
    std::vector<gift> given;
    constexpr std::size_t burst = 7;
    auto takes_some = [&](token_bucket& of, std::size_t count, int priority) -> task<> {
      co_await of.acquire(count, priority);
      given.push_back({clock::now().time_since_epoch().count(), count});
    };
    auto main = [&]() -> task<> {
      token_bucket bucket({.per_second = 7e3, .burst = burst});
      std::vector<join_handle<>> all;
      for (int i = 0; i < 3000; ++i) {
        all.push_back(spawn(takes_some(bucket, 1 + random() % burst, static_cast<int>(random() % 3))));
        if (random() % 3 == 0) all[random() % all.size()].cancel();
        if (random() % 2) co_await sleep(std::chrono::nanoseconds(random() % 500'000));
      }
      co_await sleep(1h);
      std::uint64_t sum = 0;
      for (const gift& each : given) sum += each.count;
      for (auto& one : all) EXPECT_TRUE(one.done());
      EXPECT_LE(sum, bucket.statistics().given);
      EXPECT_EQ(bucket.statistics().waiting.now, 0U);
      EXPECT_EQ(bucket.available(), burst);
    };
    on_sim(main);
    for (std::size_t i = 0; i < given.size(); ++i) {
      std::size_t sum = 0;
      for (std::size_t j = i; j < std::min(given.size(), i + 200); ++j) {
        sum += given[j].count;
        const auto span_ns = static_cast<std::uint64_t>(given[j].at_ns - given[i].at_ns);
        const std::uint64_t turns_ns = 20'000;  // between being served and running
        EXPECT_LE((sum - std::min(sum, burst)) * 1'000'000, (span_ns + turns_ns) * 7) << "early";
      }
    }
    EXPECT_GT(given.size(), 500U);
  }
}

// ---- life -----------------------------------------------------------------------------------------------------------

TEST(token_bucket, may_be_used_in_one_run_after_another_with_waiters_left_behind) {
  token_bucket bucket({.per_second = 1, .burst = 2});
  for (int i = 0; i < 3; ++i) {
    auto main = [&]() -> task<> {
      passages log;
      while (bucket.try_acquire()) {}
      for (int k = 0; k < 3; ++k) spawn(takes(bucket, 2, 0, log, "")).detach();
      co_await sleep(100ms);
      EXPECT_EQ(bucket.statistics().waiting.now, 3U);
    };
    on_sim(main);
    EXPECT_EQ(bucket.statistics().waiting.now, 0U);
  }
}

token_bucket global_bucket({.per_second = 10, .burst = 1});
TEST(token_bucket, may_be_global) {
  for (int i = 0; i < 2; ++i)
    on_sim([]() -> task<> {
      co_await global_bucket.acquire();
      co_await global_bucket.acquire();
      const auto began = woken_at();
      co_await global_bucket.acquire();
      EXPECT_EQ(woken_at() - began, 100ms);
    });
}

task<> asks_for_too_many() {
  token_bucket bucket({.per_second = 1, .burst = 2});
  co_await bucket.acquire(3);
}
task<> tries_too_many() {
  token_bucket bucket({.per_second = 1, .burst = 2});
  static_cast<void>(bucket.try_acquire(3));
  co_return;
}
task<> destroyed_with_a_waiter() {
  passages log;
  token_bucket bucket({.per_second = 1, .burst = 1});
  spawn(takes(bucket, 1, 0, log, "")).detach();
  spawn(takes(bucket, 1, 0, log, "")).detach();
  co_await yield();
}
void used_on_another_core() {
  token_bucket bucket({.per_second = 1, .burst = 2});
  auto main = [&]() -> task<> {
    co_await bucket.acquire();
    auto far = [&]() -> task<> { co_await bucket.acquire(); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
TEST(token_bucket_death, misuse) {
  EXPECT_DEATH(on_sim(asks_for_too_many), "3 tokens were asked for.*more than 2");
  EXPECT_DEATH(on_sim(tries_too_many), "3 tokens were asked for.*more than 2");
  EXPECT_DEATH(on_sim(destroyed_with_a_waiter), "a token_bucket was destroyed while 1 tasks wait");
  EXPECT_DEATH(token_bucket({.per_second = 0, .burst = 2}), "a token_bucket of 0 tokens a second");
  EXPECT_DEATH(token_bucket({.per_second = 2e9, .burst = 2}), "a token_bucket of 2e\\+09 tokens a second");
  EXPECT_DEATH(token_bucket({.per_second = 1, .burst = 0}), "a burst of 0");
  EXPECT_DEATH(token_bucket({.per_second = 1e-9, .burst = 5}), "would not fill");
  EXPECT_DEATH(used_on_another_core(), "token_bucket.*core 0.*core 1");
}

}  // namespace
}  // namespace axle::test
