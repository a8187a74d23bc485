// capacity_limiter, after trio's tests; and misuse of it and of semaphores.
#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- capacity_limiter: after trio's test_CapacityLimiter* -----------------------------------------------------------

task<> borrows(capacity_limiter& from, std::chrono::nanoseconds d, trace& log, std::string name) {
  const auto token = co_await from.acquire();
  log.push_back(std::move(name));
  co_await sleep(d);
}

TEST(capacity_limiter, lends_as_many_tokens_as_it_has) {
  on_sim([]() -> task<> {
    capacity_limiter c(2);
    trace log;
    EXPECT_EQ(c.total(), 2U);
    for (int i = 0; i < 4; ++i) spawn(borrows(c, 1ms, log, std::to_string(i))).detach();
    co_await yield();
    EXPECT_EQ(log, (trace{"0", "1"}));
    EXPECT_EQ(c.borrowed(), 2U);
    EXPECT_EQ(c.available(), 0U);
    EXPECT_FALSE(c.try_acquire());
    EXPECT_EQ(c.statistics().waiting.now, 2U);
    EXPECT_EQ(c.statistics().borrowers.size(), 2U);
    EXPECT_EQ(c.statistics().total, 2U);
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"0", "1", "2", "3"}));
    EXPECT_EQ(c.borrowed(), 0U);
  });
}

TEST(capacity_limiter, one_task_may_borrow_for_several) {
  on_sim([]() -> task<> {
    capacity_limiter c(3);
    auto a = co_await c.acquire_on_behalf_of(100);
    const auto b = co_await c.acquire_on_behalf_of(101);
    const auto mine = co_await c.acquire();
    EXPECT_EQ(c.borrowed(), 3U);
    a.release();
    EXPECT_FALSE(a);
    const auto again = co_await c.acquire_on_behalf_of(100);
    const auto borrowers = c.statistics().borrowers;
    EXPECT_TRUE(std::count(borrowers.begin(), borrowers.end(), 100) == 1);
    EXPECT_TRUE(std::count(borrowers.begin(), borrowers.end(), 101) == 1);
  });
}

TEST(capacity_limiter, more_tokens_let_waiters_in_and_fewer_take_effect_as_they_come_back) {
  on_sim([]() -> task<> {
    capacity_limiter c(1);
    trace log;
    for (int i = 0; i < 6; ++i) spawn(borrows(c, (i + 1) * 1ms, log, std::to_string(i))).detach();
    co_await yield();
    EXPECT_EQ(log.size(), 1U);
    c.set_total(4);
    co_await yield();
    EXPECT_EQ(log, (trace{"0", "1", "2", "3"}));
    c.set_total(2);
    EXPECT_EQ(c.available(), 0U);
    EXPECT_EQ(c.borrowed(), 4U);
    co_await sleep(2500us);  // two have come back
    EXPECT_EQ(c.borrowed(), 2U);
    EXPECT_EQ(log.size(), 4U) << "two are out, which is as many as there may be";
    co_await sleep(1ms);  // the third
    EXPECT_EQ(log.size(), 5U);
    co_await sleep(1s);
    EXPECT_EQ(log.size(), 6U);
    EXPECT_EQ(c.available(), 2U);
  });
}

TEST(capacity_limiter, of_no_tokens_lends_none_until_there_are_some) {
  on_sim([]() -> task<> {
    capacity_limiter c(0);
    trace log;
    EXPECT_FALSE(c.try_acquire());
    spawn(borrows(c, 1ms, log, "a")).detach();
    co_await sleep(1s);
    EXPECT_TRUE(log.empty());
    c.set_total(unbounded);
    co_await sleep(1s);
    EXPECT_EQ(log, (trace{"a"}));
  });
}

TEST(capacity_limiter, one_served_and_cancelled_in_the_same_turn_passes_its_token_on) {
  on_sim([]() -> task<> {
    capacity_limiter c(0);
    trace log;
    const auto a = spawn(borrows(c, 1h, log, "a"));
    const auto b = spawn(borrows(c, 1h, log, "b"));
    co_await yield();
    c.set_total(1);
    a.cancel();
    co_await rounds(4);
    EXPECT_EQ(log, (trace{"a", "b"}));
    EXPECT_EQ(c.borrowed(), 1U);
    b.cancel();
    co_await rounds(4);
    EXPECT_EQ(c.borrowed(), 0U);
  });
}

