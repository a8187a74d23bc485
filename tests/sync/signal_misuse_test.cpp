// Misuse of event, condition, barrier, latch and once.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- misuse ---------------------------------------------------------------------------------------------------------

template <class F>
void in_a_task(F f) {
  auto main = [&]() -> task<> { co_await f(); };
  on_sim(main);
}
task<> condition_without_the_mutex() {
  condition c;
  mutex::guard none;
  co_await c.wait(none);
}
task<> condition_with_an_unlocked_guard() {
  condition c;
  mutex m;
  auto held = co_await m.lock();
  held.unlock();
  co_await c.wait(held);
}
task<> barrier_of_none() {
  barrier b(0);
  co_return;
}
task<> latch_below_zero() {
  latch l(2);
  l.count_down(3);
  co_return;
}
task<> latch_closed_again() {
  latch l(1);
  l.count_down();
  l.add();
  co_return;
}
task<> event_destroyed_with_waiters() {
  trace log;
  event e;
  for (int i = 0; i < 2; ++i) spawn(waits(e, log, "")).detach();
  co_await yield();
}
task<> barrier_destroyed_with_waiters() {
  arrivals log;
  barrier b(2);
  spawn(arrives(b, log)).detach();
  co_await yield();
}
task<> latch_destroyed_with_waiters() {
  int passed = 0;
  latch l(2);
  spawn(waits(l, passed)).detach();
  co_await yield();
}
task<> condition_destroyed_with_waiters() {
  monitor m;
  spawn(waits(m, "")).detach();
  co_await rounds(2);
}
once* the_once = nullptr;
task<> calls_itself() { co_await the_once->call(nothing); }
task<> once_within_itself() {
  once o;
  the_once = &o;
  co_await o.call(calls_itself);
}
TEST(condition_death, misuse) {
  EXPECT_DEATH(in_a_task(condition_without_the_mutex), "takes a guard that holds its mutex");
  EXPECT_DEATH(in_a_task(condition_with_an_unlocked_guard), "takes a guard that holds its mutex");
  EXPECT_DEATH(in_a_task(condition_destroyed_with_waiters), "a condition was destroyed while 1 tasks wait");
}
TEST(barrier_death, misuse) {
  EXPECT_DEATH(in_a_task(barrier_of_none), "a barrier of no tasks");
  EXPECT_DEATH(in_a_task(barrier_destroyed_with_waiters), "a barrier was destroyed while 1 tasks wait");
}
TEST(latch_death, misuse) {
  EXPECT_DEATH(in_a_task(latch_below_zero), "has 2 left was counted down by 3");
  EXPECT_DEATH(in_a_task(latch_closed_again), "cannot be closed again");
  EXPECT_DEATH(in_a_task(latch_destroyed_with_waiters), "a latch was destroyed while 1 tasks wait");
}
TEST(event_death, misuse) {
  EXPECT_DEATH(in_a_task(event_destroyed_with_waiters), "an? event was destroyed while 2 tasks wait");
  EXPECT_DEATH(event().set(), "runs no axle loop");
}
TEST(once_death, called_within_itself) {
  EXPECT_DEATH(in_a_task(once_within_itself), "holds this mutex already");
}

template <class Primitive>
void used_on_another_core(Primitive& p, void (*here)(Primitive&), task<> (*there)(Primitive&)) {
  auto main = [&]() -> task<> {
    here(p);
    auto far = [&]() -> task<> { co_await there(p); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
template <class Primitive>
task<> far_wait(Primitive& p) {
  auto waiting = p.wait();
  static_cast<void>(co_await waiting);
}
template <class Primitive, auto Do>
task<> far_do(Primitive& p) {
  Do(p);
  co_return;
}
constexpr auto sets = [](event& e) { e.set(); };
constexpr auto clears = [](event& e) { e.clear(); };
constexpr auto counts_down = [](latch& l) { l.count_down(); };
constexpr auto adds = [](latch& l) { l.add(); };
constexpr auto aborts = [](barrier& b) { b.abort(); };
constexpr auto resets = [](barrier& b) { b.reset(); };
constexpr auto notifies = [](condition& c) { c.notify(); };

TEST(event_death, used_on_another_core) {
  const char* const both = "event.*core 0.*core 1";
  event e;
  EXPECT_DEATH(used_on_another_core<event>(e, sets, far_wait<event>), both);
  EXPECT_DEATH((used_on_another_core<event>(e, sets, far_do<event, sets>)), both);
}
TEST(event_death, cleared_on_another_core) {
  event e;
  EXPECT_DEATH((used_on_another_core<event>(e, sets, far_do<event, clears>)), "event.*core 0.*core 1");
}
TEST(latch_death, used_on_another_core) {
  const char* const both = "latch.*core 0.*core 1";
  latch l(5);
  EXPECT_DEATH(used_on_another_core<latch>(l, counts_down, far_wait<latch>), both);
  EXPECT_DEATH((used_on_another_core<latch>(l, counts_down, far_do<latch, counts_down>)), both);
  EXPECT_DEATH((used_on_another_core<latch>(l, counts_down, far_do<latch, adds>)), both);
}
TEST(barrier_death, used_on_another_core) {
  const char* const both = "barrier.*core 0.*core 1";
  barrier b(5);
  EXPECT_DEATH((used_on_another_core<barrier>(b, resets, far_do<barrier, resets>)), both);
  EXPECT_DEATH((used_on_another_core<barrier>(b, resets, far_do<barrier, aborts>)), both);
  EXPECT_DEATH(used_on_another_core<barrier>(b, resets, far_wait<barrier>), both);
}
TEST(condition_death, used_on_another_core) {
  condition c;
  EXPECT_DEATH((used_on_another_core<condition>(c, notifies, far_do<condition, notifies>)),
               "condition.*core 0.*core 1");
}

}  // namespace
}  // namespace axle::test
