// mesh: each core to each core. Real threads where several cores take part.
#include <axle/sync/mesh.hpp>

#include <array>

#include "far_support.hpp"

namespace axle::test {
namespace {

using ints = mesh<int>;

TEST(mesh, a_core_may_send_to_itself) {
  on_sim([]() -> task<> {
    ints m(1, 2);
    for (int i = 0; i < 2; ++i) {
      const auto had = co_await m.send(0, i);
      EXPECT_TRUE(had);
    }
    EXPECT_EQ(said(m.try_send(0, 2)), "nothing");
    EXPECT_EQ(m.statistics().size, 2U);
    for (int i = 0; i < 2; ++i) {
      const auto got = co_await m.receive();
      EXPECT_EQ(got->item, i);
      EXPECT_EQ(got->from, 0U);
    }
    EXPECT_EQ(said(m.try_receive()), "nothing");
    EXPECT_EQ(m.statistics().sent, 2U);
    EXPECT_EQ(m.statistics().received, 2U);
  });
}

TEST(mesh, senders_of_a_core_that_wait_are_served_in_order) {
  on_sim([]() -> task<> {
    ints m(1, 1);
    std::vector<join_handle<result<void>>> all;
    for (int i = 0; i < 5; ++i) all.push_back(spawn(m.send(0, i)));
    co_await sleep(1ms);
    all[2].cancel();
    EXPECT_EQ(said(m.try_send(0, 99)), "nothing") << "others wait for the room";
    for (const int expected : {0, 1, 3, 4}) {
      const auto got = co_await m.receive();
      EXPECT_EQ(got->item, expected);
    }
    EXPECT_EQ(said(m.try_receive()), "nothing");
    EXPECT_EQ(ending_of(co_await all[2].outcome()), "cancelled");
    for (const int i : {0, 1, 3, 4}) {
      const auto had = co_await all[static_cast<std::size_t>(i)];
      EXPECT_TRUE(had);
    }
  });
}

task<> receives_into(ints& m, trace& seen) {
  const auto got = co_await m.receive();
  seen.push_back(got ? std::to_string(got->item) : said(got));
  co_await yield();
  seen.push_back("on");
}

TEST(mesh, a_receiver_is_cancelled_before_or_after_it_was_served_and_nothing_is_lost) {
  on_sim([]() -> task<> {
    for (const bool served_first : {false, true}) {
      ints m(1, 4);
      trace seen;
      auto user = spawn(receives_into(m, seen));
      co_await yield();
      if (served_first) EXPECT_TRUE(m.try_send(0, 1));
      user.cancel();
      if (!served_first) EXPECT_TRUE(m.try_send(0, 1));
      EXPECT_EQ(ending_of(co_await user.outcome()), "cancelled");
      EXPECT_EQ(seen, served_first ? trace{"1"} : trace{});
      EXPECT_EQ(m.statistics().size, served_first ? 0U : 1U);
    }
  });
}

TEST(mesh, closing_ends_the_waits_and_keeps_what_was_sent) {
  on_sim([]() -> task<> {
    ints waits_for_items(1, 1), waits_for_room(1, 1);
    trace seen;
    auto receiver = spawn(receives_into(waits_for_items, seen));
    EXPECT_TRUE(waits_for_room.try_send(0, 1));
    auto sender = spawn(waits_for_room.send(0, 2));
    auto behind = spawn(waits_for_room.send(0, 3));
    co_await sleep(1ms);
    waits_for_items.close();
    waits_for_room.close();
    co_await receiver;
    EXPECT_EQ(seen, (trace{"closed", "on"}));
    const auto first = co_await sender;
    EXPECT_EQ(said(first), "closed");
    const auto second = co_await behind;
    EXPECT_EQ(said(second), "closed");
    EXPECT_EQ(waits_for_room.try_receive()->item, 1);
    EXPECT_EQ(said(waits_for_room.try_receive()), "closed");
    EXPECT_EQ(said(waits_for_room.try_send(0, 4)), "closed");
  });
}

TEST(mesh, a_send_or_receive_in_time_or_not) {
  on_sim([]() -> task<> {
    ints m(1, 1);
    trace seen;
    const auto none = co_await with_timeout(1ms, receives_into(m, seen));
    EXPECT_FALSE(none);
    EXPECT_TRUE(m.try_send(0, 1));
    const auto no_room = co_await with_timeout(1ms, m.send(0, 2));
    EXPECT_FALSE(no_room);
    const auto got = co_await m.receive();
    EXPECT_EQ(got->item, 1);
    EXPECT_EQ(said(m.try_receive()), "nothing");
  });
}

TEST(mesh_death_test, misuse) {
  auto no_such_core = []() -> task<> {
    ints m(2, 1);
    [[maybe_unused]] const auto had = co_await m.send(2, 1);
  };
  EXPECT_DEATH(in_a_task(no_such_core), "no core 2 in a mesh that was made for 2");
  auto two_receive = []() -> task<> {
    ints m(1, 1);
    trace seen;
    auto a = spawn(receives_into(m, seen));
    auto b = spawn(receives_into(m, seen));
    co_await sleep(1ms);
  };
  EXPECT_DEATH(in_a_task(two_receive), "two tasks wait at the same end of a mesh");
  EXPECT_DEATH(ints(0, 1), "needs a core");
}

// ---- between cores -----------------------------------------------------------------------------------------------------

struct far_mesh {
  explicit far_mesh(unsigned cores, std::size_t bound) : m(cores, bound) {}
  mesh<std::unique_ptr<std::uint64_t>> m;
  std::atomic<unsigned> sending{0};
  std::atomic<std::uint64_t> got{0};
  std::atomic<int> disorder{0};
};

// Two tasks of each core send to all; item = the sender's task * a million + its count.
task<> sends_to_all(far_mesh& in, std::uint64_t mine, std::uint64_t count) {
  for (std::uint64_t i = 1; i <= count; ++i)
    for (unsigned to = 0; to < in.m.cores(); ++to) {
      const auto had = co_await in.m.send(to, std::make_unique<std::uint64_t>(mine * 1'000'000 + i));
      EXPECT_TRUE(had);
    }
  if (--in.sending == 0) in.m.close();
}
task<> receives_all(far_mesh& in) {
  std::array<std::uint64_t, 16> latest{};
  for (;;) {
    const auto got = co_await in.m.receive();
    if (!got) co_return;
    const std::uint64_t sender = *got->item / 1'000'000, number = *got->item % 1'000'000;
    in.disorder += number != ++latest[static_cast<std::size_t>(sender)];
    in.disorder += sender / 2 != got->from;
    ++in.got;
  }
}

class meshes : public testing::TestWithParam<std::size_t> {};

TEST_P(meshes, carry_every_item_once_and_each_senders_in_order) {
  constexpr unsigned cores = 4;
  const std::uint64_t count = scaled(2'000, 10);
  far_mesh in(cores, GetParam());
  in.sending = cores * 2;
  auto work = [&]() -> task<> {
    const std::uint64_t first = std::uint64_t{this_core()} * 2;
    co_await gather(sends_to_all(in, first, count), sends_to_all(in, first + 1, count), receives_all(in));
  };
  on_cores(cores, work);
  EXPECT_EQ(in.got.load(), count * cores * 2 * cores);
  EXPECT_EQ(in.disorder.load(), 0);
}
INSTANTIATE_TEST_SUITE_P(of, meshes, testing::Values(1, 3, 256));

}  // namespace
}  // namespace axle::test
