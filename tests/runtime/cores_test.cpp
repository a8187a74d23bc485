// Several loops: calls across cores, their exceptions and cancellation, posts from strangers, order and loss.
// Real threads and drivers: AXLE_DRIVER chooses.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

#if defined(AXLE_PLAIN_FRAMES)
constexpr int many = 2'000;
#else
constexpr int many = 20'000;
#endif

/// Tasks that have begun and not yet ended, on whatever core.
axle::task<> sleep_long(std::atomic<int>& alive) {
  struct counting {
    explicit counting(std::atomic<int>& a) : alive(a) { ++alive; }
    ~counting() { --alive; }
    std::atomic<int>& alive;
  } const guard{alive};
  co_await axle::sleep(1h);
}

class loops : public testing::TestWithParam<int> {
 protected:
  axle::run_options options() const { return {.cores = GetParam()}; }
};

TEST_P(loops, each_core_runs_its_own) {
  std::atomic<unsigned> seen{0};
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(GetParam()));
  const auto count_here = [&]() -> axle::task<> {
    ++counts[axle::this_core()];
    ++seen;
    co_return;
  };
  axle::run(options(), [&] { return axle::for_each_core(count_here); });
  EXPECT_EQ(seen.load(), static_cast<unsigned>(GetParam()));
  for (const auto& each : counts) EXPECT_EQ(each.load(), 1);
}

axle::task<> call_every_way(unsigned core) {
  EXPECT_EQ(co_await axle::on(core, [] { return axle::this_core(); }), core);
  EXPECT_EQ(co_await axle::on(core, [](int a, int b) { return a + b; }, 40, 2), 42);
  co_await axle::on(core, [] {});
  auto pointer = co_await axle::on(
      core, [](std::unique_ptr<int> given) { return std::make_unique<int>(*given + 1); },
      std::make_unique<int>(1));
  EXPECT_EQ(*pointer, 2);
  const auto slow = [](std::string text) -> axle::task<std::string> {
    co_await axle::sleep(1ms);
    co_return text + "!";
  };
  EXPECT_EQ(co_await axle::on(core, slow, std::string("far")), "far!");
  const auto thrower = [](int what) -> axle::task<int> {
    if (what) throw std::runtime_error("over there");
    co_return 1;
  };
  bool thrown = false;
  try {
    co_await axle::on(core, thrower, 1);
  } catch (const std::runtime_error& error) {
    thrown = std::string_view(error.what()) == "over there";
  }
  EXPECT_TRUE(thrown);
}

axle::task<> call_all() {
  for (unsigned core = 0; core < axle::core_count(); ++core) co_await call_every_way(core);
}
TEST_P(loops, a_call_brings_back_values_and_exceptions) { axle::run(options(), call_all()); }

axle::task<> cancel_calls(std::atomic<int>& alive) {
  for (unsigned core = 0; core < axle::core_count(); ++core) {
    const auto far = [](unsigned where, std::atomic<int>& e) -> axle::task<> {
      co_await axle::on(where, sleep_long, std::ref(e));
    };
    const auto result = co_await axle::with_timeout(2ms, far(core, alive));
    EXPECT_EQ(result.error(), axle::errc::timed_out);
    EXPECT_EQ(alive.load(), 0) << "the far task has ended before the call returns";
  }
}
TEST_P(loops, a_cancel_crosses_over_and_is_waited_for) {
  std::atomic<int> alive{0};
  axle::run(options(), cancel_calls(alive));
}

axle::task<> first_failure_cancels(std::atomic<int>& alive) {
  const auto body = [&alive]() -> axle::task<> {
    if (axle::this_core() + 1 == axle::core_count()) throw std::runtime_error("one");
    co_await sleep_long(alive);
  };
  bool thrown = false;
  try {
    co_await axle::for_each_core(body);
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  EXPECT_TRUE(thrown);
}
TEST_P(loops, for_each_core_ends_the_others_when_one_fails) {
  std::atomic<int> alive{0};
  axle::run(options(), first_failure_cancels(alive));
  EXPECT_EQ(alive.load(), 0);
}

axle::task<> count_up(unsigned core, int& received, int& disorder) {
  for (int i = 0; i < many; ++i) {
    const int got = co_await axle::on(
        core,
        [](int* last, int* bad, int n) {
          *bad += n != *last;
          return ++*last;
        },
        &received, &disorder, i);
    if (got != i + 1) ++disorder;
  }
}
TEST_P(loops, calls_are_neither_lost_nor_reordered) {
  const unsigned last = static_cast<unsigned>(GetParam()) - 1;
  int received = 0, disorder = 0;
  axle::run(options(), count_up(last, received, disorder));
  EXPECT_EQ(received, many);
  EXPECT_EQ(disorder, 0);
}

INSTANTIATE_TEST_SUITE_P(of, loops, testing::Values(1, 2, 4, 8), testing::PrintToStringParamName());

// ---- strangers ------------------------------------------------------------------------------------------------------

TEST(post_to, without_a_runtime_is_refused) {
  EXPECT_EQ(axle::post_to(0, [] {}).error(), axle::errc::not_connected);
}

struct tally {
  std::atomic<int> received{0};
  int last[4] = {-1, -1, -1, -1};
  int disorder = 0;
};

axle::task<> receive_posts(tally& counts, int expected) {
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&counts, sender] {
      for (int i = 0; i < many / 4; ++i) {
        const auto arrive = [](tally* to, int from, int number) {
          to->disorder += number != to->last[from] + 1;
          to->last[from] = number;
          ++to->received;
        };
        while (!axle::post_to(0, arrive, &counts, sender, i)) std::this_thread::yield();
      }
    });
  }
  while (counts.received.load() < expected) co_await axle::sleep(1ms);
  for (auto& each : senders) each.join();
}
TEST(post_to, posts_of_strangers_arrive_once_and_in_order) {
  tally counts;
  axle::run({.cores = 2}, receive_posts(counts, many / 4 * 4));
  EXPECT_EQ(counts.received.load(), many / 4 * 4);
  EXPECT_EQ(counts.disorder, 0);
  EXPECT_EQ(axle::post_to(0, [] {}).error(), axle::errc::not_connected);
}

axle::task<> call_a_core_that_is_not() {
  co_await axle::on(7, [] {});
}
TEST(wrong_core, a_core_that_does_not_exist_is_a_check) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(axle::run({.cores = 2}, call_a_core_that_is_not()), "core 7 does not exist: this run has 2");
}

axle::task<> use_handle_elsewhere() {
  auto handle = axle::spawn(axle::task<>([]() -> axle::task<> { co_await axle::sleep(1h); }()));
  co_await axle::on(1, [](axle::join_handle<>* h) { return h->done(); }, &handle);
}
TEST(wrong_core, a_handle_used_elsewhere_is_a_check_that_names_both_cores) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(axle::run({.cores = 2}, use_handle_elsewhere()), "a join_handle of core 0 was used on core 1");
}

axle::task<> cancel_elsewhere() {
  auto handle = axle::spawn(axle::task<>([]() -> axle::task<> { co_await axle::sleep(1h); }()));
  co_await axle::on(1, [](axle::join_handle<>* h) { h->cancel(); }, &handle);
  const auto became = co_await handle.outcome();
  EXPECT_TRUE(became.is_cancelled());
}
TEST(wrong_core, a_cancel_from_another_core_is_a_message) { axle::run({.cores = 2}, cancel_elsewhere()); }

}  // namespace
