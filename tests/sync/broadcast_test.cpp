// broadcast: every subscriber gets every value, or knows how many it lost.
// The parts with several cores or threads use the machine's own driver; the rest is on the simulator.
#include <array>

#include "far_support.hpp"

namespace axle::test {
namespace {

using numbers = std::vector<int>;

task<> follows(subscription<int> from, numbers& into) {
  for (;;) {
    const auto value = co_await from.get();
    if (!value) co_return;
    into.push_back(*value);
  }
}
task<> follows_one(subscription<int>& from, numbers& into) {
  const auto value = co_await from.get();
  if (value) into.push_back(*value);
}

TEST(broadcast, gives_every_subscriber_every_value_from_then_on) {
  on_sim([]() -> task<> {
    broadcast<int> b(8);
    numbers first, second;
    EXPECT_TRUE(b.send(0)) << "nobody listens";
    auto early = spawn(follows(b.subscribe(), first));
    co_await yield();
    EXPECT_TRUE(b.send(1));
    EXPECT_TRUE(b.send(2));
    auto late = spawn(follows(b.subscribe(), second));
    co_await yield();
    EXPECT_TRUE(b.send(3));
    b.close();
    EXPECT_FALSE(b.send(4));
    co_await early;
    co_await late;
    EXPECT_EQ(first, (numbers{1, 2, 3}));
    EXPECT_EQ(second, numbers{3});
    EXPECT_EQ(b.statistics().sent, 4U);
    EXPECT_EQ(b.statistics().lost, 0U);
  });
}

TEST(broadcast, who_is_too_far_behind_loses_the_oldest_and_knows_how_many) {
  on_sim([]() -> task<> {
    broadcast<std::string> b(3);
    auto slow = b.subscribe();
    for (const char* text : {"a", "b", "c"}) EXPECT_TRUE(b.send(text));
    EXPECT_EQ(slow.try_get().value(), "a");
    EXPECT_EQ(slow.lost(), 0U);
    for (const char* text : {"d", "e", "f"}) EXPECT_TRUE(b.send(text));
    EXPECT_EQ((co_await slow.get()).value(), "d");
    EXPECT_EQ(slow.lost(), 2U) << "b and c";
    EXPECT_EQ(slow.try_get().value(), "e");
    EXPECT_EQ(slow.try_get().value(), "f");
    EXPECT_EQ(said(slow.try_get()), "nothing");
    EXPECT_EQ(slow.lost(), 2U);
    EXPECT_EQ(b.statistics().lost, 2U);
  });
}

TEST(broadcast, one_that_waits_and_is_overtaken_by_a_burst_gets_what_is_kept) {
  on_sim([]() -> task<> {
    broadcast<int> b(1);
    auto from = b.subscribe();
    numbers got;
    auto reader = spawn(follows_one(from, got));
    co_await yield();
    for (int i = 1; i <= 3; ++i) EXPECT_TRUE(b.send(i));
    co_await reader;
    EXPECT_EQ(got, numbers{3});
    EXPECT_EQ(from.lost(), 2U);
  });
}

TEST(broadcast, after_close_what_is_kept_can_still_be_got) {
  on_sim([]() -> task<> {
    broadcast<int> b(4);
    auto from = b.subscribe();
    auto seen = b.subscribe();
    numbers got;
    EXPECT_TRUE(b.send(1));
    EXPECT_TRUE(seen.try_get());
    auto waiting = spawn(follows_one(seen, got));
    co_await yield();
    EXPECT_EQ(b.statistics().getters.now, 1U);
    b.close();
    b.close();
    EXPECT_TRUE(b.closed());
    co_await waiting;
    EXPECT_TRUE(got.empty());
    EXPECT_EQ((co_await from.get()).value(), 1);
    EXPECT_EQ(said(co_await from.get()), "closed");
    EXPECT_EQ(said(from.try_get()), "closed");
  });
}

TEST(broadcast, a_cancelled_or_timed_out_get_misses_nothing) {
  on_sim([]() -> task<> {
    broadcast<int> b(4);
    auto from = b.subscribe();
    numbers got;
    EXPECT_FALSE(co_await with_timeout(1ms, follows_one(from, got)));
    auto cut = spawn(follows_one(from, got));
    co_await yield();
    cut.cancel();
    EXPECT_TRUE(b.send(1));
    EXPECT_TRUE((co_await cut.outcome()).is_cancelled());
    auto unborn = spawn(follows_one(from, got));
    unborn.cancel();
    EXPECT_TRUE((co_await unborn.outcome()).is_cancelled());
    EXPECT_TRUE(got.empty());
    EXPECT_EQ(from.try_get().value(), 1);

    auto given = spawn(follows_one(from, got));
    co_await yield();
    EXPECT_TRUE(b.send(2));
    given.cancel();
    EXPECT_TRUE((co_await given.outcome()).has_value());
    EXPECT_EQ(got, numbers{2});
    EXPECT_EQ(b.statistics().getters.now, 0U);
  });
}

TEST(broadcast, a_subscription_moves_with_what_it_has_seen) {
  on_sim([]() -> task<> {
    broadcast<int> b(2);
    auto first = b.subscribe();
    for (int i = 1; i <= 4; ++i) EXPECT_TRUE(b.send(i));
    EXPECT_EQ(first.try_get().value(), 3);
    auto second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.lost(), 2U);
    first = std::move(second);
    second = b.subscribe();
    EXPECT_EQ(first.try_get().value(), 4);
    {
      const auto passing = b.subscribe();
      EXPECT_EQ(b.statistics().subscribers, 3U);
    }
    EXPECT_EQ(b.statistics().subscribers, 2U);
    co_return;
  });
}

struct throws_when_copied {
  throws_when_copied() = default;
  throws_when_copied(throws_when_copied&&) = default;
  throws_when_copied(const throws_when_copied&) { throw wrong("copied"); }
};
TEST(broadcast, a_copy_that_throws_is_that_subscribers_own) {
  on_sim([]() -> task<> {
    broadcast<throws_when_copied> b(2);
    auto from = b.subscribe();
    EXPECT_TRUE(b.send(throws_when_copied()));
    auto reads = [](subscription<throws_when_copied>& s) -> task<> { static_cast<void>(co_await s.get()); };
    auto reader = spawn(reads(from));
    EXPECT_EQ(ending_of(co_await reader.outcome()), "copied");
    EXPECT_EQ(said(from.try_get()), "nothing") << "it was passed over";
  });
}

// ---- across cores and threads ---------------------------------------------------------------------------------------

struct seen_by_one {
  std::uint64_t count = 0, lost = 0;
  int disorder = 0;
};

template <class T>
task<> follows_far(broadcast<T>& b, seen_by_one& into, std::atomic<int>& ready) {
  auto from = b.subscribe();
  ++ready;
  std::array<int, 4> latest{};
  for (;;) {
    const auto value = co_await from.get();
    if (!value) break;
    const int number = [&] {
      if constexpr (std::is_same_v<T, int>) {
        return *value;
      } else {
        return std::stoi(*value);
      }
    }();
    int& last = latest[static_cast<std::size_t>(number / 1'000'000)];
    into.disorder += number % 1'000'000 <= last;
    last = number % 1'000'000;
    ++into.count;
  }
  into.lost = from.lost();
}

template <class T>
T made_of(int number) {
  if constexpr (std::is_same_v<T, int>) {
    return number;
  } else {
    return std::to_string(number);
  }
}

// A sender on each of two cores and one on a thread; two followers on each of four cores.
template <class T>
void broadcasts_to_all_cores(std::size_t keep) {
  const int each = static_cast<int>(scaled(3'000));
  broadcast<T> b(keep);
  std::vector<seen_by_one> seen(8);
  std::atomic<int> ready{0}, senders{3};
  auto ends = [&] {
    if (--senders == 0) b.close();
  };
  std::thread stranger([&] {
    while (ready < 8) std::this_thread::yield();
    for (int i = 1; i <= each; ++i) EXPECT_TRUE(b.send(made_of<T>(i)));
    ends();
  });
  auto sends = [&]() -> task<> {
    const int me = static_cast<int>(this_core());
    if (me > 1) co_return;
    while (ready < 8) co_await yield();
    for (int i = 1; i <= each; ++i) {
      EXPECT_TRUE(b.send(made_of<T>((me + 1) * 1'000'000 + i)));
      if (i % 8 == 0) co_await yield();
    }
    ends();
  };
  auto work = [&]() -> task<> {
    const std::size_t mine = this_core() * 2;
    co_await gather(follows_far(b, seen[mine], ready), follows_far(b, seen[mine + 1], ready), sends());
  };
  on_cores(4, work);
  stranger.join();
  const auto all = static_cast<std::uint64_t>(each) * 3;
  std::uint64_t lost = 0;
  for (const auto& one : seen) {
    EXPECT_EQ(one.count + one.lost, all);
    EXPECT_EQ(one.disorder, 0);
    lost += one.lost;
  }
  EXPECT_EQ(b.statistics().lost, lost);
  EXPECT_EQ(b.statistics().sent, all);
  if (keep >= all) EXPECT_EQ(lost, 0U);
}
TEST(broadcast, reaches_all_cores_without_loss_when_all_is_kept) {
  broadcasts_to_all_cores<int>(9'000);
  broadcasts_to_all_cores<std::string>(9'000);
}
TEST(broadcast, reaches_all_cores_and_every_loss_is_counted) {
  broadcasts_to_all_cores<int>(16);
  broadcasts_to_all_cores<std::string>(16);
}

// A subscriber's gets are cancelled while another core sends: each value is got once all the same.
TEST(broadcast, gets_cancelled_while_another_core_sends_miss_nothing) {
  const auto values = scaled(10'000);
  numbers got;
  std::size_t cut = 0;
  auto sends = [](broadcast<int>& b, std::size_t count) -> task<> {
    for (std::size_t i = 1; i <= count; ++i) {
      EXPECT_TRUE(b.send(static_cast<int>(i)));
      co_await yield();
    }
    b.close();
  };
  auto main = [&]() -> task<> {
    broadcast<int> b(values);
    {
      auto from = b.subscribe();
      auto sender = spawn(runs_on(1, sends, std::ref(b), values));
      for (int i = 0; got.size() < values; ++i) {
        auto reader = spawn(follows_one(from, got));
        co_await rounds(i % 3);
        reader.cancel();
        const auto became = co_await reader.outcome();
        cut += became.is_cancelled();
      }
      co_await sender;
      EXPECT_EQ(said(co_await from.get()), "closed");
    }
  };
  run({.cores = 2}, main);
  for (std::size_t i = 0; i < values; ++i) EXPECT_EQ(got[i], static_cast<int>(i) + 1);
  EXPECT_GT(cut, 0U);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

task<> keeps_nothing() {
  const broadcast<int> b(0);
  co_return;
}
task<> outlived_by_a_subscription() {
  subscription<int> left;
  broadcast<int> b(1);
  left = b.subscribe();
  co_return;
}
task<> awaited_twice() {
  broadcast<int> b(1);
  auto from = b.subscribe();
  numbers got;
  for (int i = 0; i < 2; ++i) spawn(follows_one(from, got)).detach();
  co_await yield();
}
task<> moved_while_awaited() {
  broadcast<int> b(1);
  auto from = b.subscribe();
  numbers got;
  spawn(follows_one(from, got)).detach();
  co_await yield();
  auto moved = std::move(from);
}
task<> used_after_the_move() {
  broadcast<int> b(1);
  auto from = b.subscribe();
  auto moved = std::move(from);
  static_cast<void>(from.try_get());
  co_return;
}
TEST(broadcast_death, misuse) {
  EXPECT_DEATH(in_a_task(keeps_nothing), "keeps nothing");
  EXPECT_DEATH(in_a_task(outlived_by_a_subscription),
               "a broadcast was destroyed while it has 1 subscriptions");
  EXPECT_DEATH(in_a_task(awaited_twice), "awaited again while a task waits with it");
  EXPECT_DEATH(in_a_task(moved_while_awaited), "a reader was moved");
  EXPECT_DEATH(in_a_task(used_after_the_move), "this subscription is empty");
  broadcast<int> b(1);
  auto from = b.subscribe();
  EXPECT_DEATH(from.get().await_ready(), "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
