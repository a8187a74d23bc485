// Yardsticks without any library: an exception through four frames, and the kernel's own one-millisecond
// sleep.
//
// Invariant: the four frames are real calls, each with something to destroy, so unwinding has its usual work.
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "../micro.hpp"

namespace {

int destroyed;

struct counted {
  ~counted() { benchmark::DoNotOptimize(++destroyed); }
};

[[gnu::noinline]] int innermost(int value) {
  counted here;
  if (value >= 0) throw value;
  return value;
}
[[gnu::noinline]] int third(int value) {
  counted here;
  return innermost(value) + 1;
}
[[gnu::noinline]] int second(int value) {
  counted here;
  return third(value) + 1;
}
[[gnu::noinline]] int outermost(int value) {
  counted here;
  return second(value) + 1;
}

void throw_four_frames(benchmark::State& state) {
  bench::time_operations(state, 100, [](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      try {
        benchmark::DoNotOptimize(outermost(int(i)));
      } catch (int caught) {
        benchmark::DoNotOptimize(caught);
      }
    }
  });
}
BENCHMARK(throw_four_frames)->Name("C4.throw/raw");

void sleep_lateness(benchmark::State& state) {
  constexpr long wanted_ns = 1'000'000;
  constexpr int sleeps = 1000;
  prctl(PR_SET_TIMERSLACK, 1);
  std::vector<double> late;
  late.reserve(sleeps);
  for (auto _ : state) {
    late.clear();
    for (int i = 0; i < sleeps; ++i) {
      timespec time{.tv_sec = 0, .tv_nsec = wanted_ns};
      double start = bench::now_ns();
      clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
      late.push_back(bench::now_ns() - start - wanted_ns);
    }
  }
  std::sort(late.begin(), late.end());
  state.counters["p50_ns"] = late[sleeps / 2];
  state.counters["p99_ns"] = late[sleeps * 99 / 100];
  state.counters["earliest_ns"] = late[0];
}
BENCHMARK(sleep_lateness)->Name("T4/raw")->Iterations(1)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
