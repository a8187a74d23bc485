// CPython's test_asyncio/test_taskgroups.py, case by case: with_task_group.
// A case that is called as there asserts what is asserted there, unless its comment says "differs". In all of them a
// single failure comes out as it is, where CPython wraps it in an ExceptionGroup, and children give no values: they write
// what they made to where the parent reads it.
#include "asyncio_support.hpp"

namespace axle::test {
namespace {

struct my_exception : std::runtime_error {
  my_exception() : std::runtime_error("MyExc") {}
};

task<> sets(int& into, std::chrono::nanoseconds d, int value) {
  co_await sleep(d);
  into = value;
}
task<> crashes(std::chrono::nanoseconds d) { co_await fails_after(d, "ZeroDivisionError"); }
task<> crashes_at_once() { return crashes(0s); }
task<> throws_mine() {
  throw my_exception();
  co_return;
}
task<> throws_another() {
  throw wrong("ZeroDivisionError");
  co_return;
}
/// Waits long, and counts if it was ended before.
task<> counts_its_end(int& ended) {
  struct counts {
    int& ended;
    ~counts() { ++ended; }
  } const at_the_end{ended};
  co_await sleep(1h);
}
/// How a task ended, and the texts of what it threw.
std::string texts(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const exception_group& group) {
    std::string all;
    for (const auto& each : group.errors()) all += (all.empty() ? "" : ", ") + texts(each);
    return all;
  } catch (const std::exception& one) {
    return one.what();
  }
}
template <class T>
std::string came_out(const outcome<T>& became) {
  return became.is_cancelled() ? "cancelled" : became.has_value() ? "value" : texts(became.error());
}

TEST(asyncio_task_group, taskgroup_01) {
  on_sim([]() -> task<> {
    int t1 = 0, t2 = 0;
    const auto begin = clock::now();
    auto body = [&](task_group& g) -> task<> {
      g.spawn(sets(t1, 100ms, 42));
      g.spawn(sets(t2, 200ms, 11));
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(t1, 42);
    EXPECT_EQ(t2, 11);
    EXPECT_EQ(since(begin), 200ms);
  });
}

TEST(asyncio_task_group, taskgroup_02) {
  on_sim([]() -> task<> {
    int t1 = 0, t2 = 0;
    const auto begin = clock::now();
    auto body = [&](task_group& g) -> task<> {
      g.spawn(sets(t1, 100ms, 42));
      co_await sleep(150ms);
      g.spawn(sets(t2, 200ms, 11));
    };
    co_await with_task_group(body);
    EXPECT_EQ(t1, 42);
    EXPECT_EQ(t2, 11);
    EXPECT_EQ(since(begin), 350ms);
  });
}

// Differs: a group gives no handles. To cancel one, spawn it outside and join it inside: the other is not touched.
TEST(asyncio_task_group, taskgroup_03) {
  on_sim([]() -> task<> {
    int t1 = 0, t2 = 0;
    const auto handle = spawn(sets(t1, 1s, 42));
    auto waits = [&]() -> task<> { std::ignore = co_await handle.outcome(); };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(waits());
      co_await sleep(150ms);
      handle.cancel();
      g.spawn(sets(t2, 200ms, 11));
    };
    co_await with_task_group(body);
    EXPECT_TRUE(handle.was_cancelled());
    EXPECT_EQ(t1, 0);
    EXPECT_EQ(t2, 11);
  });
}

TEST(asyncio_task_group, taskgroup_04) {
  on_sim([]() -> task<> {
    int ended = 0, num = 0;
    auto body = [&](task_group& g) -> task<> {
      g.spawn(crashes(100ms));
      g.spawn(counts_its_end(ended));
      co_return;
    };
    auto runner = [&]() -> task<> {
      co_await with_task_group(body);
      num += 10;
    };
    const auto begin = clock::now();
    const auto r = spawn(runner());
    EXPECT_EQ(came_out(co_await r.outcome()), "ZeroDivisionError");
    EXPECT_EQ(num, 0);
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(since(begin), 100ms);
  });
}

// Three fail at the same time. Differs: the first cancels the other two, whose sleep is over but whose turn has not come:
// they had what they waited for, so they go on and fail too; all three come out.
TEST(asyncio_task_group, cancel_children_on_child_error) {
  on_sim([]() -> task<> {
    int ended = 0;
    trace log;
    auto body = [&](task_group& g) -> task<> {
      for (int i = 0; i < 3; ++i) g.spawn(crashes(100ms));
      g.spawn(counts_its_end(ended));
      const noted end(log, "runner ended");
      co_await sleep(10s);
      log.push_back("not reached");
    };
    auto runner = [&]() -> task<> { co_await with_task_group(body); };
    const auto r = spawn(runner());
    EXPECT_EQ(came_out(co_await r.outcome()), "ZeroDivisionError, ZeroDivisionError, ZeroDivisionError");
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(log, trace{"runner ended"});
  });
}

// cancellation, taskgroup_07, taskgroup_17, taskgroup_22: a cancel from outside ends children and body.
TEST(asyncio_task_group, cancellation) {
  on_sim([]() -> task<> {
    for (const int children : {0, 5}) {
      for (const bool body_waits : {false, true}) {
        int ended = 0;
        auto body = [&](task_group& g) -> task<> {
          for (int i = 0; i < children; ++i) g.spawn(counts_its_end(ended));
          if (body_waits) co_await counts_its_end(ended);
        };
        auto runner = [&]() -> task<> {
          co_await with_task_group(body);
          co_await sleep(10s);
        };
        const auto r = spawn(runner());
        co_await sleep(100ms);
        EXPECT_FALSE(r.done());
        EXPECT_EQ(ended, 0);
        r.cancel();
        EXPECT_THROW(co_await r, cancelled);
        EXPECT_EQ(ended, children + body_waits);
      }
    }
  });
}

// taskgroup_08 (cancellation_in_body), taskgroup_11, taskgroup_12: children that crash while they are called off are told
// of, from groups in groups too.
TEST(asyncio_task_group, taskgroup_08) {
  on_sim([]() -> task<> {
    auto inner = [&](task_group& g) -> task<> {
      for (int i = 0; i < 5; ++i) g.spawn(axle::finally(sleeps(10s), crashes_at_once));
      co_await sleep(10s);
    };
    auto outer = [&](task_group& g) -> task<> {
      g.spawn(sleeps(10s));
      co_await with_task_group(inner);
    };
    auto runner = [&](bool nested) -> task<> {
      if (nested) {
        co_await with_task_group(outer);
      } else {
        co_await with_task_group(inner);
      }
    };
    std::string five = "ZeroDivisionError";
    for (int i = 0; i < 4; ++i) five += ", ZeroDivisionError";
    for (const bool nested : {false, true}) {
      const auto r = spawn(runner(nested));
      co_await sleep(100ms);
      EXPECT_FALSE(r.done());
      r.cancel();
      EXPECT_EQ(came_out(co_await r.outcome()), five);
    }
  });
}

// taskgroup_09, taskgroup_10: the body fails, later or before it awaits anything.
TEST(asyncio_task_group, taskgroup_09) {
  on_sim([]() -> task<> {
    for (const bool awaits : {true, false}) {
      int ended = 0;
      auto body = [&](task_group& g) -> task<> {
        g.spawn(counts_its_end(ended));
        g.spawn(counts_its_end(ended));
        if (awaits) co_await sleep(100ms);
        throw wrong("ZeroDivisionError");
      };
      EXPECT_THROW(co_await with_task_group(body), wrong);
      EXPECT_EQ(ended, awaits ? 2 : 0) << "those that have not begun never do";
    }
  });
}

// taskgroup_13, taskgroup_14: the outer child, or the inner one, fails first.
TEST(asyncio_task_group, taskgroup_13) {
  on_sim([]() -> task<> {
    for (const auto& [first, second] : {std::pair{100ms, 10'000ms}, std::pair{10'000ms, 100ms}}) {
      const auto outer_after = first, inner_after = second;
      auto inner = [&](task_group& g) -> task<> {
        g.spawn(crashes(inner_after));
        co_return;
      };
      auto outer = [&](task_group& g) -> task<> {
        g.spawn(crashes(outer_after));
        co_await with_task_group(inner);
      };
      auto runner = [&]() -> task<> { co_await with_task_group(outer); };
      const auto begin = clock::now();
      const auto r = spawn(runner());
      EXPECT_EQ(came_out(co_await r.outcome()), "ZeroDivisionError");
      EXPECT_EQ(since(begin), 100ms);
    }
  });
}

// taskgroup_15, taskgroup_16. Differs: the cancel ends children and body at the same time, so the child that would crash
// later never does; in CPython it runs on while the body cleans up.
TEST(asyncio_task_group, taskgroup_15) {
  on_sim([]() -> task<> {
    auto cleans_up = [] { return sleeps(500ms); };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(crashes(300ms));
      co_await axle::finally(sleeps(10s), cleans_up);
    };
    auto runner = [&]() -> task<> { co_await with_task_group(body); };
    const auto begin = clock::now();
    const auto r = spawn(runner());
    co_await sleep(100ms);
    EXPECT_FALSE(r.done());
    r.cancel();
    EXPECT_EQ(came_out(co_await r.outcome()), "cancelled");
    EXPECT_EQ(since(begin), 600ms) << "the clean-up was waited for";
  });
}

