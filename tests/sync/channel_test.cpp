// channel on one core: what queue does, and slots. On the simulator; between cores: channel_cores_test.cpp.
#include <array>

#include "far_support.hpp"

namespace axle::test {
namespace {

using numbers = std::vector<int>;

// ---- order and room -------------------------------------------------------------------------------------------------

TEST(channel, gives_items_in_the_order_in_which_they_were_put) {
  on_sim([]() -> task<> {
    channel<int> c(unbounded);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(co_await c.put(i));
    EXPECT_EQ(c.size(), 100U);
    for (int i = 0; i < 100; ++i) {
      const auto item = co_await c.get();
      EXPECT_EQ(item.value(), i);
    }
    EXPECT_EQ(c.size(), 0U);
  });
}

TEST(channel, serves_getters_in_the_order_in_which_they_came_and_nobody_else) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers got[3];
    for (auto& into : got) spawn(gets_one(c, into)).detach();
    co_await yield();
    EXPECT_EQ(c.statistics().getters.now, 3U);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(c.try_put(i));
    EXPECT_EQ(c.size(), 0U) << "they were handed over";
    EXPECT_EQ(said(c.try_get()), "nothing");
    co_await yield();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(got[i], numbers{i});
  });
}

TEST(channel, serves_putters_in_the_order_in_which_they_came_and_nobody_else) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers in, out;
    for (int i = 0; i < 5; ++i) spawn(puts_one(c, i, in)).detach();
    co_await rounds(2);
    EXPECT_EQ(in, numbers{0});
    EXPECT_EQ(c.statistics().putters.now, 4U);
    for (int i = 0; i < 4; ++i) {
      out.push_back(c.try_get().value());
      EXPECT_EQ(said(c.try_put(99)), "nothing") << "the room is the next putter's";
    }
    out.push_back(c.try_get().value());
    co_await rounds(2);
    EXPECT_EQ(out, (numbers{0, 1, 2, 3, 4}));
    EXPECT_EQ(in, out);
  });
}

TEST(channel, says_what_there_is_without_waiting) {
  on_sim([]() -> task<> {
    channel<int> c(2);
    EXPECT_EQ(c.bound(), 2U);
    EXPECT_EQ(said(c.try_get()), "nothing");
    EXPECT_TRUE(c.try_put(1));
    EXPECT_TRUE(c.try_put(2));
    EXPECT_EQ(said(c.try_put(3)), "nothing");
    EXPECT_EQ(c.size(), 2U);
    EXPECT_FALSE(c.closed());
    c.close();
    EXPECT_TRUE(c.closed());
    EXPECT_EQ(said(c.try_put(3)), "closed");
    EXPECT_EQ(c.try_get().value(), 1);
    EXPECT_EQ(c.try_get().value(), 2);
    EXPECT_EQ(said(c.try_get()), "closed");
    co_return;
  });
}

TEST(channel, keeps_its_statistics) {
  on_sim([]() -> task<> {
    channel<int> c(2);
    numbers in, out;
    for (int i = 0; i < 5; ++i) spawn(puts_one(c, i, in)).detach();
    co_await yield();
    EXPECT_EQ(c.statistics().size, 2U);
    EXPECT_EQ(c.statistics().total, 2U);
    EXPECT_EQ(c.statistics().putters.now, 3U);
    for (int i = 0; i < 7; ++i) spawn(gets_one(c, out)).detach();
    co_await rounds(3);
    EXPECT_EQ(c.statistics().size, 0U);
    EXPECT_EQ(c.statistics().most, 2U);
    EXPECT_EQ(c.statistics().total, 5U);
    EXPECT_EQ(c.statistics().putters.now, 0U);
    EXPECT_EQ(c.statistics().putters.most, 3U);
    EXPECT_EQ(c.statistics().putters.total, 3U);
    EXPECT_EQ(c.statistics().getters.now, 2U);
    c.close();
    co_await yield();
    EXPECT_EQ(c.statistics().getters.now, 0U);
    EXPECT_EQ(out.size(), 5U);
  });
}

// ---- slots ----------------------------------------------------------------------------------------------------------

using slot = channel<int>::slot;

task<> reserves_one(channel<int>& c, slot& into, trace& log) {
  auto had = co_await c.reserve();
  log.push_back(said(had));
  if (had) into = std::move(*had);
}

