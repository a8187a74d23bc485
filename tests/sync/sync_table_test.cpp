// The table of waits (sync_table_subject.hpp): what strikes a wait, and all combinations.
#include "sync_table_locks.hpp"
#include "sync_table_queues.hpp"
#include "sync_table_signals.hpp"

namespace axle::test {
namespace {

using namespace sync_table;

// ---- the strikes ----------------------------------------------------------------------------------------------------

enum class strike {
  had_at_once,
  granted,
  cancelled_before_start,
  cancelled_while_waiting,
  cancelled_twice,
  granted_then_cancelled,
  cancelled_then_granted,
  granted_just_before_the_timeout,
  granted_with_the_timeout,
  granted_just_after_the_timeout,
  shielded,
  all_cancelled,
  unused,
  cancelled_before_it_asks,
  cancelled_among_many_at_once,
  left_behind_by_a_run,
};
constexpr const char* strike_names[] = {"had_at_once",
                                        "granted",
                                        "cancelled_before_start",
                                        "cancelled_while_waiting",
                                        "cancelled_twice",
                                        "granted_then_cancelled",
                                        "cancelled_then_granted",
                                        "granted_just_before_the_timeout",
                                        "granted_with_the_timeout",
                                        "granted_just_after_the_timeout",
                                        "shielded",
                                        "all_cancelled",
                                        "unused",
                                        "cancelled_before_it_asks",
                                        "cancelled_among_many_at_once",
                                        "left_behind_by_a_run"};
constexpr int strikes = static_cast<int>(std::size(strike_names));

using handles = std::array<join_handle<>, waiters>;

task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

void expect_waiting(const subject& of, std::size_t count) {
  if (of.sees_wait) EXPECT_EQ(of.waiting(), count);
}

task<> start(subject& of, record& in, handles& all) {
  co_await of.block();
  for (int id = 0; id < waiters; ++id) all[static_cast<std::size_t>(id)] = spawn(of.use(in, id));
  co_await rounds(4);
  expect_waiting(of, waiters);
  EXPECT_TRUE(in.served.empty()) << "was to wait";
}

// Ends the case: all are served or ended by now, or never will be.
task<> finish(subject& of, record& in, handles& all) {
  co_await sleep(1s);
  expect_waiting(of, 0);
  for (auto& one : all) {
    if (!one) continue;
    EXPECT_TRUE(one.done()) << "was neither served nor ended";
    one.cancel();
    one.detach();
  }
  co_await rounds(4);
  of.expect_whole(in);
  EXPECT_EQ(in.inside, 0);
  EXPECT_LE(in.most_inside, of.limit);
  EXPECT_TRUE(std::is_sorted(in.served.begin(), in.served.end())) << "not first come, first served";
}

// The primitive works: one has to wait, is granted, and goes on.
task<> works(subject& of) {
  record in;
  co_await of.block();
  const auto user = spawn(of.use(in, 0));
  co_await rounds(4);
  expect_waiting(of, 1);
  EXPECT_TRUE(in.served.empty());
  co_await of.grant(1);
  co_await sleep(1s);
  EXPECT_TRUE(user.done());
  EXPECT_EQ(in.past, 1);
  user.cancel();
  co_await rounds(4);
  expect_waiting(of, 0);
  of.expect_whole(in);
}

std::vector<int> all_but(int victim) {
  std::vector<int> others;
  for (int id = 0; id < waiters; ++id)
    if (id != victim) others.push_back(id);
  return others;
}

task<> had_at_once(subject& of, record& in, handles& all, int) {
  of.open();
  for (int id = 0; id < waiters; ++id) {
    all[static_cast<std::size_t>(id)] = spawn(of.use(in, id));
    co_await rounds(4);
  }
  co_await finish(of, in, all);
  EXPECT_EQ(in.past, waiters);
  EXPECT_EQ(of.waits(), 0U);
}

task<> granted(subject& of, record& in, handles& all, int) {
  co_await start(of, in, all);
  co_await of.grant(waiters);
  co_await finish(of, in, all);
  EXPECT_EQ(in.served, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(in.past, waiters);
}

task<> cancelled_before_start(subject& of, record& in, handles& all, int victim) {
  co_await of.block();
  for (int id = 0; id < waiters; ++id) all[static_cast<std::size_t>(id)] = spawn(of.use(in, id));
  all[static_cast<std::size_t>(victim)].cancel();
  co_await rounds(4);
  EXPECT_EQ(in.begun, waiters - 1);
  expect_waiting(of, waiters - 1);
  co_await of.grant(waiters - 1);
  co_await finish(of, in, all);
  EXPECT_EQ(in.served, all_but(victim));
}

task<> cancelled_while_waiting(subject& of, record& in, handles& all, int victim, int times) {
  co_await start(of, in, all);
  for (int i = 0; i < times; ++i) all[static_cast<std::size_t>(victim)].cancel();
  expect_waiting(of, waiters - 1);
  co_await rounds(4);
  EXPECT_TRUE(all[static_cast<std::size_t>(victim)].was_cancelled());
  const auto another = spawn(of.use(in, 3));  // in the victim's stead, but behind the others
  co_await rounds(4);
  expect_waiting(of, waiters);
  co_await of.grant(waiters);
  co_await finish(of, in, all);
  auto expected = all_but(victim);
  expected.push_back(3);
  EXPECT_EQ(in.served, expected);
  EXPECT_EQ(in.past, waiters);
  EXPECT_TRUE(another.done());
}

task<> granted_then_cancelled(subject& of, record& in, handles& all, int victim) {
  co_await start(of, in, all);
  co_await of.grant(waiters);
  all[static_cast<std::size_t>(victim)].cancel();
  const bool had = of.same_turn && (of.together || victim == 0);
  co_await finish(of, in, all);
  if (had) {
    EXPECT_TRUE(in.was_served(victim)) << "what was handed over was lost";
  }
  EXPECT_EQ(in.past, waiters - 1) << "the cancel takes effect at the next await";
  for (const int id : all_but(victim)) EXPECT_TRUE(in.was_served(id)) << id;
}

task<> cancelled_then_granted(subject& of, record& in, handles& all, int victim) {
  co_await start(of, in, all);
  all[static_cast<std::size_t>(victim)].cancel();
  co_await of.grant(waiters - 1);
  co_await rounds(10);
  EXPECT_TRUE(all[static_cast<std::size_t>(victim)].was_cancelled());
  co_await finish(of, in, all);
  EXPECT_EQ(in.served, all_but(victim));
  EXPECT_EQ(in.past, waiters - 1);
}

task<> in_time(task<> work, std::chrono::nanoseconds limit, int& timed_out) {
  const auto became = co_await with_timeout(limit, std::move(work));
  timed_out += !became;
}

task<> timed_out(subject& of, record& in, handles& all, int victim, std::chrono::nanoseconds granted_late) {
  int late = 0;
  co_await of.block();
  const auto due = clock::now() + 1ms;
  for (int id = 0; id < waiters; ++id) {
    auto work = of.use(in, id);
    auto& place = all[static_cast<std::size_t>(id)];
    place = id == victim ? spawn(in_time(std::move(work), 1ms, late)) : spawn(std::move(work));
  }
  co_await rounds(4);
  expect_waiting(of, waiters);
  co_await sleep_until(due + granted_late);
  co_await of.grant(waiters);
  co_await finish(of, in, all);
  for (const int id : all_but(victim)) EXPECT_TRUE(in.was_served(id)) << id;
  EXPECT_EQ(in.past + late, waiters) << "it is timed out, or a value; not both, not neither";
  if (granted_late < 0ns) EXPECT_EQ(late, 0);
  if (granted_late > 0ns) {
    EXPECT_EQ(late, 1);
    EXPECT_FALSE(in.was_served(victim));
  }
}

task<> in_shield(task<> work, int& beyond) {
  co_await shield(std::move(work));
  co_await yield();
  ++beyond;
}

task<> shielded(subject& of, record& in, handles& all, int victim) {
  int beyond = 0;
  co_await of.block();
  for (int id = 0; id < waiters; ++id) {
    auto work = of.use(in, id);
    auto& place = all[static_cast<std::size_t>(id)];
    place = id == victim ? spawn(in_shield(std::move(work), beyond)) : spawn(std::move(work));
  }
  co_await rounds(4);
  all[static_cast<std::size_t>(victim)].cancel();
  co_await rounds(4);
  expect_waiting(of, waiters);
  co_await of.grant(waiters);
  co_await sleep(1s);
  EXPECT_TRUE(all[static_cast<std::size_t>(victim)].was_cancelled());
  co_await finish(of, in, all);
  EXPECT_EQ(in.served, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(in.past, waiters);
  EXPECT_EQ(beyond, 0);
}

task<> all_cancelled(subject& of, record& in, handles& all, int first) {
  co_await start(of, in, all);
  for (int i = 0; i < waiters; ++i) all[static_cast<std::size_t>((first + i) % waiters)].cancel();
  expect_waiting(of, 0);
  co_await rounds(10);
  for (auto& one : all) EXPECT_TRUE(one.was_cancelled());
  co_await of.grant(waiters);
  co_await finish(of, in, all);
  EXPECT_TRUE(in.served.empty());
}

task<> unused(subject& of, record& in, handles& all, int) {
  of.drop();
  co_await start(of, in, all);
  of.drop();
  { const task<> dropped = of.use(in, 7); }
  expect_waiting(of, waiters);
  co_await of.grant(waiters);
  of.drop();
  co_await finish(of, in, all);
  EXPECT_EQ(in.past, waiters);
}

task<> asks_when_cancelled(subject& of, record& in) {
  co_await shield(sleeps(1ms));
  co_await of.use(in, 0);
}

task<> cancelled_before_it_asks(subject& of, record& in, handles& all, int) {
  of.open();
  all[0] = spawn(asks_when_cancelled(of, in));
  co_await rounds(2);
  all[0].cancel();
  co_await finish(of, in, all);
  EXPECT_TRUE(in.served.empty());
  EXPECT_EQ(of.waits(), 0U);
}

// After a thousand waits in one go a task lets others run: it is cancelled there, with what it was given in its hands.
task<> cancelled_among_many_at_once(subject& of, record& in, handles& all, int turns) {
  constexpr std::size_t more_than_a_few_turns = 1'000'000;
  of.open();
  all[0] = spawn(of.cycles(in, more_than_a_few_turns));
  co_await rounds(turns + 1);
  all[0].cancel();
  co_await rounds(2);
  EXPECT_GT(in.cycles, 0U);
  if (of.ends_at_once) {
    EXPECT_TRUE(all[0].was_cancelled());
    EXPECT_LT(in.cycles, more_than_a_few_turns);
  }
  co_await finish(of, in, all);
}

task<> leave_behind(subject& of, record& in) {
  handles all;
  co_await start(of, in, all);
  for (auto& one : all) one.detach();
}

task<> play(subject& of, strike when, record& in, int victim) {
  handles all;
  switch (when) {
    case strike::had_at_once:
      co_await had_at_once(of, in, all, victim);
      break;
    case strike::granted:
      co_await granted(of, in, all, victim);
      break;
    case strike::cancelled_before_start:
      co_await cancelled_before_start(of, in, all, victim);
      break;
    case strike::cancelled_while_waiting:
      co_await cancelled_while_waiting(of, in, all, victim, 1);
      break;
    case strike::cancelled_twice:
      co_await cancelled_while_waiting(of, in, all, victim, 2);
      break;
    case strike::granted_then_cancelled:
      co_await granted_then_cancelled(of, in, all, victim);
      break;
    case strike::cancelled_then_granted:
      co_await cancelled_then_granted(of, in, all, victim);
      break;
    case strike::granted_just_before_the_timeout:
      co_await timed_out(of, in, all, victim, -1ns);
      break;
    case strike::granted_with_the_timeout:
      co_await timed_out(of, in, all, victim, 0ns);
      break;
    case strike::granted_just_after_the_timeout:
      co_await timed_out(of, in, all, victim, 1ns);
      break;
    case strike::shielded:
      co_await shielded(of, in, all, victim);
      break;
    case strike::all_cancelled:
      co_await all_cancelled(of, in, all, victim);
      break;
    case strike::unused:
      co_await unused(of, in, all, victim);
      break;
    case strike::cancelled_before_it_asks:
      co_await cancelled_before_it_asks(of, in, all, victim);
      break;
    case strike::cancelled_among_many_at_once:
      co_await cancelled_among_many_at_once(of, in, all, victim);
      break;
    case strike::left_behind_by_a_run:
      co_await granted(of, in, all, victim);
      break;
  }
  co_await works(of);
}

// ---- the table ------------------------------------------------------------------------------------------------------

struct operation_row {
  const char* name;
  std::unique_ptr<subject> (*make)();
};
template <class Subject>
std::unique_ptr<subject> make() {
  return std::make_unique<Subject>();
}

const operation_row operations[] = {
    {"mutex_lock", make<mutex_lock>},
    {"shared_mutex_lock", make<shared_mutex_lock<true>>},
    {"shared_mutex_lock_shared", make<shared_mutex_lock<false>>},
    {"semaphore_acquire", make<semaphore_acquire<semaphore, 1>>},
    {"semaphore_acquire_two", make<semaphore_acquire<semaphore, 2>>},
    {"bounded_semaphore_acquire", make<semaphore_acquire<bounded_semaphore, 1>>},
    {"capacity_limiter_acquire", make<limiter_acquire>},
    {"capacity_limiter_acquire_on_behalf_of", make<limiter_on_behalf>},
    {"event_wait", make<event_wait>},
    {"latch_wait", make<latch_wait>},
    {"barrier_wait", make<barrier_wait>},
    {"condition_wait", make<condition_wait>},
    {"condition_wait_predicate", make<condition_predicate>},
    {"queue_get", make<queue_get<queue<int>>>},
    {"queue_put", make<queue_put<queue<int>>>},
    {"queue_join", make<queue_join>},
    {"priority_queue_get", make<queue_get<priority_queue<int>>>},
    {"priority_queue_put", make<queue_put<priority_queue<int>>>},
    {"lifo_queue_get", make<queue_get<lifo_queue<int>>>},
    {"lifo_queue_put", make<queue_put<lifo_queue<int>>>},
    {"delay_queue_get", make<queue_get<delay_queue_at_once>>},
    {"delay_queue_put", make<queue_put<delay_queue_at_once>>},
    {"once_call", make<once_call<false>>},
    {"once_value_get", make<once_call<true>>},
};

struct table_case {
  const operation_row* operation;
  strike when;
  int victim;
};
void PrintTo(const table_case& of, std::ostream* out) {
  *out << of.operation->name << ' ' << strike_names[static_cast<int>(of.when)] << ' ' << of.victim;
}

bool needs_at_once(strike when) {
  return when == strike::had_at_once || when == strike::cancelled_before_it_asks ||
         when == strike::cancelled_among_many_at_once;
}
bool has_victim(strike when) {
  return when != strike::had_at_once && when != strike::granted && when != strike::unused &&
         when != strike::cancelled_before_it_asks && when != strike::left_behind_by_a_run;
}

std::vector<table_case> all_cases() {
  std::vector<table_case> all;
  for (const auto& operation : operations) {
    const bool at_once = operation.make()->at_once;
    for (int i = 0; i < strikes; ++i) {
      const auto when = static_cast<strike>(i);
      if (needs_at_once(when) && !at_once) continue;
      for (int victim = 0; victim < (has_victim(when) ? waiters : 1); ++victim)
        all.push_back({&operation, when, victim});
    }
  }
  return all;
}

std::string name_of_case(const ::testing::TestParamInfo<table_case>& of) {
  static constexpr const char* which[] = {"first", "second", "third"};
  std::string name =
      std::string(of.param.operation->name) + "_" + strike_names[static_cast<int>(of.param.when)];
  if (has_victim(of.param.when)) name += std::string("_") + which[of.param.victim];
  return name;
}

class sync_table : public ::testing::TestWithParam<table_case> {};

TEST_P(sync_table, loses_nothing_and_serves_in_order) {
  const auto [operation, when, victim] = GetParam();
  const auto of = operation->make();
  if (when == strike::left_behind_by_a_run) {
    record in;
    auto first_run = [&]() -> task<> { co_await leave_behind(*of, in); };
    on_sim(first_run);
    expect_waiting(*of, 0);
    EXPECT_EQ(in.begun, waiters);
    EXPECT_TRUE(in.served.empty());
  }
  record in;
  const strike now = when;
  const int which = victim;
  auto this_run = [&]() -> task<> { co_await play(*of, now, in, which); };
  on_sim(this_run);
}

INSTANTIATE_TEST_SUITE_P(all, sync_table, ::testing::ValuesIn(all_cases()), name_of_case);

}  // namespace
}  // namespace axle::test
