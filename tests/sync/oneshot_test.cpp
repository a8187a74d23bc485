// oneshot: one value, from any thread to any core; both ends learn when the other is gone.
// The parts with several cores or threads use the machine's own driver; the rest is on the simulator.
#include "far_support.hpp"

namespace axle::test {
namespace {

task<> receives(oneshot_receiver<int> from, trace& log) {
  const auto got = co_await from.get();
  log.push_back(got ? std::to_string(*got) : said(got));
}

TEST(oneshot, gives_the_value_before_and_after_the_wait_began) {
  on_sim([]() -> task<> {
    trace log;
    auto [first, early] = oneshot<int>();
    EXPECT_TRUE(first.send(1));
    EXPECT_FALSE(first) << "it has sent";
    co_await receives(std::move(early), log);
    auto [second, late] = oneshot<int>();
    auto waiting = spawn(receives(std::move(late), log));
    co_await yield();
    EXPECT_TRUE(second.send(2));
    co_await waiting;
    EXPECT_EQ(log, (trace{"1", "2"}));
  });
}

TEST(oneshot, gives_its_value_once) {
  on_sim([]() -> task<> {
    auto [sender, receiver] = oneshot<int>();
    EXPECT_EQ(said(receiver.try_get()), "nothing");
    EXPECT_TRUE(sender.send(1));
    EXPECT_EQ(receiver.try_get().value(), 1);
    EXPECT_EQ(said(receiver.try_get()), "closed");
    EXPECT_EQ(said(co_await receiver.get()), "closed");
  });
}

TEST(oneshot, a_sender_that_is_dropped_is_noticed) {
  on_sim([]() -> task<> {
    trace log;
    auto [sender, receiver] = oneshot<int>();
    auto waiting = spawn(receives(std::move(receiver), log));
    co_await yield();
    sender = oneshot_sender<int>();
    co_await waiting;
    auto [other, unused] = oneshot<int>();
    other = oneshot_sender<int>();
    EXPECT_EQ(said(unused.try_get()), "closed");
    EXPECT_EQ(log, trace{"closed"});
  });
}

TEST(oneshot, a_receiver_that_is_gone_is_noticed_and_the_value_stays) {
  auto [sender, receiver] = oneshot<std::unique_ptr<int>>();
  EXPECT_FALSE(sender.closed());
  receiver = oneshot_receiver<std::unique_ptr<int>>();
  EXPECT_TRUE(sender.closed());
  auto value = std::make_unique<int>(1);
  EXPECT_FALSE(sender.send(std::move(value)));
  EXPECT_TRUE(value != nullptr);
  EXPECT_TRUE(sender);
}

TEST(oneshot, a_value_that_nobody_got_is_destroyed) {
  std::atomic<int> alive{0};
  {
    auto [sender, receiver] = oneshot<moved_item>();
    EXPECT_TRUE(sender.send(moved_item(alive)));
    EXPECT_EQ(alive.load(), 1);
    auto moved = std::move(receiver);
    EXPECT_FALSE(receiver);
    EXPECT_TRUE(moved);
  }
  EXPECT_EQ(alive.load(), 0);
  { auto unused = oneshot<moved_item>(); }
}

TEST(oneshot, a_cancelled_receiver_is_gone) {
  on_sim([]() -> task<> {
    trace log;
    auto [sender, receiver] = oneshot<int>();
    auto waiting = spawn(receives(std::move(receiver), log));
    co_await yield();
    waiting.cancel();
    EXPECT_TRUE((co_await waiting.outcome()).is_cancelled());
    EXPECT_TRUE(sender.closed());
    EXPECT_FALSE(sender.send(1));
    auto [second, unborn] = oneshot<int>();
    auto never = spawn(receives(std::move(unborn), log));
    never.cancel();
    EXPECT_TRUE((co_await never.outcome()).is_cancelled());
    EXPECT_TRUE(second.closed());
    EXPECT_TRUE(log.empty());
  });
}

TEST(oneshot, a_wait_that_timed_out_can_be_taken_up_again) {
  on_sim([]() -> task<> {
    auto [sender, receiver] = oneshot<int>();
    int got = 0;
    auto waits = [&got](const oneshot_receiver<int>& from) -> task<> {
      const auto value = co_await from.get();
      got = value.value();
    };
    EXPECT_FALSE(co_await with_timeout(1ms, waits(receiver)));
    EXPECT_TRUE(sender.send(3));
    EXPECT_TRUE(co_await with_timeout(1ms, waits(receiver)));
    EXPECT_EQ(got, 3);
  });
}

TEST(oneshot, the_value_comes_before_a_cancel_of_the_same_turn_or_is_refused) {
  on_sim([]() -> task<> {
    trace log;
    auto [sender, receiver] = oneshot<int>();
    auto given = spawn(receives(std::move(receiver), log));
    co_await yield();
    EXPECT_TRUE(sender.send(1));
    given.cancel();
    EXPECT_TRUE((co_await given.outcome()).has_value());
    EXPECT_EQ(log, trace{"1"});

    auto [late, gone] = oneshot<int>();
    auto cut = spawn(receives(std::move(gone), log));
    co_await yield();
    cut.cancel();
    EXPECT_TRUE(late.send(2)) << "the receiver is there until its task has ended";
    EXPECT_TRUE((co_await cut.outcome()).is_cancelled());
    EXPECT_EQ(log, trace{"1"});
  });
}

// ---- across cores and threads ---------------------------------------------------------------------------------------

using owned = std::unique_ptr<int>;

// Which end does what first is left to chance: the value arrives, or the sender knows that it did not.
TEST(oneshot, across_cores_the_value_arrives_or_comes_back) {
  const auto rounds_of = scaled(10'000, 5);
  std::size_t got = 0, cut = 0;
  std::atomic<std::size_t> refused{0};
  auto gets = [&got](oneshot_receiver<owned> from) -> task<> {
    const auto value = co_await from.get();
    got += value.has_value();
  };
  auto main = [&]() -> task<> {
    channel<oneshot_sender<owned>> senders(4);
    auto sends = [&refused](channel<oneshot_sender<owned>>& in) -> task<> {
      for (;;) {
        auto sender = co_await in.get();
        if (!sender) co_return;
        if (!sender->send(std::make_unique<int>(1))) ++refused;
      }
    };
    auto far = spawn(runs_on(1, sends, std::ref(senders)));
    for (std::size_t i = 0; i < rounds_of; ++i) {
      auto ends = oneshot<owned>();
      auto reader = spawn(gets(std::move(ends.receiver)));
      const auto had = co_await senders.put(std::move(ends.sender));
      EXPECT_TRUE(had);
      if (i % 4) co_await rounds(static_cast<int>(i % 4));
      if (i % 3) reader.cancel();
      const auto became = co_await reader.outcome();
      cut += became.is_cancelled();
    }
    senders.close();
    co_await far;
  };
  run({.cores = 2}, main);
  EXPECT_EQ(got + cut, rounds_of);
  EXPECT_LE(refused.load(), cut);
  EXPECT_GT(got, 0U);
}

TEST(oneshot, ends_that_are_dropped_at_once_by_two_threads_free_the_block_once) {
  std::atomic<int> alive{0};
  for (std::size_t i = 0; i < scaled(500); ++i) {
    auto ends = oneshot<moved_item>();
    std::thread other([&alive, i, sender = std::move(ends.sender)]() mutable {
      auto mine = std::move(sender);
      if (i % 2) mine.send(moved_item(alive));
    });
    {
      auto mine = std::move(ends.receiver);
      if (i % 3) static_cast<void>(mine.try_get());
    }
    other.join();
  }
  EXPECT_EQ(alive.load(), 0);
}

TEST(oneshot, is_sent_by_a_thread_without_a_loop) {
  auto main = []() -> task<> {
    auto ends = oneshot<int>();
    std::thread sends([sender = std::move(ends.sender)]() mutable { sender.send(9); });
    const auto got = co_await ends.receiver.get();
    EXPECT_EQ(got.value(), 9);
    sends.join();
  };
  run(main);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

task<> awaits(const oneshot_receiver<int>& from) { static_cast<void>(co_await from.get()); }
task<> two_wait() {
  auto [sender, receiver] = oneshot<int>();
  for (int i = 0; i < 2; ++i) spawn(awaits(receiver)).detach();
  co_await yield();
}
task<> destroyed_while_awaited() {
  auto [sender, receiver] = oneshot<int>();
  spawn(awaits(receiver)).detach();
  co_await yield();
  receiver = oneshot_receiver<int>();
}
task<> sent_twice() {
  auto [sender, receiver] = oneshot<int>();
  sender.send(1);
  sender.send(2);
  co_return;
}
TEST(oneshot_death, misuse) {
  EXPECT_DEATH(in_a_task(two_wait), "two tasks wait for one oneshot");
  EXPECT_DEATH(in_a_task(destroyed_while_awaited), "destroyed while a task waits with it");
  EXPECT_DEATH(in_a_task(sent_twice), "it has sent, or was moved from");
  EXPECT_DEATH(static_cast<void>(oneshot_sender<int>().closed()), "sender of a oneshot is empty");
  EXPECT_DEATH(static_cast<void>(oneshot_receiver<int>().try_get()), "receiver of a oneshot is empty");
  EXPECT_DEATH(oneshot<int>().receiver.get().await_ready(), "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