// Differs: cancelling who joins a task does not cancel the task. taskgroup_16 needs a group instead.
TEST(asyncio_task_group, taskgroup_16) {
  on_sim([]() -> task<> {
    int ended = 0;
    const auto nested = spawn(counts_its_end(ended));
    auto runner = [&]() -> task<> { co_await nested; };
    const auto r = spawn(runner());
    co_await yield();
    r.cancel();
    EXPECT_THROW(co_await r, cancelled);
    EXPECT_FALSE(nested.done());
    nested.cancel();
    EXPECT_THROW(co_await nested, cancelled);
  });
}

// The body throws while it is being cancelled.
TEST(asyncio_task_group, taskgroup_18) {
  on_sim([]() -> task<> {
    auto body = [](task_group&) -> task<> { co_await axle::finally(sleeps(10s), throws_mine); };
    auto runner = [&]() -> task<> { co_await with_task_group(body); };
    const auto r = spawn(runner());
    co_await sleep(100ms);
    EXPECT_FALSE(r.done());
    r.cancel();
    EXPECT_EQ(came_out(co_await r.outcome()), "MyExc");
  });
}

// taskgroup_19, taskgroup_20a, taskgroup_21a, taskgroup_context_manager_exit_raises: a child fails, and the body when it is
// ended because of that. Both come out, in that order.
TEST(asyncio_task_group, taskgroup_19) {
  on_sim([]() -> task<> {
    auto body = [](task_group& g) -> task<> {
      g.spawn(crashes(100ms));
      co_await axle::finally(sleeps(10s), throws_mine);
    };
    auto runner = [&]() -> task<> { co_await with_task_group(body); };
    const auto r = spawn(runner());
    EXPECT_EQ(came_out(co_await r.outcome()), "ZeroDivisionError, MyExc");
  });
}

