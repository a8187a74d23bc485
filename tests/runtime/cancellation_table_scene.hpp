// What one case of the cancellation table is made of: the scene, the tasks that play in it, and what an operation is.
//
// Every operation of the table waits for something that happens at `due`, and gives a value or fails then. The simulator's
// clock makes "in the same turn, but first" exact: timers of one deadline fire in the order in which they were armed, and
// what they make ready runs in that order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "../foreign_coroutine.hpp"
#include "../support.hpp"

namespace axle::test::cancellation_table {

constexpr std::chrono::nanoseconds due_in = 300us;
constexpr std::chrono::nanoseconds half_way = due_in / 2;
constexpr std::chrono::nanoseconds early = 50us;

// What the tasks of one case share.
struct scene {
  clock::time_point start, due;
  bool fail = false;                    // what happens at `due` is a failure
  int begun = 0;                        // the operation
  int alive = 0;                        // scopes of the operation that were entered and not left
  bool got = false;                     // it gave what it should
  task<int> (*wait)(scene&) = nullptr;  // the operation
  join_handle<int> running;
  std::optional<cancel_scope> around;  // of the strikes that use one

  // For single operations.
  std::vector<join_handle<int>> others;  // tasks with a life of their own, for which it waits
  int others_alive = 0;
  bool value_taken = false;  // of others[0]
  bool cleaned_up = false;
  bool happened = false;
  call_handle happening;
  std::optional<promise<int>> promised;
  std::optional<future<int>> to_come;
  std::optional<cancel_scope> inner;
  std::vector<int> items;
};

inline int happen(const scene& in) {
  if (in.fail) throw wrong("failed");
  return 1;
}
inline task<int> event(scene& in) {
  const counted here(in.alive);
  co_await sleep_until(in.due);
  co_return happen(in);
}
inline task<int> early_one(scene& in) {
  const counted here(in.alive);
  co_await sleep_until(in.start + early);
  co_return 1;
}
inline task<> void_event(scene& in) { co_await event(in); }
inline task<result<int>> result_event(scene& in) { co_return co_await event(in); }
inline task<int> long_one(scene& in) {
  const counted here(in.alive);
  co_await sleep(100h);
  co_return 2;
}

// Those that do not end with who waits for them.
inline task<int> other(scene& in) {
  const counted here(in.others_alive);
  co_await sleep_until(in.due);
  co_return happen(in);
}
inline task<int> early_other(scene& in) {
  const counted here(in.others_alive);
  co_await sleep_until(in.start + early);
  co_return 2;
}
inline task<int> other_that_takes_long(scene& in) {
  const counted here(in.others_alive);
  co_await sleep(100h);
  co_return 3;
}

// What a cancel does to the operation.
enum class when_cancelled {
  ends,
  outlives,   // it is a shield
  ends_late,  // it is a shield, with a place to be ended at behind it
};
// How much must run, at `due`, until what the operation waits for has happened.
enum class reached {
  by_timer,       // nothing but the timer
  by_turn,        // the turn of another task or callback, for which it waits
  by_later_turn,  // or of several, or its own
  far,            // as by_timer, over there: a cancel travels, and comes behind all that is ready
};

struct properties {
  when_cancelled cancelled = when_cancelled::ends;
  reached at = reached::by_timer;
  const char* failure = "failed";  // its ending if what happens is a failure
  bool always_fails = false;
  bool stays_ready = false;  // it stands in the ready queue all the time, in front of whatever strikes
  bool cleans_up = false;
  void (*prepare)(scene&) = nullptr;  // before it is spawned
};
constexpr const char* given_as_a_value = "value";

// A row of the table.
struct operation {
  const char* name;
  task<int> (*wait)(scene&);
  task<int> (*wait_in_foreign)(scene&);  // the same, awaited by a coroutine of another library
  task<int> (*wait_in_fiber)(scene&);    // and by no coroutine
  void (*drop)(scene&);                  // makes what would be awaited, and drops it
  properties has;
};

/// What `co_await` gives for an awaitable.
template <class Awaitable>
auto gives() {
  if constexpr (detail::has_co_await<Awaitable>) {
    return std::type_identity<decltype(std::declval<Awaitable>().operator co_await().await_resume())>();
  } else {
    return std::type_identity<decltype(std::declval<Awaitable>().await_resume())>();
  }
}

template <class Coroutine, class Make, class Took>
Coroutine takes(scene& in) {
  const counted here(in.alive);
  using given = typename decltype(gives<decltype(Make()(in))>())::type;
  if constexpr (std::is_void_v<given>) {
    co_await Make()(in);
    Took()(in);
  } else {
    auto got = co_await Make()(in);
    Took()(in, got);
  }
  in.got = true;
}
template <class Coroutine, class Make, class Took>
task<int> waits_in(scene& in) {
  const counted here(in.alive);
  ++in.begun;
  co_await takes<Coroutine, Make, Took>(in);
  co_return 1;
}
template <class Make, class Took>
void takes_in_fiber(scene& in) {
  const counted here(in.alive);
  using given = typename decltype(gives<decltype(Make()(in))>())::type;
  if constexpr (std::is_void_v<given>) {
    axle::await(Make()(in));
    Took()(in);
  } else {
    auto got = axle::await(Make()(in));
    Took()(in, got);
  }
  in.got = true;
}
template <class Make, class Took>
task<int> waits_in_fiber(scene& in) {
  const counted here(in.alive);
  ++in.begun;
  constexpr fiber_options small = {.stack_bytes = 64 * 1024};
  co_await fiber(small, takes_in_fiber<Make, Took>, std::ref(in));
  co_return 1;
}
template <class Make>
void makes_and_drops(scene& in) {
  static_cast<void>(Make()(in));
}

// `make(scene)` gives what is to be awaited; `took(scene, value)` looks at what that gave. Neither may capture.
template <class Make, class Took>
operation waiting(const char* name, Make, Took, properties has = {}) {
  return {name,
          waits_in<task<>, Make, Took>,
          waits_in<foreign, Make, Took>,
          waits_in_fiber<Make, Took>,
          makes_and_drops<Make>,
          has};
}

}  // namespace axle::test::cancellation_table
