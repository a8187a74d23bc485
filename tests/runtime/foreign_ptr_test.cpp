// foreign_ptr: looked into at home, dropped anywhere, destroyed at home; also when there is no home any more.
// Several loops on real threads: AXLE_DRIVER chooses the driver.
#include <axle/foreign_ptr.hpp>

#include <atomic>
#include <thread>

#include "../support.hpp"

namespace axle::test {
namespace {

/// Where this thread is: a core's number, or -1.
int here() { return detail::this_loop ? static_cast<int>(this_core()) : -1; }

/// An object that notes where it was destroyed.
struct tally {
  std::atomic<int> alive{0};
  std::atomic<int> at_home{0};
  std::atomic<int> elsewhere{0};
};
class resident {
 public:
  explicit resident(tally& t, int n = 0) : number(n), tally_(&t) { ++t.alive; }
  resident(const resident&) = delete;
  resident& operator=(const resident&) = delete;
  ~resident() {
    --tally_->alive;
    ++(here() == home_ ? tally_->at_home : tally_->elsewhere);
  }
  int number;

 private:
  int home_ = here();
  tally* tally_;
};
using foreign = foreign_ptr<resident>;

/// A pointer that counts owners without atomics, as one that never leaves its core may.
class counted_ptr {
 public:
  using element_type = resident;
  counted_ptr() = default;
  explicit counted_ptr(resident* object) : object_(object), count_(new int(1)) {}
  counted_ptr(const counted_ptr& other) : object_(other.object_), count_(other.count_) {
    if (count_) ++*count_;
  }
  counted_ptr(counted_ptr&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), count_(std::exchange(other.count_, nullptr)) {}
  counted_ptr& operator=(counted_ptr other) noexcept {
    std::swap(object_, other.object_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~counted_ptr() {
    if (!count_ || --*count_) return;
    delete object_;
    delete count_;
  }
  resident* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  resident* object_ = nullptr;
  int* count_ = nullptr;
};

/// Turns of this loop until it holds: what another core does is waited for, not counted on.
template <class F>
task<> until(F holds) {
  for (bool there = holds(); !there; there = holds()) co_await sleep(50us);
}

task<> until_none(const tally& t) {
  while (t.alive) co_await sleep(50us);
}

TEST(foreign_ptr, at_home_it_is_a_pointer) {
  tally t;
  on_sim([&]() -> task<> {
    foreign empty;
    EXPECT_FALSE(empty);
    EXPECT_EQ(empty.get(), nullptr);
    EXPECT_FALSE(foreign(nullptr));
    EXPECT_EQ(empty.release(), nullptr);
    auto p = make_foreign<resident>(t, 7);
    EXPECT_TRUE(p);
    EXPECT_EQ(p.home(), 0U);
    EXPECT_EQ(p->number, 7);
    EXPECT_EQ((*p).number, 7);
    resident* const object = p.get();
    foreign q = std::move(p);
    EXPECT_EQ(q.get(), object);
    p = make_foreign(std::make_unique<resident>(t, 8));
    EXPECT_EQ(foreign_ptr_statistics().alive, 2U);
    p = std::move(q);
    EXPECT_EQ(t.alive, 1) << "the other was destroyed at once";
    p.reset();
    EXPECT_EQ(t.alive, 0);
    EXPECT_EQ(foreign_ptr_statistics().alive, 0U);
    EXPECT_EQ(foreign_ptr_statistics().dropped_elsewhere, 0U);
    co_return;
  });
}

TEST(foreign_ptr, released_it_is_an_ordinary_owner_again) {
  tally t;
  on_sim([&]() -> task<> {
    auto p = make_foreign<resident>(t, 1);
    const std::unique_ptr<resident> object = p.release();
    EXPECT_FALSE(p);
    EXPECT_EQ(object->number, 1);
    EXPECT_EQ(foreign_ptr_statistics().alive, 0U);
    co_return;
  });
  EXPECT_EQ(t.alive, 0);
}

TEST(foreign_ptr, dropped_on_another_core_it_is_destroyed_at_home) {
  tally t;
  const auto main = [&]() -> task<> {
    for (unsigned core = 0; core < core_count(); ++core) {
      auto p = make_foreign<resident>(t);
      co_await on(core, [](foreign given) { EXPECT_EQ(given.home(), 0U); }, std::move(p));
      co_await until_none(t);
    }
    EXPECT_EQ(foreign_ptr_statistics().dropped_elsewhere, core_count() - 1);
    EXPECT_EQ(foreign_ptr_statistics().alive, 0U);
  };
  run({.cores = 4}, main);
  EXPECT_EQ(t.at_home, 4);
  EXPECT_EQ(t.elsewhere, 0);
}

TEST(foreign_ptr, it_comes_back_and_is_looked_into_at_home) {
  tally t;
  const auto main = [&]() -> task<> {
    auto p = co_await on(1, [](tally* of) { return make_foreign<resident>(*of, 5); }, &t);
    EXPECT_EQ(p.home(), 1U);
    const auto adds = [](foreign given) {
      given->number += 1;
      return given;
    };
    p = co_await on(p.home(), adds, std::move(p));
    const int number =
        co_await on(p.home(), [](const foreign& given) { return given->number; }, std::move(p));
    EXPECT_EQ(number, 6);
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.alive, 0);
  EXPECT_EQ(t.at_home, 1);
}

TEST(foreign_ptr, any_owner_will_do) {
  tally t;
  const auto main = [&]() -> task<> {
    auto shared = std::make_shared<resident>(t, 1);
    co_await on(1, [](foreign_ptr<resident, std::shared_ptr<resident>>) {}, make_foreign(shared));
    const auto is_alone = [&shared] { return shared.use_count() == 1; };
    co_await until(is_alone);
    counted_ptr counted(new resident(t, 2));
    const counted_ptr second = counted;
    foreign_ptr<resident, counted_ptr> p = make_foreign(std::move(counted));
    co_await on(1, [](foreign_ptr<resident, counted_ptr>) {}, std::move(p));
    co_await until([] { return foreign_ptr_statistics().alive == 0; });
    EXPECT_EQ(second.get()->number, 2);
    EXPECT_EQ(foreign_ptr_statistics().dropped_elsewhere, 2U);
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.at_home, 2);
}

// Core 1 drops while core 0 is kept from its mail, so all of them must come in the one message.
TEST(foreign_ptr, what_is_dropped_while_the_home_is_busy_comes_in_one_message) {
  constexpr int many = 1'000;
  tally t;
  std::atomic<bool> dropped{false};
  const auto main = [&]() -> task<> {
    std::vector<foreign> all;
    for (int i = 0; i < many; ++i) all.push_back(make_foreign<resident>(t));
    const auto drop = [](std::vector<foreign> given, std::atomic<bool>* done) {
      given.clear();
      *done = true;
    };
    static_cast<void>(post_to(1, drop, std::move(all), &dropped));
    while (!dropped) std::this_thread::yield();
    EXPECT_EQ(t.alive, many);
    co_await until_none(t);
    EXPECT_EQ(foreign_ptr_statistics().dropped_elsewhere, static_cast<std::uint64_t>(many));
    EXPECT_EQ(foreign_ptr_statistics().batches, 1U);
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.at_home, many);
}

// Each core makes objects and gives them to the others, who drop them: every home has several droppers at once.
TEST(foreign_ptr, all_cores_drop_what_belongs_to_the_others) {
  constexpr int rounds = static_cast<int>(scaled(5'000));
  tally t;
  std::atomic<std::uint64_t> came{0};
  const auto main = [&]() -> task<> {
    const auto gives = [&t]() -> task<> {
      for (int i = 0; i < rounds; ++i) {
        const unsigned to = (this_core() + 1 + static_cast<unsigned>(i) % (core_count() - 1)) % core_count();
        auto p = make_foreign<resident>(t);
        co_await on(to, [](foreign) {}, std::move(p));
      }
      co_await until([] { return foreign_ptr_statistics().alive == 0; });
    };
    co_await for_each_core(gives);
    const auto counts = [&came]() -> task<> {
      came += foreign_ptr_statistics().dropped_elsewhere;
      co_return;
    };
    co_await for_each_core(counts);
  };
  run({.cores = 4}, main);
  EXPECT_EQ(t.alive, 0);
  EXPECT_EQ(t.at_home, rounds * 4);
  EXPECT_EQ(t.elsewhere, 0);
  EXPECT_EQ(came, static_cast<std::uint64_t>(rounds) * 4);
}

TEST(foreign_ptr, a_thread_without_a_loop_may_drop_it) {
  tally t;
  const auto main = [&]() -> task<> {
    auto p = make_foreign<resident>(t);
    std::thread stranger([given = std::move(p)]() mutable { given.reset(); });
    co_await until_none(t);
    stranger.join();
  };
  run({.cores = 1}, main);
  EXPECT_EQ(t.at_home, 1);
}

// ---- the home is ending, or has ended -------------------------------------------------------------------------------

TEST(foreign_ptr, dropped_while_the_run_drains_it_is_destroyed_at_home) {
  tally t;
  const auto main = [&]() -> task<> {
    auto p = make_foreign<resident>(t);
    const auto keeps = [](foreign given) -> task<> {
      const auto holds = [](const foreign& held) -> task<> {
        EXPECT_TRUE(held);
        co_await sleep(1h);
      };
      co_await holds(given);
    };
    const auto starts = [keeps](foreign given) { spawn(keeps, std::move(given)).detach(); };
    co_await on(1, starts, std::move(p));
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.at_home, 1);
  EXPECT_EQ(t.elsewhere, 0);
}

// At home, or where it is dropped if its home has ended before.
TEST(foreign_ptr, held_by_a_callback_that_never_ran_it_is_destroyed_all_the_same) {
  tally t;
  const auto main = [&]() -> task<> {
    auto p = make_foreign<resident>(t);
    const auto keeps = [](foreign given) { call_later(1h, [](const foreign&) {}, std::move(given)); };
    co_await on(1, keeps, std::move(p));
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.at_home + t.elsewhere, 1);
}

TEST(foreign_ptr, after_the_run_it_is_destroyed_where_it_is_dropped) {
  tally t;
  foreign kept;
  std::vector<foreign> more;
  const auto main = [&]() -> task<foreign> {
    kept = co_await on(1, [](tally* of) { return make_foreign<resident>(*of); }, &t);
    more.push_back(make_foreign<resident>(t));
    more.push_back(make_foreign<resident>(t));
    co_return make_foreign<resident>(t);
  };
  foreign returned = run({.cores = 2}, main);
  EXPECT_EQ(kept.home(), 1U);
  EXPECT_EQ(t.alive, 4);
  kept.reset();
  returned.reset();
  const auto again = [&]() -> task<> {
    EXPECT_EQ(foreign_ptr_statistics().alive, 0U) << "of this run";
    more.pop_back();
    auto p = make_foreign<resident>(t);
    co_await on(1, [](foreign) {}, std::move(p));
  };
  run({.cores = 2}, again);
  more.clear();
  EXPECT_EQ(t.alive, 0);
  EXPECT_EQ(t.at_home, 2)
      << "the second run's own, and the first run's that was dropped on a core of that number";
}

TEST(foreign_ptr, objects_that_own_foreign_objects_go_one_after_the_other) {
  struct chain {
    foreign_ptr<chain> next;
    std::unique_ptr<resident> last;
  };
  tally t;
  const auto main = [&]() -> task<> {
    foreign_ptr<chain> head;
    for (unsigned i = 0; i < 20; ++i) {
      const auto links = [](foreign_ptr<chain> next, tally* of) {
        auto made = make_foreign<chain>();
        made->next = std::move(next);
        made->last = std::make_unique<resident>(*of);
        return made;
      };
      head = co_await on(i % core_count(), links, std::move(head), &t);
    }
    EXPECT_EQ(t.alive, 20);
  };
  run({.cores = 2}, main);
  EXPECT_EQ(t.alive, 0);
}

// ---- misuse ---------------------------------------------------------------------------------------------------------

TEST(foreign_ptr_death_test, looked_into_elsewhere) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto far = [](auto look) {
    return [look]() -> task<> {
      auto p = make_foreign<int>(1);
      co_await on(1, look, std::move(p));
    };
  };
  EXPECT_DEATH(run({.cores = 2}, far([](foreign_ptr<int> p) { static_cast<void>(p.get()); })),
               "a foreign_ptr of core 0 was looked into on core 1; use axle::on");
  EXPECT_DEATH(run({.cores = 2}, far([](foreign_ptr<int> p) { *p = 2; })),
               "of core 0 was looked into on core 1");
  EXPECT_DEATH(run({.cores = 2}, far([](foreign_ptr<int> p) { static_cast<void>(p.release()); })),
               "of core 0 was looked into on core 1");
  EXPECT_DEATH(foreign_ptr<int>(std::make_unique<int>(1)),
               "foreign_ptr was used on a thread that runs no axle loop");
  const auto outlives = []() -> task<foreign_ptr<int>> { co_return make_foreign<int>(1); };
  const auto looks_late = [&] { static_cast<void>(run({.cores = 1}, outlives).get()); };
  EXPECT_DEATH(looks_late(), "of core 0 was looked into on a thread that runs no loop");
  const auto looks_in_another_run = [&] {
    auto p = run({.cores = 1}, outlives);
    const auto looks = [&]() -> task<> {
      static_cast<void>(p.get());
      co_return;
    };
    run({.cores = 1}, looks);
  };
  EXPECT_DEATH(looks_in_another_run(), "of core 0 of another run was looked into on core 0");
}

TEST(foreign_ptr_death_test, an_empty_one_has_nothing) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(static_cast<void>(*foreign_ptr<int>()), "this foreign_ptr is empty");
  EXPECT_DEATH(static_cast<void>(foreign_ptr<int>().home()), "this foreign_ptr is empty: it has no home");
  EXPECT_DEATH(foreign_ptr_statistics(), "was used on a thread that runs no axle loop");
}

}  // namespace
}  // namespace axle::test