TEST(asyncio_task_group, taskgroup_23) {
  on_sim([]() -> task<> {
    auto body = [](task_group& g) -> task<> {
      for (int count = 0; count < 10; ++count) {
        co_await sleep(100ms);
        g.spawn(sleeps(300ms));
        if (count == 5) EXPECT_LT(g.size(), 5U);
      }
      co_await sleep(1350ms);
      EXPECT_EQ(g.size(), 0U);
    };
    co_await with_task_group(body);
  });
}

TEST(asyncio_task_group, taskgroup_24) {
  on_sim([]() -> task<> {
    int a = 0, b = 0;
    auto root = [&](task_group& g) -> task<> {
      co_await sleep(100ms);
      g.spawn(sets(a, 100ms, 1));
      g.spawn(sets(b, 200ms, 2));
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(root(g));
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
  });
}

struct hydra {
  int heads = 0;
  task<> grows(task_group& g) {
    if (++heads == 1'000'000) co_return;  // never: an end for the compiler to see
    co_await sleep(10ms);
    g.spawn(grows(g));
    g.spawn(grows(g));
  }
};
TEST(asyncio_task_group, taskgroup_25) {
  on_sim([]() -> task<> {
    hydra all;
    auto hercules = [&]() -> task<> {
      while (all.heads < 10) co_await sleep(15ms);
      throw wrong("ZeroDivisionError");
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(all.grows(g));
      g.spawn(hercules());
      co_return;
    };
    EXPECT_THROW(co_await with_task_group(body), wrong);
    EXPECT_GE(all.heads, 10);
  });
}

// taskgroup_task_name, name
TEST(asyncio_task_group, taskgroup_task_name) {
  on_sim([]() -> task<> {
    std::string name;
    auto tells = [&]() -> task<> {
      co_await yield();
      name = current_task().name;
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(tells(), {.name = "yolo"});
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(name, "yolo");
  });
}

// Differs: what is spawned into a group that is ending is taken, and never begins; no error in the one who spawns.
TEST(asyncio_task_group, taskgroup_no_create_task_after_failure) {
  on_sim([]() -> task<> {
    bool began = false;
    auto late = [&]() -> task<> {
      began = true;
      co_return;
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(crashes(1ms));
      auto spawns_late = [&]() -> task<> {
        g.spawn(late());
        co_return;
      };
      co_await axle::finally(sleeps(1s), spawns_late);
    };
    EXPECT_THROW(co_await with_task_group(body), wrong);
    EXPECT_FALSE(began);
  });
}

// cancelling_level_preserved, cancellation_does_not_leak_out_of_tg
TEST(asyncio_task_group, cancellation_does_not_leak_out_of_tg) {
  on_sim([]() -> task<> {
    auto body = [](task_group& g) -> task<> {
      g.spawn(crashes(0s));
      co_await sleep(1h);
    };
    auto runner = [&]() -> task<int> {
      try {
        co_await with_task_group(body);
        ADD_FAILURE() << "it should have failed";
      } catch (const wrong&) {}
      co_await yield();
      co_await checkpoint();
      co_return 42;
    };
    const auto r = spawn(runner());
    EXPECT_EQ(co_await r, 42);
  });
}

// Both groups' children fail at the same time: the outer cancel does not swallow the inner failure, nor the reverse.
TEST(asyncio_task_group, nested_groups_both_cancelled) {
  on_sim([]() -> task<> {
    trace log;
    task_group* outer_group = nullptr;
    auto inner = [&](task_group& g) -> task<> {
      g.spawn(throws_another());
      outer_group->spawn(throws_mine());
      co_return;
    };
    auto outer = [&](task_group& g) -> task<> {
      outer_group = &g;
      try {
        co_await with_task_group(inner);
      } catch (const wrong&) {
        log.push_back("inner");
      }
    };
    EXPECT_THROW(co_await with_task_group(outer), my_exception);
    co_await yield();
    EXPECT_EQ(log, trace{"inner"});
  });
}

// A failure inside and a cancel from outside in the same turn: the failure is told, and the next await ends the task.
TEST(asyncio_task_group, error_and_cancel) {
  on_sim([]() -> task<> {
    trace log;
    event started;
    auto raises = [&]() -> task<> {
      started.set();
      co_await yield();
      throw wrong("RuntimeError");
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(raises());
      co_await sleep(1s);
      log.push_back("not reached");
    };
    auto inner = [&]() -> task<> {
      try {
        co_await with_task_group(body);
      } catch (const wrong&) {
        log.push_back("RuntimeError");
      }
      co_await sleep(1s);
      log.push_back("not reached");
    };
    const auto t = spawn(inner());
    co_await started.wait();
    co_await yield();  // raises() goes first: it is at its throw
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_TRUE(t.was_cancelled());
    EXPECT_EQ(log, trace{"RuntimeError"});
  });
}

// The same when the cancel comes first: differs, for then the child is called off before it fails.
TEST(asyncio_task_group, cancel_and_then_no_error) {
  on_sim([]() -> task<> {
    trace log;
    auto body = [](task_group& g) -> task<> {
      g.spawn(crashes(1ms));
      co_await sleep(1s);
    };
    auto inner = [&]() -> task<> {
      try {
        co_await with_task_group(body);
      } catch (const wrong&) {
        log.push_back("RuntimeError");
      }
    };
    const auto t = spawn(inner());
    co_await rounds(2);
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_TRUE(log.empty());
  });
}

// The failure of one that a child spawned ends that child at its next await.
TEST(asyncio_task_group, cancels_task_if_created_during_creation) {
  on_sim([]() -> task<> {
    trace log;
    auto second = [&](task_group& g) -> task<> {
      const noted end(log, "ended");
      g.spawn(throws_mine());
      co_await yield();
      co_await yield();
      log.push_back("not reached");
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(second(g));
      co_return;
    };
    EXPECT_THROW(co_await with_task_group(body), my_exception);
    EXPECT_EQ(log, trace{"ended"});
  });
}

// exception_refcycles_*: nothing holds the exception after it was thrown but who caught it.
TEST(asyncio_task_group, exception_refcycles) {
  on_sim([]() -> task<> {
    int alive = 0;
    struct carries : std::exception {
      explicit carries(int& of) : held(of) {}
      counted held;
    };
    auto crashes_with_it = [&]() -> task<> {
      throw carries(alive);
      co_return;
    };
    auto body = [&](task_group& g) -> task<> {
      g.spawn(crashes_with_it());
      co_return;
    };
    try {
      co_await with_task_group(body);
    } catch (const carries&) {
      EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
  });
}

}  // namespace
}  // namespace axle::test
