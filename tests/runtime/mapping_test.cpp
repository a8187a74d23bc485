// The rows of the table in runtime/README.md, "From asyncio, trio and JavaScript", each as a program that does what the row
// says. The names of the tests are the rows' last column.
#include <poll.h>

#include <thread>

#include "../support.hpp"

namespace axle::test {
namespace {

task<std::string> work(std::string name, std::chrono::nanoseconds d) {
  co_await sleep(d);
  co_return name;
}
task<std::string> fails(std::chrono::nanoseconds d) {
  co_await sleep(d);
  throw wrong("failed");
}

TEST(mapping, run) {
  const auto main = []() -> task<int> { co_return 7; };
  EXPECT_EQ(axle::run({.driver = "sim"}, main), 7);
}

TEST(mapping, spawn) {
  on_sim([]() -> task<> {
    auto handle = spawn(work("A", 1s), {.name = "a"});
    const std::string name = co_await handle;
    EXPECT_EQ(name, "A");
  });
}

TEST(mapping, spawn_eager) {
  on_sim([]() -> task<> {
    auto handle = spawn(ready_value(1), {.eager = true});
    EXPECT_TRUE(handle.done());
    co_return;
  });
}

TEST(mapping, gather) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    const auto [a, b] = co_await gather(work("A", 2s), work("B", 1s));
    EXPECT_EQ(a + b, "AB");
    EXPECT_TRUE(took(clock::now() - start, 2s));
    EXPECT_THROW(co_await gather(work("A", 2s), fails(1s)), wrong);
    EXPECT_TRUE(took(clock::now() - start, 3s)) << "the other was cancelled";
  });
}

TEST(mapping, gather_settled) {
  on_sim([]() -> task<> {
    const auto [a, b] = co_await gather_settled(work("A", 2s), fails(1s));
    EXPECT_TRUE(a.has_value());
    EXPECT_TRUE(b.error());
  });
}

TEST(mapping, gather_at_most) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    std::vector<task<std::string>> all;
    for (int i = 0; i < 4; ++i) all.push_back(work("x", 1s));
    const auto values = co_await gather(at_most{2}, std::move(all));
    EXPECT_EQ(values.size(), 4U);
    EXPECT_TRUE(took(clock::now() - start, 2s));
  });
}

TEST(mapping, first_of) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    const auto winner = co_await first_of(work("slow", 2s), work("quick", 1s));
    EXPECT_EQ(winner.index, 1U);
    EXPECT_TRUE(took(clock::now() - start, 1s));
  });
}

TEST(mapping, wait) {
  on_sim([]() -> task<> {
    std::vector<join_handle<std::string>> all;
    all.push_back(spawn(work("A", 2s)));
    all.push_back(spawn(work("B", 1s)));
    const waited became = co_await axle::wait(all, wait_until::first_completed);
    EXPECT_EQ(became.done, std::vector<std::size_t>{1});
    EXPECT_EQ(became.pending, std::vector<std::size_t>{0});
  });
}

TEST(mapping, as_completed) {
  on_sim([]() -> task<> {
    std::vector<join_handle<std::string>> all;
    all.push_back(spawn(work("A", 2s)));
    all.push_back(spawn(work("B", 1s)));
    std::string order;
    as_completed done(all);
    while (const auto number = co_await done.next()) order += co_await all[*number];
    EXPECT_EQ(order, "BA");
  });
}

TEST(mapping, with_task_group) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    const auto body = [](task_group& group) -> task<> {
      group.spawn(sleeps(2s));
      group.spawn(sleeps(1s));
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_TRUE(took(clock::now() - start, 2s));
    const auto quits = [](task_group& group) -> task<> {
      group.spawn(sleeps(1h));
      group.cancel();
      co_return;
    };
    co_await with_task_group(quits);
    EXPECT_TRUE(took(clock::now() - start, 2s));
  });
}

task<> serves(ready_signal<int> ready) {
  co_await sleep(1s);
  ready(8080);
  co_await sleep(1s);
}
TEST(mapping, group_start) {
  on_sim([]() -> task<> {
    const auto body = [](task_group& group) -> task<> {
      const int port = co_await group.start<int>(serves);
      EXPECT_EQ(port, 8080);
    };
    co_await with_task_group(body);
  });
}

TEST(mapping, with_timeout) {
  on_sim([]() -> task<> {
    const auto late = co_await with_timeout(1s, work("A", 2s));
    EXPECT_EQ(late.error(), errc::timed_out);
    const auto in_time = co_await with_deadline(clock::now() + 3s, work("A", 2s));
    EXPECT_EQ(in_time.value(), "A");
  });
}

TEST(mapping, cancel_scope) {
  on_sim([]() -> task<> {
    axle::cancel_scope scope(1s);
    const auto start = clock::now();
    scope.set_deadline(start + 3s);
    const auto became = co_await scope.run(work("A", 1h));
    EXPECT_FALSE(became);
    EXPECT_TRUE(scope.timed_out());
    EXPECT_TRUE(took(clock::now() - start, 3s));
  });
}

