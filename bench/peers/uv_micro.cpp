// Timers with libuv. It has no tasks, so the rows about tasks have no line here.
//
// Invariant: one thread, one loop; libuv keeps its timers in a heap and counts in milliseconds.
#include <uv.h>

#include <vector>

#include "../micro.hpp"

namespace {

constexpr std::uint64_t hour_ms = 3'600'000, minute_ms = 60'000;

void ignore(uv_timer_t*) {}

void timer_insert_cancel(benchmark::State& state) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  bench::random_numbers random;
  std::vector<uv_timer_t> pending(std::size_t(state.range(0)));
  for (uv_timer_t& timer : pending) {
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, ignore, hour_ms + random.below(minute_ms), 0);
  }
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  bench::time_operations(state, 1000, [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      uv_timer_start(&timer, ignore, hour_ms + random.below(minute_ms), 0);
      uv_timer_stop(&timer);
    }
  });
  for (uv_timer_t& each : pending) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
}
BENCHMARK(timer_insert_cancel)->Name("T1/uv")->Arg(100)->Arg(100'000);

void timer_expiry(benchmark::State& state) {
  constexpr std::size_t overdue = 1'000'000;
  static std::size_t fired;
  double spent = 0;
  for (auto _ : state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    bench::random_numbers random;
    std::vector<uv_timer_t> timers(overdue);
    for (uv_timer_t& timer : timers) {
      uv_timer_init(&loop, &timer);
      uv_timer_start(&timer, [](uv_timer_t*) { ++fired; }, random.below(20), 0);
    }
    usleep(25'000);
    fired = 0;
    double start = bench::now_ns();
    uv_run(&loop, UV_RUN_NOWAIT);
    spent += bench::now_ns() - start;
    if (fired != overdue) state.SkipWithError("timers were lost");
    for (uv_timer_t& timer : timers) uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
  state.counters["ns_per_op"] = spent / double(state.iterations() * std::int64_t(overdue));
}
BENCHMARK(timer_expiry)->Name("T3/uv")->Iterations(3);

}  // namespace

BENCHMARK_MAIN();
