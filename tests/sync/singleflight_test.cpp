// singleflight: shared, failed, given up by some and by all, begun anew.
#include <map>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

using flights = singleflight<std::string, std::string>;

struct work_log {
  int begun = 0;
  int ended = 0;  // their frames are gone
  trace answers;
};
class at_work {
 public:
  explicit at_work(work_log& in) : in_(in) { ++in_.begun; }
  at_work(const at_work&) = delete;
  at_work& operator=(const at_work&) = delete;
  ~at_work() { ++in_.ended; }

 private:
  work_log& in_;
};
task<std::string> looks_up(work_log* in, std::string what, std::chrono::nanoseconds d) {
  const at_work here(*in);
  co_await sleep(d);
  co_return what + " found";
}
task<std::string> fails(work_log* in, std::string what) {
  const at_work here(*in);
  co_await sleep(1ms);
  throw wrong("no " + what);
}
task<> asks(flights& of, work_log& in, std::string key, std::chrono::nanoseconds d = 10ms) {
  std::string got = co_await of.run(key, looks_up, &in, key, d);
  in.answers.push_back(std::move(got));
}

TEST(singleflight, callers_with_the_same_key_share_one_flight) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    const auto began = clock::now();
    co_await gather(asks(of, in, "a"), asks(of, in, "a"), asks(of, in, "b"), asks(of, in, "a"));
    EXPECT_TRUE(about(clock::now() - began, 10ms));
    EXPECT_EQ(in.begun, 2);
    EXPECT_EQ(in.ended, 2);
    EXPECT_EQ(in.answers, (trace{"a found", "a found", "a found", "b found"}));
    EXPECT_EQ(of.statistics().flights, 0U);
    EXPECT_EQ(of.statistics().started, 2U);
    EXPECT_EQ(of.statistics().shared, 2U);
  });
}

TEST(singleflight, one_who_comes_late_shares_what_is_left_and_a_finished_flight_is_forgotten) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    spawn(asks(of, in, "a")).detach();
    co_await sleep(9ms);
    EXPECT_EQ(of.statistics().flights, 1U);
    const auto began = clock::now();
    co_await asks(of, in, "a");
    EXPECT_TRUE(about(clock::now() - began, 1ms));
    EXPECT_EQ(in.begun, 1);
    co_await asks(of, in, "a");
    EXPECT_EQ(in.begun, 2);
  });
}

TEST(singleflight, one_that_completes_without_waiting_is_fine_too) {
  on_sim([]() -> task<> {
    singleflight<int, int> of;
    for (int i = 0; i < 3; ++i) {
      const int got = co_await of.run(1, ready_value, i);
      EXPECT_EQ(got, i);
    }
  });
}

TEST(singleflight, all_get_the_exception) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    auto asks_in_vain = [&]() -> task<> {
      try {
        const auto got = co_await of.run("a", fails, &in, "a");
        ADD_FAILURE() << got;
      } catch (const wrong& error) {
        in.answers.push_back(error.what());
      }
    };
    co_await gather(asks_in_vain(), asks_in_vain(), asks_in_vain());
    EXPECT_EQ(in.begun, 1);
    EXPECT_EQ(in.answers, (trace{"no a", "no a", "no a"}));
    co_await asks(of, in, "a");
    EXPECT_EQ(in.answers.back(), "a found") << "a failure is forgotten as well";
  });
}

TEST(singleflight, may_give_nothing) {
  on_sim([]() -> task<> {
    singleflight<int, void> of;
    int done = 0;
    auto work = [](int* count) -> task<> {
      co_await sleep(1ms);
      ++*count;
    };
    co_await gather(of.run(1, work, &done), of.run(1, work, &done));
    EXPECT_EQ(done, 1);
  });
}

