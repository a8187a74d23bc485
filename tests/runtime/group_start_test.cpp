// group.start: a child that says when it is ready.
#include "../support.hpp"

namespace axle::test {
namespace {

task<> ready_after(ready_signal<int> ready, std::chrono::nanoseconds d, trace& log) {
  const noted at_end(log, "child ended");
  co_await sleep(d);
  ready(42);
  log.emplace_back("child said it is ready");
  co_await sleep(1s);
}
task<> fails_before(ready_signal<int>) {
  co_await sleep(1ms);
  throw wrong("before");
}
task<> fails_later(ready_signal<> ready) {
  co_await sleep(1ms);
  ready();
  co_await sleep(1ms);
  throw wrong("later");
}
task<> returns_before(ready_signal<int>) { co_await sleep(1ms); }
task<> never_ready(ready_signal<int>, trace& log) {
  const noted at_end(log, "child ended");
  co_await sleep(1h);
}

TEST(group_start, gives_what_the_child_said_and_the_child_goes_on) {
  trace log;
  on_sim([&log]() -> task<> {
    const auto body = [&log](task_group& group) -> task<> {
      const auto start = clock::now();
      const int value = co_await group.start<int>(ready_after, 5ms, std::ref(log));
      EXPECT_EQ(value, 42);
      EXPECT_TRUE(took(clock::now() - start, 5ms));
      EXPECT_EQ(group.size(), 1U);
      log.emplace_back("body ended");
    };
    co_await with_task_group(body);
  });
  EXPECT_EQ(log, (trace{"child said it is ready", "body ended", "child ended"}));
}

TEST(group_start, throws_what_the_child_failed_with_before_and_the_group_goes_on) {
  on_sim([]() -> task<> {
    const auto body = [](task_group& group) -> task<> {
      EXPECT_THROW(static_cast<void>(co_await group.start<int>(fails_before)), wrong);
      co_await sleep(1ms);
    };
    co_await with_task_group(body);
  });
}

TEST(group_start, failure_after_it_was_ready_is_the_groups) {
  on_sim([]() -> task<> {
    const auto body = [](task_group& group) -> task<> {
      co_await group.start(fails_later);
      co_await sleep(1h);
    };
    EXPECT_THROW(co_await with_task_group(body), wrong);
  });
}

TEST(group_start, of_a_child_that_returns_before_it_is_ready_throws) {
  on_sim([]() -> task<> {
    const auto body = [](task_group& group) -> task<> {
      EXPECT_THROW(static_cast<void>(co_await group.start<int>(returns_before)), std::logic_error);
    };
    co_await with_task_group(body);
  });
}

TEST(group_start, cancelled_while_waiting_cancels_the_child_and_waits_for_it) {
  trace log;
  on_sim([&log]() -> task<> {
    const auto body = [&log](task_group& group) -> task<> {
      const auto starts = [&]() -> task<int> {
        co_return co_await group.start<int>(never_ready, std::ref(log));
      };
      const auto late = co_await with_timeout(5ms, starts());
      EXPECT_EQ(late.error(), std::make_error_condition(errc::timed_out));
      log.emplace_back("start ended");
      EXPECT_EQ(group.size(), 0U);
    };
    co_await with_task_group(body);
  });
  EXPECT_EQ(log, (trace{"child ended", "start ended"}));
}

TEST(group_start, ended_quietly_with_its_group) {
  trace log;
  on_sim([&log]() -> task<> {
    const auto body = [&log](task_group& group) -> task<> {
      call_later(1ms, [&group] { group.cancel(); });
      static_cast<void>(co_await group.start<int>(never_ready, std::ref(log)));
      log.emplace_back("not reached");
    };
    co_await with_task_group(body);
  });
  EXPECT_EQ(log, trace{"child ended"});
}

TEST(group_start, in_a_group_that_is_being_cancelled_never_begins) {
  on_sim([]() -> task<> {
    trace log;
    const auto body = [&log](task_group& group) -> task<> {
      group.cancel();
      static_cast<void>(co_await group.start<int>(ready_after, 1ms, std::ref(log)));
      log.emplace_back("not reached");
    };
    co_await with_task_group(body);
    EXPECT_TRUE(log.empty());
  });
}

task<> says_twice(ready_signal<> ready) {
  ready();
  ready();
  co_return;
}
void start_says_twice() {
  run({.driver = "sim"}, []() -> task<> {
    const auto body = [](task_group& group) -> task<> { co_await group.start(says_twice); };
    co_await with_task_group(body);
  });
}
TEST(group_start_death, saying_twice_is_a_check) {
  EXPECT_DEATH(start_says_twice(), "a task says once that it is ready");
}

}  // namespace
}  // namespace axle::test
