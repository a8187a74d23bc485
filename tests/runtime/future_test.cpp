// promise and future: set once, from any thread; awaited on any core, by any number of tasks.
#include <atomic>
#include <thread>

#include "../support.hpp"

namespace axle::test {
namespace {

task<> awaits_into(future<int> from, int& got) { got = co_await from; }
task<int> gives(future<int> from) { co_return co_await from; }

TEST(future, gives_the_value_to_all_that_wait_and_all_that_come) {
  int first = 0, second = 0, late = 0;
  on_sim([&]() -> task<> {
    promise<int> set;
    auto a = spawn(awaits_into(set.get_future(), first));
    auto b = spawn(awaits_into(set.get_future(), second));
    co_await sleep(1ms);
    EXPECT_FALSE(set.get_future().ready());
    EXPECT_TRUE(set.set_value(7));
    EXPECT_TRUE(set.get_future().ready());
    co_await a;
    co_await b;
    co_await awaits_into(set.get_future(), late);
  });
  EXPECT_EQ(first, 7);
  EXPECT_EQ(second, 7);
  EXPECT_EQ(late, 7);
}

TEST(future, is_set_once) {
  promise<int> set;
  EXPECT_TRUE(set.set_value(1));
  EXPECT_FALSE(set.set_value(2));
  EXPECT_FALSE(set.set_exception(std::make_exception_ptr(wrong("late"))));
  EXPECT_FALSE(set.cancel());
  EXPECT_EQ(set.get_future().get(), 1);
}

TEST(future, throws_what_was_set_and_keeps_throwing_it) {
  on_sim([]() -> task<> {
    promise<int> set;
    set.set_exception(std::make_exception_ptr(wrong("set")));
    for (int i = 0; i < 2; ++i) {
      auto reader = spawn(gives(set.get_future()));
      EXPECT_EQ(ending_of(co_await reader.outcome()), "set");
    }
  });
}

TEST(future, of_a_cancelled_promise_throws_cancelled) {
  on_sim([]() -> task<> {
    promise<int> set;
    set.cancel();
    auto from = set.get_future();
    bool thrown = false;
    try {
      static_cast<void>(co_await from);
    } catch (const cancelled&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  });
}

TEST(future, of_a_dropped_promise_throws_broken_promise) {
  on_sim([]() -> task<> {
    future<int> from;
    auto waits = [&from]() -> task<int> { co_return co_await from; };
    auto set = std::make_unique<promise<int>>();
    from = set->get_future();
    auto reader = spawn(waits());
    co_await yield();
    set.reset();
    EXPECT_EQ(ending_of(co_await reader.outcome()), "axle: the promise of this future was dropped unset");
  });
}

TEST(future, of_nothing_and_of_what_only_moves) {
  on_sim([]() -> task<> {
    promise<> done;
    done.set_value();
    co_await done.get_future();
    promise<std::unique_ptr<int>> made;
    made.set_value(std::make_unique<int>(5));
    auto from = made.get_future();
    EXPECT_EQ(*co_await from, 5);
    const auto taken = co_await std::move(from);
    EXPECT_EQ(*taken, 5);
  });
}

TEST(future, a_cancelled_waiter_leaves_and_the_others_get_the_value) {
  on_sim([]() -> task<> {
    promise<int> set;
    auto first = spawn(gives(set.get_future()));
    auto second = spawn(gives(set.get_future()));
    auto third = spawn(gives(set.get_future()));
    co_await yield();
    second.cancel();
    set.set_value(3);
    EXPECT_TRUE((co_await second.outcome()).is_cancelled());
    EXPECT_EQ(co_await first, 3);
    EXPECT_EQ(co_await third, 3);
  });
}

TEST(future, a_value_set_before_the_cancel_is_delivered) {
  on_sim([]() -> task<> {
    promise<int> set;
    auto reader = spawn(gives(set.get_future()));
    co_await yield();
    set.set_value(3);
    reader.cancel();
    const auto became = co_await reader.outcome();
    EXPECT_TRUE(became.has_value());
  });
}

// ---- from other threads: on the machine's own driver, for the simulator drives one core -----------------------------------

TEST(future, is_set_by_a_thread_without_a_loop) {
  const frames_return guard;
  run([]() -> task<> {
    promise<int> set;
    auto from = set.get_future();
    std::thread setter([&set] { set.set_value(9); });
    EXPECT_EQ(co_await from, 9);
    setter.join();
  });
}

TEST(future, is_waited_for_by_a_thread_without_a_loop) {
  promise<int> set;
  auto from = set.get_future();
  std::atomic<int> got{0};
  std::thread getter([&] { got = from.get(); });
  auto sets = [&set]() -> task<> {
    co_await yield();
    set.set_value(11);
  };
  run(sets);
  getter.join();
  EXPECT_EQ(got.load(), 11);
}

task<> passes_on(future<int> from, promise<int>& to) { to.set_value(1 + co_await from); }

task<> passes_on_at(unsigned core, future<int> from, promise<int>& to) {
  co_await on(core, passes_on, std::move(from), std::ref(to));
}

TEST(future, goes_from_core_to_core_and_back) {
  auto main = []() -> task<> {
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
      promise<int> there, back;
      auto far = spawn(passes_on_at(1, there.get_future(), back));
      there.set_value(static_cast<int>(i));
      EXPECT_EQ(co_await back.get_future(), static_cast<int>(i) + 1);
      co_await far;
    }
  };
  run({.cores = 2}, main);
}

// Setters on three threads, cancels by chance: each waiter ends once, with the value or cancelled.
TEST(future, set_by_strangers_while_waiters_are_cancelled) {
  auto main = []() -> task<> {
    std::size_t values = 0, cuts = 0;
    for (std::size_t round = 0; round < scaled(2'000); ++round) {
      promise<int> set;
      std::vector<join_handle<int>> readers;
      for (int i = 0; i < 4; ++i) readers.push_back(spawn(gives(set.get_future())));
      co_await yield();
      std::thread setter([&set] { set.set_value(1); });
      for (std::size_t i = 0; i < readers.size(); ++i)
        if ((round + i) % 2) readers[i].cancel();
      for (auto& each : readers) {
        const auto became = co_await each.outcome();
        (became.has_value() ? values : cuts) += 1;
      }
      setter.join();
    }
    EXPECT_EQ(values + cuts, scaled(2'000) * 4);
    EXPECT_GT(values, 0U);
  };
  run(main);
}

void gets_inside_a_loop() {
  run({.driver = "sim"}, []() -> task<> {
    promise<int> set;
    static_cast<void>(set.get_future().get());
    co_return;
  });
}
TEST(future_death, blocking_inside_a_loop_is_a_check) {
  EXPECT_DEATH(gets_inside_a_loop(), "would block the loop");
}
TEST(future_death, an_empty_one_is_a_check) {
  EXPECT_DEATH(static_cast<void>(future<int>().ready()), "empty");
}

}  // namespace
}  // namespace axle::test