TEST(capacity_limiter, a_borrower_that_gave_up_may_ask_again) {
  on_sim([]() -> task<> {
    capacity_limiter c(1);
    auto held = co_await c.acquire_on_behalf_of(1);
    auto waits = [&]() -> task<> { const auto token = co_await c.acquire_on_behalf_of(2); };
    EXPECT_FALSE(co_await with_timeout(1ms, waits()));
    EXPECT_FALSE(co_await with_timeout(1ms, waits()));
    held.release();
    const auto token = co_await c.acquire_on_behalf_of(2);
    EXPECT_EQ(c.borrowed(), 1U);
  });
}

TEST(capacity_limiter, tokens_move) {
  on_sim([]() -> task<> {
    capacity_limiter c(2);
    auto a = co_await c.acquire_on_behalf_of(1);
    auto b = co_await c.acquire_on_behalf_of(2);
    a = std::move(b);
    EXPECT_EQ(c.borrowed(), 1U);
    const auto borrowers = c.statistics().borrowers;
    EXPECT_EQ(borrowers, std::vector<capacity_limiter::borrower>{2});
    capacity_limiter::token none;
    a = std::move(none);
    EXPECT_EQ(c.borrowed(), 0U);
  });
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

template <class F>
void in_a_task(F f) {
  auto main = [&]() -> task<> {
    const int here = 0;
    co_await f();
    static_cast<void>(here);
  };
  on_sim(main);
}
task<> beyond_the_bound() {
  bounded_semaphore s(2);
  s.release();
  co_return;
}
task<> beyond_the_bound_by_parts() {
  bounded_semaphore s(2);
  auto one = co_await s.acquire();
  one.keep();
  s.release(2);
}
task<> beyond_all_bounds() {
  semaphore s(1);
  s.release(std::numeric_limits<std::size_t>::max());
  co_return;
}
task<> more_than_there_ever_are() {
  bounded_semaphore s(2);
  const auto three = co_await s.acquire(3);
}
task<> released_twice() {
  semaphore s(2);
  auto one = co_await s.acquire();
  one.release();
  one.release();
}
task<> release_of_a_kept_one() {
  semaphore s(2);
  auto one = co_await s.acquire();
  one.keep();
  one.release();
}
task<> destroyed_with_waiters() {
  trace log;
  semaphore s(0);
  spawn(holds(s, 1, 1h, log, "")).detach();
  co_await yield();
}
TEST(semaphore_death, misuse) {
  EXPECT_DEATH(in_a_task(beyond_the_bound), "released beyond its bound of 2");
  EXPECT_DEATH(in_a_task(beyond_the_bound_by_parts), "released beyond its bound of 2");
  EXPECT_DEATH(in_a_task(beyond_all_bounds), "released beyond its bound");
  EXPECT_DEATH(in_a_task(more_than_there_ever_are), "3 permits were asked for .* more than 2");
  EXPECT_DEATH(in_a_task(released_twice), "this permit is empty");
  EXPECT_DEATH(in_a_task(release_of_a_kept_one), "this permit is empty");
  EXPECT_DEATH(in_a_task(destroyed_with_waiters), "a semaphore was destroyed while 1 tasks wait");
}

task<> a_second_token() {
  capacity_limiter c(5);
  const auto one = co_await c.acquire();
  const auto two = co_await c.acquire();
}
task<> a_second_token_by_trying() {
  capacity_limiter c(5);
  const auto one = co_await c.acquire();
  const auto two = c.try_acquire();
}
task<> a_second_token_on_behalf() {
  capacity_limiter c(5);
  const auto one = co_await c.acquire_on_behalf_of(7);
  const auto two = co_await c.acquire_on_behalf_of(7);
}
task<> borrows_for_seven(capacity_limiter& c) {
  const auto token = co_await c.acquire_on_behalf_of(7);
  co_await sleep(1h);
}
// It is not there yet, but it is asked for: to be granted it would make two.
task<> a_second_token_while_the_first_is_waited_for() {
  capacity_limiter c(0);
  spawn(borrows_for_seven(c)).detach();
  co_await yield();
  spawn(borrows_for_seven(c)).detach();
  co_await yield();
  c.set_total(2);
  EXPECT_LE(c.borrowed(), 1U) << "a borrower has one token at most";
  co_await sleep(2h);
}
task<> token_released_twice() {
  capacity_limiter c(5);
  auto one = co_await c.acquire();
  one.release();
  one.release();
}
task<> limiter_destroyed_with_waiters() {
  capacity_limiter c(0);
  spawn(borrows_for_seven(c)).detach();
  co_await yield();
}
TEST(capacity_limiter_death, misuse) {
  EXPECT_DEATH(in_a_task(a_second_token), "this borrower has a token");
  EXPECT_DEATH(in_a_task(a_second_token_by_trying), "this borrower has a token");
  EXPECT_DEATH(in_a_task(a_second_token_on_behalf), "this borrower has a token");
  EXPECT_DEATH(in_a_task(token_released_twice), "this token is empty");
  EXPECT_DEATH(in_a_task(limiter_destroyed_with_waiters),
               "a capacity_limiter was destroyed while 1 tasks wait");
}
TEST(capacity_limiter_death, a_second_token_for_a_borrower_that_waits_for_its_first) {
  EXPECT_DEATH(in_a_task(a_second_token_while_the_first_is_waited_for), "this borrower waits for a token");
}

// The first is waited for by another on the task's behalf; then the task asks for itself.
task<> borrows_for(capacity_limiter& c, capacity_limiter::borrower by) {
  const auto token = co_await c.acquire_on_behalf_of(by);
  co_await sleep(1h);
}
task<> a_token_for_itself_while_another_waits_on_its_behalf() {
  capacity_limiter c(0);
  const auto me = current_task().id;
  spawn(borrows_for(c, me)).detach();
  co_await yield();
  const auto more = [&] { c.set_total(2); };
  call_later(1ms, more);
  const auto token = co_await c.acquire();
  std::fprintf(stderr, "a borrower has %zu tokens\n", c.borrowed());
  co_await sleep(2h);
}
TEST(capacity_limiter_death, a_token_for_the_task_itself_while_another_waits_on_its_behalf) {
  EXPECT_DEATH(in_a_task(a_token_for_itself_while_another_waits_on_its_behalf),
               "this borrower waits for a token");
}

template <class Primitive>
void used_on_another_core(task<> (*use)(Primitive&)) {
  auto main = [&]() -> task<> {
    Primitive p(4);
    const auto here = p.try_acquire();
    auto far = [&]() -> task<> { co_await use(p); };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
template <class Primitive>
task<> far_acquire(Primitive& p) {
  const auto had = co_await p.acquire();
}
template <class Primitive>
task<> far_try(Primitive& p) {
  const auto had = p.try_acquire();
  co_return;
}
task<> far_release(semaphore& s) {
  s.release();
  co_return;
}
task<> far_set_total(capacity_limiter& c) {
  c.set_total(5);
  co_return;
}
TEST(semaphore_death, used_on_another_core) {
  const char* const both = "semaphore.*core 0.*core 1";
  EXPECT_DEATH(used_on_another_core<semaphore>(far_acquire<semaphore>), both);
  EXPECT_DEATH(used_on_another_core<semaphore>(far_try<semaphore>), both);
  EXPECT_DEATH(used_on_another_core<semaphore>(far_release), both);
}
TEST(capacity_limiter_death, used_on_another_core) {
  const char* const both = "capacity_limiter.*core 0.*core 1";
  EXPECT_DEATH(used_on_another_core<capacity_limiter>(far_acquire<capacity_limiter>), both);
  EXPECT_DEATH(used_on_another_core<capacity_limiter>(far_try<capacity_limiter>), both);
  EXPECT_DEATH(used_on_another_core<capacity_limiter>(far_set_total), both);
}

}  // namespace
}  // namespace axle::test
