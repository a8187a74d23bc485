// gather_settled, gather with a limit, parallel_for_each, retry.
#include <numeric>

#include "../support.hpp"

namespace axle::test {
namespace {

TEST(gather_settled, tells_of_each_what_became_of_it) {
  on_sim([]() -> task<> {
    auto [a, b, c] = co_await gather_settled(value_after(2ms, 1), fails_after(1ms, "b"), nothing());
    EXPECT_EQ(std::move(a).value(), 1);
    EXPECT_EQ(ending_of(b), "b");
    EXPECT_TRUE(c.has_value());
  });
}

TEST(gather_settled, of_a_range_in_its_order) {
  on_sim([]() -> task<> {
    std::vector<task<int>> all;
    for (int i = 0; i < 10; ++i)
      all.push_back(i % 3 ? value_after(std::chrono::milliseconds(10 - i), i)
                          : fails_after(1ms, std::to_string(i)));
    const auto start = clock::now();
    auto became = co_await gather_settled(std::move(all));
    EXPECT_EQ(became.size(), 10U);
    EXPECT_GE(clock::now() - start, 9ms) << "the failures ended the others";
    for (std::size_t i = 0; i < became.size(); ++i)
      EXPECT_EQ(ending_of(became[i]), i % 3 ? "value" : std::to_string(i));
    EXPECT_TRUE((co_await gather_settled(std::vector<task<int>>())).empty());
  });
}

task<> settles(trace& log) {
  auto both = co_await gather_settled(sleeps(1h), value_after(1h, 1));
  static_cast<void>(both);
  log.push_back("went on");
}
TEST(gather_settled, is_cancelled_with_its_task) {
  trace log;
  on_sim([&]() -> task<> {
    auto running = spawn(settles(log));
    co_await yield();
    running.cancel();
    EXPECT_TRUE((co_await running.outcome()).is_cancelled());
  });
  EXPECT_TRUE(log.empty());
}

struct load {
  int now = 0;
  int most = 0;
  int begun = 0;
};
task<int> works(load& on, std::chrono::nanoseconds d, int value) {
  ++on.begun;
  on.most = std::max(on.most, ++on.now);
  co_await sleep(d);
  --on.now;
  co_return value;
}

TEST(gather_at_most, keeps_the_limit_and_the_order) {
  for (const std::size_t limit : {1, 2, 3, 7, 100}) {
    load on;
    on_sim([&]() -> task<> {
      std::vector<task<int>> all;
      for (int i = 0; i < 20; ++i) all.push_back(works(on, std::chrono::milliseconds(1 + i % 5), i));
      const std::vector<int> values = co_await gather(at_most{limit}, std::move(all));
      std::vector<int> expected(20);
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(values, expected);
    });
    EXPECT_EQ(on.most, static_cast<int>(std::min<std::size_t>(limit, 20)));
  }
}

TEST(gather_at_most, a_failure_ends_it_and_begins_nothing_more) {
  load on;
  on_sim([&]() -> task<> {
    std::vector<task<int>> all;
    all.push_back(works(on, 1h, 0));
    all.push_back(fails_after(1ms, "second"));
    for (int i = 0; i < 20; ++i) all.push_back(works(on, 1ms, i));
    std::string why;
    try {
      static_cast<void>(co_await gather(at_most{2}, std::move(all)));
    } catch (const wrong& error) {
      why = error.what();
    }
    EXPECT_EQ(why, "second");
  });
  EXPECT_EQ(on.begun, 1);
}

TEST(parallel_for_each, takes_every_item_once_so_many_at_a_time) {
  load on;
  std::vector<int> seen;
  on_sim([&]() -> task<> {
    std::vector<int> items(100);
    std::iota(items.begin(), items.end(), 0);
    auto body = [&](int& item) -> task<> {
      seen.push_back(item);
      static_cast<void>(co_await works(on, std::chrono::microseconds(item % 7), 0));
    };
    co_await parallel_for_each(items, at_most{8}, body);
    std::vector<int> empty;
    co_await parallel_for_each(empty, at_most{8}, body);
  });
  EXPECT_EQ(on.most, 8);
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(parallel_for_each, is_cancelled_as_a_whole) {
  load on;
  on_sim([&]() -> task<> {
    std::vector<int> items(100);
    auto body = [&](int&) -> task<> { static_cast<void>(co_await works(on, 1h, 0)); };
    const auto late = co_await with_timeout(1s, parallel_for_each(items, at_most{5}, body));
    EXPECT_EQ(late.error(), errc::timed_out);
  });
  EXPECT_EQ(on.begun, 5);
}

TEST(gather_at_most_death, a_limit_of_zero_is_a_check) {
  auto nobody = []() -> task<> { co_await gather(at_most{0}, std::vector<task<>>()); };
  EXPECT_DEATH(run({.driver = "sim"}, nobody), "nothing would ever be done");
}

task<result<int>> works_the_third_time(int& tries) {
  co_await yield();
  if (++tries < 3) co_return fail(errc::connection_refused);
  co_return tries;
}
TEST(retry, tries_until_it_works_with_longer_waits) {
  on_sim([]() -> task<> {
    int tries = 0;
    const auto start = clock::now();
    const auto got =
        co_await retry({.first_delay = 10ms, .jitter = 0}, works_the_third_time, std::ref(tries));
    EXPECT_EQ(got.value(), 3);
    EXPECT_GE(clock::now() - start, 30ms);
    EXPECT_LT(clock::now() - start, 31ms);
  });
}

TEST(retry, gives_the_last_error_when_the_attempts_are_over) {
  on_sim([]() -> task<> {
    int tries = 0;
    const auto got = co_await retry({.attempts = 2}, works_the_third_time, std::ref(tries));
    EXPECT_EQ(got.error(), errc::connection_refused);
    EXPECT_EQ(tries, 2);
  });
}

TEST(retry, jitter_shortens_the_waits_and_differs_by_seed) {
  std::vector<std::chrono::nanoseconds> waits;
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    on_sim([&]() -> task<> {
      int tries = 0;
      const auto start = clock::now();
      static_cast<void>(co_await retry({.first_delay = 1s, .jitter = 0.5, .seed = seed * 977},
                                       works_the_third_time, std::ref(tries)));
      waits.push_back(clock::now() - start);
    });
  for (const auto each : waits) {
    EXPECT_GT(each, 1500ms);
    EXPECT_LT(each, 3001ms);
  }
  EXPECT_NE(waits[0], waits[1]);
  EXPECT_NE(waits[1], waits[2]);
}

}  // namespace
}  // namespace axle::test
