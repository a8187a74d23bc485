// CPython's test_asyncio/test_futures.py, case by case: promise and future.
// A case that is called as there asserts what is asserted there, unless its comment says "differs".
#include <optional>
#include <thread>

#include "asyncio_support.hpp"

namespace axle::test {
namespace {

std::exception_ptr made(const char* text) { return std::make_exception_ptr(wrong(text)); }
task<int> awaits(future<int> f) { co_return co_await f; }
task<> notes(future<int> f, numbers& log, int number) {
  std::ignore = co_await f;
  log.push_back(number);
}
/// What a future that is ready gives: its value as text, "cancelled", or its exception's text.
task<std::string> told(future<int> f) {
  try {
    co_return std::to_string(co_await f);
  } catch (const cancelled&) {
    co_return "cancelled";
  } catch (const std::exception& error) {
    co_return error.what();
  }
}

TEST(asyncio_future, initial_state) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto f = set.get_future();
    EXPECT_FALSE(f.ready());
    set.cancel();
    EXPECT_TRUE(f.ready());
    EXPECT_EQ(co_await told(f), "cancelled");
  });
}

// Differs: setting twice is answered with false, and the first stays; CPython raises InvalidStateError.
TEST(asyncio_future, cancel) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto f = set.get_future();
    EXPECT_TRUE(set.cancel());
    EXPECT_TRUE(f.ready());
    EXPECT_EQ(co_await told(f), "cancelled");
    EXPECT_FALSE(set.set_value(1));
    EXPECT_FALSE(set.set_exception(made("late")));
    EXPECT_FALSE(set.cancel());
    EXPECT_EQ(co_await told(f), "cancelled");
  });
}

TEST(asyncio_future, result) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto f = set.get_future();
    EXPECT_FALSE(f.ready());
    EXPECT_TRUE(set.set_value(42));
    EXPECT_TRUE(f.ready());
    EXPECT_EQ(co_await told(f), "42");
    EXPECT_FALSE(set.set_value(1));
    EXPECT_FALSE(set.set_exception(made("late")));
    EXPECT_FALSE(set.cancel());
    EXPECT_EQ(co_await told(f), "42");
  });
}

// result, cancel: asked before it is set. Differs: a task waits; the loop's thread may not, which is a CHECK.
task<> gets_inside_a_loop() {
  promise<int> set;
  auto f = set.get_future();
  static_cast<void>(f.get());
  co_return;
}
TEST(asyncio_future_death, result) { EXPECT_DEATH(in_a_task(gets_inside_a_loop), "would block the loop"); }

TEST(asyncio_future, exception) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto f = set.get_future();
    EXPECT_TRUE(set.set_exception(made("RuntimeError")));
    EXPECT_TRUE(f.ready());
    EXPECT_EQ(co_await told(f), "RuntimeError");
    EXPECT_FALSE(set.set_value(1));
    EXPECT_FALSE(set.set_exception(made("late")));
    EXPECT_FALSE(set.cancel());
    EXPECT_EQ(co_await told(f), "RuntimeError");
  });
}

TEST(asyncio_future, yield_from_twice) {
  on_sim([]() -> task<> {
    promise<int> set;
    numbers got;
    auto fixture = [&]() -> task<> {
      const auto f = set.get_future();
      got.push_back(co_await f);
      got.push_back(co_await f);
    };
    auto g = spawn(fixture());
    co_await yield();
    EXPECT_EQ(got, numbers{});
    set.set_value(42);
    co_await yield();
    EXPECT_EQ(got, (numbers{42, 42})) << "the second await does not wait";
    EXPECT_TRUE(g.done());
  });
}

// Differs: no logging of the abandoned; who waits for it is told.
TEST(asyncio_future, tb_logger_abandoned) {
  const unjoined_failures failures;
  on_sim([]() -> task<> {
    std::optional<promise<int>> set(std::in_place);
    auto waiter = spawn(told(set->get_future()));
    co_await yield();
    set.reset();
    EXPECT_EQ(co_await waiter, "axle: the promise of this future was dropped unset");
  });
  EXPECT_TRUE(failures.seen().empty());
}

// tb_logger_result_unretrieved, tb_logger_result_retrieved
TEST(asyncio_future, tb_logger_result) {
  const unjoined_failures failures;
  on_sim([]() -> task<> {
    promise<int> unread, read;
    unread.set_value(42);
    read.set_value(42);
    EXPECT_EQ(co_await told(read.get_future()), "42");
  });
  EXPECT_TRUE(failures.seen().empty());
}

// tb_logger_exception_retrieved, tb_logger_exception_result_retrieved
TEST(asyncio_future, tb_logger_exception_retrieved) {
  const unjoined_failures failures;
  on_sim([]() -> task<> {
    promise<int> set;
    set.set_exception(made("boom"));
    EXPECT_EQ(co_await told(set.get_future()), "boom");
  });
  EXPECT_TRUE(failures.seen().empty());
}

