// timer_wheel, driven directly: against a sorted map, and at the corners of its levels.
#include <axle/timer_wheel.hpp>

#include <cstdlib>
#include <map>
#include <new>
#include <random>

#include "../support.hpp"

#if !defined(AXLE_PLAIN_FRAMES)  // the sanitizers bring their own
namespace {
thread_local constinit bool heap_is_empty = false;
}

void* operator new(std::size_t bytes) {
  void* made = heap_is_empty ? nullptr : std::malloc(bytes ? bytes : 1);
  return made ? made : throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace axle::test {
namespace {

using node = timer_wheel::node;

constexpr std::int64_t never = timer_wheel::never;

std::vector<node*> all_due(timer_wheel& wheel, std::int64_t now) {
  std::vector<node*> due;
  while (wheel.advance(now))
    while (node* next = wheel.pop_due()) due.push_back(next);
  return due;
}

node at(std::int64_t deadline) {
  node made;
  made.deadline_ns = deadline;
  return made;
}

TEST(timer_wheel, an_empty_one_has_no_deadline) {
  timer_wheel wheel(123);
  EXPECT_EQ(wheel.next_deadline(), never);
  EXPECT_FALSE(wheel.advance(1'000'000'000));
  EXPECT_EQ(wheel.pop_due(), nullptr);
  EXPECT_EQ(wheel.pending(), 0U);
  EXPECT_FALSE(wheel.advance(never));
}

TEST(timer_wheel, fires_exactly_at_the_deadline_and_not_a_nanosecond_before) {
  // Every level, its edges and the nanoseconds around them.
  for (unsigned shift = 0; shift < 62; ++shift)
    for (const std::int64_t around : {-1, 0, 1, 1023, 1024}) {
      const std::int64_t start = 5'000'000;
      const std::int64_t deadline = start + (std::int64_t{1} << shift) + around;
      timer_wheel wheel(start);
      node timer = at(deadline);
      wheel.arm(timer);
      ASSERT_EQ(wheel.next_deadline(), deadline);
      if (deadline > start) {
        ASSERT_FALSE(wheel.advance(deadline - 1)) << "shift " << shift << " around " << around;
        ASSERT_EQ(wheel.pop_due(), nullptr);
        ASSERT_EQ(wheel.next_deadline(), deadline);
      }
      ASSERT_TRUE(wheel.advance(deadline));
      ASSERT_EQ(wheel.pop_due(), &timer);
      ASSERT_FALSE(timer.armed());
      ASSERT_EQ(wheel.pending(), 0U);
      ASSERT_EQ(wheel.next_deadline(), never);
    }
}

TEST(timer_wheel, a_deadline_that_has_passed_is_due_at_once) {
  for (const std::int64_t deadline :
       {std::int64_t{-5}, std::int64_t{0}, std::int64_t{1'000'000}, std::int64_t{INT64_MIN}}) {
    timer_wheel wheel(1'000'000);
    node timer = at(deadline);
    wheel.arm(timer);
    EXPECT_LE(wheel.next_deadline(), 1'000'000);
    EXPECT_EQ(all_due(wheel, 1'000'000), (std::vector<node*>{&timer})) << deadline;
  }
}

TEST(timer_wheel, deadlines_at_the_end_of_time_have_a_place) {
  timer_wheel wheel(0);
  node last = at(never);
  node before_last = at(never - 1);
  node near = at(10);
  wheel.arm(last);
  wheel.arm(before_last);
  wheel.arm(near);
  EXPECT_EQ(all_due(wheel, 10), (std::vector<node*>{&near}));
  EXPECT_EQ(wheel.next_deadline(), never - 1);
  EXPECT_EQ(all_due(wheel, never), (std::vector<node*>{&before_last, &last}));
}

TEST(timer_wheel, equal_deadlines_fire_in_the_order_in_which_they_were_armed) {
  // Armed from near and far, so that they are filed at different levels first.
  timer_wheel wheel(0);
  constexpr std::int64_t deadline = 3'600'000'000'000;
  std::vector<node> timers(200, at(deadline));
  std::int64_t now = 0;
  for (node& each : timers) {
    wheel.arm(each);
    now += (deadline - now) / 7;
    ASSERT_TRUE(all_due(wheel, now).empty());
  }
  const std::vector<node*> due = all_due(wheel, deadline);
  ASSERT_EQ(due.size(), timers.size());
  for (std::size_t i = 0; i < due.size(); ++i) ASSERT_EQ(due[i], &timers[i]) << i;
}

TEST(timer_wheel, one_advance_gives_all_in_order_of_deadline) {
  timer_wheel wheel(0);
  std::mt19937_64 random(7);
  std::vector<node> timers;
  timers.reserve(2'000);
  for (int i = 0; i < 2'000; ++i)
    timers.push_back(at(static_cast<std::int64_t>(random() >> (1 + random() % 50))));
  for (node& each : timers) wheel.arm(each);
  const std::vector<node*> due = all_due(wheel, never);
  ASSERT_EQ(due.size(), timers.size());
  for (std::size_t i = 1; i < due.size(); ++i) {
    ASSERT_LE(due[i - 1]->deadline_ns, due[i]->deadline_ns);
    if (due[i - 1]->deadline_ns == due[i]->deadline_ns) ASSERT_LT(due[i - 1], due[i]);
  }
}

TEST(timer_wheel, many_in_one_slot_out_of_order_are_sorted_stably) {
  timer_wheel wheel(0);
  std::mt19937_64 random(11);
  std::vector<node> timers;
  timers.reserve(5'000);
  for (int i = 0; i < 5'000; ++i)
    timers.push_back(at(1'024'000 + static_cast<std::int64_t>(random() % 1'024)));
  for (node& each : timers) wheel.arm(each);
  const std::vector<node*> due = all_due(wheel, 1'024'000 + 1'023);
  ASSERT_EQ(due.size(), timers.size());
  for (std::size_t i = 1; i < due.size(); ++i) {
    ASSERT_LE(due[i - 1]->deadline_ns, due[i]->deadline_ns);
    if (due[i - 1]->deadline_ns == due[i]->deadline_ns) ASSERT_LT(due[i - 1], due[i]);
  }
}

// Enough in one wide slot to be sorted digit by digit; among them many of equal deadline.
TEST(timer_wheel, a_wide_slot_with_many_that_are_due_is_sorted_stably) {
  timer_wheel wheel(0);
  std::mt19937_64 random(13);
  std::vector<node> timers;
  timers.reserve(100'000);
  constexpr std::int64_t start = std::int64_t{1} << 40;
  for (int i = 0; i < 100'000; ++i)
    timers.push_back(at(start + static_cast<std::int64_t>(random() % 30'000) * 1'000'003));
  for (node& each : timers) wheel.arm(each);
  const std::vector<node*> due = all_due(wheel, start * 2);
  ASSERT_EQ(due.size(), timers.size());
  for (std::size_t i = 1; i < due.size(); ++i) {
    ASSERT_LE(due[i - 1]->deadline_ns, due[i]->deadline_ns);
    if (due[i - 1]->deadline_ns == due[i]->deadline_ns) ASSERT_LT(due[i - 1], due[i]);
  }
}

#if !defined(AXLE_PLAIN_FRAMES)
TEST(timer_wheel, without_memory_all_fire_all_the_same) {
  std::mt19937_64 random(19);
  for (const std::uint64_t spread : {std::uint64_t{1'000}, std::uint64_t{30'000'000'000}}) {
    timer_wheel wheel(0);
    std::vector<node> timers(5'000);
    constexpr std::int64_t start = std::int64_t{1} << 40;
    for (node& each : timers) {
      each.deadline_ns = start + static_cast<std::int64_t>(random() % spread);
      wheel.arm(each);
    }
    std::size_t fired = 0;
    std::int64_t last_ns = 0, most_out_of_order_ns = 0;
    heap_is_empty = true;
    while (wheel.advance(start * 2))
      while (node* due = wheel.pop_due()) {
        most_out_of_order_ns = std::max(most_out_of_order_ns, last_ns - due->deadline_ns);
        last_ns = due->deadline_ns;
        ++fired;
      }
    heap_is_empty = false;
    EXPECT_EQ(fired, timers.size());
    EXPECT_EQ(wheel.pending(), 0U);
    EXPECT_LT(most_out_of_order_ns, 1'024);
  }
}
#endif

TEST(timer_wheel, any_that_is_due_can_be_disarmed_and_armed_again_while_the_others_are_taken) {
  std::mt19937_64 random(17);
  for (const std::size_t count : {1, 2, 3, 10, 63, 64, 65, 1'000}) {
    timer_wheel wheel(0);
    std::vector<node> timers(count);
    for (node& each : timers) {
      each.deadline_ns = 1'048'576 + static_cast<std::int64_t>(random() % 1'000'000);
      wheel.arm(each);
    }
    std::size_t expected = count, taken = 0;
    while (wheel.advance(10'000'000)) {
      node& victim = timers[random() % count];
      if (wheel.disarm(victim)) {
        ASSERT_FALSE(victim.armed());
        if (random() % 2) {
          victim.deadline_ns = 9'000'000;
          wheel.arm(victim);
        } else {
          --expected;
        }
      }
      if (node* next = wheel.pop_due()) {
        ASSERT_FALSE(next->armed());
        ++taken;
      }
      ASSERT_EQ(wheel.pending(), expected - taken);
    }
    ASSERT_EQ(taken, expected);
    ASSERT_EQ(wheel.next_deadline(), never);
  }
}

TEST(timer_wheel, the_next_deadline_is_exact_as_timers_come_and_fire) {
  timer_wheel wheel(0);
  node far = at(1'000'000'000), near = at(2'000), middle = at(70'000);
  wheel.arm(far);
  EXPECT_EQ(wheel.next_deadline(), 1'000'000'000);
  wheel.arm(near);
  EXPECT_EQ(wheel.next_deadline(), 2'000);
  wheel.arm(middle);
  EXPECT_EQ(wheel.next_deadline(), 2'000);
  EXPECT_EQ(all_due(wheel, 69'999), (std::vector<node*>{&near}));
  EXPECT_EQ(wheel.next_deadline(), 70'000);
  EXPECT_EQ(all_due(wheel, 70'000), (std::vector<node*>{&middle}));
  EXPECT_EQ(wheel.next_deadline(), 1'000'000'000);
  EXPECT_TRUE(wheel.disarm(far));
  EXPECT_EQ(wheel.next_deadline(), never);
}

TEST(timer_wheel, disarming_works_once_anywhere_even_when_due) {
  timer_wheel wheel(0);
  node waiting = at(5'000'000), due = at(10), never_armed = at(1);
  wheel.arm(waiting);
  wheel.arm(due);
  EXPECT_FALSE(wheel.disarm(never_armed));
  EXPECT_TRUE(wheel.disarm(waiting));
  EXPECT_FALSE(wheel.disarm(waiting));
  EXPECT_TRUE(wheel.advance(100));
  EXPECT_TRUE(wheel.disarm(due));  // it stands in the list of due ones
  EXPECT_EQ(wheel.pop_due(), nullptr);
  EXPECT_EQ(wheel.pending(), 0U);
  wheel.arm(due);
  EXPECT_EQ(all_due(wheel, 100), (std::vector<node*>{&due}));
  EXPECT_FALSE(wheel.disarm(due));
}

TEST(timer_wheel, after_a_disarm_the_early_deadline_is_left_behind_by_one_advance) {
  timer_wheel wheel(0);
  node gone = at(1'000'100), stays = at(1'040'000);  // one slot of the second level
  wheel.arm(gone);
  wheel.arm(stays);
  wheel.disarm(gone);
  const std::int64_t guess = wheel.next_deadline();
  EXPECT_LE(guess, 1'040'000);
  EXPECT_FALSE(wheel.advance(guess));
  EXPECT_EQ(wheel.next_deadline(), 1'040'000);
}

TEST(timer_wheel, one_that_fires_may_be_armed_again_at_once) {
  timer_wheel wheel(0);
  node periodic = at(1'000);
  wheel.arm(periodic);
  std::int64_t now = 0;
  for (int i = 0; i < 10'000; ++i) {
    now = wheel.next_deadline();
    ASSERT_EQ(now, 1'000 + i * std::int64_t{1'337});
    ASSERT_TRUE(wheel.advance(now));
    ASSERT_EQ(wheel.pop_due(), &periodic);
    periodic.deadline_ns = now + 1'337;
    wheel.arm(periodic);
  }
  wheel.disarm(periodic);
}

TEST(timer_wheel, a_clock_that_stands_still_or_goes_back_fires_nothing_early) {
  timer_wheel wheel(1'000'000);
  node timer = at(2'000'000);
  wheel.arm(timer);
  EXPECT_FALSE(wheel.advance(1'500'000));
  EXPECT_FALSE(wheel.advance(1'200'000));
  EXPECT_FALSE(wheel.advance(1'999'999));
  EXPECT_EQ(all_due(wheel, 2'000'000), (std::vector<node*>{&timer}));
}

// A wheel and a sorted map are given the same things to do, and must agree on everything after each step.
class both {
 public:
  explicit both(std::uint64_t seed, std::int64_t start)
      : random_(seed), now_(start), wheel_(start), timers_(4'096) {}

  void step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        return arm();
      case 4:
      case 5:
        return disarm();
      case 6:
        return go_on(static_cast<std::int64_t>(random_() >> (20 + random_() % 44)));
      default:
        return go_on(wheel_.next_deadline() == never ? 0 : wheel_.next_deadline() - now_);
    }
  }
  void finish() { go_on(never - now_); }
  bool agree() const { return agree_; }

 private:
  struct timed : node {
    std::multimap<std::int64_t, timed*>::iterator place;
  };

  void arm() {
    timed& timer = timers_[random_() % timers_.size()];
    if (timer.armed()) return;
    const auto distance = static_cast<std::int64_t>(random_() >> (2 + random_() % 61));
    timer.deadline_ns = random_() % 16 == 0       ? now_ - distance
                        : distance > never - now_ ? never
                                                  : now_ + distance;
    if (random_() % 4 == 0 && !expected_.empty()) timer.deadline_ns = expected_.begin()->first;  // equal ones
    wheel_.arm(timer);
    // What has passed is due now: the wheel puts it in order with what becomes due in the same advance.
    timer.place = expected_.emplace(timer.deadline_ns, &timer);
    compare(wheel_.next_deadline() <= expected_.begin()->first || wheel_.next_deadline() <= now_);
  }
  void disarm() {
    timed& timer = timers_[random_() % timers_.size()];
    const bool armed = timer.armed();
    if (armed) expected_.erase(timer.place);
    compare(wheel_.disarm(timer) == armed);
  }
  void go_on(std::int64_t by) {
    if (by < 0) by = 0;
    now_ = by > never - now_ ? never : now_ + by;
    compare(wheel_.advance(now_) == (!expected_.empty() && expected_.begin()->first <= now_));
    while (wheel_.advance(now_))
      while (node* due = wheel_.pop_due()) {
        if (expected_.empty()) return compare(false);
        compare(due == expected_.begin()->second);
        compare(due->deadline_ns <= now_);
        expected_.erase(expected_.begin());
      }
    compare(expected_.empty() || expected_.begin()->first > now_);
    compare(wheel_.pending() == expected_.size());
    const std::int64_t next = expected_.empty() ? never : expected_.begin()->first;
    compare(wheel_.next_deadline() <= next);
    if (now_ > never / 2) restart();
  }
  void restart() {  // the end of time was reached: everything has fired
    for (const auto& [deadline, timer] : expected_) wheel_.disarm(*timer);
    expected_.clear();
    std::destroy_at(&wheel_);
    now_ = static_cast<std::int64_t>(random_() >> 20);
    std::construct_at(&wheel_, now_);
  }
  void compare(bool same) { agree_ &= same; }

  std::mt19937_64 random_;
  std::int64_t now_;
  timer_wheel wheel_;
  std::multimap<std::int64_t, timed*> expected_;
  std::vector<timed> timers_;
  bool agree_ = true;
};

TEST(timer_wheel, a_million_random_operations_agree_with_a_sorted_map) {
  const std::uint64_t seed = test_seed(20'240'607);
  for (const std::int64_t start :
       {std::int64_t{0}, std::int64_t{1'000'000'000}, std::int64_t{987'654'321'987'654}}) {
    both pair(seed, start);
    for (std::size_t i = 0; i < scaled(1'000'000) / 3; ++i) {
      pair.step();
      ASSERT_TRUE(pair.agree()) << "operation " << i << ", seed " << seed;
    }
    pair.finish();
    ASSERT_TRUE(pair.agree()) << "at the end, seed " << seed;
  }
}

// As a loop uses it: the clock goes on a little at a time, timers are armed a while ahead.
TEST(timer_wheel, a_loop_of_short_turns_fires_each_timer_in_the_first_turn_it_is_due) {
  std::mt19937_64 random(test_seed(3));
  const std::int64_t start = 55'555'555'555;
  timer_wheel wheel(start);
  std::vector<node> timers(1'000);
  for (node& each : timers) {
    each.deadline_ns = start + static_cast<std::int64_t>(random() % 1'000'000'000);
    wheel.arm(each);
  }
  std::int64_t last = start;
  std::int64_t now = start;
  std::size_t fired = 0;
  for (std::size_t turn = 0; turn < scaled(300'000); ++turn) {
    last = now;
    now += static_cast<std::int64_t>(random() % 100'000);
    while (wheel.advance(now))
      while (node* due = wheel.pop_due()) {
        ASSERT_LE(due->deadline_ns, now);
        ASSERT_GT(due->deadline_ns, last);
        ++fired;
        due->deadline_ns = now + 1 + static_cast<std::int64_t>(random() >> (24 + random() % 38));
        wheel.arm(*due);
      }
  }
  EXPECT_GT(fired, timers.size());
  for (node& each : timers) wheel.disarm(each);
}

}  // namespace
}  // namespace axle::test
