// Many at once: what one costs, a million cost a million times. The bound is wide enough for a busy machine and far below what
// anything quadratic would take.

#include <time.h>

#include "../support.hpp"

namespace axle::test {
namespace {

// CPU time of this thread, so that other programs do not matter.
std::chrono::nanoseconds cpu_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

constexpr std::size_t few = 1'000;
constexpr double grows_at_most = 20;  // caches and page faults: about 3 to 6

// Of `measure(n)`, the cost of one, and how much dearer it is among many than among few.
template <class F>
void expect_linear(F measure, std::size_t many) {
  double of_few = 1e9;
  for (int i = 0; i < 5; ++i) of_few = std::min(of_few, static_cast<double>(measure(few).count()) / few);
  const double of_many = static_cast<double>(measure(many).count()) / static_cast<double>(many);
  std::printf("one of %zu: %.0f ns, one of %zu: %.0f ns\n", few, of_few, many, of_many);
  EXPECT_LT(of_many, grows_at_most * of_few);
}

std::chrono::nanoseconds cancel_sleepers(std::size_t count) {
  std::chrono::nanoseconds took{};
  on_sim([&]() -> task<> {
    std::vector<join_handle<>> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) all.push_back(spawn(sleeps(std::chrono::seconds(1 + i % 1000))));
    co_await yield();
    const auto start = cpu_time();
    for (const auto& each : all) each.cancel();
    for (const auto& each : all) static_cast<void>(co_await each.outcome());
    took = cpu_time() - start;
  });
  return took;
}
TEST(scale, cancelling_a_million_sleeping_tasks) { expect_linear(cancel_sleepers, scaled(1'000'000)); }

std::chrono::nanoseconds spawn_and_end(std::size_t count) {
  const auto start = cpu_time();
  on_sim([&]() -> task<> {
    std::vector<task<>> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) all.push_back(sleeps(1s));
    co_await gather(std::move(all));
  });
  return cpu_time() - start;
}
TEST(scale, a_million_tasks_at_once) { expect_linear(spawn_and_end, scaled(1'000'000)); }

task<> waits(event& of, std::size_t& woken) {
  co_await of.wait();
  ++woken;
}

std::chrono::nanoseconds set_one_event(std::size_t count) {
  std::chrono::nanoseconds took{};
  on_sim([&]() -> task<> {
    event start;
    std::size_t woken = 0;
    std::vector<join_handle<>> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) all.push_back(spawn(waits(start, woken)));
    co_await yield();
    const auto begin = cpu_time();
    for (std::size_t i = 1; i < count; i += 2) all[i].cancel();  // out of the middle of the list
    start.set();
    for (const auto& each : all) static_cast<void>(co_await each.outcome());
    took = cpu_time() - begin;
    EXPECT_EQ(woken, (count + 1) / 2);
    EXPECT_EQ(start.statistics().most, count);
  });
  return took;
}
TEST(scale, a_hundred_thousand_waiters_on_one_event) { expect_linear(set_one_event, scaled(100'000)); }

task<std::uint64_t> adds_up(std::uint64_t n) {
  if (n == 0) co_return 0;
  const std::uint64_t rest = co_await adds_up(n - 1);
  co_return rest + n;
}
task<std::uint64_t> adds_up_after_a_wait(std::uint64_t n) {
  if (n == 0) {
    co_await yield();
    co_return 0;
  }
  const std::uint64_t rest = co_await adds_up_after_a_wait(n - 1);
  co_return rest + n;
}
std::chrono::nanoseconds chain(std::size_t depth) {
  const auto start = cpu_time();
  on_sim([&]() -> task<> {
    const std::uint64_t expected = depth * (depth + 1) / 2;
    const std::uint64_t at_once = co_await adds_up(depth);
    const std::uint64_t after_a_wait = co_await adds_up_after_a_wait(depth);
    EXPECT_EQ(at_once, expected);
    EXPECT_EQ(after_a_wait, expected);
  });
  return cpu_time() - start;
}
TEST(scale, a_chain_of_a_hundred_thousand_awaits) { expect_linear(chain, scaled(100'000)); }

TEST(scale, a_snapshot_of_a_hundred_thousand_tasks) {
  const auto look = [](std::size_t count) {
    std::chrono::nanoseconds took{};
    on_sim([&]() -> task<> {
      std::vector<join_handle<>> all;
      all.reserve(count);
      for (std::size_t i = 0; i < count; ++i) all.push_back(spawn(sleeps(1h)));
      co_await yield();
      const auto start = cpu_time();
      EXPECT_EQ(all_tasks().size(), count + 1);
      EXPECT_TRUE(deadlocks().empty());
      took = cpu_time() - start;
      for (const auto& each : all) each.cancel();
    });
    return took;
  };
  expect_linear(look, scaled(100'000));
}

}  // namespace
}  // namespace axle::test
