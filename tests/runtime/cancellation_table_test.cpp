// Every kind of wait against every moment at which a cancel, a timeout or a failure can strike.
//
// Each kind waits for something that happens at `due`. The simulator's clock makes "just before", "at the same time, but
// first" and "at the same time, but after" exact: timers of one deadline fire in the order in which they were armed, and
// what they make ready runs in that order.
#include "../support.hpp"

namespace axle::test {
namespace {

constexpr auto due_in = 1ms;

enum class wait_kind { sleep, join, gather, first_of, with_timeout, shield, finally, group, yield };
constexpr const char* kind_names[] = {"sleep",  "join",    "gather", "first_of", "with_timeout",
                                      "shield", "finally", "group",  "yield"};

enum class strike {
  before_start,        // cancelled between spawn and its first turn
  while_waiting,       // cancelled half way
  just_before,         // cancelled one nanosecond before, in the turn in which it would have been due
  with_completion,     // cancelled when what it waits for has happened and its turn has not come
  after_completion,    // cancelled right behind its completion
  timed_out,           // with_timeout around it, due at the same time
  timeout_and_cancel,  // a timeout half way, and in the same turn a cancel from outside
  failed,              // what it waits for fails, and in the same turn it is cancelled
  unused,              // the task is made and dropped
};
constexpr const char* strike_names[] = {
    "cancelled_before_start",    "cancelled_while_waiting",    "cancelled_just_before_completion",
    "cancelled_with_completion", "cancelled_after_completion", "timed_out_with_completion",
    "timed_out_and_cancelled",   "failed_and_cancelled",       "destroyed_unused"};

// What the tasks of one case share.
struct scene {
  bool fail = false;
  clock::time_point due;
  int alive = 0;  // scopes entered and not left
  int begun = 0;
  bool cleaned_up = false;
  join_handle<int> joined;
};

task<int> event(scene& in) {
  const counted here(in.alive);
  ++in.begun;
  co_await sleep_until(in.due);
  if (in.fail) throw wrong("failed");
  co_return 1;
}
task<int> long_one(scene& in) {
  const counted here(in.alive);
  co_await sleep(100h);
  co_return 2;
}
task<> clean_up(scene& in) {
  const counted here(in.alive);
  co_await sleep(1ms);
  in.cleaned_up = true;
}
task<> group_body(task_group& group, scene& in) {
  group.spawn(event(in));
  co_await sleep_until(in.due);
}

task<int> waits(wait_kind kind, scene& in) {
  const counted here(in.alive);
  switch (kind) {
    case wait_kind::sleep:
      co_return co_await event(in);
    case wait_kind::join:
      ++in.begun;
      co_return co_await in.joined;
    case wait_kind::gather: {
      const auto both = co_await gather(event(in), event(in));
      co_return std::get<0>(both);
    }
    case wait_kind::first_of: {
      const auto first = co_await first_of(event(in), long_one(in));
      co_return static_cast<int>(first.index) + 1;
    }
    case wait_kind::with_timeout: {
      const auto in_time = co_await with_timeout(50h, event(in));
      co_return in_time.value();
    }
    case wait_kind::shield:
      co_return co_await shield(event(in));
    case wait_kind::finally:
      co_return co_await axle::finally(event(in), clean_up, std::ref(in));
    case wait_kind::group:
      co_await with_task_group(group_body, in);
      co_return 1;
    case wait_kind::yield:
      ++in.begun;
      while (clock::now() < in.due) co_await yield();
      if (in.fail) throw wrong("failed");
      co_return 1;
  }
  co_return 0;
}

// What may become of the task. Where two things are due in one turn, either may be first (a callback runs from the ready
// queue, a sleeper is put there, children begin a round later than their parent); it is one of the two, and whole.
std::set<std::string> expected(wait_kind kind, strike when) {
  const bool shielded = kind == wait_kind::shield;
  switch (when) {
    case strike::before_start:
      return {"cancelled"};
    case strike::while_waiting:
    case strike::just_before:
      return {shielded ? "value" : "cancelled"};
    case strike::with_completion:
      return {"value", "cancelled"};
    case strike::after_completion:
      return {"value"};
    case strike::timed_out:
      return {"value", "timed out"};
    case strike::timeout_and_cancel:
      return {shielded ? "value" : "cancelled", "timed out"};
    case strike::failed:
      return {"failed", "cancelled", "2 tasks of one scope failed: [failed] (2 times)"};
    case strike::unused:
      return {"unused"};
  }
  return {};
}

task<int> with_a_timeout(std::chrono::nanoseconds d, wait_kind kind, scene& in) {
  const result<int> in_time = co_await with_timeout(d, waits(kind, in));
  if (!in_time) {
    EXPECT_EQ(in_time.error(), std::make_error_condition(errc::timed_out));
    throw wrong("timed out");
  }
  co_return *in_time;
}

class cancellation_table : public ::testing::TestWithParam<std::tuple<int, int>> {};

task<> play(wait_kind kind, strike when, std::string& became, scene& in) {
  in.due = clock::now() + due_in;
  in.fail = when == strike::failed;
  if (kind == wait_kind::join && when != strike::unused) {
    in.joined = spawn(event(in));
    co_await yield();  // its timer is armed before all others
  }
  if (when == strike::unused) {
    {
      const task<int> dropped = waits(kind, in);
    }
    became = "unused";
    co_return;
  }

  join_handle<int> running;
  const auto cancel = [&] { running.cancel(); };
  call_handle first, second;
  if (when == strike::with_completion || when == strike::failed)
    first = call_at(in.due, cancel);  // armed before the wait
  if (when == strike::timed_out) {
    running = spawn(with_a_timeout(due_in, kind, in));
  } else if (when == strike::timeout_and_cancel) {
    running = spawn(with_a_timeout(due_in / 2, kind, in));
  } else {
    running = spawn(waits(kind, in));
  }
  if (when == strike::before_start) {
    running.cancel();
  } else {
    co_await yield();
    co_await yield();  // children have begun too
    co_await yield();  // and those that a group's body spawned
    EXPECT_GT(in.begun, 0);
  }
  if (when == strike::while_waiting) first = call_later(due_in / 3, cancel);
  if (when == strike::just_before) first = call_at(in.due - 1ns, cancel);
  if (when == strike::timeout_and_cancel) first = call_at(in.due - due_in / 2, cancel);
  if (when == strike::after_completion) second = call_at(in.due + 20ms, cancel);

  became = ending_of(co_await running.outcome());
  EXPECT_EQ(in.alive, kind == wait_kind::join && !in.joined.done() ? 1 : 0)
      << "the wait was over before all had ended";
  if (when == strike::before_start) EXPECT_EQ(in.begun, 0 + (kind == wait_kind::join));
  if (kind == wait_kind::finally) EXPECT_EQ(in.cleaned_up, in.begun > 0);
  if (when == strike::after_completion) co_await sleep_until(in.due + 30ms);
  first.cancel();  // they refer to this frame
  second.cancel();
  in.joined.detach();
}

TEST_P(cancellation_table, ends_as_promised_and_leaves_nothing_behind) {
  const auto kind = static_cast<wait_kind>(std::get<0>(GetParam()));
  const auto when = static_cast<strike>(std::get<1>(GetParam()));
  const unjoined_failures reported;
  std::string became;
  scene in;
  on_sim([&]() -> task<> {
    co_await play(kind, when, became, in);
    co_await sleep(2s);  // the joined one, if it is left
  });
  EXPECT_EQ(in.alive, 0);
  const bool left_to_fail = kind == wait_kind::join && when == strike::failed && became == "cancelled";
  EXPECT_EQ(unjoined_failures::seen().size(), left_to_fail ? 1U : 0U);
  if (kind == wait_kind::yield && when >= strike::just_before && when <= strike::failed) {
    // It looks at the clock itself, so either may have been first.
    EXPECT_TRUE(became == "value" || became == "cancelled" || became == "failed" || became == "timed out")
        << became;
  } else {
    EXPECT_TRUE(expected(kind, when).contains(became)) << became;
  }
}

INSTANTIATE_TEST_SUITE_P(all, cancellation_table,
                         ::testing::Combine(::testing::Range(0, 9), ::testing::Range(0, 9)),
                         [](const auto& of) {
                           return std::string(kind_names[std::get<0>(of.param)]) + "_" +
                                  strike_names[std::get<1>(of.param)];
                         });

}  // namespace
}  // namespace axle::test
