// spsc_channel: queue's words between two threads, every item once and in order, whoever is cancelled.
#include <axle/sync/spsc_channel.hpp>

#include "far_support.hpp"

namespace axle::test {
namespace {

// ---- on one core ------------------------------------------------------------------------------------------------------

TEST(spsc_channel, gives_in_order_what_was_put) {
  on_sim([]() -> task<> {
    spsc_channel<int> c(3);
    for (int i = 0; i < 3; ++i) {
      const auto had = co_await c.put(i);
      EXPECT_TRUE(had);
    }
    EXPECT_EQ(said(c.try_put(3)), "nothing");
    EXPECT_EQ(c.size(), 3U);
    for (int i = 0; i < 3; ++i) {
      const auto got = co_await c.get();
      EXPECT_EQ(got.value(), i);
    }
    EXPECT_EQ(said(c.try_get()), "nothing");
    EXPECT_EQ(c.statistics().total, 3U);
    EXPECT_EQ(c.bound(), 3U);
  });
}

TEST(spsc_channel, keeps_its_bound_whatever_it_is) {
  for (const std::size_t bound : {1U, 2U, 3U, 5U, 64U, 100U}) {
    spsc_channel<std::size_t> c(bound);
    for (std::size_t round = 0; round < 10; ++round) {
      for (std::size_t i = 0; i < bound; ++i) EXPECT_TRUE(c.try_put(i));
      EXPECT_FALSE(c.try_put(bound));
      for (std::size_t i = 0; i < bound; ++i) EXPECT_EQ(c.try_get().value(), i);
      EXPECT_FALSE(c.try_get());
    }
  }
}

TEST(spsc_channel, a_getter_waits_for_an_item_and_a_putter_for_room) {
  on_sim([]() -> task<> {
    spsc_channel<std::unique_ptr<int>> c(1);
    auto getting = [](auto& from) -> task<int> { co_return **(co_await from.get()); };
    auto user = spawn(getting(c));
    co_await yield();
    EXPECT_EQ(user.state(), task_state::suspended);
    EXPECT_TRUE(c.try_put(std::make_unique<int>(5)));
    EXPECT_EQ(co_await user, 5);

    EXPECT_TRUE(c.try_put(std::make_unique<int>(6)));
    auto putting = [](auto& to) -> task<bool> {
      const auto had = co_await to.put(std::make_unique<int>(7));
      co_return static_cast<bool>(had);
    };
    auto putter = spawn(putting(c));
    co_await yield();
    EXPECT_EQ(c.size(), 1U);
    EXPECT_EQ(*c.try_get().value(), 6);
    EXPECT_TRUE(co_await putter);
    EXPECT_EQ(*c.try_get().value(), 7);
    EXPECT_EQ(c.statistics().get_waits, 1U);
    EXPECT_EQ(c.statistics().put_waits, 1U);
  });
}

task<> gets_into(spsc_channel<int>& from, trace& seen) {
  const auto got = co_await from.get();
  seen.push_back(got ? std::to_string(*got) : said(got));
  co_await yield();
  seen.push_back("on");
}
task<> puts_from(spsc_channel<int>& to, int item, trace& seen) {
  const auto had = co_await to.put(item);
  seen.push_back(said(had));
  co_await yield();
  seen.push_back("on");
}

TEST(spsc_channel, closing_ends_the_waits_and_keeps_what_is_in_it) {
  on_sim([]() -> task<> {
    trace got, put;
    spsc_channel<int> empty(1), full(1);
    EXPECT_TRUE(full.try_put(1));
    auto getter = spawn(gets_into(empty, got));
    auto putter = spawn(puts_from(full, 2, put));
    co_await yield();
    for (int i = 0; i < 2; ++i) {
      empty.close();
      full.close();
    }
    co_await getter;
    co_await putter;
    EXPECT_EQ(got, (trace{"closed", "on"}));
    EXPECT_EQ(put, (trace{"closed", "on"}));
    EXPECT_EQ(said(full.try_put(3)), "closed");
    EXPECT_EQ(full.try_get().value(), 1);
    EXPECT_EQ(said(full.try_get()), "closed");
    const auto after = co_await full.get();
    EXPECT_EQ(said(after), "closed");
  });
}

// ---- cancelled at every moment ------------------------------------------------------------------------------------------

enum class strike {
  before_start,
  while_waiting,
  before_the_grant,
  after_the_grant,
  timed_out,
  with_the_timeout,
  unused
};

class spsc_cancelled : public testing::TestWithParam<std::tuple<strike, bool>> {};

// Whatever becomes of the wait: the item is in exactly one place, and the channel works on.
TEST_P(spsc_cancelled, loses_nothing) {
  on_sim([]() -> task<> {
    const strike when = std::get<0>(GetParam());
    const bool gets = std::get<1>(GetParam());
    spsc_channel<int> c(1);
    trace seen;
    auto wait = [&c, &seen, gets]() { return gets ? gets_into(c, seen) : puts_from(c, 2, seen); };
    auto grant = [&c, gets] {
      if (gets) {
        EXPECT_TRUE(c.try_put(1));
      } else {
        EXPECT_EQ(c.try_get().value(), 1);
      }
    };
    if (!gets) EXPECT_TRUE(c.try_put(1));
    bool granted = true;
    switch (when) {
      case strike::unused: {
        const auto dropped = wait();
        granted = false;
        break;
      }
      case strike::before_start: {
        auto user = spawn(wait());
        user.cancel();
        EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
        granted = false;
        break;
      }
      case strike::while_waiting: {
        auto user = spawn(wait());
        co_await yield();
        user.cancel();
        user.cancel();
        EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
        granted = false;
        break;
      }
      case strike::before_the_grant: {
        auto user = spawn(wait());
        co_await yield();
        user.cancel();
        grant();
        EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
        EXPECT_TRUE(seen.empty());
        break;
      }
      case strike::after_the_grant: {
        auto user = spawn(wait());
        co_await yield();
        grant();
        user.cancel();
        EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
        EXPECT_EQ(seen, trace{gets ? "1" : "value"});  // it had it, and the cancel came at its next await
        break;
      }
      case strike::timed_out: {
        const auto in_time = co_await with_timeout(1ms, wait());
        EXPECT_FALSE(in_time);
        granted = false;
        break;
      }
      case strike::with_the_timeout: {
        call_later(1ms, grant);
        const auto in_time = co_await with_timeout(1ms, wait());
        if (in_time) EXPECT_EQ(seen.size(), 2U);
        break;
      }
    }
    // The item that is to be there, and no other.
    const bool served = !seen.empty();
    const bool full = gets ? granted && !served : !granted || served;
    EXPECT_EQ(c.size(), full ? 1U : 0U);
    if (full) EXPECT_EQ(c.try_get().value(), gets ? 1 : granted ? 2 : 1);
    // It works on.
    trace again;
    auto user = spawn(gets_into(c, again));
    co_await yield();
    EXPECT_TRUE(c.try_put(9));
    co_await user;
    EXPECT_EQ(again, (trace{"9", "on"}));
  });
}
INSTANTIATE_TEST_SUITE_P(of, spsc_cancelled,
                         testing::Combine(testing::Values(strike::before_start, strike::while_waiting,
                                                          strike::before_the_grant, strike::after_the_grant,
                                                          strike::timed_out, strike::with_the_timeout,
                                                          strike::unused),
                                          testing::Bool()));

TEST(spsc_channel, destroys_what_is_left_in_it) {
  std::atomic<int> alive{0};
  {
    spsc_channel<moved_item> c(4);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(c.try_put(moved_item(alive, i)));
    EXPECT_EQ(c.try_get().value().number, 0);
    EXPECT_EQ(alive.load(), 2);
  }
  EXPECT_EQ(alive.load(), 0);
}

TEST(spsc_channel_death_test, misuse) {
  EXPECT_DEATH(spsc_channel<int>(0), "needs a bound");
  auto two_getters = []() -> task<> {
    spsc_channel<int> c(1);
    trace seen;
    auto a = spawn(gets_into(c, seen));
    auto b = spawn(gets_into(c, seen));
    co_await sleep(1ms);
  };
  EXPECT_DEATH(in_a_task(two_getters), "two tasks wait at the same end of a spsc_channel");
  auto destroyed = []() -> task<> {
    auto c = std::make_unique<spsc_channel<int>>(1);
    trace seen;
    auto a = spawn(gets_into(*c, seen));
    co_await yield();
    c.reset();
  };
  EXPECT_DEATH(in_a_task(destroyed), "destroyed while a task waits for it");
}

// ---- between cores -----------------------------------------------------------------------------------------------------

struct far_case {
  explicit far_case(std::size_t bound) : c(bound) {}
  spsc_channel<std::unique_ptr<std::uint64_t>> c;
  std::atomic<std::uint64_t> put{0};
  std::atomic<std::uint64_t> got{0};
  std::atomic<int> disorder{0};
};

task<> puts_far(far_case& in, std::uint64_t count) {
  for (std::uint64_t i = 1; i <= count; ++i) {
    const auto had = co_await in.c.put(std::make_unique<std::uint64_t>(i));
    EXPECT_TRUE(had);
    ++in.put;
  }
  in.c.close();
}
task<> gets_far(far_case& in) {
  for (std::uint64_t expected = 1;; ++expected) {
    const auto item = co_await in.c.get();
    if (!item) co_return;
    in.disorder += **item != expected;
    ++in.got;
  }
}

class spsc_far : public testing::TestWithParam<std::size_t> {};

TEST_P(spsc_far, carries_every_item_once_and_in_order) {
  const std::uint64_t count = scaled(GetParam() < 64 ? 5'000 : 300'000, 20);
  far_case in(GetParam());
  auto work = [&]() -> task<> {
    if (this_core() == 0) {
      co_await gets_far(in);
    } else {
      co_await puts_far(in, count);
    }
  };
  on_cores(2, work);
  EXPECT_EQ(in.got.load(), count);
  EXPECT_EQ(in.disorder.load(), 0);
  EXPECT_EQ(in.c.statistics().total, count);
}
INSTANTIATE_TEST_SUITE_P(of, spsc_far, testing::Values(1, 2, 7, 1024));

// A wake of something that the waiter had before it stood: it must stand again, and the next wake must find it.
struct flag {
  std::atomic<bool> up{false};
  detail::far_place place{"flag"};
};
class flag_await : detail::place_waiter {
 public:
  explicit flag_await(flag& of) noexcept : place_waiter(is_up), of_(of) { kind = &detail::spsc_get_kind; }
  flag_await(const flag_await&) = delete;
  flag_await& operator=(const flag_await&) = delete;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    detail::suspend_at(h, *this, of_.place);
  }
  bool await_resume() const noexcept { return of_.up.load(); }

