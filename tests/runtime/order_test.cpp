// The order of a turn, which is API: microtasks, ready tasks and callbacks, timers; asyncio's rules and JavaScript's.
// On the simulator.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using strings = std::vector<std::string>;

void on_sim(axle::task<> main) { axle::run({.driver = "sim"}, std::move(main)); }

struct note {
  strings* log;
  const char* text;
  void operator()() const { log->emplace_back(text); }
};

axle::task<> say(strings& log, const char* text) {
  log.emplace_back(text);
  co_return;
}

// Script, then microtasks, then timers.
axle::task<> javascript(strings& log) {
  axle::call_later(0ms, note{&log, "timeout"});
  axle::call_microtask(note{&log, "promise 1"});
  axle::call_microtask([&log] {
    log.emplace_back("promise 2");
    axle::call_microtask(note{&log, "promise 3"});
  });
  log.emplace_back("script end");
  co_await axle::sleep(1ms);
}
TEST(order, is_javascripts_for_script_microtasks_and_timers) {
  strings log;
  on_sim(javascript(log));
  EXPECT_EQ(log, (strings{"script end", "promise 1", "promise 2", "promise 3", "timeout"}));
}

// call_soon and tasks share one FIFO; sleep(0) lets every other ready task run once.
axle::task<> asyncio(strings& log) {
  axle::call_soon(note{&log, "soon 1"});
  auto task = axle::spawn(say(log, "task"));
  axle::call_soon(note{&log, "soon 2"});
  log.emplace_back("main");
  co_await axle::sleep(0s);
  log.emplace_back("main again");
  co_await task;
}
TEST(order, is_fifo_for_tasks_and_callbacks) {
  strings log;
  on_sim(asyncio(log));
  EXPECT_EQ(log, (strings{"main", "soon 1", "task", "soon 2", "main again"}));
}

axle::task<> timed(strings& log) {
  const auto now = axle::clock::now();
  axle::call_at(now + 20ms, note{&log, "20"});
  axle::call_at(now + 10ms, note{&log, "10 a"});
  axle::call_at(now + 10ms, note{&log, "10 b"});
  axle::call_at(now + 10ms, note{&log, "10 c"});
  axle::call_at(now - 1h, note{&log, "past"});
  co_await axle::sleep(30ms);
}
TEST(order, of_timers_is_by_deadline_and_then_by_call) {
  strings log;
  on_sim(timed(log));
  EXPECT_EQ(log, (strings{"past", "10 a", "10 b", "10 c", "20"}));
}

void again(int& left) {
  if (left-- > 0) axle::call_microtask(again, std::ref(left));
}
axle::task<> flood(int& left, bool& fired) {
  axle::call_later(1us, [&fired] { fired = true; });
  axle::call_microtask(again, std::ref(left));
  co_await axle::sleep(10us);
  EXPECT_TRUE(fired);
  EXPECT_GT(left, 0) << "a timer fires between microtasks that never end";
  left = 0;
}
TEST(order, microtasks_cannot_starve_timers) {
  int left = 100'000'000;
  bool fired = false;
  axle::run(flood(left, fired));  // real time
}

axle::task<> called_off(strings& log) {
  auto soon = axle::call_soon(note{&log, "soon"});
  auto later = axle::call_later(1ms, note{&log, "later"});
  EXPECT_TRUE(soon.cancel());
  EXPECT_TRUE(later.cancel());
  EXPECT_FALSE(later.cancel());
  auto runs = axle::call_later(1ms, note{&log, "runs"});
  co_await axle::sleep(2ms);
  EXPECT_FALSE(runs.cancel()) << "it has run";
}
TEST(call_handle, cancel_says_whether_it_won) {
  strings log;
  on_sim(called_off(log));
  EXPECT_EQ(log, (strings{"runs"}));
}

strings* failures = nullptr;
axle::task<> failing_callback() {
  axle::call_soon([] { throw std::runtime_error("in a callback"); });
  co_await axle::sleep(1ms);
}
TEST(call_soon, what_it_throws_goes_to_the_handler) {
  strings seen;
  failures = &seen;
  const auto before = axle::set_unjoined_failure_handler(
      [](std::string_view, std::source_location, const std::exception_ptr& error) noexcept {
        try {
          std::rethrow_exception(error);
        } catch (const std::exception& known) {
          failures->emplace_back(known.what());
        }
      });
  on_sim(failing_callback());
  axle::set_unjoined_failure_handler(before);
  EXPECT_EQ(seen, (strings{"in a callback"}));
}

// ---- sleeping -------------------------------------------------------------------------------------------------------

axle::task<int> sleep_and_look(std::chrono::nanoseconds d) {
  const auto before = axle::clock::now();
  co_await axle::sleep(d);
  co_return axle::clock::now() - before < d ? 1 : 0;
}
axle::task<> sleep_a_lot(int& early) {
  std::vector<axle::task<int>> sleeps;
  for (int i = 0; i < 2'000; ++i)
    sleeps.push_back(sleep_and_look(std::chrono::nanoseconds(1 + i * 997 % 2'000'000)));
  for (const int each : co_await axle::gather(std::move(sleeps))) early += each;
}
TEST(sleep, is_never_early_on_the_real_clock) {
  int early = 0;
  for (int round = 0; round < 5; ++round) axle::run(sleep_a_lot(early));
  EXPECT_EQ(early, 0);
}

axle::task<> absurd_sleeps() {
  for (const auto d : {std::chrono::nanoseconds::min(), -1ns, 0ns}) co_await axle::sleep(d);
  co_await axle::sleep(std::chrono::duration<double>(-1e300));
  const axle::result<void> cut = co_await axle::with_timeout(
      24h * 365, [](int) -> axle::task<> { co_await axle::sleep(std::chrono::hours::max()); }(0));
  EXPECT_EQ(cut.error(), axle::errc::timed_out);
  co_await axle::sleep_until(axle::clock::time_point::min());
}
TEST(sleep, takes_absurd_durations_for_none_or_for_ever) { on_sim(absurd_sleeps()); }

}  // namespace
