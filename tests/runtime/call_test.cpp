// call_soon, call_later, call_at, call_microtask where they meet completions, messages, many timers and the end of a run.
#include "../support.hpp"

namespace axle::test {
namespace {

TEST(call, a_microtask_of_a_posted_function_runs_before_the_next_posted_function) {
  trace log;
  auto first = [&] {
    log.push_back("first message");
    call_microtask([&] { log.push_back("its microtask"); });
  };
  auto second = [&] { log.push_back("second message"); };
  on_sim([&]() -> task<> {
    EXPECT_TRUE(post_to(0, first));
    EXPECT_TRUE(post_to(0, second));
    co_await sleep(1ms);
  });
  EXPECT_EQ(log, (trace{"first message", "its microtask", "second message"}));
}

// One of many readers whose data arrives in one wait.
task<> read_and_note(io::tcp_stream& from, trace& log, std::size_t& out_of_order) {
  auto data = co_await from.recv();
  if (!data) co_return;
  if (!log.empty() && log.back() == "read") ++out_of_order;
  log.push_back("read");
  auto note = [&] { log.push_back("microtask"); };
  call_microtask(note);
}
TEST(call, a_microtask_of_a_task_that_io_has_woken_runs_before_the_next_task) {
  trace log;
  std::size_t out_of_order = 0;
  on_sim([&]() -> task<> {
    auto listener = io::tcp_listener::bind({"127.0.0.1", 0}).value();
    std::vector<io::tcp_stream> clients, servers;
    for (int i = 0; i < 16; ++i) {
      clients.push_back((co_await io::tcp_stream::connect(listener.local_address().value())).value());
      servers.push_back((co_await listener.accept()).value());
    }
    std::vector<join_handle<>> readers;
    for (auto& each : servers) readers.push_back(spawn(read_and_note(each, log, out_of_order)));
    co_await sleep(1ms);
    for (auto& each : clients) (co_await each.write_all("x")).value();
    for (auto& each : readers) co_await each;
  });
  EXPECT_EQ(out_of_order, 0U) << "a task ran between a task and the microtask that it had queued";
}

TEST(call, timed_calls_of_one_deadline_run_in_order_however_many) {
  constexpr int count = 20'000;  // more than one turn fires
  std::vector<int> order;
  on_sim([&]() -> task<> {
    const auto when = clock::now() + 1s;
    for (int i = 0; i < count; ++i) {
      auto note = [&order, i] { order.push_back(i); };
      call_at(when, note);
    }
    co_await sleep(2s);
  });
  ASSERT_EQ(order.size(), static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(call, arguments_and_callable_are_destroyed_after_the_call_or_the_cancel) {
  int alive = 0;
  on_sim([&]() -> task<> {
    auto takes = [](const counted&) {};
    call_soon(takes, counted(alive));
    call_later(1ms, takes, counted(alive));
    auto called_off = call_later(1h, takes, counted(alive));
    auto called_off_soon = call_soon(takes, counted(alive));
    call_microtask(takes, counted(alive));
    EXPECT_EQ(alive, 5);
    EXPECT_TRUE(called_off_soon.cancel());
    EXPECT_TRUE(called_off.cancel());
    co_await sleep(2ms);
    EXPECT_LE(alive, 2);  // what was called off may live as long as its handle
  });
  EXPECT_EQ(alive, 0);
}

TEST(call, what_is_pending_at_the_end_of_the_run_is_dropped_with_its_arguments) {
  int alive = 0;
  int ran = 0;
  auto counts = [&ran](const counted&) { ++ran; };
  call_handle outlives;
  on_sim([&]() -> task<> {
    call_later(1h, counts, counted(alive));
    call_at(clock::time_point::max(), counts, counted(alive));
    outlives = call_later(1h, counts, counted(alive));
    outlives = {};
    co_return;
  });
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(ran, 0);
}

TEST(call, a_handle_that_outlives_its_run_says_that_there_is_nothing_to_cancel) {
  const frames_return guard;
  call_handle outlives;
  run({.driver = "sim"}, [&]() -> task<> {
    outlives = call_later(1h, [] {});
    co_return;
  });
  EXPECT_FALSE(outlives.cancel());
}

TEST(call, a_callback_may_spawn_call_and_cancel) {
  trace log;
  on_sim([&]() -> task<> {
    call_handle victim = call_later(5ms, [&] { log.push_back("victim"); });
    auto says = [&]() -> task<> {
      log.push_back("spawned");
      co_return;
    };
    auto acts = [&] {
      victim.cancel();
      spawn(says).detach();
      call_soon([&] { log.push_back("soon"); });
      call_later(0ms, [&] { log.push_back("later"); });
      call_microtask([&] { log.push_back("microtask"); });
    };
    call_later(1ms, acts);
    co_await sleep(10ms);
  });
  EXPECT_EQ(log, (trace{"microtask", "spawned", "soon", "later"}));
}

TEST(call, a_callback_may_cancel_itself_and_others_of_its_turn) {
  trace log;
  on_sim([&]() -> task<> {
    call_handle self, other;
    auto first = [&] {
      log.push_back("first");
      EXPECT_FALSE(self.cancel());
      EXPECT_TRUE(other.cancel());
    };
    self = call_later(1ms, first);
    other = call_later(1ms, [&] { log.push_back("other"); });
    co_await sleep(2ms);
  });
  EXPECT_EQ(log, trace{"first"});
}

TEST(call, an_exception_of_any_callback_goes_to_the_handler_and_the_loop_lives) {
  const unjoined_failures reported;
  on_sim([]() -> task<> {
    auto fails = [](const char* why) { throw wrong(why); };
    call_soon(fails, "soon");
    call_later(1ms, fails, "later");
    call_microtask(fails, "microtask");
    EXPECT_TRUE(post_to(0, fails, "posted"));
    co_await sleep(2ms);
  });
  EXPECT_EQ(unjoined_failures::seen(),
            (trace{"callback: microtask", "callback: soon", "callback: posted", "callback: later"}));
}

TEST(call, durations_of_every_size_are_taken) {
  int ran = 0;
  on_sim([&]() -> task<> {
    auto count = [&] { ++ran; };
    call_later(-1h, count);
    call_later(std::chrono::nanoseconds::min(), count);
    call_later(0s, count);
    call_later(std::chrono::hours::min(), count);
    call_at(clock::time_point::min(), count);
    call_later(std::chrono::hours::max(), count);
    call_later(std::chrono::nanoseconds::max(), count);
    call_later(std::chrono::duration<double>(1e300), count);
    co_await sleep(1h);
  });
  EXPECT_EQ(ran, 5);
}

TEST(call, call_soon_from_call_soon_without_end_starves_neither_timers_nor_tasks) {
  std::size_t left = 1'000'000;
  std::function<void()> again = [&] {
    if (left && --left) call_soon(again);
  };
  on_sim([&]() -> task<> {
    call_soon(again);
    co_await sleep(10us);
    EXPECT_GT(left, 0U);
    left = 0;
  });
}

}  // namespace
}  // namespace axle::test
