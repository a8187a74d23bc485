// channel between cores and threads: every item exactly once, whoever is cancelled. Real threads and drivers.
#include <array>

#include "far_support.hpp"

namespace axle::test {
namespace {

using numbers = std::vector<int>;

// ---- across cores ---------------------------------------------------------------------------------------------------

struct tally {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> sum{0};
  std::atomic<int> disorder{0};
  std::atomic<int> producers{0};
};

// number = producer * a million + its count
task<> produces_far(channel<std::unique_ptr<int>>& c, tally& all, int producer, int count) {
  for (int i = 1; i <= count; ++i) {
    auto item = std::make_unique<int>(producer * 1'000'000 + i);
    if (i % 3) {
      const auto had = co_await c.put(std::move(item));
      EXPECT_TRUE(had);
    } else {
      auto place = co_await c.reserve();
      EXPECT_TRUE(place->put(std::move(item)));
    }
  }
  if (--all.producers == 0) c.close();
}

task<> consumes_far(channel<std::unique_ptr<int>>& c, tally& all) {
  std::array<int, 16> latest{};
  for (;;) {
    const auto item = co_await c.get();
    if (!item) co_return;
    int& last = latest[static_cast<std::size_t>(**item / 1'000'000)];
    all.disorder += **item % 1'000'000 <= last;
    last = **item % 1'000'000;
    ++all.count;
    all.sum += static_cast<std::uint64_t>(last);
  }
}

class channels : public testing::TestWithParam<std::size_t> {};

TEST_P(channels, carry_every_item_once_and_each_producers_in_order) {
  const int each = static_cast<int>(scaled(3'000, 5));
  channel<std::unique_ptr<int>> c(GetParam());
  tally all;
  all.producers = 8;
  auto work = [&]() -> task<> {
    const int first = static_cast<int>(this_core()) * 2;
    co_await gather(produces_far(c, all, first, each), produces_far(c, all, first + 1, each),
                    consumes_far(c, all), consumes_far(c, all));
  };
  on_cores(4, work);
  const auto count = static_cast<std::uint64_t>(each);
  EXPECT_EQ(all.count.load(), count * 8);
  EXPECT_EQ(all.sum.load(), count * (count + 1) / 2 * 8);
  EXPECT_EQ(all.disorder.load(), 0);
  EXPECT_EQ(c.statistics().total, count * 8);
  EXPECT_LE(c.statistics().most, GetParam());
  EXPECT_EQ(c.size(), 0U);
}
INSTANTIATE_TEST_SUITE_P(of, channels, testing::Values(1, 7, 64, unbounded));

// Getters of this core are cancelled while the other core hands items to them: in turn with them, or just when one waits.
task<> feeds(channel<int>& c, std::atomic<std::uint64_t>& put) {
  for (int i = 1;; ++i) {
    const auto had = co_await c.put(i);
    if (!had) co_return;
    put += static_cast<std::uint64_t>(i);
  }
}
task<> pounces(channel<int>& c, std::atomic<std::uint64_t>& put) {
  for (int i = 1; !c.closed();) {
    if (c.statistics().getters.now && c.try_put(i)) {
      put += static_cast<std::uint64_t>(i++);
    } else {
      co_await yield();
    }
  }
}
void cancels_getters_fed_by(task<> (*feed)(channel<int>&, std::atomic<std::uint64_t>&)) {
  const auto rounds_of = scaled(20'000, 5);
  std::atomic<std::uint64_t> put{0};
  std::uint64_t got = 0;
  std::size_t cut = 0;
  auto main = [&]() -> task<> {
    channel<int> c(1);
    auto feeder = spawn(runs_on(1, feed, std::ref(c), std::ref(put)));
    // On a busy machine the other core may not have run yet: then until it has.
    for (std::size_t i = 0; i < rounds_of || ((got == 0 || cut == 0) && i < 1'000 * rounds_of); ++i) {
      numbers here;
      auto getter = spawn(gets_one(c, here));
      co_await rounds(static_cast<int>(i % 4));
      getter.cancel();
      const auto became = co_await getter.outcome();
      cut += became.is_cancelled();
      EXPECT_EQ(became.has_value(), here.size() == 1);
      for (const int item : here) got += static_cast<std::uint64_t>(item);
    }
    c.close();
    while (auto rest = co_await c.get()) got += static_cast<std::uint64_t>(*rest);
    co_await feeder;
  };
  run({.cores = 2}, main);
  EXPECT_EQ(got, put.load());
  EXPECT_GT(got, 0U);
  EXPECT_GT(cut, 0U);
}
TEST(channel, getters_cancelled_while_another_core_hands_over_lose_nothing) {
  cancels_getters_fed_by(feeds);
  cancels_getters_fed_by(pounces);
}

// Putters, and those that want a slot, are cancelled while the other core makes room for them.
task<> drains(channel<int>& c, std::uint64_t& got) {
  for (;;) {
    const auto item = co_await c.get();
    if (!item) co_return;
    got += static_cast<std::uint64_t>(*item);
  }
}
task<> puts_through_a_slot(channel<int>& c, int item, numbers& in) {
  auto place = co_await c.reserve();
  if (place && place->put(item)) in.push_back(item);
}
TEST(channel, putters_cancelled_while_another_core_makes_room_lose_and_repeat_nothing) {
  const auto rounds_of = scaled(8'000, 4);
  std::uint64_t put = 0, got = 0;
  std::size_t cut = 0;
  auto main = [&]() -> task<> {
    channel<int> c(1);
    auto drainer = spawn(runs_on(1, drains, std::ref(c), std::ref(got)));
    for (std::size_t i = 1; i <= rounds_of; ++i) {
      numbers in;
      const int item = static_cast<int>(i);
      auto first = spawn(puts_one(c, item, in));
      auto second = spawn(puts_through_a_slot(c, item, in));
      auto third = spawn(puts_one(c, item, in));
      co_await rounds(static_cast<int>(i % 4));
      if (i % 2) first.cancel();
      second.cancel();
      third.cancel();
      std::size_t done = 0;
      for (auto* each : {&first, &second, &third}) {
        const auto became = co_await each->outcome();
        done += became.has_value();
        cut += became.is_cancelled();
      }
      EXPECT_EQ(done, in.size());
      put += in.size() * i;
    }
    c.close();
    co_await drainer;
    EXPECT_EQ(c.statistics().reserved, 0U);
  };
  run({.cores = 2}, main);
  EXPECT_EQ(put, got);
  EXPECT_GT(got, 0U);
  EXPECT_GT(cut, 0U);
}

task<> says_get_there(channel<int>& c, std::atomic<int>& closed) {
  const auto item = co_await c.get();
  if (!item) ++closed;
}
TEST(channel, close_reaches_getters_of_all_cores) {
  std::atomic<int> closed{0};
  auto main = [&]() -> task<> {
    channel<int> c(1);
    std::vector<join_handle<>> all;
    for (unsigned core = 0; core < core_count(); ++core)
      for (int i = 0; i < 3; ++i)
        all.push_back(spawn(runs_on(core, says_get_there, std::ref(c), std::ref(closed))));
    while (c.statistics().getters.now < all.size()) co_await yield();
    c.close();
    for (auto& each : all) co_await each;
  };
  run({.cores = 4}, main);
  EXPECT_EQ(closed.load(), 12);
}

TEST(channel, two_cores_pass_a_ball_to_and_fro) {
  const int times = static_cast<int>(scaled(2'000));
  int disorder = 0;
  auto returns = [](channel<int>& there, channel<int>& back) -> task<> {
    for (;;) {
      const auto ball = co_await there.get();
      if (!ball) co_return;
      const auto had = co_await back.put(*ball + 1);
      EXPECT_TRUE(had);
    }
  };
  auto main = [&]() -> task<> {
    channel<int> there(1), back(1);
    auto far = spawn(runs_on(1, returns, std::ref(there), std::ref(back)));
    for (int i = 0; i < times; ++i) {
      const auto had = co_await there.put(i);
      const auto ball = co_await back.get();
      disorder += !had || ball.value() != i + 1;
    }
    there.close();
    co_await far;
  };
  run({.cores = 2}, main);
  EXPECT_EQ(disorder, 0);
}

TEST(channel, who_waits_when_a_run_ends_is_cancelled_and_the_next_run_may_use_it) {
  channel<int> c(1);
  std::atomic<int> closed{0};
  auto main = [&]() -> task<> {
    for (unsigned core = 0; core < core_count(); ++core)
      for (int i = 0; i < 3; ++i)
        spawn(runs_on(core, says_get_there, std::ref(c), std::ref(closed))).detach();
    while (c.statistics().getters.now < 3 * core_count()) co_await yield();
  };
  for (int i = 0; i < 3; ++i) {
    run({.cores = 2}, main);
    EXPECT_EQ(c.statistics().getters.now, 0U);
  }
  EXPECT_EQ(closed.load(), 0);
}

// ---- from threads without a loop ------------------------------------------------------------------------------------

TEST(channel, takes_items_from_strangers_and_gives_to_them) {
  const int each = static_cast<int>(scaled(5'000));
  channel<std::unique_ptr<int>> in(32), out(32);
  tally all;
  all.producers = 3;
  std::vector<std::thread> strangers;
  for (int producer = 0; producer < 3; ++producer) {
    strangers.emplace_back([&, producer] {
      for (int i = 1; i <= each; ++i) {
        auto item = std::make_unique<int>(producer * 1'000'000 + i);
        while (!in.try_put(std::move(item))) std::this_thread::yield();
      }
      if (--all.producers == 0) in.close();
    });
  }
  std::uint64_t received = 0;
  strangers.emplace_back([&] {
    for (;;) {
      auto item = out.try_get();
      if (item) ++received;
      if (is(item.error(), errc::broken_pipe)) return;
      if (!item) std::this_thread::yield();
    }
  });
  std::atomic<int> passing{2};
  auto passes = [&]() -> task<> {
    for (;;) {
      auto item = co_await in.get();
      if (!item) break;
      all.sum += static_cast<std::uint64_t>(**item % 1'000'000);
      const auto had = co_await out.put(std::move(*item));
      EXPECT_TRUE(had);
    }
    if (--passing == 0) out.close();
  };
  on_cores(2, passes);
  for (auto& each_thread : strangers) each_thread.join();
  const auto count = static_cast<std::uint64_t>(each);
  EXPECT_EQ(received, count * 3);
  EXPECT_EQ(all.sum.load(), count * (count + 1) / 2 * 3);
}

}  // namespace
}  // namespace axle::test
