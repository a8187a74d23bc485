// expiring_map: gone when due, renewed or not, evicted when full, beyond a run.
#include <list>
#include <map>
#include <memory>
#include <random>

#include "sync_support.hpp"

namespace axle::test {
namespace {

using map = expiring_map<std::string, int>;

TEST(expiring_map, entries_vanish_when_they_are_due) {
  on_sim([]() -> task<> {
    map m(10ms, 100);
    EXPECT_TRUE(m.insert("a", 1));
    co_await sleep(4ms);
    EXPECT_TRUE(m.insert("b", 2));
    co_await sleep(6ms - 20us);
    EXPECT_EQ(*m.find("a"), 1);
    EXPECT_EQ(m.size(), 2U);
    co_await sleep(20us);
    EXPECT_EQ(m.size(), 1U) << "by the timer, unasked";
    EXPECT_EQ(m.find("a"), nullptr);
    EXPECT_EQ(*m.find("b"), 2);
    co_await sleep(4ms);
    EXPECT_TRUE(m.empty());
    const auto s = m.statistics();
    EXPECT_EQ(s.size, 0U);
    EXPECT_EQ(s.hits, 2U);
    EXPECT_EQ(s.misses, 1U);
    EXPECT_EQ(s.expired, 2U);
    EXPECT_EQ(s.evicted, 0U);
  });
}

class notes_its_end {
 public:
  explicit notes_its_end(clock::time_point& at) : at_(&at) {}
  notes_its_end(notes_its_end&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  notes_its_end& operator=(notes_its_end&&) = delete;
  ~notes_its_end() {
    if (at_) *at_ = clock::now();
  }

 private:
  clock::time_point* at_;
};
TEST(expiring_map, entries_go_to_the_nanosecond) {
  on_sim([]() -> task<> {
    clock::time_point ends[5], begins[5];
    expiring_map<int, std::unique_ptr<notes_its_end>> m(1h + 1ns, 10);
    for (int i = 0; i < 5; ++i) {
      begins[i] = clock::now();
      m.insert(i, std::make_unique<notes_its_end>(ends[i]));
      co_await sleep(std::chrono::microseconds(777 * i));
    }
    co_await sleep(2h);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(ends[i] - begins[i], 1h + 1ns) << i;
  });
}

TEST(expiring_map, an_insert_replaces_and_begins_anew) {
  on_sim([]() -> task<> {
    map m(10ms, 100);
    EXPECT_TRUE(m.insert("a", 1));
    EXPECT_TRUE(m.insert("b", 1));
    co_await sleep(6ms);
    EXPECT_FALSE(m.insert("a", 2));
    co_await sleep(6ms);
    EXPECT_EQ(m.find("b"), nullptr);
    EXPECT_EQ(*m.find("a"), 2);
    *m.find("a") = 3;
    EXPECT_EQ(*m.find("a"), 3);
    co_await sleep(4ms);
    EXPECT_EQ(m.find("a"), nullptr);
    EXPECT_EQ(m.statistics().expired, 2U);
  });
}

TEST(expiring_map, to_find_renews_only_if_that_was_asked_for) {
  for (const bool renews : {false, true}) {
    auto main = [&]() -> task<> {
      map m(10ms, 2, {.find_renews = renews});
      m.insert("a", 1);
      co_await sleep(1ms);
      m.insert("b", 2);
      co_await sleep(8ms);
      EXPECT_NE(m.find("a"), nullptr);
      co_await sleep(3ms);
      EXPECT_EQ(m.size(), renews ? 1U : 0U);
      EXPECT_EQ(m.find("a") != nullptr, renews);
      co_await sleep(10ms);
      EXPECT_TRUE(m.empty());
      m.insert("c", 1);
      co_await sleep(1ms);
      m.insert("d", 2);
      EXPECT_NE(m.find("c"), nullptr);
      m.insert("e", 3);
      EXPECT_EQ(m.find("c") != nullptr, renews) << "the oldest, or the least recently used";
      EXPECT_EQ(m.find("d") != nullptr, !renews);
      EXPECT_EQ(m.statistics().evicted, 1U);
    };
    on_sim(main);
  }
}

TEST(expiring_map, when_it_is_full_the_oldest_goes) {
  on_sim([]() -> task<> {
    expiring_map<int, int> m(1h, 3);
    for (int i = 0; i < 5; ++i) m.insert(i, i);
    EXPECT_EQ(m.size(), 3U);
    m.insert(2, 20);  // replaced: nobody goes
    EXPECT_EQ(m.size(), 3U);
    m.insert(9, 9);
    EXPECT_EQ(m.find(3), nullptr) << "2 is younger now";
    EXPECT_EQ(*m.find(2), 20);
    EXPECT_EQ(m.statistics().evicted, 3U);
    EXPECT_EQ(m.statistics().expired, 0U);
    co_await sleep(1h);
    EXPECT_TRUE(m.empty());
    EXPECT_EQ(m.statistics().expired, 3U);
  });
}

TEST(expiring_map, erased_entries_are_gone_and_the_rest_is_timed_well) {
  on_sim([]() -> task<> {
    map m(10ms, 10);
    m.insert("a", 1);
    co_await sleep(2ms);
    m.insert("b", 2);
    co_await sleep(2ms);
    m.insert("c", 3);
    EXPECT_TRUE(m.erase("a"));
    EXPECT_FALSE(m.erase("a"));
    EXPECT_TRUE(m.erase("b"));
    co_await sleep(10ms - 20us);
    EXPECT_EQ(m.size(), 1U);
    co_await sleep(20us);
    EXPECT_EQ(m.size(), 0U);
    m.insert("d", 4);
    m.insert("e", 4);
    m.clear();
    EXPECT_TRUE(m.empty());
    m.insert("f", 5);
    co_await sleep(10ms);
    EXPECT_TRUE(m.empty());
    EXPECT_EQ(m.statistics().expired, 2U);
  });
}

// A task that runs after the time of an entry, but before its timer has come round, does not find it.
TEST(expiring_map, what_is_due_is_not_found_before_its_timer_comes_round) {
  // wall clock: time must pass within a turn
  run({}, []() -> task<> {
    expiring_map<int, int> m(1ms, 2);
    m.insert(1, 1);
    m.insert(2, 2);
    for (const auto end = clock::now() + 1ms; clock::now() < end;) {}
    EXPECT_EQ(m.size(), 2U);
    EXPECT_EQ(m.find(1), nullptr);
    EXPECT_EQ(m.statistics().expired, 0U);
    EXPECT_FALSE(m.erase(1));
    EXPECT_TRUE(m.insert(2, 3));
    EXPECT_EQ(m.statistics().expired, 2U);
    EXPECT_EQ(m.statistics().evicted, 0U);
    co_return;
  });
}

TEST(expiring_map, values_may_be_move_only_and_are_destroyed_with_their_entries) {
  int alive = 0;
  auto main = [&]() -> task<> {
    expiring_map<int, std::unique_ptr<counted>> m(10ms, 2);
    for (int i = 0; i < 3; ++i) m.insert(i, std::make_unique<counted>(alive));
    EXPECT_EQ(alive, 2);
    m.erase(2);
    EXPECT_EQ(alive, 1);
    co_await sleep(10ms);
    EXPECT_EQ(alive, 0);
    m.insert(1, std::make_unique<counted>(alive));
  };
  on_sim(main);
  EXPECT_EQ(alive, 0);
}

struct erases_another {
  std::function<void()> when_gone;
  explicit erases_another(std::function<void()> f) : when_gone(std::move(f)) {}
  erases_another(erases_another&&) = default;
  erases_another& operator=(erases_another&&) = default;
  ~erases_another() {
    if (when_gone) when_gone();
  }
};
TEST(expiring_map, a_destructor_of_a_value_may_use_it) {
  on_sim([]() -> task<> {
    expiring_map<int, erases_another> m(10ms, 10);
    int inserted = 0;
    for (int i = 0; i < 4; ++i) {
      auto then = [&m, &inserted, i] {
        m.erase(i + 1);
        if (inserted++ < 2) m.insert(100 + i, erases_another([] {}));
      };
      m.insert(i, erases_another(then));
    }
    co_await sleep(10ms);
    EXPECT_EQ(m.size(), 2U);
    co_await sleep(10ms);
    EXPECT_TRUE(m.empty());
  });
}

TEST(expiring_map, very_long_lives_are_for_ever) {
  on_sim([]() -> task<> {
    expiring_map<int, int> m(std::chrono::nanoseconds::max(), 2);
    m.insert(1, 1);
    co_await sleep(std::chrono::hours(24 * 365 * 100));
    EXPECT_NE(m.find(1), nullptr);
  });
}

TEST(expiring_map, agrees_with_a_model) {
  for (const bool renews : {false, true}) {
    std::mt19937_64 random(test_seed(renews ? 2 : 1));
    auto main = [&]() -> task<> {
      constexpr auto ttl = 30us;
      expiring_map<int, int> m(ttl, 20, {.find_renews = renews});
      struct one {
        int key, value;
        clock::time_point end;
      };
      std::list<one> model;
      const auto in_model = [&](int key) {
        return std::find_if(model.begin(), model.end(), [&](const one& o) { return o.key == key; });
      };
      std::uint64_t expired = 0, evicted = 0;
      for (int step = 0; step < 20'000; ++step) {
        const int key = static_cast<int>(random() % 40);
        const auto found = in_model(key);
        // In the time that a turn takes an entry may be over and its timer not have come round.
        const bool is_over = found != model.end() && found->end <= clock::now();
        const bool is_there = found != model.end() && !is_over;
        switch (random() % 4) {
          case 0:
            EXPECT_EQ(m.insert(key, step), !is_there);
            expired += is_over;
            if (found != model.end()) {
              model.erase(found);
            } else if (model.size() == 20) {
              ++(model.front().end <= clock::now() ? expired : evicted);
              model.pop_front();
            }
            model.push_back({key, step, clock::now() + ttl});
            break;
          case 1: {
            const int* value = m.find(key);
            EXPECT_EQ(value != nullptr, is_there);
            if (!value || !is_there) break;
            EXPECT_EQ(*value, found->value);
            if (!renews) break;
            found->end = clock::now() + ttl;
            model.splice(model.end(), model, found);
            break;
          }
          case 2:
            if (random() % 2) break;
            EXPECT_EQ(m.erase(key), is_there);
            expired += is_over;
            if (found != model.end()) model.erase(found);
            break;
          default:
            co_await sleep(std::chrono::nanoseconds(random() % 1500));
            for (; !model.empty() && model.front().end <= woken_at(); ++expired) model.pop_front();
        }
        EXPECT_EQ(m.size(), model.size());
        EXPECT_EQ(m.statistics().expired, expired);
        EXPECT_EQ(m.statistics().evicted, evicted);
        if (::testing::Test::HasFailure()) co_return;
      }
      EXPECT_GT(expired, 100U);
      EXPECT_GT(evicted, 100U);
    };
    on_sim(main);
  }
}

// ---- life -----------------------------------------------------------------------------------------------------------

TEST(expiring_map, may_outlive_a_run_with_its_timer_armed) {
  map m(10ms, 10);
  auto first = [&]() -> task<> {
    m.insert("a", 1);
    co_await sleep(5ms);
    m.insert("b", 2);
  };
  on_sim(first);
  EXPECT_EQ(m.size(), 2U);
  // The simulator's clock begins anew: what is left of a life is not known, but it is not longer than one.
  auto second = [&]() -> task<> {
    EXPECT_NE(m.find("b"), nullptr);
    co_await sleep(10ms - 20us);
    EXPECT_NE(m.find("b"), nullptr);
    co_await sleep(20us);
    EXPECT_TRUE(m.empty());
    m.insert("c", 3);
  };
  on_sim(second);
  auto third = [&]() -> task<> {
    m.insert("d", 4);
    co_await sleep(25ms);
    EXPECT_TRUE(m.empty()) << "those of the run before too";
  };
  on_sim(third);
  auto fourth = [&]() -> task<> {
    co_await sleep(1h);
    m.insert("e", 4);
  };
  on_sim(fourth);
  auto fifth = [&]() -> task<> {
    EXPECT_NE(m.find("e"), nullptr);
    co_await sleep(10ms);
    EXPECT_TRUE(m.empty()) << "nobody lives longer than one life from now";
  };
  on_sim(fifth);
}

TEST(expiring_map, what_became_old_between_two_runs_is_not_found) {
  expiring_map<int, int> m(1ms, 10);
  auto first = [&]() -> task<> {
    m.insert(1, 1);
    co_return;
  };
  // wall clock: the simulator's does not go on between runs
  run({}, first);
  EXPECT_EQ(m.size(), 1U);
  usleep(1000);  // wall clock: see above
  auto second = [&]() -> task<> {
    EXPECT_EQ(m.find(1), nullptr);
    EXPECT_TRUE(m.empty());
    m.insert(2, 2);
    co_return;
  };
  run({}, second);
}

expiring_map<int, int> global_map(1h, 4);
TEST(expiring_map, may_be_global_and_used_on_another_core_in_a_later_run) {
  on_sim([]() -> task<> {
    global_map.insert(1, 1);
    co_return;
  });
  run({.cores = 2}, []() -> task<> {
    auto far = []() -> task<> {
      global_map.insert(2, 2);
      co_return;
    };
    co_await on(1, far);
  });
  on_sim([]() -> task<> {
    global_map.insert(3, 3);
    EXPECT_NE(global_map.find(3), nullptr);
    co_return;
  });
}

TEST(expiring_map, one_that_is_held_by_a_callback_goes_with_it_when_the_loop_ends) {
  on_sim([]() -> task<> {
    auto m = std::make_shared<map>(10ms, 10);
    m->insert("a", 1);
    auto holds_it = [m] {};
    call_later(1h, holds_it);
    co_return;
  });
}

void used_on_another_core(bool destroyed) {
  auto m = std::make_unique<map>(1h, 10);
  auto main = [&]() -> task<> {
    m->insert("a", 1);
    auto far = [&]() -> task<> {
      if (destroyed) m.reset();
      if (m) m->find("a");
      co_return;
    };
    co_await on(1, far);
  };
  run({.cores = 2}, main);
}
TEST(expiring_map_death, misuse) {
  EXPECT_DEATH(map(0ms, 1), "live for 0 ns");
  EXPECT_DEATH(map(1ms, 0), "room for nothing");
  EXPECT_DEATH(used_on_another_core(false), "expiring_map.*core 0.*core 1");
  EXPECT_DEATH(used_on_another_core(true), "expiring_map.*core 0.*core 1");
  EXPECT_DEATH(map(1ms, 1).insert("a", 1), "runs no axle loop");
}

}  // namespace
}  // namespace axle::test