// tb_logger_exception_unretrieved, future_exception_never_retrieved, future_exception_never_retrieved_debug
TEST(asyncio_future, future_exception_never_retrieved) {
  static trace told_of;
  told_of.clear();
  const auto before = set_warning_handler([](std::string_view text) noexcept { told_of.emplace_back(text); });
  on_sim([]() -> task<> {
    promise<int> set;
    set.set_exception(made("boom"));
    co_return;
  });
  set_warning_handler(before);
  EXPECT_EQ(told_of, trace{"a future failed and nobody looked at it: boom"});
}

// A real thread stands for the executor; it runs on the driver of the machine.
TEST(asyncio_future, wrap_future) {
  EXPECT_EQ(run([]() -> task<int> {
              promise<int> set;
              const auto f = set.get_future();
              const auto here = std::this_thread::get_id();
              std::thread::id there;
              std::thread executor([&, set = std::move(set)]() mutable {
                there = std::this_thread::get_id();
                set.set_value(7);
              });
              const int got = co_await f;
              executor.join();
              EXPECT_NE(there, here);
              co_return got;
            }),
            7);
}

// Differs: who gives up waiting cancels nobody else; the work that will set the promise is told by other means.
TEST(asyncio_future, wrap_future_cancel) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto waiter = spawn(awaits(set.get_future()));
    co_await yield();
    waiter.cancel();
    EXPECT_THROW(co_await waiter, cancelled);
    EXPECT_FALSE(set.get_future().ready());
    EXPECT_TRUE(set.set_value(42));
  });
}

// Differs: set before the cancel, so delivered.
TEST(asyncio_future, wrap_future_cancel2) {
  on_sim([]() -> task<> {
    promise<int> set;
    const auto waiter = spawn(awaits(set.get_future()));
    co_await yield();
    set.set_value(42);
    waiter.cancel();
    EXPECT_EQ(co_await waiter, 42);
    EXPECT_EQ(co_await told(set.get_future()), "42");
  });
}

TEST(asyncio_future, set_result_unless_cancelled) {
  on_sim([]() -> task<> {
    promise<int> set;
    set.cancel();
    EXPECT_FALSE(set.set_value(2));
    EXPECT_EQ(co_await told(set.get_future()), "cancelled");
  });
}

// callbacks_invoked_on_set_result, with waiting tasks in place of callbacks: woken in the order in which they came.
TEST(asyncio_future, callbacks_invoked_on_set_result) {
  on_sim([]() -> task<> {
    promise<int> set;
    numbers log;
    const auto a = spawn(notes(set.get_future(), log, 42));
    const auto b = spawn(notes(set.get_future(), log, 17));
    co_await yield();
    EXPECT_EQ(log, numbers{});
    set.set_value(1);
    EXPECT_EQ(log, numbers{}) << "not from inside set_value";
    co_await yield();
    EXPECT_EQ(log, (numbers{42, 17}));
    EXPECT_TRUE(a.done() && b.done());
  });
}

TEST(asyncio_future, callbacks_invoked_on_set_exception) {
  on_sim([]() -> task<> {
    promise<int> set;
    numbers log;
    auto waits = [&]() -> task<> {
      const std::string how = co_await told(set.get_future());
      if (how == "RuntimeError") log.push_back(100);
    };
    const auto a = spawn(waits());
    co_await yield();
    EXPECT_EQ(log, numbers{});
    set.set_exception(made("RuntimeError"));
    co_await yield();
    EXPECT_EQ(log, numbers{100});
    EXPECT_TRUE(a.done());
  });
}

// callbacks_remove_first_callback, ..._first_and_second_callback, ..._third_callback, remove_done_callback: a waiter that
// is cancelled leaves, wherever it stands.
TEST(asyncio_future, callbacks_remove) {
  on_sim([]() -> task<> {
    for (int removed = 0b000; removed <= 0b111; ++removed) {
      promise<int> set;
      numbers log, expected;
      std::vector<join_handle<>> waiters;
      for (int i = 0; i < 3; ++i) waiters.push_back(spawn(notes(set.get_future(), log, i)));
      co_await yield();
      for (int i = 0; i < 3; ++i) {
        if ((removed >> i) & 1) {
          waiters[static_cast<std::size_t>(i)].cancel();
        } else {
          expected.push_back(i);
        }
      }
      set.set_value(1);
      co_await yield();
      EXPECT_EQ(log, expected);
    }
  });
}

// schedule_callbacks_list_mutation_1: the first that is woken cancels another that is woken already.
TEST(asyncio_future, schedule_callbacks_list_mutation_1) {
  on_sim([]() -> task<> {
    promise<int> set;
    numbers log;
    join_handle<> second;
    auto first = [&]() -> task<> {
      std::ignore = co_await set.get_future();
      second.cancel();
    };
    const auto a = spawn(first());
    second = spawn(notes(set.get_future(), log, 2));
    co_await yield();
    set.set_value(1);
    co_await yield();
    EXPECT_TRUE(a.done());
    EXPECT_EQ(log, numbers{2}) << "it has its value";
  });
}

}  // namespace
}  // namespace axle::test
