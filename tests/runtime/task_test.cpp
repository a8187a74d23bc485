// task<T>: what comes out of it, when it runs, how deep it goes, and that it gives the core to others.
#include "../support.hpp"

namespace axle::test {
namespace {

struct odd_size {
  char bytes[13] = {};
};

task<std::unique_ptr<int>> unique_value() { co_return std::make_unique<int>(7); }
task<std::string> text(std::string a, std::string b) {
  co_await yield();
  co_return a + b;
}
task<int&> reference_to(int& place) {
  co_await yield();
  co_return place;
}
task<int> throws_at_once() {
  throw wrong("at once");
  co_return 1;
}

TEST(task, gives_values_of_every_kind) {
  on_sim([]() -> task<> {
    EXPECT_EQ(co_await ready_value(3), 3);
    EXPECT_EQ(co_await value_after(1ms, 4), 4);
    const auto unique = co_await unique_value();
    EXPECT_EQ(*unique, 7);
    const std::string joined = co_await text("a long enough string to be allocated ", "and another one");
    EXPECT_EQ(joined, "a long enough string to be allocated and another one");
    co_await nothing();
  });
}

TEST(task, gives_references_to_the_very_object) {
  int place = 1;
  on_sim([&]() -> task<> {
    int& got = co_await reference_to(place);
    EXPECT_EQ(&got, &place);
    got = 2;
  });
  EXPECT_EQ(place, 2);
}

TEST(task, a_value_without_default_constructor_or_copy_is_moved_out_once) {
  struct picky {
    explicit picky(int n) : number(n) {}
    picky(picky&& other) noexcept : number(std::exchange(other.number, -1)) {}
    int number;
  };
  on_sim([]() -> task<> {
    auto make = [](int n) -> task<picky> { co_return picky(n); };
    const picky got = co_await make(5);
    EXPECT_EQ(got.number, 5);
  });
}

TEST(task, throws_what_the_coroutine_threw) {
  on_sim([]() -> task<> {
    EXPECT_THROW(co_await throws_at_once(), wrong);
    EXPECT_THROW(co_await fails_after(1ms, "later"), wrong);
    EXPECT_EQ(co_await ready_value(1), 1);  // the awaiting task is none the worse for it
  });
}

TEST(task, an_exception_leaves_the_frames_in_order) {
  trace log;
  auto inner = [&]() -> task<> {
    const noted end(log, "inner");
    co_await sleep(1ms);
    throw wrong("x");
  };
  auto outer = [&]() -> task<> {
    const noted end(log, "outer");
    co_await inner();
  };
  on_sim([&]() -> task<> {
    EXPECT_THROW(co_await outer(), wrong);
    log.push_back("caught");
  });
  EXPECT_EQ(log, (trace{"inner", "outer", "caught"}));
}

TEST(task, is_lazy_and_runs_inside_its_awaiter_at_once) {
  trace log;
  auto child = [&]() -> task<> {
    log.push_back("child");
    co_return;
  };
  on_sim([&]() -> task<> {
    task<> made = child();
    EXPECT_TRUE(static_cast<bool>(made));
    log.push_back("made");
    co_await std::move(made);
    EXPECT_FALSE(static_cast<bool>(made));
    log.push_back("awaited");
  });
  EXPECT_EQ(log, (trace{"made", "child", "awaited"}));
}

TEST(task, unawaited_is_destroyed_unrun_with_its_arguments) {
  const frames_return guard;
  int alive = 0;
  bool ran = false;
  {
    auto never = [](counted, bool& flag) -> task<> {
      flag = true;
      co_return;
    };
    const task<> unused = never(counted(alive), ran);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(ran);
}

TEST(task, assignment_destroys_what_was_held) {
  const frames_return guard;
  int alive = 0;
  auto holds = [](counted) -> task<> { co_return; };
  task<> first = holds(counted(alive));
  task<> second = holds(counted(alive));
  EXPECT_EQ(alive, 2);
  first = std::move(second);
  EXPECT_EQ(alive, 1);
}

void await_twice() {
  run({.driver = "sim"}, []() -> task<> {
    task<int> once = ready_value(1);
    co_await std::move(once);
    co_await std::move(once);
  });
}
void spawn_what_was_awaited() {
  run({.driver = "sim"}, []() -> task<> {
    task<int> once = ready_value(1);
    co_await std::move(once);
    spawn(std::move(once)).detach();
  });
}
void await_without_a_loop() { static_cast<void>(ready_value(1).operator co_await().await_ready()); }
void sleep_without_a_loop() {
  call_soon([] {});
}

TEST(task, misuse_is_a_check) {
  EXPECT_DEATH(await_twice(), "awaited once");
  EXPECT_DEATH(spawn_what_was_awaited(), "awaited once");
  EXPECT_DEATH(await_without_a_loop(), "runs no axle loop");
  EXPECT_DEATH(sleep_without_a_loop(), "runs no axle loop");
}

// ---- depth ----------------------------------------------------------------------------------------------------------

task<std::uint64_t> depth_of(std::size_t n) {
  if (n == 0) co_return 0;
  const std::uint64_t below = co_await depth_of(n - 1);
  co_return below + 1;
}
task<std::uint64_t> suspended_depth_of(std::size_t n, bool fail) {
  if (n == 0) {
    co_await sleep(1h);
    if (fail) throw wrong("bottom");
    co_return 0;
  }
  const std::uint64_t below = co_await suspended_depth_of(n - 1, fail);
  co_return below + 1;
}

TEST(task, a_million_nested_awaits_do_not_grow_the_stack) {
  const std::size_t depth = scaled(1'000'000);
  on_sim([=]() -> task<> { EXPECT_EQ(co_await depth_of(depth), depth); });
}

TEST(task, a_deep_chain_that_suspends_at_the_bottom_comes_back_up) {
  const std::size_t depth = scaled(1'000'000);
  on_sim([=]() -> task<> { EXPECT_EQ(co_await suspended_depth_of(depth, false), depth); });
}

TEST(task, an_exception_climbs_a_deep_chain) {
  const std::size_t depth = scaled(100'000);
  on_sim([=]() -> task<> { EXPECT_THROW(co_await suspended_depth_of(depth, true), wrong); });
}

TEST(task, a_million_ready_awaits_in_a_row_are_right) {
  const std::size_t count = scaled(1'000'000);
  std::uint64_t sum = 0;
  on_sim([&]() -> task<> {
    for (std::size_t i = 0; i < count; ++i) sum += static_cast<std::uint64_t>(co_await ready_value(1));
  });
  EXPECT_EQ(sum, count);
}

TEST(task, every_depth_around_the_nesting_bound_works_suspended_or_not) {
  on_sim([]() -> task<> {
    for (std::size_t depth = 0; depth < 80; ++depth) {
      EXPECT_EQ(co_await depth_of(depth), depth);
      EXPECT_EQ(co_await suspended_depth_of(depth, false), depth);
      EXPECT_THROW(co_await suspended_depth_of(depth, true), wrong);
    }
  });
}

TEST(task, ready_awaits_starve_neither_a_task_nor_a_timer) {
  std::uint64_t others = 0;
  bool timer = false;
  bool timer_in_time = false;
  auto other = [&]() -> task<> {
    for (;;) {
      ++others;
      co_await yield();
    }
  };
  on_sim([&]() -> task<> {
    auto running = spawn(other());
    auto timed = call_later(1us, [&] { timer = true; });
    for (std::size_t i = 0; i < 1'000'000; ++i) {
      co_await ready_value(1);
      timer_in_time |= timer;
    }
    running.cancel();
  });
  EXPECT_TRUE(timer_in_time);
  EXPECT_GT(others, 500U);
}

TEST(task, frames_of_every_size_go_back_to_the_pool) {
  auto sized = []<std::size_t Bytes>(std::integral_constant<std::size_t, Bytes>) -> task<std::size_t> {
    std::array<unsigned char, Bytes> block;
    block.fill(static_cast<unsigned char>(Bytes));
    co_await yield();
    std::size_t sum = 0;
    for (const unsigned char each : block) sum += each == static_cast<unsigned char>(Bytes);
    co_return sum;
  };
  on_sim([&]() -> task<> {
    EXPECT_EQ(co_await sized(std::integral_constant<std::size_t, 1>()), 1U);
    EXPECT_EQ(co_await sized(std::integral_constant<std::size_t, 100>()), 100U);
    EXPECT_EQ(co_await sized(std::integral_constant<std::size_t, 1'900>()), 1'900U);
    EXPECT_EQ(co_await sized(std::integral_constant<std::size_t, 2'048>()), 2'048U);
    EXPECT_EQ(co_await sized(std::integral_constant<std::size_t, 100'000>()), 100'000U);
  });
}

TEST(task, a_temporary_argument_lives_until_the_await_is_over) {
  trace log;
  auto uses = [](const noted&, trace& into) -> task<> {
    co_await sleep(1ms);
    into.push_back("used");
  };
  on_sim([&]() -> task<> { co_await uses(noted(log, "gone"), log); });
  EXPECT_EQ(log, (trace{"used", "gone"}));
}

TEST(task, running_out_of_memory_for_a_frame_throws_in_the_caller) {
  if (!sanitized) GTEST_SKIP() << "frames fail one by one only where each is an allocation of its own";
  on_sim([]() -> task<> {
    bool refused = false;
    try {
      alloc::fail_frame_allocation_after(0);
      co_await ready_value(1);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    alloc::fail_frame_allocation_after(-1);
    EXPECT_TRUE(refused);
    EXPECT_EQ(co_await ready_value(2), 2);
  });
}

}  // namespace
}  // namespace axle::test
