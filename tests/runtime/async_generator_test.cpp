// async_generator: values one after the other, early exit, failure, cancellation, and many.
#include <axle/async_generator.hpp>

#include "../support.hpp"

namespace axle::test {
namespace {

async_generator<int> counts(int n, trace& log) {
  const noted end(log, "end");
  for (int i = 0; i < n; ++i) {
    if (i % 2) co_await sleep(1ms);
    co_yield i;
  }
}

TEST(async_generator, gives_each_value_once_and_then_null_for_ever) {
  trace log;
  on_sim([&]() -> task<> {
    auto numbers = counts(5, log);
    int expected = 0;
    while (const int* i = co_await numbers.next()) EXPECT_EQ(*i, expected++);
    EXPECT_EQ(expected, 5);
    EXPECT_EQ(log, trace{"end"});
    EXPECT_EQ(co_await numbers.next(), nullptr);
    EXPECT_EQ(co_await numbers.next(), nullptr);
  });
}

TEST(async_generator, destroyed_at_a_yield_runs_its_destructors_at_once) {
  trace log;
  on_sim([&]() -> task<> {
    {
      auto numbers = counts(5, log);
      EXPECT_EQ(*co_await numbers.next(), 0);
      EXPECT_EQ(*co_await numbers.next(), 1);
      EXPECT_TRUE(log.empty());
    }
    EXPECT_EQ(log, trace{"end"});
  });
}

TEST(async_generator, never_asked_never_begins) {
  trace log;
  on_sim([&]() -> task<> {
    const auto unused = counts(5, log);
    co_return;
  });
  EXPECT_TRUE(log.empty());
}

async_generator<int> fails_after_one() {
  co_yield 1;
  co_await sleep(1ms);
  throw wrong("generator");
}
TEST(async_generator, throws_once_what_escapes_and_has_ended) {
  on_sim([]() -> task<> {
    auto numbers = fails_after_one();
    EXPECT_EQ(*co_await numbers.next(), 1);
    bool thrown = false;
    try {
      co_await numbers.next();
    } catch (const wrong&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(co_await numbers.next(), nullptr);
  });
}

async_generator<int> doubles(async_generator<int> of) {
  while (const int* i = co_await of.next()) co_yield *i * 2;
}
TEST(async_generator, of_generators) {
  trace log;
  on_sim([&]() -> task<> {
    auto numbers = doubles(doubles(counts(4, log)));
    int expected = 0;
    while (const int* i = co_await numbers.next()) EXPECT_EQ(*i, 4 * expected++);
    EXPECT_EQ(expected, 4);
  });
}

task<> takes_all(async_generator<int>& from, int& taken) {
  while (const int* i = co_await from.next()) taken = *i;
}
TEST(async_generator, a_cancel_while_it_awaits_unwinds_it) {
  trace log;
  on_sim([&]() -> task<> {
    auto numbers = counts(5, log);
    int taken = -1;
    auto reader = spawn(takes_all(numbers, taken));
    co_await yield();
    reader.cancel();
    EXPECT_TRUE((co_await reader.outcome()).is_cancelled());
    EXPECT_EQ(taken, 0);
    EXPECT_EQ(log, trace{"end"});
    EXPECT_EQ(co_await numbers.next(), nullptr);
  });
}

async_generator<int> sleeps_between() {
  for (int i = 0;; ++i) {
    co_await sleep(1h);
    co_yield i;
  }
}
task<> takes_first(async_generator<int>& from, int& got) { got = *co_await from.next(); }
TEST(async_generator, a_timeout_ends_it) {
  on_sim([]() -> task<> {
    auto numbers = sleeps_between();
    int got = -1;
    EXPECT_TRUE(co_await with_timeout(2h, takes_first(numbers, got)));
    EXPECT_EQ(got, 0);
    const auto late = co_await with_timeout(1min, takes_first(numbers, got));
    EXPECT_EQ(late.error(), errc::timed_out);
    EXPECT_EQ(co_await numbers.next(), nullptr);
  });
}

async_generator<std::size_t> many() {
  for (std::size_t i = 0; i < scaled(1'000'000); ++i) co_yield i;
}
TEST(async_generator, a_million_values_need_no_stack_and_starve_nobody) {
  on_sim([]() -> task<> {
    bool other_ran = false;
    auto other = [&]() -> task<> {
      co_await yield();
      other_ran = true;
    };
    auto beside = spawn(other());
    auto numbers = many();
    std::size_t sum = 0;
    while (const std::size_t* i = co_await numbers.next()) sum += *i;
    EXPECT_EQ(sum, scaled(1'000'000) * (scaled(1'000'000) - 1) / 2);
    EXPECT_TRUE(other_ran);
    co_await beside;
  });
}

async_generator<std::unique_ptr<int>> boxes() {
  for (int i = 0; i < 3; ++i) co_yield std::make_unique<int>(i);
}
TEST(async_generator, values_may_be_moved_out) {
  on_sim([]() -> task<> {
    std::vector<std::unique_ptr<int>> kept;
    auto from = boxes();
    while (auto* box = co_await from.next()) kept.push_back(std::move(*box));
    EXPECT_EQ(kept.size(), 3U);
    EXPECT_EQ(*kept[2], 2);
  });
}

TEST(async_generator, is_moved_between_values) {
  trace log;
  on_sim([&]() -> task<> {
    auto first = counts(3, log);
    EXPECT_EQ(*co_await first.next(), 0);
    auto second = std::move(first);
    EXPECT_EQ(*co_await second.next(), 1);
    EXPECT_EQ(co_await first.next(), nullptr);
  });
}

void asked_by_two() {
  run({.driver = "sim"}, []() -> task<> {
    auto numbers = sleeps_between();
    int one = 0, two = 0;
    co_await gather(takes_first(numbers, one), takes_first(numbers, two));
  });
}
TEST(async_generator_death, asked_by_two_is_a_check) {
  EXPECT_DEATH(asked_by_two(), "two tasks await the next value");
}

}  // namespace
}  // namespace axle::test
