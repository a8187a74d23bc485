// What debug mode warns of, and that it is quiet about what is right.
#include <thread>

#include "../support.hpp"

namespace axle::test {
namespace {

class warnings {
 public:
  warnings() : before_(set_warning_handler(collect)) { seen().clear(); }
  warnings(const warnings&) = delete;
  warnings& operator=(const warnings&) = delete;
  ~warnings() {
    set_warning_handler(before_);
    detail::debug_mode = false;
  }
  static trace& seen() {
    static trace all;
    return all;
  }

 private:
  static void collect(std::string_view text) noexcept { seen().emplace_back(text); }
  warning_handler before_;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

void spin(std::chrono::nanoseconds d) {
  const auto until = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < until) {}
}

task<> spins(std::chrono::nanoseconds d) {
  co_await yield();
  spin(d);
  co_await yield();
}

TEST(debug, tells_who_held_the_loop_up) {
  const warnings heard;
  run({.driver = "epoll", .debug = true, .slow_callback = 2ms}, []() -> task<> {
    auto slow = spawn(spins(10ms), {.name = "slow"});
    co_await slow;
    call_soon(spin, 10ms);
    co_await yield();
    co_await yield();
  });
  int of_task = 0, of_callback = 0;
  for (const std::string& each : warnings::seen()) {
    of_task += has(each, "\"slow\" (spawned at ") && has(each, " held up core 0 for 1");
    of_callback += has(each, "a callback held up core 0 for 1");
  }
  EXPECT_EQ(of_task, 1);
  EXPECT_EQ(of_callback, 1);
}

task<> forgotten() { co_return; }

TEST(debug, tells_of_a_task_that_was_never_awaited) {
  const warnings heard;
  on_sim(
      []() -> task<> {
        static_cast<void>(forgotten());
        co_await forgotten();
      },
      {.debug = true});
  EXPECT_EQ(warnings::seen().size(), 1U);
  EXPECT_TRUE(has(warnings::seen().at(0), "forgotten")) << warnings::seen().at(0);
  EXPECT_TRUE(has(warnings::seen().at(0), "debug_test.cpp:")) << warnings::seen().at(0);
  EXPECT_TRUE(has(warnings::seen().at(0), "was never awaited")) << warnings::seen().at(0);
}

TEST(debug, tells_of_a_failure_that_nobody_looked_at) {
  const warnings heard;
  on_sim(
      []() -> task<> {
        promise<int> unseen;
        unseen.set_exception(std::make_exception_ptr(wrong("lost")));
        promise<int> seen;
        const auto waiting = seen.get_future();
        seen.set_exception(std::make_exception_ptr(wrong("found")));
        EXPECT_THROW(co_await waiting, wrong);
      },
      {.debug = true});
  EXPECT_EQ(warnings::seen().size(), 1U);
  EXPECT_TRUE(has(warnings::seen().at(0), "nobody looked at it: lost"));
}

TEST(debug, tells_of_a_shield_that_held_a_cancel_up) {
  const warnings heard;
  on_sim(
      []() -> task<> {
        const auto body = []() -> task<> { co_await shield(sleeps(1s)); };
        auto held = spawn(body);
        co_await yield();
        held.cancel();
        static_cast<void>(co_await held.outcome());
        auto quick = spawn(body);
        co_await quick;
      },
      {.debug = true});
  EXPECT_EQ(warnings::seen().size(), 1U);
  EXPECT_TRUE(has(warnings::seen().at(0), "and the shield at ")) << warnings::seen().at(0);
  EXPECT_TRUE(has(warnings::seen().at(0), "debug_test.cpp:")) << warnings::seen().at(0);
  EXPECT_TRUE(has(warnings::seen().at(0), "it took 1000.0 ms")) << warnings::seen().at(0);
}

task<> locks_both(mutex& one, mutex& other) {
  const auto first = co_await one.lock();
  co_await yield();
  const auto second = co_await other.lock();
}

TEST(debug, tells_of_a_deadlock_while_others_go_on) {
  const warnings heard;
  on_sim(
      []() -> task<> {
        mutex a, b;
        auto one = spawn(locks_both(a, b), {.name = "one"});
        auto two = spawn(locks_both(b, a), {.name = "two"});
        for (int i = 0; i < 50; ++i) co_await sleep(100ms);
        one.cancel();
        co_await two;
      },
      {.debug = true});
  EXPECT_EQ(warnings::seen().size(), 1U) << "told once";
  EXPECT_TRUE(has(warnings::seen().at(0), "wait for each other")) << warnings::seen().at(0);
  EXPECT_TRUE(has(warnings::seen().at(0), "deadlock: #")) << warnings::seen().at(0);
}

TEST(debug, is_not_needed_to_hear_that_a_whole_core_is_deadlocked) {
  const warnings heard;
  const auto main = []() -> task<> {
    mutex a, b;
    co_await gather(locks_both(a, b), locks_both(b, a));
  };
  // A thread from outside ends what nothing inside would.
  std::thread stranger;
  const auto freed = [&]() -> task<> {
    auto stuck = spawn(main);
    auto* const handle = &stuck;
    stranger = std::thread([handle] {
      std::this_thread::sleep_for(50ms);  // wall clock: the loop must have fallen asleep for good
      static_cast<void>(post_to(0, [handle] { handle->cancel(); }));
    });
    static_cast<void>(co_await stuck.outcome());
  };
  run({.driver = "epoll"}, freed);
  stranger.join();
  EXPECT_EQ(warnings::seen().size(), 1U);
  EXPECT_TRUE(has(warnings::seen().at(0), "deadlock: #")) << warnings::seen().at(0);
}

TEST(debug, is_switched_on_by_the_environment) {
  const warnings heard;
  setenv("AXLE_DEBUG", "1", 1);
  on_sim([]() -> task<> {
    static_cast<void>(forgotten());
    co_return;
  });
  setenv("AXLE_DEBUG", "0", 1);
  detail::debug_mode = false;
  on_sim([]() -> task<> {
    static_cast<void>(forgotten());
    co_return;
  });
  unsetenv("AXLE_DEBUG");
  EXPECT_EQ(warnings::seen().size(), 1U);
}

}  // namespace
}  // namespace axle::test
