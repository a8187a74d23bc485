// sharded<T>: starting and stopping, in order, with failures, cancelled, and with calls under way: nothing is left behind.
// Several loops on real threads: AXLE_DRIVER chooses the driver.
#include <algorithm>
#include <functional>

#include "sharded_support.hpp"

namespace axle::test {
namespace {

class shards_life : public shards {};

/// A service that tells what becomes of it, and fails, or waits for ever, where it is told to.
struct script {
  far_trace seen;
  int fails_to_construct = -1;
  int fails_to_start = -1;
  int waits_in_start = -1;
  int fails_to_stop = -1;
  int also_fails_to_stop = -1;
};
class scripted {
 public:
  explicit scripted(script& told) : told_(&told) {
    if (is(told.fails_to_construct)) throw wrong("construct");
    told.seen.add_here("+");
  }
  scripted(const scripted&) = delete;
  scripted& operator=(const scripted&) = delete;
  ~scripted() { told_->seen.add_here("-"); }
  task<> start() {
    co_await yield();
    if (is(told_->fails_to_start)) throw wrong("start");
    if (is(told_->waits_in_start)) {
      told_->seen.add_here("waits");
      co_await sleep(1h);
    }
    told_->seen.add_here("start");
  }
  task<> stop() {
    co_await yield();
    told_->seen.add_here("stop");
    if (is(told_->fails_to_stop) || is(told_->also_fails_to_stop))
      throw wrong("stop" + std::to_string(this_core()));
  }

 private:
  static bool is(int core) { return static_cast<int>(this_core()) == core; }
  script* told_;
};

TEST_P(shards_life, start_and_stop_go_through_the_cores_in_order_and_back) {
  script told;
  const auto main = [&]() -> task<> {
    sharded<scripted> s;
    co_await s.start(std::ref(told));
    co_await s.stop();
  };
  run_here(main);
  trace expected;
  for (int i = 0; i < GetParam(); ++i)
    for (const char* what : {"+", "start"}) expected.push_back(what + std::to_string(i));
  for (int i = GetParam(); i-- > 0;)
    for (const char* what : {"stop", "-"}) expected.push_back(what + std::to_string(i));
  EXPECT_EQ(told.seen.seen(), expected);
}

// ---- failures of start and stop -------------------------------------------------------------------------------------

TEST_P(shards_life, a_failed_construction_undoes_the_others_in_reverse) {
  script told;
  told.fails_to_construct = GetParam() - 1;
  const auto main = [&]() -> task<> {
    sharded<scripted> s;
    EXPECT_EQ(ending_of(co_await spawn(s.start(std::ref(told))).outcome()), "construct");
    EXPECT_FALSE(s.started());
    told.fails_to_construct = -1;
    co_await s.start(std::ref(told));
    co_await s.stop();
  };
  run_here(main);
  trace expected;
  const int made = GetParam() - 1;
  for (int i = 0; i < made; ++i)
    for (const char* what : {"+", "start"}) expected.push_back(what + std::to_string(i));
  for (int i = made; i-- > 0;)
    for (const char* what : {"stop", "-"}) expected.push_back(what + std::to_string(i));
  const trace seen = told.seen.seen();
  EXPECT_EQ(trace(seen.begin(), seen.begin() + made * 4), expected);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(made + GetParam()) * 4);
}

TEST_P(shards_life, one_whose_start_failed_is_destroyed_but_not_stopped) {
  script told;
  told.fails_to_start = GetParam() - 1;
  told.fails_to_stop = 0;
  const auto main = [&]() -> task<> {
    sharded<scripted> s;
    const std::string became = ending_of(co_await spawn(s.start(std::ref(told))).outcome());
    if (core_count() == 1) {
      EXPECT_EQ(became, "start");
    } else {
      EXPECT_EQ(became, "2 tasks of one scope failed: [start] [stop0]");
    }
  };
  run_here(main);
  const std::string last = std::to_string(GetParam() - 1);
  const trace seen = told.seen.seen();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "-" + last), 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "stop" + last), 0);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(GetParam() - 1) * 4 + 2);
}

TEST_P(shards_life, stop_goes_on_after_a_failure_and_tells_all_of_them) {
  script told;
  told.fails_to_stop = GetParam() - 1;
  told.also_fails_to_stop = 0;
  const auto main = [&]() -> task<> {
    sharded<scripted> s;
    co_await s.start(std::ref(told));
    const std::string became = ending_of(co_await spawn(s.stop()).outcome());
    if (core_count() == 1) {
      EXPECT_EQ(became, "stop0");
    } else {
      EXPECT_EQ(became,
                "2 tasks of one scope failed: [stop" + std::to_string(core_count() - 1) + "] [stop0]");
    }
    EXPECT_FALSE(s.started());
  };
  run_here(main);
  EXPECT_EQ(told.seen.seen().size(), static_cast<std::size_t>(GetParam()) * 4);
}

// ---- cancelled ------------------------------------------------------------------------------------------------------