TEST(channel, a_slot_keeps_its_room_until_it_is_used) {
  on_sim([]() -> task<> {
    channel<int> c(2);
    auto mine = co_await c.reserve();
    EXPECT_TRUE(mine.has_value());
    EXPECT_EQ(c.statistics().reserved, 1U);
    EXPECT_TRUE(c.try_put(1));
    EXPECT_EQ(said(c.try_put(2)), "nothing");
    EXPECT_TRUE(mine->put(3));
    EXPECT_FALSE(*mine);
    EXPECT_EQ(c.statistics().reserved, 0U);
    EXPECT_EQ(c.try_get().value(), 1) << "an item's place in the order is that of its put, not of its slot";
    EXPECT_EQ(c.try_get().value(), 3);
  });
}

TEST(channel, a_dropped_slot_gives_its_room_to_the_next_putter) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers in;
    trace log;
    slot second;
    auto first = co_await c.reserve();
    spawn(puts_one(c, 1, in)).detach();
    spawn(reserves_one(c, second, log)).detach();
    co_await yield();
    EXPECT_EQ(c.statistics().putters.now, 2U);
    *first = slot();
    co_await yield();
    EXPECT_EQ(in, numbers{1});
    EXPECT_TRUE(log.empty());
    EXPECT_EQ(c.try_get().value(), 1);
    co_await yield();
    EXPECT_EQ(log, trace{"value"});
    slot moved = std::move(second);
    second = std::move(moved);
    EXPECT_EQ(c.statistics().reserved, 1U);
    EXPECT_TRUE(second.put(5));
    EXPECT_EQ(c.try_get().value(), 5);
  });
}

TEST(channel, a_slot_whose_item_is_handed_over_frees_its_room_at_once) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers in, got;
    auto mine = co_await c.reserve();
    for (int i = 0; i < 3; ++i) spawn(gets_one(c, got)).detach();
    for (const int i : {2, 3, 4}) spawn(puts_one(c, i, in)).detach();
    co_await yield();
    EXPECT_EQ(c.statistics().putters.now, 3U) << "all room is reserved, though getters wait";
    EXPECT_TRUE(mine->put(1));
    co_await rounds(2);
    EXPECT_EQ(got, (numbers{1, 2, 3}));
    EXPECT_EQ(in, (numbers{2, 3, 4}));
    EXPECT_EQ(c.try_get().value(), 4);
  });
}

TEST(channel, a_slot_of_a_closed_channel_refuses_and_leaves_the_item) {
  on_sim([]() -> task<> {
    channel<std::unique_ptr<int>> c(2);
    auto first = co_await c.reserve();
    auto second = co_await c.reserve();
    c.close();
    auto item = std::make_unique<int>(1);
    EXPECT_EQ(said(first->put(std::move(item))), "closed");
    EXPECT_TRUE(item != nullptr);
    EXPECT_EQ(said(co_await c.reserve()), "closed");
    EXPECT_EQ(c.statistics().reserved, 1U);
  });
}

TEST(channel, close_sends_home_who_waits_for_a_slot) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    trace log;
    slot none;
    EXPECT_TRUE(c.try_put(0));
    spawn(reserves_one(c, none, log)).detach();
    co_await yield();
    c.close();
    co_await yield();
    EXPECT_EQ(log, trace{"closed"});
  });
}

// ---- items of all kinds ---------------------------------------------------------------------------------------------

task<> puts_moved(channel<moved_item>& c, std::atomic<int>& alive, int number) {
  static_cast<void>(co_await c.put(moved_item(alive, number)));
}

TEST(channel, destroys_every_item_exactly_once) {
  std::atomic<int> alive{0};
  auto main = [&]() -> task<> {
    channel<moved_item> c(2);
    for (int i = 0; i < 5; ++i) spawn(puts_moved(c, alive, i)).detach();
    co_await rounds(2);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(co_await c.get());
    const auto cut = spawn(puts_moved(c, alive, 9));
    co_await rounds(2);
    cut.cancel();
    c.close();
    co_await rounds(2);
    EXPECT_EQ(alive.load(), 2) << "two are in it; the one turned away and the one cut off are gone";
  };
  on_sim(main);
  EXPECT_EQ(alive.load(), 0);
}

