// The operations of the cancellation table: one entry each, in table order. Included by cancellation_table_test.cpp alone.
#pragma once

#include <array>
#include <functional>
#include <tuple>

#include "cancellation_table_scene.hpp"

namespace axle::test::cancellation_table {

constexpr const char* both_failed = "2 tasks of one scope failed: [failed] (2 times)";

// ---- what they give --------------------------------------------------------------------------------------------------

constexpr auto nothing_given = [](scene&) {};
constexpr auto then_happens = [](scene& in) { static_cast<void>(happen(in)); };  // a timer cannot fail
constexpr auto one = [](scene&, int got) { EXPECT_EQ(got, 1); };
constexpr auto one_in_time = [](scene&, result<int>& got) { EXPECT_EQ(got.value(), 1); };
constexpr auto value_of_other = [](scene& in, int got) {
  EXPECT_EQ(got, 1);
  in.value_taken = true;
};
constexpr auto as_it_became = [](const scene& in, outcome<int>& got) {
  EXPECT_EQ(ending_of(std::move(got)), in.fail ? "failed" : "value");
};
constexpr auto first_is_one = [](scene&, const auto& got) { EXPECT_EQ(got.index, 0U); };

inline void expect_waited(const waited& got, std::vector<std::size_t> done,
                          std::vector<std::size_t> pending) {
  EXPECT_EQ(got.done, done);
  EXPECT_EQ(got.pending, pending);
}

// ---- what they need --------------------------------------------------------------------------------------------------

inline void one_other(scene& in) { in.others.push_back(spawn(other(in))); }
inline void one_eager_other(scene& in) { in.others.push_back(spawn(other(in), {.eager = true})); }
inline void other_and_long(scene& in) {
  one_other(in);
  in.others.push_back(spawn(other_that_takes_long(in)));
}
inline void other_and_early(scene& in) {
  one_other(in);
  in.others.push_back(spawn(early_other(in)));
}
inline void failing_beside_long(scene& in) {
  in.others.push_back(spawn(in.fail ? other_that_takes_long(in) : early_other(in)));
  one_other(in);
}
inline void other_is_cancelled(scene& in) {
  in.others.push_back(spawn(other_that_takes_long(in)));
  in.happening = call_at(in.due, [&in] { in.others[0].cancel(); });
}
inline void happens(scene& in) {
  in.happening = call_at(in.due, [&in] { in.happened = true; });
}
inline void makes_promise(scene& in, void (*fails)(scene&)) {
  in.to_come = in.promised.emplace().get_future();
  in.happening = call_at(in.due, [&in, fails] {
    if (in.fail) return fails(in);
    EXPECT_TRUE(in.promised->set_value(1));
  });
}
inline void promise_may_fail(scene& in) {
  makes_promise(in, [](scene& of) { of.promised->set_exception(std::make_exception_ptr(wrong("failed"))); });
}
inline void promise_may_be_dropped(scene& in) {
  makes_promise(in, [](scene& of) { of.promised.reset(); });
}
inline void promise_is_cancelled(scene& in) {
  makes_promise(in, [](scene& of) { of.promised->cancel(); });
}

// ---- the tasks inside ------------------------------------------------------------------------------------------------

template <class GiveWay>
task<> polls(GiveWay give_way, scene& in) {
  while (!in.happened) co_await give_way();
  happen(in);
}
inline task<int> nested(scene& in, int depth) {
  const counted here(in.alive);
  if (depth == 0) co_return co_await event(in);
  co_return co_await nested(in, depth - 1);
}
inline owning_task<int> owned(std::reference_wrapper<scene> in) { co_return co_await event(in); }
inline task<int> next_completed(scene& in) {
  as_completed done(in.others);
  const auto number = co_await done.next();
  EXPECT_EQ(number, std::size_t{0});
  co_return 1;
}
inline task<> clean_up(scene& in) {
  const counted here(in.alive);
  const auto in_time = co_await with_timeout(1s, sleeps(10us));
  in.cleaned_up = in_time.has_value();
}
inline task<int> gathers(scene& in) {
  const counted here(in.alive);
  const auto both = co_await gather(event(in), event(in));
  co_return std::get<1>(both);
}
inline task<int> shields_and_looks(scene& in) {
  const int got = co_await shield(event(in));
  co_await checkpoint();
  co_return got;
}
inline task<int> spawns(task_group& group, scene& in) {
  const counted here(in.alive);
  group.spawn(event(in));
  group.spawn(void_event, std::ref(in));
  co_await sleep_until(in.due);
  co_return 1;
}
inline task<> ends_its_group(task_group& group, scene& in) {
  const counted here(in.alive);
  group.spawn(long_one(in));
  co_await event(in);
  group.cancel();
}
inline task<> says_when_due(ready_signal<int> ready, scene& in) { ready(co_await event(in)); }
inline task<> says_and_goes_on(ready_signal<int> ready, scene& in) {
  ready(1);
  co_await event(in);
}
template <auto Child>
task<int> starts(task_group& group, scene& in) {
  const counted here(in.alive);
  static_cast<void>(group.start<int>(Child, std::ref(in)));  // unused
  EXPECT_EQ(group.size(), 0U);
  co_return co_await group.start<int>(Child, std::ref(in));
}
inline task<> works_on(scene& in, int item) {
  if (item > 0) co_await event(in);
}
inline task<result<int>> second_attempt_waits(scene& in, int& attempt) {
  if (attempt++ == 0) co_return fail(errc::resource_unavailable_try_again);
  co_return co_await event(in);
}
inline task<result<int>> second_attempt_ends(scene& in, int& attempt) {
  if (attempt++ == 0) co_return fail(errc::resource_unavailable_try_again);
  co_return happen(in);
}
template <auto Attempt>
task<result<int>> retries(scene& in, std::chrono::nanoseconds first_delay) {
  int attempt = 0;
  co_return co_await retry({.first_delay = first_delay, .jitter = 0}, Attempt, std::ref(in),
                           std::ref(attempt));
}
inline async_generator<int> ones(scene& in) {
  const counted here(in.alive);
  co_yield 1;
  co_yield co_await event(in);
}
inline task<int> takes_all(scene& in) {
  int sum = 0;
  auto numbers = ones(in);
  while (const int* const each = co_await numbers.next()) sum += *each;
  co_return sum - 1;
}
inline task<int> holds_a_generator(scene& in) {
  auto numbers = ones(in);
  const int* const first = co_await numbers.next();
  EXPECT_EQ(*first, 1);
  co_return co_await event(in);
}
inline task<int> calls_over(scene& in) { co_return co_await on(this_core(), event, std::ref(in)); }
inline task_local<int>& request() {
  static task_local<int> id(0);
  return id;
}
inline task<int> sees_request(scene& in) {
  EXPECT_EQ(request().get(), 7);
  const int got = co_await event(in);
  EXPECT_EQ(request().get(), 7);
  co_return got;
}
inline task<int> sets_request(scene& in) {
  const auto set = request().with(7);
  const auto both = co_await gather(sees_request(in), sees_request(in));
  EXPECT_EQ(request().get(), 7);
  co_return std::get<0>(both);
}
inline std::vector<task<int>> two_events(scene& in) {
  std::vector<task<int>> both;
  both.push_back(event(in));
  both.push_back(event(in));
  return both;
}
inline std::vector<task<int>> event_and_long(scene& in) {
  std::vector<task<int>> both;
  both.push_back(event(in));
  both.push_back(long_one(in));
  return both;
}
inline std::vector<task<int>> early_one_and_event(scene& in) {
  std::vector<task<int>> both;
  both.push_back(early_one(in));
  both.push_back(event(in));
  return both;
}
inline std::vector<task<int>> event_and_ready(scene& in) {
  std::vector<task<int>> both;
  both.push_back(event(in));
  both.push_back(ready_value(1));
  return both;
}
inline std::vector<task<int>> ready_and_two_events(scene& in) {
  auto all = two_events(in);
  all.insert(all.begin(), ready_value(1));
  return all;
}
inline auto runs_in(scene& in, cancel_scope_options options) {
  in.inner.emplace(options);
  return in.inner->run(event(in));
}

// ---- the table -------------------------------------------------------------------------------------------------------

inline const operation operations[] = {
    // time
    waiting(
        "sleep", [](scene& in) { return sleep(in.due - clock::now()); }, then_happens),
    waiting(
        "sleep_until", [](scene& in) { return sleep_until(in.due); }, then_happens),
    waiting("yield", [](scene& in) { return polls([] { return yield(); }, in); }, nothing_given,
            {.at = reached::by_later_turn, .stays_ready = true, .prepare = happens}),
    waiting("sleep_zero", [](scene& in) { return polls([] { return sleep(0s); }, in); }, nothing_given,
            {.at = reached::by_later_turn, .stays_ready = true, .prepare = happens}),
    waiting("sleep_until_past",
            [](scene& in) { return polls([] { return sleep_until(clock::now() - 1us); }, in); },
            nothing_given, {.at = reached::by_later_turn, .prepare = happens}),

    // one task
    waiting(
        "task", [](scene& in) { return nested(in, 3); }, one),
    waiting(
        "owning_task", [](scene& in) { return owned(in); }, one),
    waiting("join", [](scene& in) -> const join_handle<int>& { return in.others[0]; }, value_of_other,
            {.at = reached::by_turn, .prepare = one_other}),
    waiting(
        "join_outcome", [](scene& in) { return in.others[0].outcome(); },
        [](scene& in, outcome<int>& got) {
          in.value_taken = got.has_value();
          as_it_became(in, got);
        },
        {.at = reached::by_turn, .failure = given_as_a_value, .prepare = one_other}),
    waiting("join_of_eager", [](scene& in) -> const join_handle<int>& { return in.others[0]; },
            value_of_other, {.at = reached::by_turn, .prepare = one_eager_other}),
    waiting("join_of_cancelled", [](scene& in) -> const join_handle<int>& { return in.others[0]; },
            value_of_other,
            {.at = reached::by_later_turn,
             .failure = "cancelled",
             .always_fails = true,
             .prepare = other_is_cancelled}),

    // several tasks
    waiting(
        "gather", [](scene& in) { return gather(event(in), event(in)); },
        [](scene&, std::tuple<int, int> got) { EXPECT_EQ(got, std::tuple(1, 1)); }, {.failure = both_failed}),
    waiting(
        "gather_range", [](scene& in) { return gather(early_one_and_event(in)); },
        [](scene&, std::vector<int>& got) { EXPECT_EQ(got, std::vector({1, 1})); }),
    waiting(
        "gather_at_most", [](scene& in) { return gather(at_most{2}, ready_and_two_events(in)); },
        [](scene&, std::vector<int>& got) { EXPECT_EQ(got, std::vector({1, 1, 1})); },
        {.failure = both_failed}),
    waiting(
        "gather_at_most_one", [](scene& in) { return gather(at_most{1}, event_and_ready(in)); },
        [](scene&, std::vector<int>& got) { EXPECT_EQ(got, std::vector({1, 1})); }),
    waiting(
        "gather_settled", [](scene& in) { return gather_settled(event(in), event(in)); },
        [](scene& in, std::tuple<outcome<int>, outcome<int>>& got) {
          as_it_became(in, std::get<0>(got));
          as_it_became(in, std::get<1>(got));
        },
        {.failure = given_as_a_value}),
    waiting(
        "gather_settled_range", [](scene& in) { return gather_settled(early_one_and_event(in)); },
        [](scene& in, std::vector<outcome<int>>& got) {
          EXPECT_EQ(got.size(), 2U);
          EXPECT_TRUE(got[0].has_value());
          as_it_became(in, got[1]);
        },
        {.failure = given_as_a_value}),
    waiting(
        "first_of", [](scene& in) { return first_of(event(in), long_one(in)); }, first_is_one),
    waiting(
        "first_of_range", [](scene& in) { return first_of(event_and_long(in)); }, first_is_one),
    waiting(
        "wait_first_completed", [](scene& in) { return wait(in.others, wait_until::first_completed); },
        [](scene&, const waited& got) { expect_waited(got, {0}, {1}); },
        {.at = reached::by_turn, .failure = given_as_a_value, .prepare = other_and_long}),
    waiting(
        "wait_first_exception", [](scene& in) { return wait(in.others, wait_until::first_exception); },
        [](scene& in, const waited& got) {
          if (in.fail) {
            expect_waited(got, {1}, {0});
          } else {
            expect_waited(got, {0, 1}, {});
          }
        },
        {.at = reached::by_turn, .failure = given_as_a_value, .prepare = failing_beside_long}),
    waiting(
        "wait_all_completed", [](scene& in) { return wait(in.others); },
        [](scene&, const waited& got) { expect_waited(got, {1, 0}, {}); },
        {.at = reached::by_turn, .failure = given_as_a_value, .prepare = other_and_early}),
    waiting("as_completed", [](scene& in) { return next_completed(in); }, one,
            {.at = reached::by_turn, .failure = given_as_a_value, .prepare = other_and_long}),

    // limits of time, and of cancels
    waiting(
        "with_timeout", [](scene& in) { return with_timeout(50h, event(in)); }, one_in_time),
    waiting(
        "with_timeout_of_result", [](scene& in) { return with_timeout(50h, result_event(in)); }, one_in_time),
    waiting(
        "with_deadline", [](scene& in) { return with_deadline(in.due + 50h, event(in)); }, one_in_time),
    waiting(
        "cancel_scope", [](scene& in) { return runs_in(in, {}); }, one_in_time),
    waiting(
        "cancel_scope_with_deadline", [](scene& in) { return runs_in(in, {.deadline = in.due + 50h}); },
        one_in_time),
    waiting("cancel_scope_shield", [](scene& in) { return runs_in(in, {.shield = true}); }, one_in_time,
            {.cancelled = when_cancelled::outlives}),
    waiting("shield", [](scene& in) { return shield(event(in)); }, one,
            {.cancelled = when_cancelled::outlives}),
    waiting("shield_of_gather", [](scene& in) { return shield(gathers(in)); }, one,
            {.cancelled = when_cancelled::outlives, .failure = both_failed}),
    waiting("shield_and_checkpoint", [](scene& in) { return shields_and_looks(in); }, one,
            {.cancelled = when_cancelled::ends_late}),
    waiting("finally", [](scene& in) { return axle::finally(event(in), clean_up, std::ref(in)); }, one,
            {.cleans_up = true}),

    // groups
    waiting("with_task_group", [](scene& in) { return with_task_group(spawns, in); }, one,
            {.failure = both_failed}),
    waiting(
        "group_that_ends_itself", [](scene& in) { return with_task_group(ends_its_group, in); },
        nothing_given),
    waiting(
        "group_start", [](scene& in) { return with_task_group(starts<says_when_due>, in); }, one),
    waiting(
        "group_started_and_running", [](scene& in) { return with_task_group(starts<says_and_goes_on>, in); },
        one),

    // the same again and again
    waiting("parallel_for_each",
            [](scene& in) {
              in.items = {0, 1, 2};
              return parallel_for_each(in.items, at_most{2}, [&in](int item) { return works_on(in, item); });
            },
            nothing_given, {.failure = both_failed}),
    waiting(
        "retry", [](scene& in) { return retries<second_attempt_waits>(in, 1us); }, one_in_time),
    waiting(
        "retry_that_waits", [](scene& in) { return retries<second_attempt_ends>(in, in.due - clock::now()); },
        one_in_time),
    waiting(
        "async_generator", [](scene& in) { return takes_all(in); }, one),
    waiting(
        "async_generator_held", [](scene& in) { return holds_a_generator(in); }, one),

    // from elsewhere
    waiting("future", [](scene& in) -> const future<int>& { return *in.to_come; }, one,
            {.at = reached::by_turn, .prepare = promise_may_fail}),
    waiting("future_moved_from", [](scene& in) { return future<int>(*in.to_come); }, one,
            {.at = reached::by_turn,
             .failure = "axle: the promise of this future was dropped unset",
             .prepare = promise_may_be_dropped}),
    waiting("future_of_cancelled", [](scene& in) -> const future<int>& { return *in.to_come; }, one,
            {.at = reached::by_turn,
             .failure = "cancelled",
             .always_fails = true,
             .prepare = promise_is_cancelled}),
    waiting("on_core", [](scene& in) { return on(this_core(), event, std::ref(in)); }, one,
            {.at = reached::far}),
    waiting("shield_of_on_core", [](scene& in) { return shield(calls_over(in)); }, one,
            {.cancelled = when_cancelled::outlives, .at = reached::far}),
    waiting("for_each_core", [](scene& in) { return for_each_core([&in] { return void_event(in); }); },
            nothing_given, {.at = reached::far}),
    waiting("task_local", [](scene& in) { return sets_request(in); }, one, {.failure = both_failed}),
};

}  // namespace axle::test::cancellation_table