TEST(mapping, shield) {
  on_sim([]() -> task<> {
    bool whole = false;
    const auto body = [&whole]() -> task<> {
      co_await axle::shield(sleeps(1s));
      whole = true;
      co_await sleep(1s);
      whole = false;
    };
    auto handle = spawn(body);
    co_await yield();
    handle.cancel();
    static_cast<void>(co_await handle.outcome());
    EXPECT_TRUE(whole);
  });
}

TEST(mapping, finally) {
  on_sim([]() -> task<> {
    bool cleaned = false;
    const auto cleanup = [&cleaned]() -> task<> {
      co_await sleep(1s);
      cleaned = true;
    };
    auto handle = spawn(axle::finally(sleeps(1h), cleanup));
    co_await yield();
    handle.cancel();
    static_cast<void>(co_await handle.outcome());
    EXPECT_TRUE(cleaned);
  });
}

TEST(mapping, handle_cancel) {
  on_sim([]() -> task<> {
    auto handle = spawn(work("A", 1h));
    handle.cancel();
    bool caught = false;
    try {
      static_cast<void>(co_await handle);
    } catch (const cancelled&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    auto other = spawn(work("B", 1h));
    other.cancel();
    const auto became = co_await other.outcome();
    EXPECT_TRUE(became.is_cancelled());
  });
}

TEST(mapping, handle_done) {
  on_sim([]() -> task<> {
    auto handle = spawn(work("A", 1s));
    bool told = false;
    handle.on_done([&told] { told = true; });
    EXPECT_FALSE(handle.done());
    co_await sleep(2s);
    EXPECT_TRUE(handle.done());
    EXPECT_TRUE(told);
    EXPECT_EQ(handle.state(), axle::task_state::finished);
  });
}

TEST(mapping, sleep_and_yield) {
  on_sim([]() -> task<> {
    const auto start = clock::now();
    co_await sleep(1s);
    EXPECT_TRUE(took(clock::now() - start, 1s));
    co_await yield();
    co_await sleep(0s);
    EXPECT_TRUE(took(clock::now() - start, 1s));
  });
}

TEST(mapping, call_soon_and_later) {
  on_sim([]() -> task<> {
    trace log;
    const auto say = [&log](const char* what) { log.emplace_back(what); };
    call_later(0ms, say, "timer");
    call_soon(say, "soon");
    call_microtask(say, "microtask");
    log.emplace_back("script");
    co_await sleep(1ms);
    EXPECT_EQ(log, (trace{"script", "microtask", "soon", "timer"}));
  });
}

TEST(mapping, post_to) {
  int ran = 0;
  const auto main = [&ran]() -> task<> {
    promise<> done;
    std::thread outside([&] {
      const auto sent = axle::post_to(0, [&] {
        ++ran;
        done.set_value();
      });
      EXPECT_TRUE(sent);
    });
    co_await done.get_future();
    outside.join();
  };
  axle::run({.driver = "epoll"}, main);
  EXPECT_EQ(ran, 1);
}

TEST(mapping, promise_and_future) {
  on_sim([]() -> task<> {
    promise<int> set_later;
    const future<int> result = set_later.get_future();
    call_later(1s, [&set_later] { set_later.set_value(5); });
    const int value = co_await result;
    EXPECT_EQ(value, 5);
  });
}

TEST(mapping, mutex) {
  on_sim([]() -> task<> {
    axle::mutex m;
    const auto held = co_await m.lock();
    EXPECT_TRUE(m.locked());
  });
}

TEST(mapping, event_condition_semaphore_barrier) {
  on_sim([]() -> task<> {
    event ready;
    call_soon([&ready] { ready.set(); });
    co_await ready.wait();
    semaphore slots(2);
    const auto slot = co_await slots.acquire();
    EXPECT_EQ(slots.available(), 1U);
    axle::mutex m;
    condition changed;
    auto held = co_await m.lock();
    call_soon([&changed] { changed.notify_all(); });
    co_await changed.wait(held);
    barrier all(1);
    const auto place = co_await all.wait();
    EXPECT_TRUE(place.has_value());
  });
}

TEST(mapping, capacity_limiter) {
  on_sim([]() -> task<> {
    axle::capacity_limiter limiter(1);
    const auto token = co_await limiter.acquire();
    EXPECT_EQ(limiter.available(), 0U);
  });
}

TEST(mapping, queues) {
  on_sim([]() -> task<> {
    queue<int> fifo(unbounded);
    priority_queue<int> least(unbounded);
    lifo_queue<int> last(unbounded);
    for (const int item : {2, 1, 3}) {
      static_cast<void>(co_await fifo.put(item));
      static_cast<void>(co_await least.put(item));
      static_cast<void>(co_await last.put(item));
    }
    const auto a = co_await fifo.get();
    const auto b = co_await least.get();
    const auto c = co_await last.get();
    EXPECT_EQ(a.value(), 2);
    EXPECT_EQ(b.value(), 1);
    EXPECT_EQ(c.value(), 3);
    fifo.close();
    static_cast<void>(co_await fifo.get());
    static_cast<void>(co_await fifo.get());
    const auto end = co_await fifo.get();
    EXPECT_FALSE(end);
  });
}

async_generator<int> count_to(int n) {
  for (int i = 1; i <= n; ++i) {
    co_await sleep(1s);
    co_yield i;
  }
}
TEST(mapping, async_generator) {
  on_sim([]() -> task<> {
    int sum = 0;
    auto numbers = count_to(3);
    while (const int* number = co_await numbers.next()) sum += *number;
    EXPECT_EQ(sum, 6);
  });
}

task_local<std::string> request("none");
task<std::string> request_here() { co_return request.get(); }
TEST(mapping, task_local) {
  on_sim([]() -> task<> {
    request.set("r-17");
    auto handle = spawn(request_here());
    const std::string seen = co_await handle;
    EXPECT_EQ(seen, "r-17");
  });
}

TEST(mapping, all_tasks) {
  on_sim([]() -> task<> {
    auto handle = spawn(sleeps(1s), {.name = "sleeper"});
    EXPECT_EQ(all_tasks().size(), 2U);
    EXPECT_EQ(current_task().id, all_tasks().front().id);
    co_await handle;
  });
}

TEST(mapping, channels) {
  on_sim([]() -> task<> {
    channel<int> items(4);
    static_cast<void>(co_await items.put(1));
    const auto item = co_await items.get();
    EXPECT_EQ(item.value(), 1);
    auto [sender, receiver] = oneshot<int>();
    static_cast<void>(sender.send(2));
    const auto once = co_await receiver.get();
    EXPECT_EQ(once.value(), 2);
    broadcast<int> news(4);
    auto reader = news.subscribe();
    static_cast<void>(news.send(3));
    const auto heard = co_await reader.get();
    EXPECT_EQ(heard.value(), 3);
    axle::watch<int> latest(0);
    auto watcher = latest.watcher();
    static_cast<void>(latest.set(4));
    const auto newest = co_await watcher.changed();
    EXPECT_EQ(newest.value(), 4);
  });
}

task<int> counts(int& calls) {
  ++calls;
  co_await sleep(1s);
  co_return calls;
}
TEST(mapping, rings) {
  on_sim([]() -> task<> {
    spsc_channel<int> ring(4);
    static_cast<void>(co_await ring.put(1));
    const auto item = co_await ring.get();
    EXPECT_EQ(item.value(), 1);
    mesh<int> between(core_count(), 4);
    static_cast<void>(co_await between.send(0, 2));
    const auto got = co_await between.receive();
    EXPECT_EQ(got->from, 0U);
    EXPECT_EQ(got->item, 2);
  });
}

struct counter {
  explicit counter(int first) : value(first) {}
  int next() { return value++; }
  int value;
};
TEST(mapping, sharded) {
  on_sim([]() -> task<> {
    axle::sharded<counter> counters;
    co_await counters.start(7);
    EXPECT_EQ(counters.local().next(), 7);
    const int second = co_await counters.invoke_on(core_count() - 1, &counter::next);
    EXPECT_EQ(second, 8);
    const int sum = co_await counters.map_reduce([](counter& each) { return each.value; }, 0, std::plus());
    EXPECT_EQ(sum, 9);
    co_await counters.stop();
    const unsigned there = co_await on(core_count() - 1, this_core);
    EXPECT_EQ(there, core_count() - 1);
  });
}

TEST(mapping, foreign_ptr) {
  on_sim([]() -> task<> {
    auto pointer = make_foreign<counter>(1);
    const auto use = [](const axle::foreign_ptr<counter>& given) { return given->next(); };
    const int value = co_await on(pointer.home(), use, std::move(pointer));
    EXPECT_EQ(value, 1);
  });
}

int not_a_coroutine() { return axle::await(value_after(1s, 4)); }

TEST(mapping, fibers) {
  on_sim([]() -> task<> { EXPECT_EQ(co_await fiber(not_a_coroutine), 4); });
}

TEST(mapping, guests) {
  const char* named = std::getenv("AXLE_DRIVER");
  guest<int> hosted({.driver = named ? named : ""}, value_after(1ms, 5));
  for (bool more = true; more;) {
    pollfd ready = {.fd = hosted.descriptor(), .events = POLLIN, .revents = 0};
    poll(&ready, 1, -1);
    more = hosted.turn();
  }
  EXPECT_EQ(hosted.result(), 5);
}

TEST(mapping, limits) {
  on_sim([]() -> task<> {
    token_bucket bucket({.per_second = 10, .burst = 1});
    const auto start = clock::now();
    co_await bucket.acquire();
    co_await bucket.acquire();
    EXPECT_TRUE(took(clock::now() - start, 100ms));
    singleflight<std::string, int> flights;
    int calls = 0;
    const auto [a, b] = co_await gather(flights.run("key", counts, std::ref(calls)),
                                        flights.run("key", counts, std::ref(calls)));
    EXPECT_EQ(a + b, 2);
    EXPECT_EQ(calls, 1);
    delay_queue<int> later(4);
    static_cast<void>(co_await later.put(7, 1s));
    const auto due = co_await later.get();
    EXPECT_EQ(due.value(), 7);
  });
}

}  // namespace
}  // namespace axle::test