TEST(channel, a_refused_item_is_as_it_was) {
  on_sim([]() -> task<> {
    channel<std::unique_ptr<int>> c(1);
    EXPECT_TRUE(co_await c.put(std::make_unique<int>(5)));
    auto kept = std::make_unique<int>(6);
    EXPECT_EQ(said(c.try_put(std::move(kept))), "nothing");
    EXPECT_TRUE(kept != nullptr);
    c.close();
    EXPECT_EQ(said(c.try_put(std::move(kept))), "closed");
    EXPECT_TRUE(kept != nullptr);
    const auto got = co_await c.get();
    EXPECT_EQ(**got, 5);
  });
}

TEST(channel, a_large_one_grows_and_keeps_its_order) {
  on_sim([]() -> task<> {
    using large = std::array<int, 4096>;
    channel<large> c(50);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(c.try_put(large{i}));
      EXPECT_EQ(said(c.try_put(large{})), "nothing");
      for (int i = 0; i < 50; ++i) EXPECT_EQ((*c.try_get())[0], i);
    }
    co_return;
  });
}

// ---- close ----------------------------------------------------------------------------------------------------------

task<> says_get(channel<int>& c, trace& log) { log.push_back("get: " + said(co_await c.get())); }
task<> says_put(channel<int>& c, trace& log) { log.push_back("put: " + said(co_await c.put(1))); }

TEST(channel, close_sends_home_who_waits_and_keeps_what_is_in_it) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    trace log;
    for (int i = 0; i < 2; ++i) spawn(says_get(c, log)).detach();
    co_await yield();
    EXPECT_TRUE(c.try_put(1));
    c.close();
    c.close();
    co_await yield();
    EXPECT_EQ(log, (trace{"get: value", "get: closed"})) << "what was handed over arrives";

    channel<int> full(1);
    EXPECT_TRUE(full.try_put(7));
    for (int i = 0; i < 2; ++i) spawn(says_put(full, log)).detach();
    co_await yield();
    EXPECT_TRUE(full.try_get());
    full.close();
    co_await yield();
    EXPECT_EQ(log[2], "put: value") << "it had been let in";
    EXPECT_EQ(log[3], "put: closed");
    EXPECT_TRUE(co_await full.get());
    EXPECT_EQ(said(co_await full.get()), "closed");
  });
}

TEST(channel, a_closed_one_answers_for_ever_and_lets_others_run) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    c.close();
    int others = 0;
    auto counts = [&]() -> task<> {
      for (;;) {
        co_await yield();
        ++others;
      }
    };
    const auto other = spawn(counts());
    for (int i = 0; i < 10'000; ++i) {
      EXPECT_FALSE(co_await c.get());
      EXPECT_FALSE(co_await c.put(1));
      EXPECT_FALSE(co_await c.reserve());
    }
    EXPECT_GT(others, 0);
    other.cancel();
  });
}

// ---- cancelled ------------------------------------------------------------------------------------------------------

TEST(channel, who_timed_out_holds_nothing) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers got, in;
    trace log;
    slot none;
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(co_await with_timeout(1ms, gets_one(c, got)));
    EXPECT_TRUE(c.try_put(1));
    for (int i = 0; i < 10; ++i) {
      EXPECT_FALSE(co_await with_timeout(1ms, puts_one(c, 2, in)));
      EXPECT_FALSE(co_await with_timeout(1ms, reserves_one(c, none, log)));
    }
    EXPECT_EQ(c.statistics().getters.now + c.statistics().putters.now, 0U);
    EXPECT_EQ(c.try_get().value(), 1);
    EXPECT_TRUE(c.try_put(3));
    EXPECT_EQ(c.size(), 1U);
    EXPECT_TRUE(got.empty() && in.empty() && log.empty());
  });
}

TEST(channel, the_item_comes_before_a_cancel_of_the_same_turn_or_goes_to_the_next) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers first, second;
    auto given = spawn(gets_one(c, first));
    auto other = spawn(gets_one(c, second));
    co_await yield();
    EXPECT_TRUE(c.try_put(1));
    given.cancel();
    EXPECT_TRUE((co_await given.outcome()).has_value());
    EXPECT_EQ(first, numbers{1});

    auto cut = spawn(gets_one(c, first));
    co_await yield();
    other.cancel();
    EXPECT_TRUE(c.try_put(2));
    EXPECT_TRUE((co_await other.outcome()).is_cancelled());
    EXPECT_TRUE((co_await cut.outcome()).has_value());
    EXPECT_EQ(first, (numbers{1, 2}));
    EXPECT_TRUE(second.empty());
  });
}