TEST_P(shards_life, a_start_that_is_cancelled_leaves_nothing_behind) {
  for (int waits_on = 0; waits_on < GetParam(); ++waits_on) {
    script told;
    told.waits_in_start = waits_on;
    const auto main = [&]() -> task<> {
      sharded<scripted> s;
      const auto in_time = co_await with_timeout(2ms, s.start(std::ref(told)));
      EXPECT_FALSE(in_time);
      EXPECT_FALSE(s.started());
      told.waits_in_start = -1;
      co_await s.start(std::ref(told));
      co_await s.stop();
    };
    run_here(main);
    const trace seen = told.seen.seen();
    const auto count = [&seen](const std::string& what) {
      return std::count_if(seen.begin(), seen.end(),
                           [&](const std::string& each) { return each.starts_with(what); });
    };
    EXPECT_EQ(count("+"), count("-"));
    EXPECT_EQ(count("start"), count("stop"));
    EXPECT_EQ(seen[seen.size() - 1], "-0");
  }
}

TEST_P(shards_life, a_start_cancelled_before_it_begins_or_at_any_step_has_started_or_left_nothing) {
  std::atomic<int> alive{0};
  const auto main = [&]() -> task<> {
    for (int steps = 0; steps < 12; ++steps) {
      sharded<plain> s;
      auto starting = spawn(s.start(std::ref(alive)));
      for (int i = 0; i < steps; ++i) co_await yield();
      starting.cancel();
      const std::string became = ending_of(co_await starting.outcome());
      EXPECT_EQ(became == "value", s.started());
      EXPECT_EQ(alive, s.started() ? static_cast<int>(core_count()) : 0);
      co_await s.stop();
      EXPECT_EQ(alive, 0);
    }
  };
  run_here(main);
}

TEST_P(shards_life, a_stop_that_is_cancelled_goes_to_its_end) {
  script told;
  const auto main = [&]() -> task<> {
    for (int steps = 1; steps < 8; ++steps) {
      sharded<scripted> s;
      co_await s.start(std::ref(told));
      auto stopping = spawn(s.stop());
      for (int i = 0; i < steps; ++i) co_await yield();
      stopping.cancel();
      static_cast<void>(co_await stopping.outcome());
      EXPECT_FALSE(s.started());
    }
  };
  run_here(main);
  EXPECT_EQ(told.seen.seen().size(), static_cast<std::size_t>(GetParam()) * 4 * 7);
}

TEST_P(shards_life, finally_stops_what_a_cancelled_task_has_started) {
  script told;
  const auto main = [&]() -> task<> {
    sharded<scripted> s;
    const auto serves = [&]() -> task<> {
      co_await s.start(std::ref(told));
      co_await sleep(1h);
    };
    const auto stops = [&s] { return s.stop(); };
    const auto in_time = co_await with_timeout(3ms, axle::finally(serves(), stops));
    EXPECT_FALSE(in_time);
    EXPECT_FALSE(s.started());
  };
  run_here(main);
}

// ---- calls while it stops -------------------------------------------------------------------------------------------

/// A service whose stop() ends the calls that wait in it.
struct waiting_room {
  explicit waiting_room(far_trace& t) : seen(&t) {}
  ~waiting_room() { seen->add_here("-"); }
  task<> wait() {
    seen->add_here("in");
    co_await closing.wait();
    co_await sleep(2ms);
    seen->add_here("out");
  }
  task<> stop() {
    closing.set();
    seen->add_here("stop");
    co_return;
  }
  event closing;
  far_trace* seen;
};

TEST_P(shards_life, stop_waits_for_the_calls_that_are_under_way) {
  far_trace seen;
  const auto main = [&]() -> task<> {
    sharded<waiting_room> s;
    co_await s.start(std::ref(seen));
    std::vector<join_handle<>> calls;
    for (unsigned core = 0; core < core_count(); ++core)
      calls.push_back(spawn(s.invoke_on(core, &waiting_room::wait)));
    const auto all_are_in = [&]() -> task<> {
      while (seen.seen().size() < core_count()) co_await sleep(100us);
    };
    co_await all_are_in();
    co_await s.stop();
    for (const auto& each : calls) co_await each;
  };
  run_here(main);
  trace expected;
  for (int i = GetParam(); i-- > 0;)
    for (const char* what : {"stop", "out", "-"}) expected.push_back(what + std::to_string(i));
  const trace all = seen.seen();
  EXPECT_EQ(trace(all.begin() + GetParam(), all.end()), expected);
}

struct sleeps_in_stop {
  explicit sleeps_in_stop(std::atomic<int>& n) : alive(&n) { ++n; }
  ~sleeps_in_stop() { --*alive; }
  task<> stop() { co_await sleep(1h); }
  std::atomic<int>* alive;
};
INSTANTIATE_TEST_SUITE_P(on, shards_life, testing::Values(1, 2, 4, 8), testing::PrintToStringParamName());

TEST(sharded, a_run_that_is_cut_short_in_spite_of_shields_leaves_no_instance) {
  std::atomic<int> alive{0};
  sharded<sleeps_in_stop> s;
  const auto main = [&]() -> task<> {
    co_await s.start(std::ref(alive));
    spawn([](sharded<sleeps_in_stop>* of) -> task<> { co_await of->stop(); }, &s).detach();
    co_await sleep(1ms);
  };
  on_sim(main, {.drain = 1s});
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(s.started());
}

}  // namespace
}  // namespace axle::test