TEST(singleflight, a_value_is_copied_for_all_but_the_last) {
  struct copies {
    int* count;
    explicit copies(int* c) : count(c) {}
    copies(const copies& other) : count(other.count) { ++*count; }
    copies(copies&&) = default;
    copies& operator=(copies&&) = default;
  };
  on_sim([]() -> task<> {
    singleflight<int, copies> of;
    int count = 0;
    auto work = [](int* c) -> task<copies> {
      co_await yield();
      co_return copies(c);
    };
    auto caller = [&]() -> task<> {
      const copies mine = co_await of.run(1, work, &count);
      EXPECT_EQ(mine.count, &count);
    };
    co_await caller();
    EXPECT_EQ(count, 0);
    co_await gather(caller(), caller(), caller());
    EXPECT_EQ(count, 2);
  });
}

TEST(singleflight, the_callable_and_its_arguments_outlive_the_caller_that_brought_them) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    auto first = [&]() -> task<> {
      auto brought = [text = std::string("a long text that is surely on the heap")](
                         std::string more) -> task<std::string> {
        co_await sleep(10ms);
        co_return text + more;
      };
      const auto got = co_await of.run("a", brought, ", and another text that is on the heap");
      ADD_FAILURE() << got;
    };
    const auto one = spawn(first());
    co_await rounds(2);
    const auto other = spawn(asks(of, in, "a"));
    co_await rounds(2);
    one.cancel();
    co_await rounds(2);
    EXPECT_TRUE(one.was_cancelled());
    co_await other;
    EXPECT_EQ(in.answers,
              (trace{"a long text that is surely on the heap, and another text that is on the heap"}));
  });
}

// ---- giving up ------------------------------------------------------------------------------------------------------

TEST(singleflight, one_is_cancelled_only_when_its_last_caller_has_given_up) {
  for (int last = 0; last < 3; ++last) {
    auto main = [&]() -> task<> {
      flights of;
      work_log in;
      std::vector<join_handle<>> callers;
      for (int i = 0; i < 3; ++i) callers.push_back(spawn(asks(of, in, "a")));
      co_await sleep(1ms);
      for (int i = 0; i < 3; ++i) {
        if (i == last) continue;
        callers[static_cast<std::size_t>(i)].cancel();
        co_await rounds(2);
        EXPECT_TRUE(callers[static_cast<std::size_t>(i)].was_cancelled());
        EXPECT_EQ(in.ended, 0);
      }
      callers[static_cast<std::size_t>(last)].cancel();
      co_await rounds(3);
      EXPECT_TRUE(callers[static_cast<std::size_t>(last)].was_cancelled());
      EXPECT_EQ(in.begun, 1);
      EXPECT_EQ(in.ended, 1);
      EXPECT_EQ(of.statistics().flights, 0U);
      EXPECT_TRUE(in.answers.empty());
    };
    on_sim(main);
  }
}

TEST(singleflight, all_callers_cancelled_in_one_turn_cancel_it) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    std::vector<join_handle<>> callers;
    for (int i = 0; i < 3; ++i) callers.push_back(spawn(asks(of, in, "a")));
    co_await rounds(1);
    for (auto& one : callers) one.cancel();
    for (auto& one : callers) one.cancel();
    co_await rounds(4);
    for (auto& one : callers) EXPECT_TRUE(one.was_cancelled());
    EXPECT_EQ(in.begun, in.ended);
    EXPECT_EQ(of.statistics().flights, 0U);
  });
}

TEST(singleflight,
     the_last_caller_returns_when_the_flight_has_ended_and_one_who_comes_meanwhile_begins_another) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    const auto began = clock::now();
    auto slow_to_end = [](work_log* log) -> task<std::string> {
      const at_work here(*log);
      co_await shield(sleeps(10ms));
      co_await sleep(1h);
      co_return "never";
    };
    auto asks_slow = [&]() -> task<> {
      const auto got = co_await of.run("a", slow_to_end, &in);
      ADD_FAILURE() << got;
    };
    const auto one = spawn(asks_slow());
    co_await sleep(1ms);
    one.cancel();
    co_await sleep(1ms);
    EXPECT_FALSE(one.done());
    const auto next = spawn(asks(of, in, "a", 5ms));
    const auto third = spawn(asks(of, in, "a", 5ms));
    const auto impatient = spawn(asks(of, in, "a", 5ms));
    co_await sleep(1ms);
    EXPECT_EQ(in.begun, 1) << "never two at the same time";
    impatient.cancel();
    co_await rounds(2);
    EXPECT_TRUE(impatient.was_cancelled());
    co_await next;
    co_await third;
    EXPECT_TRUE(about(clock::now() - began, 15ms));
    EXPECT_TRUE(one.was_cancelled());
    EXPECT_EQ(in.begun, 2);
    EXPECT_EQ(in.answers, (trace{"a found", "a found"}));
  });
}