TEST(channel, room_comes_before_a_cancel_of_the_same_turn_or_goes_to_the_next) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    numbers in;
    trace log;
    slot mine;
    EXPECT_TRUE(c.try_put(0));
    auto given = spawn(puts_one(c, 1, in));
    auto cut = spawn(puts_one(c, 2, in));
    auto reserver = spawn(reserves_one(c, mine, log));
    co_await yield();
    EXPECT_TRUE(c.try_get());
    given.cancel();
    EXPECT_TRUE((co_await given.outcome()).has_value());
    EXPECT_EQ(in, numbers{1});

    cut.cancel();
    EXPECT_TRUE(c.try_get());
    reserver.cancel();
    EXPECT_TRUE((co_await cut.outcome()).is_cancelled());
    EXPECT_TRUE((co_await reserver.outcome()).has_value()) << "it had been given the room";
    EXPECT_TRUE(mine);
    EXPECT_EQ(said(c.try_put(3)), "nothing");
    EXPECT_TRUE(mine.put(4));
    EXPECT_EQ(c.try_get().value(), 4);
  });
}

TEST(channel, who_is_cancelled_before_it_begins_takes_nothing) {
  on_sim([]() -> task<> {
    channel<int> c(2);
    numbers got, in;
    trace log;
    slot none;
    EXPECT_TRUE(c.try_put(1));
    const auto cancels_itself = [&](int what) -> task<> {
      join_handle<> self = spawn(nothing());
      auto work = [&]() -> task<> {
        co_await yield();
        self.cancel();
        if (what == 0) co_await gets_one(c, got);
        if (what == 1) co_await puts_one(c, 2, in);
        if (what == 2) co_await reserves_one(c, none, log);
      };
      self = spawn(work());
      EXPECT_TRUE((co_await self.outcome()).is_cancelled());
    };
    for (int what = 0; what < 3; ++what) co_await cancels_itself(what);
    auto unborn = spawn(gets_one(c, got));
    unborn.cancel();
    EXPECT_TRUE((co_await unborn.outcome()).is_cancelled());
    EXPECT_EQ(c.size(), 1U);
    EXPECT_EQ(c.statistics().reserved, 0U);
    EXPECT_TRUE(got.empty() && in.empty() && log.empty());
  });
}

TEST(channel, an_await_that_is_made_and_dropped_does_nothing) {
  on_sim([]() -> task<> {
    channel<int> c(1);
    EXPECT_TRUE(c.try_put(1));
    static_cast<void>(c.get());
    static_cast<void>(c.put(2));
    static_cast<void>(c.reserve());
    EXPECT_EQ(c.size(), 1U);
    EXPECT_EQ(c.statistics().putters.total, 0U);
    co_return;
  });
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

task<> no_room_at_all() {
  const channel<int> c(0);
  co_return;
}
task<> destroyed_with_getters() {
  numbers got;
  channel<int> c(1);
  for (int i = 0; i < 2; ++i) spawn(gets_one(c, got)).detach();
  co_await yield();
}
task<> destroyed_with_putters() {
  numbers in;
  channel<int> c(1);
  for (int i = 0; i < 2; ++i) spawn(puts_one(c, 1, in)).detach();
  co_await yield();
}
task<> destroyed_with_a_slot() {
  slot kept;
  channel<int> c(1);
  auto had = co_await c.reserve();
  kept = std::move(*had);
}
task<> slot_used_twice() {
  channel<int> c(2);
  auto had = co_await c.reserve();
  EXPECT_TRUE(had->put(1));
  static_cast<void>(had->put(2));
}
TEST(channel_death, misuse) {
  EXPECT_DEATH(in_a_task(no_room_at_all), "room for nothing");
  EXPECT_DEATH(in_a_task(destroyed_with_getters), "a channel was destroyed while 2 tasks wait for it");
  EXPECT_DEATH(in_a_task(destroyed_with_putters), "a channel was destroyed while 1 tasks wait for it");
  EXPECT_DEATH(in_a_task(destroyed_with_a_slot), "while 1 of its slots are held");
  EXPECT_DEATH(in_a_task(slot_used_twice), "this slot of a channel is empty");
  EXPECT_DEATH(channel<int>(1).get().await_ready(), "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
