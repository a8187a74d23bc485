// Fibers: blocking-style code in a task. What co_await gives, await gives; cancel, exceptions and stacks come out whole.
#include <axle/alloc/stack_pool.hpp>
#include <axle/fiber.hpp>

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "../support.hpp"

namespace axle::test {
namespace {

// Fails the test if a stack is still given out at its end.
class stacks_return {
 public:
  stacks_return() = default;
  stacks_return(const stacks_return&) = delete;
  stacks_return& operator=(const stacks_return&) = delete;
  ~stacks_return() { EXPECT_EQ(alloc::stack_counts().live(), before_) << "stacks were leaked"; }

 private:
  std::uint64_t before_ = alloc::stack_counts().live();
};

template <class F>
auto in_fibers(F f, run_options options = {}) {
  const stacks_return guard;
  return on_sim(std::move(f), options);
}

int slept_sum(int n) {
  int sum = 0;
  for (int i = 1; i <= n; ++i) sum += axle::await(value_after(1s, i));
  return sum;
}

TEST(fiber, waits_without_being_a_coroutine) {
  in_fibers([]() -> task<> {
    const auto begun = clock::now();
    EXPECT_EQ(co_await fiber(slept_sum, 4), 10);
    EXPECT_TRUE(took(clock::now() - begun, 4s));
  });
}

// Deep in an ordinary recursion.
int depth_of_tree(int levels) {
  if (levels == 0) {
    axle::await(sleep(1ms));
    return 0;
  }
  return 1 + std::max(depth_of_tree(levels - 1), depth_of_tree(levels - 1));
}

TEST(fiber, waits_anywhere_in_its_call_stack) {
  in_fibers([]() -> task<> { EXPECT_EQ(co_await fiber(depth_of_tree, 8), 8); });
}

TEST(fiber, others_run_while_it_waits) {
  in_fibers([]() -> task<> {
    trace seen;
    auto counts = [&seen](std::string name, std::chrono::seconds every) {
      for (int i = 0; i < 3; ++i) {
        axle::await(sleep(every));
        seen.push_back(name);
      }
    };
    auto a = fiber(counts, "a", 2s);
    auto b = fiber(counts, "b", 3s);
    co_await gather(std::move(a), std::move(b));
    EXPECT_EQ(seen, (trace{"a", "b", "a", "b", "a", "b"}));
  });
}

struct move_only {
  explicit move_only(int n) : value(std::make_unique<int>(n)) {}
  std::unique_ptr<int> value;
};

TEST(fiber, results_of_every_kind) {
  in_fibers([]() -> task<> {
    int there = 3;
    auto refers = [](int& n) -> int& { return n; };
    int& same = co_await fiber(refers, std::ref(there));
    EXPECT_EQ(&same, &there);
    auto takes = [](move_only given) {
      axle::await(yield());
      return move_only(*given.value + 1);
    };
    auto moving = fiber(takes, move_only(4));
    const move_only got = co_await std::move(moving);
    EXPECT_EQ(*got.value, 5);
    auto does_nothing = [] {};
    co_await fiber(does_nothing);
    auto wants = [] { return axle::await(with_timeout(1s, value_after(1h, 1))); };
    const result<int> late = co_await fiber(wants);
    EXPECT_EQ(late.error(), std::make_error_condition(errc::timed_out));
  });
}

TEST(fiber, every_wait_there_is) {
  in_fibers([]() -> task<> {
    auto uses_all = [] {
      axle::await(yield());
      axle::await(sleep_until(clock::now() + 1ms));
      const auto [a, b] = axle::await(gather(value_after(1ms, 1), value_after(2ms, 2)));
      EXPECT_EQ(a + b, 3);
      const auto first = axle::await(first_of(value_after(1ms, 7), value_after(1h, 8)));
      EXPECT_EQ(first.index, 0U);
      EXPECT_EQ(axle::await(spawn(value_after(1ms, 5))), 5);
      EXPECT_EQ(axle::await(shield(value_after(1ms, 6))), 6);
      mutex lock;
      const auto held = axle::await(lock.lock());
      queue<int> items(1);
      EXPECT_TRUE(axle::await(items.put(9)));
      EXPECT_EQ(axle::await(items.get()).value(), 9);
      promise<int> later;
      auto kept = later.get_future();
      call_later(1ms, [&later] { later.set_value(11); });
      EXPECT_EQ(axle::await(kept), 11);
    };
    co_await fiber(uses_all);
  });
}

TEST(fiber, an_exception_crosses_both_ways) {
  in_fibers([]() -> task<> {
    auto catches = []() -> std::string {
      try {
        axle::await(fails_after(1ms, "from below"));
      } catch (const wrong& error) {
        return error.what();
      }
      return "nothing";
    };
    EXPECT_EQ(co_await fiber(catches), "from below");
    auto throws = [] {
      axle::await(sleep(1ms));
      throw wrong("from the fiber");
    };
    auto became = spawn(fiber(throws));
    EXPECT_EQ(ending_of(co_await became.outcome()), "from the fiber");
  });
}

// Two fibers and a coroutine, each inside a catch block while the others throw and catch.
TEST(fiber, may_wait_in_a_catch_block) {
  in_fibers([]() -> task<> {
    auto handles = [](int n) {
      std::string seen;
      try {
        throw wrong("first " + std::to_string(n));
      } catch (const wrong& outer) {
        axle::await(sleep(n * 1ms));
        try {
          throw wrong("second");
        } catch (const wrong&) {
          axle::await(sleep(n * 1ms));
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
        seen = outer.what();
        try {
          throw;
        } catch (const wrong& again) {
          EXPECT_EQ(seen, again.what());
        }
      }
      EXPECT_FALSE(std::current_exception());
      return seen;
    };
    std::vector<task<std::string>> all;
    for (int n = 1; n <= 5; ++n) all.push_back(fiber(handles, n));
    const auto seen = co_await gather(std::move(all));
    for (int n = 1; n <= 5; ++n)
      EXPECT_EQ(seen[static_cast<std::size_t>(n - 1)], "first " + std::to_string(n));
  });
}

// ---- cancel ---------------------------------------------------------------------------------------------------------

struct cancel_case {
  trace seen;
  int alive = 0;
};

void waits_in_three_scopes(cancel_case& in) {
  const counted here(in.alive);
  const noted outer(in.seen, "outer");
  auto inner = [&in] {
    const noted innermost(in.seen, "inner");
    axle::await(sleep(1h));
    in.seen.push_back("past the wait");
  };
  inner();
}

TEST(fiber, a_cancel_unwinds_it_from_the_inside_out) {
  in_fibers([]() -> task<> {
    cancel_case in;
    auto user = spawn(fiber(waits_in_three_scopes, std::ref(in)));
    co_await sleep(1ms);
    EXPECT_EQ(in.alive, 1);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_EQ(in.alive, 0);
    EXPECT_EQ(in.seen, (trace{"inner", "outer"}));
  });
}

TEST(fiber, a_cancel_before_the_start_runs_nothing) {
  in_fibers([]() -> task<> {
    cancel_case in;
    auto user = spawn(fiber(waits_in_three_scopes, std::ref(in)));
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_TRUE(in.seen.empty());
    { const auto dropped = fiber(waits_in_three_scopes, std::ref(in)); }
    EXPECT_TRUE(in.seen.empty());
  });
}

TEST(fiber, a_cancel_that_is_caught_stays) {
  in_fibers([]() -> task<> {
    int caught = 0;
    auto stubborn = [&caught] {
      for (int i = 0; i < 3; ++i) {
        try {
          axle::await(sleep(1h));
        } catch (...) {
          ++caught;
        }
      }
    };
    auto user = spawn(fiber(stubborn));
    co_await sleep(1ms);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_EQ(caught, 3);
  });
}

// The coroutines above and below a fiber end as without it: frames destroyed, in order.
task<> below(cancel_case& in) {
  const noted here(in.seen, "below");
  co_await sleep(1h);
}
void middle(cancel_case& in) {
  const noted here(in.seen, "middle");
  axle::await(below(in));
}
task<> above(cancel_case& in) {
  const noted here(in.seen, "above");
  try {
    co_await fiber(middle, std::ref(in));
  } catch (...) {
    in.seen.push_back("swallowed");
  }
}

TEST(fiber, a_cancel_passes_through_coroutines_and_fibers_in_order) {
  in_fibers([]() -> task<> {
    cancel_case in;
    auto user = spawn(above(in));
    co_await sleep(1ms);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_EQ(in.seen, (trace{"below", "middle", "above"}));
  });
}

TEST(fiber, a_cancel_while_children_run_waits_for_them) {
  in_fibers([]() -> task<> {
    cancel_case in;
    auto with_children = [&in] { axle::await(gather(below(in), below(in))); };
    auto user = spawn(fiber(with_children));
    co_await sleep(1ms);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_EQ(in.seen, (trace{"below", "below"}));
  });
}

TEST(fiber, what_is_shielded_ends_and_then_the_cancel_takes_effect) {
  in_fibers([]() -> task<> {
    trace seen;
    auto careful = [&seen] {
      EXPECT_EQ(axle::await(shield(value_after(1s, 3))), 3);
      seen.push_back("shielded");
      axle::await(yield());
      seen.push_back("never");
    };
    auto user = spawn(fiber(careful));
    co_await sleep(1ms);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
    EXPECT_EQ(seen, trace{"shielded"});
  });
}

TEST(fiber, is_timed_out_like_any_task) {
  in_fibers([]() -> task<> {
    cancel_case in;
    const auto in_time = co_await with_timeout(1s, fiber(waits_in_three_scopes, std::ref(in)));
    EXPECT_EQ(in_time.error(), std::make_error_condition(errc::timed_out));
    EXPECT_EQ(in.alive, 0);
  });
}

TEST(fiber, what_it_throws_instead_of_ending_is_reported) {
  const unjoined_failures reported;
  in_fibers([]() -> task<> {
    auto replaces = [] {
      try {
        axle::await(sleep(1h));
      } catch (const cancelled&) {
        throw wrong("while leaving");
      }
    };
    auto user = spawn(fiber(replaces));
    co_await sleep(1ms);
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
  });
  ASSERT_EQ(unjoined_failures::seen().size(), 1U);
  EXPECT_NE(unjoined_failures::seen()[0].find("while leaving"), std::string::npos);
}

// A task that it joins was cancelled, and not the fiber: an exception like others.
TEST(fiber, joining_a_cancelled_task_throws_and_can_be_caught) {
  in_fibers([]() -> task<> {
    auto joins = [] {
      auto other = spawn(sleeps(1h));
      axle::await(sleep(1ms));
      other.cancel();
      try {
        axle::await(other);
      } catch (const cancelled&) {
        axle::await(sleep(1ms));
        return 1;
      }
      return 0;
    };
    EXPECT_EQ(co_await fiber(joins), 1);
  });
}

// ---- fibers in fibers, many, and their stacks -------------------------------------------------------------------------

int nested(int levels) {
  if (levels == 0) {
    axle::await(sleep(1ms));
    return 0;
  }
  return 1 + axle::await(fiber(nested, levels - 1));
}

TEST(fiber, fibers_in_fibers) {
  in_fibers([]() -> task<> { EXPECT_EQ(co_await fiber(nested, 40), 40); });
}

TEST(fiber, a_fiber_in_a_fiber_is_cancelled_from_the_inside_out) {
  in_fibers([]() -> task<> {
    auto user = spawn(fiber(nested, 40));
    co_await yield();
    user.cancel();
    EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
  });
}

TEST(fiber, a_thousand_wait_at_once_and_their_stacks_are_used_again) {
  in_fibers([]() -> task<> {
    const std::size_t count = scaled(1'000);
    auto waits = [](int n) {
      axle::await(sleep(1s));
      return n;
    };
    std::vector<task<int>> all;
    for (std::size_t i = 0; i < count; ++i)
      all.push_back(fiber(fiber_options{.stack_bytes = 16 * 1024}, waits, 1));
    const auto ones = co_await gather(std::move(all));
    EXPECT_EQ(std::accumulate(ones.begin(), ones.end(), 0), static_cast<int>(count));
    const auto mapped = alloc::stack_counts().mapped;
    for (int i = 0; i < 100; ++i) co_await fiber(fiber_options{.stack_bytes = 16 * 1024}, waits, 1);
    EXPECT_EQ(alloc::stack_counts().mapped, mapped);
  });
}

TEST(fiber, a_long_run_of_ready_awaits_starves_nobody) {
  in_fibers([]() -> task<> {
    bool done = false;
    std::uint64_t seen = 0;
    auto spins = [&done] {
      std::uint64_t count = 0;
      while (!done) count += static_cast<std::uint64_t>(axle::await(ready_value(1)));
      return count;
    };
    auto spinning = spawn(fiber(spins));
    co_await sleep(1us);
    done = true;
    seen = co_await spinning;
    EXPECT_GT(seen, 0U);
  });
}

TEST(fiber, no_memory_for_a_stack_is_bad_alloc) {
  in_fibers([]() -> task<> {
    auto never = [] { ADD_FAILURE(); };
    const fiber_options huge = {.stack_bytes = std::size_t{1} << 46};
    auto tried = spawn(fiber(huge, never));
    EXPECT_EQ(ending_of(co_await tried.outcome()), "std::bad_alloc");
  });
}

TEST(fiber, says_where_it_waits) {
  in_fibers([]() -> task<> {
    auto user = spawn(fiber(slept_sum, 1), {.name = "summing"});
    co_await sleep(1ms);
    bool found = false;
    for (const auto& each : all_tasks())
      for (const auto& where : each.awaits)
        found |= std::string_view(where.function_name()).find("slept_sum") != std::string_view::npos;
    EXPECT_TRUE(found) << "the await in slept_sum was to be among the places at which tasks wait";
    co_await user;
  });
}

// A task that begins inside the fiber's call runs on its stack, and a fiber of its own in there.
TEST(fiber, begins_tasks_eagerly) {
  in_fibers([]() -> task<> {
    auto begins = [] {
      auto child = spawn(fiber(slept_sum, 2), {.eager = true});
      auto other = spawn(value_after(1s, 4), {.eager = true});
      axle::await(yield());
      return axle::await(child) + axle::await(other);
    };
    EXPECT_EQ(co_await fiber(begins), 7);
  });
}

std::size_t runs_over(std::size_t depth) {
  volatile char part[1024];
  part[0] = static_cast<char>(depth);
  return depth == SIZE_MAX ? 0 : runs_over(depth + 1) + static_cast<std::size_t>(part[0]);
}

TEST(fiber_death_test, running_over_its_stack_is_a_fault) {
  EXPECT_DEATH(run([]() -> task<> { static_cast<void>(co_await fiber(runs_over, std::size_t{0})); }), "");
}

task<> wrong_kind_of_await() {
  axle::await(sleep(1ms));
  co_return;
}

TEST(fiber_death_test, await_outside_a_fiber) {
  EXPECT_DEATH(run([]() -> task<> { co_await wrong_kind_of_await(); }),
               "axle::await was called outside a fiber");
  EXPECT_DEATH(run([]() -> task<> {
                 auto awaits = [] { axle::await(wrong_kind_of_await()); };
                 co_await fiber(awaits);
               }),
               "in a coroutine that a fiber awaits");
}

}  // namespace
}  // namespace axle::test
