// The strikes of the cancellation table: where an operation stands, and what is done to it when.
// Included by cancellation_table_test.cpp alone.
#pragma once

#include <string>

#include "cancellation_table_scene.hpp"

namespace axle::test::cancellation_table {

// ---- what strikes ----------------------------------------------------------------------------------------------------

inline void cancels(scene& in) { in.running.cancel(); }
inline void cancels_twice(scene& in) {
  in.running.cancel();
  in.running.cancel();
}
inline void calls_off(scene& in) { in.around->cancel("called off"); }
inline void calls_off_and_cancels(scene& in) {
  calls_off(in);
  cancels(in);
}
inline void cancels_and_calls_off(scene& in) {
  cancels(in);
  calls_off(in);
}
inline void sets_deadline(scene& in) { in.around->set_deadline(in.due); }

// ---- what the operation stands in ------------------------------------------------------------------------------------

inline int in_time(const result<int>& got) {
  if (got) return *got;
  EXPECT_EQ(got.error(), std::make_error_condition(errc::timed_out));
  throw wrong("timed out");
}

inline task<int> alone(scene& in) { return in.wait(in); }

inline task<int> with_half_the_time(scene& in) {
  co_return in_time(co_await with_timeout(half_way, in.wait(in)));
}
inline task<int> with_no_time(scene& in) { co_return in_time(co_await with_timeout(0s, in.wait(in))); }
inline task<int> with_time_enough(scene& in) {
  co_return in_time(co_await with_timeout(due_in * 2, in.wait(in)));
}

// The alarm is armed before all that the operation arms.
inline task<int> a_round_later(scene& in) {
  co_await yield();
  co_return co_await in.wait(in);
}
inline task<int> with_a_deadline_armed_first(scene& in) {
  co_return in_time(co_await with_deadline(in.due, a_round_later(in)));
}

struct cancels_at_end {
  explicit cancels_at_end(scene& of) : in(of) {}
  cancels_at_end(const cancels_at_end&) = delete;
  cancels_at_end& operator=(const cancels_at_end&) = delete;
  ~cancels_at_end() {
    call_microtask([&of = in] { cancels(of); });
  }
  scene& in;
};
inline task<int> cancels_once_ended(scene& in) {
  const cancels_at_end guard(in);
  co_return co_await in.wait(in);
}
inline task<int> with_half_the_time_then_cancelled(scene& in) {
  co_return in_time(co_await with_timeout(half_way, cancels_once_ended(in)));
}

inline task<int> in_a_scope(scene& in) {
  in.around.emplace();
  const auto got = co_await in.around->run(in.wait(in));
  if (in.around->timed_out() || got) co_return in_time(got);
  EXPECT_EQ(got.error(), std::make_error_condition(errc::operation_canceled));
  throw wrong(std::string(in.around->reason()));
}

inline task<int> in_a_scope_that_was_called_off(scene& in) {
  in.around.emplace().cancel("called off");
  const auto got = co_await in.around->run(in.wait(in));
  EXPECT_EQ(got.error(), std::make_error_condition(errc::operation_canceled));
  throw wrong("called off");
}

inline task<int> sibling(scene& in) {
  co_await sleep_until(in.start + half_way);
  throw wrong("sibling");
}
inline task<int> beside_one_that_fails(scene& in) {
  const auto both = co_await gather(in.wait(in), sibling(in));
  co_return std::get<0>(both);
}

inline task<int> beside_one_that_wins(scene& in) {
  const auto first = co_await first_of(in.wait(in), value_after(half_way, 2));
  EXPECT_EQ(first.index, 1U);
  throw wrong("lost");
}

inline task<> spawns_and_cancels(task_group& group, scene& in) {
  group.spawn(in.wait(in));
  co_await sleep_until(in.start + half_way);
  group.cancel();
}
inline task<int> in_a_group_that_ends(scene& in) {
  co_await with_task_group(spawns_and_cancels, in);
  if (!in.got) throw wrong("ended with its group");
  co_return 1;
}

inline task<int> in_a_shield(scene& in) {
  const int got = co_await shield(in.wait(in));
  co_await yield();
  co_return got;
}
inline task<int> behind_a_shield(scene& in) {
  co_await shield(sleeps(50us));
  co_return co_await in.wait(in);
}

// Outlives the task that made it; the handles of those for which it waits must not outlive the run.
inline task<int> left_alone(scene& in) {
  struct at_end {
    scene& in;
    ~at_end() { in.others.clear(); }
  } const guard{in};
  co_return co_await in.wait(in);
}

// ---- the strikes -----------------------------------------------------------------------------------------------------

enum class start { spawned, eagerly, dropped, left };
enum class hit {
  never,
  at_once,        // when it has been spawned
  while_waiting,  // when it has got as far as it comes
  armed_first,    // by a timer armed before all that the operation arms
  armed_last,
};
// What has happened of what the operation waits for, at `due`, when it is struck.
enum class so_far {
  all,             // the strike comes too late
  not_begun,       // it never begins
  nothing,         // it was waiting
  next_timer,      // nothing; but its timer fires in the same turn, behind
  timer_fired,     // and no task has run since
  turn_over,       // and who was woken by that has run
  called_off,      // it was timed out, and has not ended; now it is cancelled
  sibling_failed,  // it was waiting, and its sibling failed
  sibling_won      // or was first
};

struct strike {
  const char* name;
  so_far when;
  const char* word = "cancelled";  // the ending, if the strike decides it
  task<int> (*around)(scene&) = alone;
  void (*deed)(scene&) = cancels;
  hit how = hit::never;
  std::chrono::nanoseconds at = 0ns;
  start by = start::spawned;
  bool shielded = false;
};

inline const strike strikes[] = {
    {.name = "undisturbed", .when = so_far::all},
    {.name = "in_time", .when = so_far::all, .around = with_time_enough},
    {.name = "cancelled_before_start", .when = so_far::not_begun, .how = hit::at_once},
    {.name = "cancelled_as_soon_as_begun",
     .when = so_far::nothing,
     .how = hit::at_once,
     .by = start::eagerly},
    {.name = "cancelled_before_it_asks",
     .when = so_far::nothing,
     .around = behind_a_shield,
     .how = hit::while_waiting,
     .at = 50us},
    {.name = "cancelled_while_waiting", .when = so_far::nothing, .how = hit::armed_last, .at = half_way},
    {.name = "cancelled_twice",
     .when = so_far::nothing,
     .deed = cancels_twice,
     .how = hit::armed_last,
     .at = half_way},
    {.name = "cancelled_just_before_completion",
     .when = so_far::nothing,
     .how = hit::armed_last,
     .at = due_in - 1ns},
    {.name = "cancelled_with_completion", .when = so_far::timer_fired, .how = hit::armed_first, .at = due_in},
    {.name = "cancelled_behind_completion", .when = so_far::turn_over, .how = hit::armed_last, .at = due_in},
    {.name = "cancelled_later", .when = so_far::all, .how = hit::armed_last, .at = due_in * 2},
    {.name = "cancelled_in_a_shield",
     .when = so_far::all,
     .around = in_a_shield,
     .how = hit::armed_last,
     .at = half_way,
     .shielded = true},
    {.name = "timed_out_while_waiting",
     .when = so_far::nothing,
     .word = "timed out",
     .around = with_half_the_time,
     .at = half_way},
    {.name = "timed_out_at_once", .when = so_far::nothing, .word = "timed out", .around = with_no_time},
    {.name = "timed_out_before_completion",
     .when = so_far::next_timer,
     .word = "timed out",
     .around = with_a_deadline_armed_first},
    {.name = "timed_out_behind_completion",
     .when = so_far::timer_fired,
     .word = "timed out",
     .around = in_a_scope,
     .deed = sets_deadline,
     .how = hit::while_waiting},
    {.name = "cancelled_and_timed_out",
     .when = so_far::nothing,
     .around = with_half_the_time,
     .how = hit::armed_last,
     .at = half_way - 5us},
    {.name = "timed_out_and_cancelled",
     .when = so_far::called_off,
     .around = with_half_the_time,
     .how = hit::armed_first,
     .at = half_way},
    {.name = "timed_out_and_ended_and_cancelled",
     .when = so_far::nothing,
     .word = "timed out",
     .around = with_half_the_time_then_cancelled,
     .at = half_way},
    {.name = "called_off_while_waiting",
     .when = so_far::nothing,
     .word = "called off",
     .around = in_a_scope,
     .deed = calls_off,
     .how = hit::armed_last,
     .at = half_way},
    {.name = "called_off_with_completion",
     .when = so_far::timer_fired,
     .word = "called off",
     .around = in_a_scope,
     .deed = calls_off,
     .how = hit::armed_first,
     .at = due_in},
    {.name = "called_off_behind_completion",
     .when = so_far::turn_over,
     .word = "called off",
     .around = in_a_scope,
     .deed = calls_off,
     .how = hit::armed_last,
     .at = due_in},
    {.name = "called_off_before_it_begins",
     .when = so_far::not_begun,
     .word = "called off",
     .around = in_a_scope_that_was_called_off},
    {.name = "called_off_and_cancelled",
     .when = so_far::nothing,
     .around = in_a_scope,
     .deed = calls_off_and_cancels,
     .how = hit::armed_last,
     .at = half_way},
    {.name = "cancelled_and_called_off",
     .when = so_far::nothing,
     .around = in_a_scope,
     .deed = cancels_and_calls_off,
     .how = hit::armed_last,
     .at = half_way},
    {.name = "sibling_failed",
     .when = so_far::sibling_failed,
     .word = "sibling",
     .around = beside_one_that_fails},
    {.name = "sibling_won", .when = so_far::sibling_won, .word = "lost", .around = beside_one_that_wins},
    {.name = "group_ended",
     .when = so_far::nothing,
     .word = "ended with its group",
     .around = in_a_group_that_ends,
     .at = half_way},
    {.name = "destroyed_unused", .when = so_far::not_begun, .by = start::dropped},
    {.name = "left_behind_by_the_run", .when = so_far::nothing, .around = left_alone, .by = start::left},
};

}  // namespace axle::test::cancellation_table
