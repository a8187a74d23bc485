// Every operation of the task model against every moment at which a cancel, a timeout or a failure can strike.
//
// The operations stand in cancellation_table_operations.hpp, the strikes in cancellation_table_strikes.hpp: one entry adds
// its whole row. Here is what must become of each case: one ending, which follows from what the operation is and from what
// came first. Whatever the ending, all tasks and scopes of the operation have ended when it is told, and nothing is left:
// no frame, no stack, no timer, no report of a failure. Each case runs three times: awaited by a task, by a coroutine of another
// library, and in a fiber.
#include <algorithm>

#include <axle/alloc/stack_pool.hpp>

#include "cancellation_table_operations.hpp"
#include "cancellation_table_strikes.hpp"

namespace axle::test {
namespace {

using namespace cancellation_table;

// ---- what must become of it -------------------------------------------------------------------------------------------

// What becomes of it when it is struck while it waits.
std::string struck(const operation& of, const std::string& undisturbed, const char* word) {
  switch (of.has.cancelled) {
    case when_cancelled::ends:
      return word;
    case when_cancelled::outlives:
      return undisturbed;
    case when_cancelled::ends_late:
      return undisturbed == "value" ? word : undisturbed;  // a failure is not lost
  }
  return {};
}

// The one ending that a case may have.
std::string expected(const operation& of, const strike& by, bool fails) {
  const std::string undisturbed = fails ? of.has.failure : "value";
  const std::string when_struck = struck(of, undisturbed, by.word);
  const bool outlives = of.has.cancelled != when_cancelled::ends;
  switch (by.when) {
    case so_far::all:
      return by.shielded && undisturbed == "value" ? by.word : undisturbed;
    case so_far::not_begun:
      return by.word;
    case so_far::nothing:
      return when_struck;
    case so_far::next_timer:
      return of.has.at == reached::far ? undisturbed : when_struck;
    case so_far::timer_fired:
      if (of.has.cancelled == when_cancelled::ends_late) return when_struck;
      return of.has.at == reached::by_timer || of.has.at == reached::far ? undisturbed : when_struck;
    case so_far::turn_over:
      // A `cancelled` that it throws, once it was asked to end, is its end.
      return of.has.at == reached::by_later_turn || undisturbed == "cancelled" ? when_struck : undisturbed;
    case so_far::called_off:
      return of.has.stays_ready ? "timed out" : when_struck;  // it has ended before the cancel has its turn
    case so_far::sibling_failed:
      if (outlives && undisturbed != "value")
        return "2 tasks of one scope failed: [" + undisturbed + "] [sibling]";
      return by.word;
    case so_far::sibling_won:
      return outlives && undisturbed != "value" ? undisturbed : by.word;
  }
  return {};
}

// ---- a case ----------------------------------------------------------------------------------------------------------

// What waited for others may have ended without them.
task<> end_others(scene& in) {
  in.happening.cancel();
  in.happening = {};
  for (auto& each : in.others) each.cancel();
  if (!in.others.empty()) co_await wait(in.others);
  for (std::size_t i = in.value_taken ? 1 : 0; i < in.others.size(); ++i)
    static_cast<void>(co_await in.others[i].outcome());
  in.others.clear();
}

std::size_t unended_others(const scene& in) {
  return static_cast<std::size_t>(
      std::count_if(in.others.begin(), in.others.end(), [](const auto& each) { return !each.done(); }));
}

task<> play(const operation& of, const strike& by, scene& in, std::string& became) {
  in.start = clock::now();
  in.due = in.start + due_in;
  const bool timed = by.how == hit::armed_first || by.how == hit::armed_last;
  if (by.how == hit::armed_first) call_at(in.start + by.at, by.deed, std::ref(in));
  if (of.has.prepare) of.has.prepare(in);
  co_await yield();  // tasks that were prepared wait

  if (by.by == start::dropped) {
    of.drop(in);
    static_cast<void>(in.wait(in));
    became = "cancelled";
  } else {
    trace told;
    in.running = spawn(by.around(in), {.eager = by.by == start::eagerly});
    in.running.on_done([&told] { told.emplace_back("first"); });
    in.running.on_done([&told] { told.emplace_back("second"); });
    if (by.how == hit::at_once) by.deed(in);
    if (by.how == hit::while_waiting || by.how == hit::armed_last) co_await sleep(10us);
    if (by.how == hit::while_waiting) by.deed(in);
    if (by.how == hit::armed_last) call_at(in.start + by.at, by.deed, std::ref(in));

    became = ending_of(co_await in.running.outcome());
    if (in.got) EXPECT_GE(clock::now(), in.due);
    if (by.when == so_far::nothing && of.has.cancelled == when_cancelled::ends)
      EXPECT_LT(clock::now(), in.start + by.at + 25us) << "it was not ended at once";
    EXPECT_EQ(told, (trace{"first", "second"})) << "done-callbacks run before whoever joins goes on";
    EXPECT_EQ(in.begun, by.when == so_far::not_begun ? 0 : 1);
  }
  EXPECT_EQ(in.alive, 0) << "it was over before all had ended";
  EXPECT_EQ(all_tasks().size(), 1 + unended_others(in));
  if (timed) co_await sleep_until(in.start + by.at + 10us);  // a late strike changes nothing
  co_await end_others(in);
  EXPECT_EQ(all_tasks().size(), 1U);
  EXPECT_EQ(detail::this_loop->wheel.pending(), 0U);
  in.running.detach();
}

// The main task ends while the operation waits: it is cancelled, and waited for.
task<> leave_behind(const operation& of, const strike& by, scene& in) {
  in.start = clock::now();
  in.due = in.start + due_in;
  if (of.has.prepare) of.has.prepare(in);
  spawn(by.around(in)).detach();
  co_await sleep(half_way);
  EXPECT_EQ(in.begun, 1);
  EXPECT_FALSE(in.got);
  in.happening = {};
}

struct table_case {
  const operation* of;
  const strike* by;
  bool fails;
  task<int> (*operation::*wait)(scene&);
  const char* awaited;
};
std::string name_of(const table_case& one_case) {
  return std::string(one_case.of->name) + "_" + one_case.by->name + (one_case.fails ? "_failing" : "") +
         one_case.awaited;
}
void PrintTo(const table_case& one_case, std::ostream* out) { *out << name_of(one_case); }

std::vector<table_case> all_cases() {
  std::vector<table_case> all;
  for (const auto& of : operations)
    for (const auto& by : strikes)
      for (const bool fails : {false, true}) {
        if (!fails && of.has.always_fails) continue;
        if (fails && !of.has.always_fails && by.when == so_far::not_begun) continue;  // no difference
        all.push_back({&of, &by, fails, &operation::wait, ""});
        all.push_back({&of, &by, fails, &operation::wait_in_foreign, "_in_foreign"});
        all.push_back({&of, &by, fails, &operation::wait_in_fiber, "_in_fiber"});
      }
  return all;
}

class cancellation_table_case : public ::testing::TestWithParam<table_case> {};

TEST_P(cancellation_table_case, ends_as_promised_and_leaves_nothing_behind) {
  const operation& of = *GetParam().of;
  const strike& by = *GetParam().by;
  const bool fails = GetParam().fails;
  const unjoined_failures reported;
  const std::string ending = expected(of, by, fails);
  std::string became;
  scene in;
  in.fail = fails;
  in.wait = of.*GetParam().wait;
  if (by.by == start::left) {
    on_sim([&] { return leave_behind(of, by, in); });
    if (ending != "value" && ending != "cancelled") {
      EXPECT_EQ(unjoined_failures::seen(), trace{": " + ending});
    } else {
      EXPECT_TRUE(unjoined_failures::seen().empty());
    }
    EXPECT_EQ(in.got, ending == "value");
  } else {
    on_sim([&] { return play(of, by, in, became); });
    EXPECT_EQ(became, ending);
    EXPECT_TRUE(unjoined_failures::seen().empty());
    if (became == "value") EXPECT_TRUE(in.got);
    if (by.when == so_far::nothing && ending == by.word) EXPECT_FALSE(in.got);
  }
  EXPECT_EQ(in.alive, 0);
  EXPECT_EQ(in.others_alive, 0);
  EXPECT_EQ(alloc::stack_counts().live(), 0U);
  EXPECT_EQ(in.cleaned_up, of.has.cleans_up && in.begun > 0);
}

INSTANTIATE_TEST_SUITE_P(all, cancellation_table_case, ::testing::ValuesIn(all_cases()),
                         [](const auto& of) { return name_of(of.param); });

}  // namespace
}  // namespace axle::test
