// Small operations with standalone asio: timers, tasks, awaiting, yielding, memory of sleepers.
//
// Each is written the way asio's documentation shows it. A cancelled timer's handler still has to be run by
// the io_context, so that run is part of what insert and cancel cost.
// Invariant: one thread, one io_context with a concurrency hint of 1.
#include <deque>

#include "../micro.hpp"
#include "with_asio.hpp"

namespace {

using asio::awaitable;
using asio::use_awaitable;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr std::int64_t minute_ns = 60'000'000'000;

void timer_insert_cancel(benchmark::State& state) {
  asio::io_context context(1);
  bench::random_numbers random;
  std::deque<asio::steady_timer> pending;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    pending.emplace_back(context, 1h + nanoseconds(random.below(minute_ns))).async_wait([](asio::error_code) {
    });
  }
  asio::steady_timer timer(context);
  bench::time_operations(state, 1000, [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      timer.expires_after(1h + nanoseconds(random.below(minute_ns)));
      timer.async_wait([](asio::error_code) {});
      timer.cancel();
    }
    context.poll();
  });
}
BENCHMARK(timer_insert_cancel)->Name("T1/asio")->Arg(100)->Arg(100'000);

void timer_expiry(benchmark::State& state) {
  constexpr std::int64_t overdue = 1'000'000;
  double spent = 0;
  for (auto _ : state) {
    asio::io_context context(1);
    bench::random_numbers random;
    std::deque<asio::steady_timer> timers;
    std::int64_t fired = 0;
    auto now = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < overdue; ++i) {
      timers.emplace_back(context, now - nanoseconds(random.below(minute_ns)));
      timers.back().async_wait([&fired](asio::error_code) { ++fired; });
    }
    double start = bench::now_ns();
    context.poll();
    spent += bench::now_ns() - start;
    if (fired != overdue) state.SkipWithError("timers were lost");
  }
  state.counters["ns_per_op"] = spent / double(state.iterations() * overdue);
}
BENCHMARK(timer_expiry)->Name("T3/asio")->Iterations(3);

awaitable<int> immediate(int value) { co_return value; }

// Runs `body(count)`, a coroutine, to its end inside the timed section.
template <class Body>
void time_coroutine(benchmark::State& state, Body body) {
  asio::io_context context(1);
  bench::time_operations(state, 10'000, [&](std::int64_t count) {
    asio::co_spawn(context, body(count), asio::detached);
    context.restart();
    context.run();
  });
}

awaitable<void> spawn_one_by_one(std::int64_t count) {
  auto executor = co_await asio::this_coro::executor;
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await asio::co_spawn(executor, immediate(int(i)), use_awaitable));
  }
}

awaitable<void> await_children(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await immediate(int(i)));
}

awaitable<void> yield_repeatedly(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) co_await asio::post(use_awaitable);
}

void spawn_join_one(benchmark::State& state) { time_coroutine(state, spawn_one_by_one); }
BENCHMARK(spawn_join_one)->Name("C1.one/asio");

void spawn_join_thousand(benchmark::State& state) {
  asio::io_context context(1);
  bench::time_operations(state, 1000, [&](std::int64_t count) {
    std::int64_t left = count;
    for (std::int64_t i = 0; i < count; ++i) {
      asio::co_spawn(context, immediate(int(i)), [&left](std::exception_ptr, int) { --left; });
    }
    context.restart();
    context.run();
    if (left != 0) state.SkipWithError("tasks were lost");
  });
}
BENCHMARK(spawn_join_thousand)->Name("C1.thousand/asio");

void await_child(benchmark::State& state) { time_coroutine(state, await_children); }
BENCHMARK(await_child)->Name("C2.await/asio");

void yield(benchmark::State& state) { time_coroutine(state, yield_repeatedly); }
BENCHMARK(yield)->Name("C2.yield/asio");

awaitable<void> sleeper() {
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  co_await timer.async_wait(use_awaitable);
}

double sleeper_bytes() {
  constexpr int tasks = 1'000'000;
  auto* context = new asio::io_context(1);  // never destroyed: the child just ends
  double before = bench::resident_bytes();
  for (int i = 0; i < tasks; ++i) asio::co_spawn(*context, sleeper(), asio::detached);
  context->poll();
  return (bench::resident_bytes() - before) / tasks;
}

void sleeping_tasks(benchmark::State& state) {
  for (auto _ : state) state.counters["bytes_per_task"] = bench::in_a_child(sleeper_bytes);
}
BENCHMARK(sleeping_tasks)->Name("M1/asio")->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