TEST(singleflight, one_who_waited_for_the_end_and_is_cancelled_then_begins_nothing) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    auto slow_to_end = [](work_log* log) -> task<std::string> {
      const at_work here(*log);
      co_await shield(sleeps(10ms));
      co_await sleep(1h);
      co_return "never";
    };
    auto asks_slow = [&]() -> task<> { static_cast<void>(co_await of.run("a", slow_to_end, &in)); };
    const auto one = spawn(asks_slow());
    co_await sleep(1ms);
    one.cancel();
    const auto next = spawn(asks(of, in, "a", 5ms));
    co_await yield();
    auto cancels = [&]() -> task<> {
      const auto became = co_await one.outcome();
      EXPECT_TRUE(became.is_cancelled());
      next.cancel();
    };
    co_await cancels();
    co_await rounds(3);
    EXPECT_TRUE(next.was_cancelled());
    EXPECT_EQ(in.begun, in.ended);
    EXPECT_EQ(of.statistics().flights, 0U);
  });
}

TEST(singleflight, what_was_reached_is_delivered_though_the_caller_is_cancelled_in_the_same_turn) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    event go;
    auto waits_for = [](work_log* log, event* on) -> task<std::string> {
      const at_work here(*log);
      co_await on->wait();
      co_return "reached";
    };
    auto caller = [&]() -> task<> {
      const std::string got = co_await of.run("a", waits_for, &in, &go);
      in.answers.push_back(got);
      co_await yield();
      in.answers.push_back("not reached");
    };
    const auto one = spawn(caller());
    co_await rounds(2);
    go.set();
    one.cancel();  // the flight is on its way to its value
    co_await rounds(4);
    EXPECT_TRUE(one.was_cancelled());
    EXPECT_EQ(in.answers, (trace{"reached"}));
    go.clear();
    const auto two = spawn(caller());
    co_await rounds(2);
    two.cancel();
    go.set();
    co_await rounds(4);
    EXPECT_TRUE(two.was_cancelled());
    EXPECT_EQ(in.answers, (trace{"reached"}));
    EXPECT_EQ(in.ended, 2);
  });
}

TEST(singleflight, an_exception_of_a_flight_that_was_given_up_reaches_who_gave_it_up_last) {
  on_sim([]() -> task<> {
    singleflight<int, int> of;
    auto throws_in_the_end = []() -> task<int> {
      co_await shield(sleeps(1ms));
      throw wrong("late");
    };
    auto caller = [&]() -> task<int> { co_return co_await of.run(1, throws_in_the_end); };
    const auto one = spawn(caller());
    co_await rounds(2);
    one.cancel();
    auto became = co_await one.outcome();
    EXPECT_EQ(ending_of(std::move(became)), "late");
  });
}

TEST(singleflight, one_cancelled_before_it_starts_or_asks_begins_nothing) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    const auto one = spawn(asks(of, in, "a"));
    one.cancel();
    auto asks_when_cancelled = [&]() -> task<> {
      co_await shield(sleeps(1ms));
      co_await asks(of, in, "a");
    };
    const auto two = spawn(asks_when_cancelled());
    co_await yield();
    two.cancel();
    { const task<> unused = asks(of, in, "a"); }
    { const auto unused = of.run("a", looks_up, &in, "a", 1ms); }
    co_await sleep(1s);
    EXPECT_TRUE(one.was_cancelled() && two.was_cancelled());
    EXPECT_EQ(in.begun, 0);
    EXPECT_EQ(of.statistics().started, 0U);
  });
}

