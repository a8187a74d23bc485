// gather, first_of, with_timeout, groups, shield and finally: values, failures, and that nothing is orphaned.
// On the simulator: hours pass at once.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

void on_sim(axle::task<> main) { axle::run({.driver = "sim"}, std::move(main)); }

struct life {
  explicit life(int& count) : alive(&count) { ++count; }
  life(const life&) = delete;
  life& operator=(const life&) = delete;
  ~life() { --*alive; }
  int* alive;
};

axle::task<int> after(std::chrono::milliseconds d, int value) {
  co_await axle::sleep(d);
  co_return value;
}
axle::task<int> alive_after(std::chrono::milliseconds d, int value, int& alive) {
  const life mine(alive);
  co_await axle::sleep(d);
  co_return value;
}
axle::task<int> fail_after(std::chrono::milliseconds d, const char* what) {
  co_await axle::sleep(d);
  throw std::runtime_error(what);
}
axle::task<> nothing() { co_return; }

template <class Task>
axle::task<std::string> message_of(Task work) {
  try {
    co_await std::move(work);
  } catch (const axle::cancelled&) {
    co_return "cancelled";
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "";
}

// ---- gather ---------------------------------------------------------------------------------------------------------

axle::task<> gather_runs_all_at_once() {
  const auto start = axle::clock::now();
  auto [a, b, c] = co_await axle::gather(after(20s, 1), after(10s, 2), nothing());
  EXPECT_EQ(a, 1);
  EXPECT_EQ(b, 2);
  EXPECT_EQ(c, std::monostate());
  EXPECT_LT(axle::clock::now() - start, 21s);
}
TEST(gather, runs_all_at_once) { on_sim(gather_runs_all_at_once()); }

axle::task<> gather_a_range() {
  std::vector<axle::task<int>> tasks;
  for (int i = 0; i < 1000; ++i) tasks.push_back(after(std::chrono::milliseconds(1000 - i), i));
  const std::vector<int> values = co_await axle::gather(std::move(tasks));
  EXPECT_EQ(values.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE((co_await axle::gather(std::vector<axle::task<int>>())).empty());
  co_await axle::gather(std::vector<axle::task<>>());
}
TEST(gather, keeps_the_order_of_a_range) { on_sim(gather_a_range()); }

axle::task<int> gathered_failure(int& alive) {
  auto [a, b, c] =
      co_await axle::gather(alive_after(1h, 1, alive), fail_after(1s, "second"), alive_after(1h, 3, alive));
  co_return a + b + c;
}
axle::task<> gather_fails() {
  int alive = 0;
  const auto start = axle::clock::now();
  EXPECT_EQ(co_await message_of(gathered_failure(alive)), "second");
  EXPECT_EQ(alive, 0) << "siblings have ended when gather returns";
  EXPECT_LT(axle::clock::now() - start, 2s);
}
TEST(gather, the_first_failure_cancels_the_others) { on_sim(gather_fails()); }

axle::task<int> fail_when_cut() {
  co_return co_await axle::finally(after(1h, 1),
                                   []() -> axle::task<> { co_await fail_after(1ms, "clean-up"); });
}
axle::task<> gather_two_failures() {
  const auto both = []() -> axle::task<> { co_await axle::gather(fail_after(1s, "first"), fail_when_cut()); };
  std::size_t count = 0;
  try {
    co_await both();
  } catch (const axle::exception_group& group) {
    count = group.errors().size();
    EXPECT_NE(std::string(group.what()).find("[first] [clean-up]"), std::string::npos) << group.what();
  }
  EXPECT_EQ(count, 2U);
}
TEST(gather, several_failures_are_all_reported) { on_sim(gather_two_failures()); }

// ---- first_of -------------------------------------------------------------------------------------------------------

axle::task<> first_wins() {
  int alive = 0;
  auto [index, value] = co_await axle::first_of(alive_after(2s, 1, alive), after(1s, 2), nothing());
  EXPECT_EQ(index, 2U);
  EXPECT_EQ(alive, 0) << "losers have ended";
  std::vector<axle::task<int>> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(alive_after(std::chrono::milliseconds(100 - i), i, alive));
  const auto range = co_await axle::first_of(std::move(tasks));
  EXPECT_EQ(range.index, 49U);
  EXPECT_EQ(range.value, 49);
  EXPECT_EQ(alive, 0);
}
TEST(first_of, gives_the_first_and_ends_the_rest) { on_sim(first_wins()); }

axle::task<> first_fails() {
  const auto race = []() -> axle::task<> { co_await axle::first_of(fail_after(1s, "lost"), after(2s, 1)); };
  EXPECT_EQ(co_await message_of(race()), "lost");
}
TEST(first_of, a_failure_can_be_first) { on_sim(first_fails()); }

// ---- with_timeout ---------------------------------------------------------------------------------------------------

axle::task<> timeouts() {
  int alive = 0;
  const axle::result<int> late = co_await axle::with_timeout(5ms, alive_after(1s, 1, alive));
  EXPECT_EQ(late.error(), axle::errc::timed_out);
  EXPECT_EQ(alive, 0) << "the task has ended when the timeout is reported";
  const axle::result<int> in_time = co_await axle::with_timeout(1s, after(5ms, 2));
  EXPECT_EQ(in_time.value(), 2);
  const axle::result<void> at_once = co_await axle::with_timeout(0ms, nothing());
  EXPECT_TRUE(at_once.has_value());
  const axle::result<int> none = co_await axle::with_timeout(-1h, after(1ms, 3));
  EXPECT_EQ(none.error(), axle::errc::timed_out);
  const axle::result<int> for_ever = co_await axle::with_timeout(std::chrono::hours::max(), after(1h, 4));
  EXPECT_EQ(for_ever.value(), 4);
  const axle::result<int> by_then = co_await axle::with_deadline(axle::clock::now() + 1s, after(2s, 5));
  EXPECT_EQ(by_then.error(), axle::errc::timed_out);
}
TEST(with_timeout, value_or_timed_out) { on_sim(timeouts()); }

axle::task<axle::result<int>> give_error() { co_return axle::fail(axle::errc::connection_reset); }
axle::task<> flat_results() {
  const axle::result<int> same = co_await axle::with_timeout(1s, give_error());
  EXPECT_EQ(same.error(), axle::errc::connection_reset);
}
TEST(with_timeout, a_result_stays_flat) { on_sim(flat_results()); }

axle::task<> timed(bool& went_on) {
  static_cast<void>(co_await axle::with_timeout(10ms, after(1h, 1)));
  went_on = true;
  co_await axle::sleep(1h);
}
axle::task<> cancel_at_the_same_time() {
  // Both alarms are due in one turn; the outer cancel is older or younger than the timeout.
  for (const auto when : {9ms, 10ms, 11ms}) {
    bool went_on = false;
    auto handle = axle::spawn(timed(went_on));
    axle::call_later(when, [&handle] { handle.cancel(); });
    const auto became = co_await handle.outcome();
    EXPECT_TRUE(became.is_cancelled());
  }
}
TEST(with_timeout, never_swallows_an_outer_cancel) { on_sim(cancel_at_the_same_time()); }

// ---- groups ---------------------------------------------------------------------------------------------------------

axle::task<> child(int& alive, std::chrono::milliseconds d) {
  const life mine(alive);
  co_await axle::sleep(d);
}
axle::task<int> group_of_ten(axle::task_group& group, int& alive) {
  for (int i = 0; i < 10; ++i) group.spawn(child(alive, std::chrono::milliseconds(i * 100)));
  EXPECT_EQ(group.size(), 10U);
  co_return 5;
}
axle::task<> groups_wait() {
  int alive = 0;
  EXPECT_EQ(co_await axle::with_task_group(group_of_ten, alive), 5);
  EXPECT_EQ(alive, 0);
}
TEST(task_group, ends_when_every_child_has) { on_sim(groups_wait()); }

axle::task<> failing_child() {
  co_await axle::sleep(10ms);
  throw std::runtime_error("child");
}
axle::task<> group_with_failure(axle::task_group& group, int& alive) {
  group.spawn(child(alive, 1h));
  group.spawn(failing_child());
  co_await child(alive, 1h);
}
axle::task<> grouped_failure(int& alive) { co_await axle::with_task_group(group_with_failure, alive); }
axle::task<> groups_fail() {
  int alive = 0;
  EXPECT_EQ(co_await message_of(grouped_failure(alive)), "child");
  EXPECT_EQ(alive, 0);
}
TEST(task_group, the_first_failure_cancels_children_and_body) { on_sim(groups_fail()); }

axle::task<> quiet(axle::task_group& group, int& alive) {
  group.spawn(child(alive, 1h));
  co_await axle::sleep(1ms);
  group.cancel();
  group.spawn(child(alive, 1h));  // never begins
  co_await axle::sleep(1h);
}
axle::task<> groups_are_quiet() {
  int alive = 0;
  co_await axle::with_task_group(quiet, alive);
  EXPECT_EQ(alive, 0);
}
TEST(task_group, cancel_is_a_quiet_end) { on_sim(groups_are_quiet()); }

axle::task<> held_group(int& alive) {
  co_await axle::with_task_group(
      [](axle::task_group& group, int& a) -> axle::task<> {
        group.spawn(child(a, 1h));
        co_await child(a, 1h);
      },
      alive);
}
axle::task<> cancel_a_group() {
  int alive = 0;
  auto handle = axle::spawn(held_group(alive));
  co_await axle::sleep(1ms);
  EXPECT_EQ(alive, 2);
  handle.cancel();
  EXPECT_TRUE((co_await handle.outcome()).is_cancelled());
  EXPECT_EQ(alive, 0);
}
TEST(task_group, a_cancel_from_outside_ends_every_child) { on_sim(cancel_a_group()); }

// ---- shield and finally ---------------------------------------------------------------------------------------------

axle::task<> shielded(int& steps) {
  co_await axle::shield(after(10ms, 1));
  ++steps;
  co_await axle::yield();  // the cancel takes effect here
  ++steps;
}
axle::task<> shield_holds() {
  int steps = 0;
  auto handle = axle::spawn(shielded(steps));
  co_await axle::sleep(1ms);
  handle.cancel();
  EXPECT_TRUE((co_await handle.outcome()).is_cancelled());
  EXPECT_EQ(steps, 1);
}
TEST(shield, the_cancel_takes_effect_after_it) { on_sim(shield_holds()); }

axle::task<> note_cleaned(std::string& log) {
  co_await axle::sleep(5ms);
  log += "cleaned;";
}
axle::task<int> cleaned_up(std::string& log, axle::task<int> body) {
  co_return co_await axle::finally(std::move(body), note_cleaned, std::ref(log));
}
axle::task<> finally_runs() {
  std::string log;
  EXPECT_EQ(co_await cleaned_up(log, after(1ms, 4)), 4);
  EXPECT_EQ(co_await message_of(cleaned_up(log, fail_after(1ms, "body"))), "body");
  auto handle = axle::spawn(cleaned_up(log, after(1h, 1)));
  co_await axle::sleep(1ms);
  handle.cancel();
  handle.cancel();
  EXPECT_TRUE((co_await handle.outcome()).is_cancelled());
  EXPECT_EQ(log, "cleaned;cleaned;cleaned;");
}
TEST(finally, cleans_up_after_a_value_an_exception_and_a_cancel) { on_sim(finally_runs()); }

}  // namespace