 private:
  static bool is_up(detail::place_waiter& self) noexcept {
    return static_cast<flag_await&>(self).of_.up.load();
  }
  flag& of_;
};
task<bool> waits_for(flag& of) { co_return co_await flag_await(of); }

TEST(far_place, a_late_wake_is_not_taken_for_what_is_waited_for) {
  auto main = []() -> task<> {
    flag of;
    auto waiter = spawn(waits_for(of));
    co_await yield();
    for (unsigned stood = 1; stood <= 3; ++stood) {
      EXPECT_EQ(of.place.waits(), stood);
      std::thread([&of] { of.place.wake(); }).join();
      while (of.place.waits() == stood) co_await yield();
    }
    EXPECT_FALSE(waiter.done());
    std::thread([&of] {
      of.up.store(true);
      of.place.wake();
    }).join();
    EXPECT_TRUE(co_await waiter);
  };
  run(main);
}

TEST(far_place, a_cancel_that_meets_a_late_wake_ends_the_wait) {
  auto main = []() -> task<> {
    flag of;
    auto waiter = spawn(waits_for(of));
    co_await yield();
    std::thread([&of] { of.place.wake(); }).join();
    waiter.cancel();  // the wake has taken it from its place, and is in the mail
    EXPECT_EQ(ending_of(co_await waiter.outcome()), "cancelled");
  };
  run(main);
}

// The getter's waits are cut by timeouts while items come; none is lost.
task<> gets_impatiently(far_case& in) {
  auto one = [](far_case& from) -> task<bool> {
    const auto item = co_await from.c.get();
    if (!item) co_return false;
    from.disorder += **item != from.got + 1;
    ++from.got;
    co_return true;
  };
  for (bool more = true; more;) {
    const auto had = co_await with_timeout(1us, one(in));
    if (had) more = *had;
  }
}
task<> puts_impatiently(far_case& in, std::uint64_t count) {
  auto one = [](far_case& to, std::uint64_t i) -> task<> {
    const auto had = co_await to.c.put(std::make_unique<std::uint64_t>(i));
    EXPECT_TRUE(had);
    ++to.put;
  };
  while (in.put < count) {
    [[maybe_unused]] const auto had = co_await with_timeout(1us, one(in, in.put + 1));
    if (in.put % 64 == 0) co_await sleep(3us);
  }
  in.c.close();
}

TEST(spsc_channel, timeouts_at_both_ends_lose_nothing) {
  const std::uint64_t count = scaled(5'000, 20);
  far_case in(2);
  auto work = [&]() -> task<> {
    if (this_core() == 0) {
      co_await gets_impatiently(in);
    } else {
      co_await puts_impatiently(in, count);
    }
  };
  on_cores(2, work);
  EXPECT_EQ(in.got.load(), count);
  EXPECT_EQ(in.disorder.load(), 0);
}

}  // namespace
}  // namespace axle::test