TEST(singleflight, a_caller_that_times_out_leaves_the_flight_to_the_others) {
  on_sim([]() -> task<> {
    flights of;
    work_log in;
    auto in_time = [&](std::chrono::milliseconds limit) -> task<bool> {
      const auto became = co_await with_timeout(limit, asks(of, in, "a"));
      co_return static_cast<bool>(became);
    };
    const auto [a, b] = co_await gather(in_time(5ms), in_time(15ms));
    EXPECT_FALSE(a);
    EXPECT_TRUE(b);
    const bool c = co_await in_time(9ms);
    EXPECT_FALSE(c);
    EXPECT_EQ(in.begun, 2);
    EXPECT_EQ(in.ended, 2);
  });
}

TEST(singleflight, callers_that_a_run_leaves_behind_end_with_their_flights_and_it_serves_the_next_run) {
  flights of;
  work_log in;
  auto first = [&]() -> task<> {
    for (const char* key : {"a", "a", "b"}) spawn(asks(of, in, key, 1h)).detach();
    auto shielded = [&]() -> task<> { co_await shield(asks(of, in, "b", 1h)); };
    spawn(shielded()).detach();
    co_await sleep(1ms);
  };
  on_sim(first);
  EXPECT_EQ(in.begun, 2);
  EXPECT_EQ(in.ended, 2);
  EXPECT_EQ(of.statistics().flights, 0U);
  auto second = [&]() -> task<> { co_await asks(of, in, "a"); };
  on_sim(second);
  EXPECT_EQ(in.answers.back(), "a found");
}

TEST(singleflight, adds_up_when_callers_are_cancelled_at_random) {
  std::mt19937_64 random(test_seed(1));
  std::map<int, int> flying;
  int most = 0, answered = 0;
  auto main = [&]() -> task<> {
    singleflight<int, int> of;
    struct in_air {
      explicit in_air(int& c) : count(c) { ++count; }
      in_air(const in_air&) = delete;
      in_air& operator=(const in_air&) = delete;
      ~in_air() { --count; }
      int& count;
    };
    auto work = [&](int key, std::chrono::nanoseconds d) -> task<int> {
      const in_air here(flying[key]);
      most = std::max(most, flying[key]);
      if (d.count() % 3 == 0) co_await shield(sleeps(d));
      co_await sleep(d);
      co_return key;
    };
    auto caller = [&](int key) -> task<> {
      const int got = co_await of.run(key, std::ref(work), key, std::chrono::nanoseconds(random() % 5000));
      EXPECT_EQ(got, key);
      ++answered;
    };
    std::vector<join_handle<>> all;
    for (int i = 0; i < 5000; ++i) {
      all.push_back(spawn(caller(static_cast<int>(random() % 5))));
      if (random() % 2) all[all.size() - 1 - random() % std::min<std::size_t>(all.size(), 20)].cancel();
      if (random() % 2) co_await sleep(std::chrono::nanoseconds(random() % 1000));
    }
    co_await sleep(1s);
    for (auto& one : all) EXPECT_TRUE(one.done());
    EXPECT_EQ(of.statistics().flights, 0U);
  };
  on_sim(main);
  EXPECT_EQ(most, 1) << "of one key never two at the same time";
  for (const auto& [key, count] : flying) EXPECT_EQ(count, 0);
  EXPECT_GT(answered, 500);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

singleflight<int, int>* within = nullptr;
task<int> asks_itself() { co_return co_await within->run(1, asks_itself); }
task<> flight_within_itself() {
  singleflight<int, int> of;
  within = &of;
  static_cast<void>(co_await of.run(1, asks_itself));
}
task<> destroyed_under_way() {
  work_log in;
  flights of;
  spawn(asks(of, in, "a")).detach();
  co_await rounds(2);
}
void used_on_another_core() {
  singleflight<int, int> of;
  auto main = [&]() -> task<> {
    static_cast<void>(co_await of.run(1, ready_value, 1));
    auto far = [&]() -> task<> { static_cast<void>(co_await of.run(1, ready_value, 1)); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
TEST(singleflight_death, misuse) {
  EXPECT_DEATH(on_sim(flight_within_itself), "asks for its own key");
  EXPECT_DEATH(on_sim(destroyed_under_way), "a singleflight was destroyed while 1 flights");
  EXPECT_DEATH(used_on_another_core(), "singleflight.*core 0.*core 1");
}

}  // namespace
}  // namespace axle::test
