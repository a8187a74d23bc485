// wait and as_completed: tasks that run on their own, watched through their handles. asyncio's rules.
#include "../support.hpp"

namespace axle::test {
namespace {

using numbers = std::vector<std::size_t>;

std::vector<join_handle<int>> three() {
  std::vector<join_handle<int>> all;
  all.push_back(spawn(value_after(30ms, 0)));
  all.push_back(spawn(value_after(10ms, 1)));
  all.push_back(spawn(value_after(20ms, 2)));
  return all;
}

TEST(wait, for_all_says_in_which_order_they_ended) {
  on_sim([]() -> task<> {
    const auto all = three();
    const waited became = co_await wait(all);
    EXPECT_EQ(became.done, (numbers{1, 2, 0}));
    EXPECT_TRUE(became.pending.empty());
    EXPECT_EQ(co_await all[0], 0);
    EXPECT_EQ(co_await all[2], 2);
  });
}

TEST(wait, for_the_first_leaves_the_others_running) {
  on_sim([]() -> task<> {
    const auto all = three();
    const waited became = co_await wait(all, wait_until::first_completed);
    EXPECT_EQ(became.done, numbers{1});
    EXPECT_EQ(became.pending, (numbers{0, 2}));
    EXPECT_EQ(co_await all[0], 0);
    EXPECT_TRUE(all[2].done());
  });
}

TEST(wait, for_the_first_exception_or_all) {
  on_sim([]() -> task<> {
    auto all = three();
    const waited without = co_await wait(all, wait_until::first_exception);
    EXPECT_EQ(without.done.size(), 3U);
    all = three();
    all.push_back(spawn(fails_after(15ms, "fourth")));
    const waited with = co_await wait(all, wait_until::first_exception);
    EXPECT_EQ(with.done, (numbers{1, 3}));
    EXPECT_EQ(with.pending, (numbers{0, 2}));
    EXPECT_EQ(ending_of(co_await all[3].outcome()), "fourth");
    co_await wait(all);
  });
}

TEST(wait, that_takes_too_long_leaves_the_tasks_running) {
  on_sim([]() -> task<> {
    const auto all = three();
    const auto late = co_await with_timeout(15ms, wait(all));
    EXPECT_EQ(late.error(), errc::timed_out);
    EXPECT_TRUE(all[1].done());
    EXPECT_FALSE(all[0].done());
    EXPECT_EQ(co_await all[0], 0);
  });
}

TEST(wait, for_nobody_and_for_the_ended_returns_at_once) {
  on_sim([]() -> task<> {
    const std::vector<join_handle<int>> nobody;
    const waited at_once = co_await wait(nobody);
    EXPECT_TRUE(at_once.done.empty());
    const auto all = three();
    co_await wait(all);
    const auto start = clock::now();
    const waited ended = co_await wait(all, wait_until::first_completed);
    EXPECT_EQ(ended.done, (numbers{0, 1, 2}));
    EXPECT_EQ(clock::now(), start);
  });
}

TEST(wait, counts_the_cancelled_as_ended) {
  on_sim([]() -> task<> {
    const auto all = three();
    all[0].cancel();
    const waited became = co_await wait(all, wait_until::first_completed);
    EXPECT_EQ(became.done, numbers{0});
    EXPECT_TRUE(all[0].was_cancelled());
  });
}

task<> waits_for(const std::vector<join_handle<int>>& all) { co_await wait(all); }
TEST(wait, a_cancelled_wait_cancels_nobody) {
  on_sim([]() -> task<> {
    const auto all = three();
    auto waiting = spawn(waits_for(all));
    co_await yield();
    waiting.cancel();
    EXPECT_TRUE((co_await waiting.outcome()).is_cancelled());
    EXPECT_EQ(co_await all[0], 0);
    EXPECT_EQ(co_await all[1], 1);
    EXPECT_EQ(co_await all[2], 2);
  });
}

TEST(as_completed, tells_of_each_as_it_ends) {
  on_sim([]() -> task<> {
    const auto all = three();
    std::vector<int> values;
    as_completed done(all);
    while (const auto number = co_await done.next()) values.push_back(co_await all[*number]);
    EXPECT_EQ(values, (std::vector<int>{1, 2, 0}));
    EXPECT_FALSE(co_await done.next());
  });
}

TEST(as_completed, dropped_early_lets_the_rest_be_joined) {
  on_sim([]() -> task<> {
    const auto all = three();
    {
      as_completed done(all);
      EXPECT_EQ(co_await done.next(), std::size_t{1});
    }
    EXPECT_EQ(co_await all[0], 0);
    EXPECT_EQ(co_await all[2], 2);
  });
}

TEST(wait, for_a_hundred_thousand_is_linear) {
  on_sim([]() -> task<> {
    std::vector<join_handle<int>> all;
    for (std::size_t i = 0; i < scaled(100'000); ++i) all.push_back(spawn(value_after(1ms, 1)));
    EXPECT_EQ((co_await wait(all)).done.size(), all.size());
    as_completed done(all);
    std::size_t told = 0;
    while (co_await done.next()) ++told;
    EXPECT_EQ(told, all.size());
  });
}

void joined_and_waited_for() {
  run({.driver = "sim"}, []() -> task<> {
    auto all = three();
    auto joiner = [&]() -> task<> { co_await all[0]; };
    auto joining = spawn(joiner());
    co_await yield();
    co_await wait(all);
    co_await joining;
  });
}
TEST(wait_death, for_one_that_is_being_joined_is_a_check) {
  EXPECT_DEATH(joined_and_waited_for(), "one joiner at a time");
}

}  // namespace
}  // namespace axle::test
