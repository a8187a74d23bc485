// once and once_value; waits inside coroutines of another library, which meet a cancel as an exception.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <set>

#include "../foreign_coroutine.hpp"
#include "sync_support.hpp"

namespace axle::test {
namespace {

// ---- once -----------------------------------------------------------------------------------------------------------

struct counting {
  int begun = 0;
  int done = 0;
};
task<> works_for(std::chrono::nanoseconds d, counting& in) {
  ++in.begun;
  co_await sleep(d);
  ++in.done;
}
task<> fails_at_first(counting& in, int times) {
  co_await sleep(1ms);
  if (in.begun++ < times) throw wrong("attempt " + std::to_string(in.begun));
  ++in.done;
}

TEST(once, is_done_by_the_first_while_the_others_wait) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    int after = 0;
    auto needs = [&]() -> task<> {
      co_await o.call(works_for, 1ms, std::ref(c));
      EXPECT_EQ(c.done, 1);
      ++after;
    };
    std::vector<task<>> all;
    for (int i = 0; i < 10; ++i) all.push_back(needs());
    EXPECT_FALSE(o.done());
    co_await gather(std::move(all));
    co_await needs();
    EXPECT_TRUE(o.done());
    EXPECT_EQ(c.begun, 1);
    EXPECT_EQ(after, 11);
  });
}

TEST(once, when_it_fails_the_caller_hears_of_it_and_the_next_does_it_again) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    trace log;
    auto needs = [&](std::string name) -> task<> {
      try {
        co_await o.call(fails_at_first, std::ref(c), 2);
        log.push_back(name + ": done");
      } catch (const wrong& error) {
        log.push_back(name + ": " + error.what());
      }
    };
    co_await gather(needs("a"), needs("b"), needs("c"), needs("d"));
    EXPECT_EQ(log, (trace{"a: attempt 1", "b: attempt 2", "c: done", "d: done"}));
    EXPECT_EQ(c.begun, 3);
    EXPECT_EQ(c.done, 1);
  });
}

TEST(once, when_the_one_at_it_is_cancelled_the_next_does_it_again) {
  on_sim([]() -> task<> {
    once o;
    counting c;
    auto needs = [&]() -> task<> { co_await o.call(works_for, 1ms, std::ref(c)); };
    const auto a = spawn(needs());
    const auto b = spawn(needs());
    const auto third = spawn(needs());
    co_await rounds(2);
    a.cancel();
    co_await rounds(3);
    EXPECT_TRUE(a.was_cancelled());
    EXPECT_EQ(c.begun, 2);
    EXPECT_FALSE(o.done());
    third.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(o.done());
    EXPECT_EQ(c.done, 1);
    EXPECT_TRUE(b.done() && !b.was_cancelled());
    EXPECT_TRUE(third.was_cancelled());
  });
}

task<std::unique_ptr<int>> makes(int value, int& times) {
  ++times;
  co_await sleep(1ms);
  co_return std::make_unique<int>(value);
}
TEST(once_value, gives_all_the_same_value) {
  on_sim([]() -> task<> {
    once_value<std::unique_ptr<int>> o;
    int times = 0;
    EXPECT_EQ(o.peek(), nullptr);
    std::set<std::unique_ptr<int>*> seen;
    auto needs = [&](int value) -> task<> {
      auto& made = co_await o.get(makes, value, std::ref(times));
      seen.insert(&made);
      EXPECT_EQ(*made, 1);
    };
    co_await gather(needs(1), needs(2), needs(3));
    co_await needs(4);
    EXPECT_EQ(times, 1);
    EXPECT_EQ(seen.size(), 1U);
    EXPECT_EQ(o.peek(), *seen.begin());
  });
}

task<int> makes_at_the_third(int& attempts) {
  co_await sleep(1ms);
  if (++attempts < 3) throw wrong("not yet");
  co_return attempts;
}
TEST(once_value, is_made_by_the_next_when_it_failed_or_was_cancelled) {
  on_sim([]() -> task<> {
    once_value<int> o;
    int attempts = 0, failed = 0;
    auto needs = [&]() -> task<> {
      try {
        const int value = co_await o.get(makes_at_the_third, std::ref(attempts));
        EXPECT_EQ(value, 3);
      } catch (const wrong&) {
        ++failed;
      }
    };
    const auto cut = spawn(needs());
    co_await rounds(2);
    const auto b = spawn(needs());
    const auto c = spawn(needs());
    const auto d = spawn(needs());
    co_await rounds(2);
    cut.cancel();
    co_await sleep(1s);
    EXPECT_TRUE(cut.was_cancelled());
    EXPECT_TRUE(b.done() && c.done() && d.done());
    EXPECT_EQ(failed, 2);
    EXPECT_EQ(attempts, 3);
    EXPECT_EQ(*o.peek(), 3);
  });
}

// ---- what waits in coroutines of another library: a cancel comes as an exception -------------------------------------

struct foreign_log {
  trace log;
  mutex lock;
  condition changed;
  event set;
  semaphore permits{0};
  queue<int> items{1};
};
foreign waits_foreign(foreign_log& in, int at) {
  auto held = mutex::guard();
  try {
    if (at == 0) co_await in.set.wait();
    if (at == 1) {
      const auto permit = co_await in.permits.acquire();
      in.log.push_back("permit");
    }
    if (at == 2) {
      const auto item = co_await in.items.get();
      in.log.push_back("item " + std::to_string(item.value()));
    }
    if (at == 3) {
      held = co_await in.lock.lock();
      co_await in.changed.wait(held);
    }
    in.log.push_back("went on");
  } catch (const cancelled&) {
    if (at == 3) EXPECT_TRUE(in.lock.locked()) << "it has the mutex again";
    in.log.push_back("cut off");
    throw;
  }
}
task<> runs_foreign(foreign_log& in, int at) { co_await waits_foreign(in, at); }

class foreign_waiter : public ::testing::TestWithParam<int> {};

TEST_P(foreign_waiter, learns_of_a_cancel_by_exception_and_leaves_the_list) {
  const int at = GetParam();
  auto main = [&]() -> task<> {
    foreign_log in;
    const auto waiter = spawn(runs_foreign(in, at));
    co_await rounds(3);
    EXPECT_FALSE(waiter.done());
    waiter.cancel();
    co_await rounds(3);
    EXPECT_TRUE(waiter.was_cancelled());
    EXPECT_EQ(in.log, (trace{"cut off"}));
    EXPECT_FALSE(in.lock.locked());
    in.permits.release();
    EXPECT_EQ(in.permits.available(), 1U);
  };
  on_sim(main);
}
TEST_P(foreign_waiter, has_what_it_was_given_though_it_is_cancelled_in_the_same_turn) {
  const int at = GetParam();
  auto main = [&]() -> task<> {
    foreign_log in;
    const auto waiter = spawn(runs_foreign(in, at));
    co_await rounds(3);
    in.set.set();
    in.permits.release();
    EXPECT_TRUE(in.items.try_put(5));
    in.changed.notify();
    waiter.cancel();
    co_await rounds(3);
    EXPECT_TRUE(waiter.done());
    EXPECT_EQ(in.log.back(), "went on");
    EXPECT_EQ(in.permits.available(), 1U);
    EXPECT_EQ(in.items.size(), at == 2 ? 0U : 1U);
    EXPECT_FALSE(in.lock.locked());
  };
  on_sim(main);
}
INSTANTIATE_TEST_SUITE_P(each, foreign_waiter, ::testing::Values(0, 1, 2, 3));

}  // namespace
}  // namespace axle::test
