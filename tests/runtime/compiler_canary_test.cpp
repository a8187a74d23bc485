// Shapes of coroutines that compilers have got wrong, each as axle's users write it: what works must go on working, and
// what one of the supported compilers miscompiles must be caught where the coroutine is made. DESIGN: compilers.
#include "../support.hpp"

namespace axle::test {
namespace {

task<bool> answer(bool value) {
  co_await yield();
  co_return value;
}
task<int> number(int value) {
  co_await yield();
  co_return value;
}

// ---- awaiting in a condition, with no variable in the outermost block: g++ before 12.3 lays the frame out wrongly ------

task<> awaits_in_if(bool value, int& seen) {
  if (co_await answer(value)) ++seen;
}
task<> awaits_in_while(int& seen) {
  while (co_await answer(seen < 3)) ++seen;
}
task<> awaits_in_do(int& seen) {
  do {
    ++seen;
  } while (co_await answer(seen < 3));
}
task<> awaits_in_for(int& seen) {
  for (; co_await answer(seen < 3);) ++seen;
}
task<> awaits_in_switch(int value, int& seen) {
  switch (co_await number(value)) {
    case 1:
      seen = 3;
      break;
    default:
      break;
  }
}

// Starts one of the above; what it made of `seen`.
template <class... Args>
void expect_right_or_refused(int expected, task<> (*body)(Args...), std::type_identity_t<Args>... args) {
  int& seen = std::get<sizeof...(Args) - 1>(std::forward_as_tuple(args...));
  if constexpr (detail::frames_may_be_misplaced) {
    EXPECT_DEATH(run(body(args...)), "g\\+\\+ before 12.3 miscompiles .* declare one there");
  } else {
    seen = 0;
    run(body(args...));
    EXPECT_EQ(seen, expected);
  }
}

TEST(compiler_canary_death, a_condition_that_awaits_in_a_block_without_variables) {
  int seen = 0;
  expect_right_or_refused(1, awaits_in_if, true, seen);
  expect_right_or_refused(3, awaits_in_while, seen);
  expect_right_or_refused(3, awaits_in_do, seen);
  expect_right_or_refused(3, awaits_in_for, seen);
  expect_right_or_refused(3, awaits_in_switch, 1, seen);
}

// ---- the same with a variable ---------------------------------------------------------------------------------------

task<int> conditions_beside_a_variable() {
  int passed = 0;
  if (co_await answer(true)) ++passed;
  if (!co_await answer(false)) ++passed;
  if (passed == 2 && co_await answer(true)) ++passed;
  if (passed == 0 || co_await answer(true)) ++passed;
  while (co_await answer(passed < 6)) ++passed;
  for (; co_await answer(passed < 8);) ++passed;
  switch (co_await number(passed)) {
    case 8:
      ++passed;
      break;
    default:
      co_return -1;
  }
  passed += co_await answer(true) ? co_await number(10) : co_await number(1000);
  co_return passed;
}

TEST(compiler_canary, conditions_beside_a_variable) { EXPECT_EQ(run(conditions_beside_a_variable()), 19); }

task<int> variable_in_the_condition() {
  if (const int got = co_await number(4)) co_return got;
  co_return -1;
}

TEST(compiler_canary, a_variable_in_the_condition) { EXPECT_EQ(run(variable_in_the_condition()), 4); }

// ---- temporaries of the full expression that awaits -----------------------------------------------------------------

struct counted {
  explicit counted(int& living) : living_(&living) { ++*living_; }
  counted(const counted& other) : living_(other.living_) { ++*living_; }
  counted(counted&& other) noexcept : living_(other.living_) { ++*living_; }
  counted& operator=(const counted&) = delete;
  ~counted() { --*living_; }
  int* living_;
};

task<int> takes(counted by_value, const counted& by_reference) {
  co_await yield();
  co_return *by_value.living_ + *by_reference.living_;
}

task<> passes_temporaries(int& living) {
  const int most = co_await takes(counted(living), counted(living));
  EXPECT_GE(most, 4);
  EXPECT_EQ(living, 0);
  EXPECT_GE(
      co_await takes(counted(living), counted(living)) + co_await takes(counted(living), counted(living)), 8);
  EXPECT_EQ(living, 0);
}

TEST(compiler_canary, temporaries_end_once) {
  int living = 0;
  run(passes_temporaries(living));
  EXPECT_EQ(living, 0);
}

task<> names_its_lambda(int& living) {
  auto capturing = [held = counted(living)] { return *held.living_; };
  EXPECT_GE(co_await on(this_core(), capturing), 2);
  EXPECT_EQ(living, 1);
}

TEST(compiler_canary, a_lambda_that_owns_is_named_first) {
  int living = 0;
  run(names_its_lambda(living));
  EXPECT_EQ(living, 0);
}

task<> throws_past(int& living) {
  const counted held(living);
  try {
    const counted inner(living);
    co_await answer(true);
    throw wrong("past the await");
  } catch (const wrong&) {
    EXPECT_EQ(living, 1);
  }
  co_await answer(true);
}

TEST(compiler_canary, an_exception_after_an_await_unwinds_what_it_passes) {
  int living = 0;
  run(throws_past(living));
  EXPECT_EQ(living, 0);
}

task<> options_beside_an_await(int& living) {
  join_handle<int> one =
      spawn(takes(counted(living), counted(living)), {.name = "a name long enough to be stored apart"});
  one.cancel();
  EXPECT_TRUE((co_await one.outcome()).is_cancelled());
  EXPECT_EQ(living, 0);
}

TEST(compiler_canary, an_option_struct_is_a_temporary) {
  int living = 0;
  run(options_beside_an_await(living));
  EXPECT_EQ(living, 0);
}

}  // namespace
}  // namespace axle::test
