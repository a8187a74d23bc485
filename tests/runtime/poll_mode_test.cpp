// Poll modes: what spins, what sleeps, and that an idle loop costs nothing. Real drivers, for the simulator does not spin.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include "../../runtime/idle_policy.hpp"

namespace {

using namespace std::chrono_literals;
using axle::detail::idle_policy;

// ---- the policy, with a clock of its own ----------------------------------------------------------------------------

constexpr std::int64_t us = 1'000, ms = 1'000'000;

struct trial {
  idle_policy policy;
  std::int64_t now_ns = 0;
  std::int64_t spun_ns = 0;
  int paid = 0;

  explicit trial(const idle_policy::settings& with) : policy(with, 0) {}

  /// Work for a while, then idle times of that length.
  void idle(int times, std::int64_t lasts_ns, std::int64_t work_ns = 5 * us) {
    for (int i = 0; i < times; ++i) {
      now_ns += work_ns;
      idle_policy::idle_time idle = {.began_ns = now_ns};
      idle.spun_ns = std::min(policy.spin_ns(now_ns), lasts_ns);
      paid += idle.spun_ns == lasts_ns;
      spun_ns += idle.spun_ns;
      now_ns += lasts_ns + (idle.spun_ns < lasts_ns ? 20 * us : 0);
      idle.ended_ns = now_ns;
      policy.ended(idle);
    }
  }
};

constexpr idle_policy::settings adaptive = {.mode = axle::poll_mode::adaptive};

TEST(idle_policy, short_idle_times_are_spun_through) {
  trial t(adaptive);
  t.idle(100, 5 * us);
  t.paid = 0;
  t.idle(1'000, 5 * us);
  EXPECT_GE(t.paid, 990);
}

TEST(idle_policy, long_idle_times_are_not_spun_at_all) {
  trial t(adaptive);
  t.idle(100, 10 * ms);
  t.spun_ns = 0;
  t.idle(1'000, 10 * ms);
  EXPECT_EQ(t.spun_ns, 0);
}

TEST(idle_policy, it_learns_that_the_load_has_changed) {
  trial t(adaptive);
  t.idle(1'000, 5 * us);
  t.idle(500, 10 * ms);
  t.spun_ns = 0;
  t.idle(100, 10 * ms);
  EXPECT_EQ(t.spun_ns, 0);
  t.idle(500, 5 * us);
  t.paid = 0;
  t.idle(100, 5 * us);
  EXPECT_GE(t.paid, 95);
}

// Idle times of twice what a wake costs: spinning saves the wait, but costs more time than it saves.
TEST(idle_policy, what_costs_more_than_it_saves_is_done_half_of_the_time) {
  trial t(adaptive);
  t.idle(500, 40 * us);
  const std::int64_t from_ns = t.now_ns;
  t.spun_ns = 0;
  t.idle(2'000, 40 * us);
  const double share = static_cast<double>(t.spun_ns) / static_cast<double>(t.now_ns - from_ns);
  EXPECT_GT(share, 0.4);
  EXPECT_LT(share, 0.6);
}

TEST(idle_policy, blocking_never_spins_and_busy_always) {
  trial blocking({.mode = axle::poll_mode::blocking});
  blocking.idle(100, 10 * us);
  EXPECT_EQ(blocking.spun_ns, 0);
  trial busy({.mode = axle::poll_mode::busy});
  busy.idle(100, 10 * ms);
  EXPECT_EQ(busy.paid, 100);
}

// Half a processor: whatever the mode, work and spinning together stay below that.
TEST(idle_policy, a_quota_is_not_used_up_by_spinning) {
  for (const auto mode : {axle::poll_mode::busy, axle::poll_mode::adaptive}) {
    trial t({.mode = mode, .processors = 0.5});
    t.idle(100, 10 * us);
    const std::int64_t from_ns = t.now_ns;
    t.spun_ns = 0;
    constexpr int times = 20'000;
    t.idle(times, 10 * us, 2 * us);
    const double used =
        static_cast<double>(t.spun_ns + times * 2 * us) / static_cast<double>(t.now_ns - from_ns);
    EXPECT_LT(used, 0.5);
    EXPECT_GT(used, 0.2);
  }
}

TEST(idle_policy, who_is_interrupted_while_spinning_leaves_the_processor_for_a_while) {
  trial t(adaptive);
  t.idle(100, 5 * us);
  idle_policy::idle_time interrupted = {.began_ns = t.now_ns, .interrupted = true};
  interrupted.spun_ns = interrupted.ended_ns = 4 * ms;
  interrupted.ended_ns += t.now_ns;
  t.now_ns += 4 * ms;
  t.policy.ended(interrupted);
  EXPECT_EQ(t.policy.spin_ns(t.now_ns + 100 * us), 0);
  EXPECT_GT(t.policy.spin_ns(t.now_ns + 3 * ms), 0);
}

// ---- loops ----------------------------------------------------------------------------------------------------------

axle::idle_statistics sleep_in(axle::poll_mode mode) {
  axle::idle_statistics seen;
  axle::run({.poll = mode}, [&seen]() -> axle::task<> {
    for (int i = 0; i < 5; ++i) co_await axle::sleep(2ms);
    seen = axle::idle_times();
  });
  return seen;
}

TEST(poll_mode, busy_never_sleeps) {
  const auto seen = sleep_in(axle::poll_mode::busy);
  EXPECT_EQ(seen.sleeps, 0U);
  EXPECT_GE(seen.spun, 9ms);
}

TEST(poll_mode, blocking_never_spins) {
  const auto seen = sleep_in(axle::poll_mode::blocking);
  EXPECT_GE(seen.sleeps, 5U);
  EXPECT_EQ(seen.spins, 0U);
}

TEST(poll_mode, adaptive_does_not_spin_when_idle) {
  const auto seen = sleep_in(axle::poll_mode::adaptive);
  EXPECT_GE(seen.sleeps, 5U);
  EXPECT_LE(seen.spun, 1ms);
}

TEST(poll_mode, changes_while_running) {
  axle::run([]() -> axle::task<> {
    EXPECT_EQ(axle::current_poll_mode(), axle::poll_mode::adaptive);
    axle::set_poll_mode(axle::poll_mode::busy);
    EXPECT_EQ(axle::current_poll_mode(), axle::poll_mode::busy);
    co_await axle::yield();
    const auto before = axle::idle_times();
    co_await axle::sleep(2ms);
    EXPECT_EQ(axle::idle_times().sleeps, before.sleeps);
    EXPECT_GT(axle::idle_times().spins, before.spins);
    axle::set_poll_mode(axle::poll_mode::blocking);
    co_await axle::yield();
    const auto then = axle::idle_times();
    co_await axle::sleep(2ms);
    EXPECT_GT(axle::idle_times().sleeps, then.sleeps);
    EXPECT_EQ(axle::idle_times().spins, then.spins);
  });
}

TEST(poll_mode, is_an_option_that_changes_while_running) {
  axle::run([]() -> axle::task<> {
    EXPECT_TRUE(axle::change_option("poll", "busy"));
    EXPECT_EQ(axle::current_poll_mode(), axle::poll_mode::busy);
    axle::set_poll_mode(axle::poll_mode::blocking);
    std::string shown;
    for (const axle::option_state& each : axle::current_options())
      if (each.name == "poll") shown = each.value;
    EXPECT_EQ(shown, "blocking");
    EXPECT_TRUE(axle::change_option("tasks_per_turn", "100"));
    EXPECT_EQ(axle::current_poll_mode(), axle::poll_mode::blocking) << "of another option it is not touched";
    co_return;
  });
}

// Several loops on one processor would spin while the one they wait for is kept from running.
TEST(poll_mode, more_loops_than_processors_do_not_spin) {
  axle::run({.cores = 64}, []() -> axle::task<> {
    EXPECT_EQ(axle::current_poll_mode(), axle::poll_mode::blocking);
    co_return;
  });
}

TEST(poll_mode, the_simulator_does_not_spin) {
  axle::run({.driver = "sim", .poll = axle::poll_mode::busy}, []() -> axle::task<> {
    co_await axle::sleep(1h);
    EXPECT_EQ(axle::idle_times().spins, 0U);
  });
}

}  // namespace
