// Messages between two cores with axle, beside raw/transfers.hpp; and waking, the counterpart of raw/cores_raw.cpp.
//
// Invariant: the calling task runs on core 0; each figure is nanoseconds per single operation, as in micro.hpp.
#include <algorithm>
#include <memory>
#include <vector>

#include <axle/cores.hpp>
#include <axle/gather.hpp>
#include <axle/poll_mode.hpp>
#include <axle/run.hpp>
#include <axle/sleep.hpp>
#include <axle/task.hpp>

#include "micro.hpp"
#include "raw/transfers.hpp"

namespace {

using namespace std::chrono_literals;

double median(std::vector<double>& of) {
  const auto middle = of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2);
  std::nth_element(of.begin(), middle, of.end());
  return *middle;
}

// Runs `Body(Slice)`, which makes so many calls from the first of two loops to the second, and the yardstick on the same two
// threads, in turn until enough was seen.
template <axle::task<> (*Body)(std::int64_t), class Raw, std::int64_t Slice>
void beside_raw(benchmark::State& state) {
  axle::run({.cores = 2, .poll = axle::poll_mode::busy}, [&state]() -> axle::task<> {
    std::vector<double> axle_ns, raw_ns, ratios;
    constexpr double calls = Slice;
    while (state.KeepRunningBatch(Slice)) {
      double start = bench::now_ns();
      co_await Body(Slice);
      axle_ns.push_back((bench::now_ns() - start) / calls);

      const auto raw = std::make_unique<Raw>();
      benchmark::DoNotOptimize(axle::post_to(1, [](Raw* other) { other->there(); }, raw.get()));
      raw->here(1);
      start = bench::now_ns();
      raw->here(Slice);
      raw_ns.push_back((bench::now_ns() - start) / calls);
      raw->end();
      co_await axle::on(1, [] {});
      ratios.push_back(axle_ns.back() / raw_ns.back());
    }
    state.counters["ns_per_op"] = median(axle_ns);
    state.counters["raw_ns"] = median(raw_ns);
    state.counters["ratio"] = median(ratios);
  });
}

int answer() { return 42; }

axle::task<> call_one_by_one(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await axle::on(1, answer));
}
BENCHMARK(beside_raw<call_one_by_one, bench::two_transfers, 2'048>)->Name("X1/axle");

// 256 tasks, each of which calls, waits for its reply, and calls again.
axle::task<> call_side_by_side(std::int64_t count) {
  constexpr std::int64_t side_by_side = 256;
  std::vector<axle::task<>> callers;
  callers.reserve(side_by_side);
  for (std::int64_t i = 0; i < side_by_side; ++i) callers.push_back(call_one_by_one(count / side_by_side));
  co_await axle::gather(std::move(callers));
}
BENCHMARK(beside_raw<call_side_by_side, bench::ring_each_way, 25'600>)->Name("X2/axle");

// What a message costs its sender: a function and an argument, to a core that is awake. In bursts that fit the lane, so that the
// other's work is not measured.
int received = 0;
void receive(int value) { received += value; }

void post(benchmark::State& state) {
  axle::run({.cores = 2, .poll = axle::poll_mode::busy}, [&state]() -> axle::task<> {
    constexpr std::int64_t burst = 128;
    double spent = 0;
    std::int64_t done = 0;
    while (state.KeepRunningBatch(burst)) {
      co_await axle::on(1, answer);  // what was posted before has been received
      const double start = bench::now_ns();
      for (int i = 0; i < burst; ++i) benchmark::DoNotOptimize(axle::post_to(1, receive, i));
      spent += bench::now_ns() - start;
      done += burst;
    }
    state.counters["ns_per_op"] = spent / static_cast<double>(done);
  });
}
BENCHMARK(post)->Name("X3.post/axle");

// A call to a core that sleeps, from a core that sleeps until the reply: two wakes.
void wake_round_trip(benchmark::State& state) {
  axle::run({.cores = 2, .poll = axle::poll_mode::blocking}, [&state]() -> axle::task<> {
    std::vector<double> took;
    for (auto _ : state) {
      co_await axle::sleep(200us);
      const double start = bench::now_ns();
      benchmark::DoNotOptimize(co_await axle::on(1, answer));
      took.push_back(bench::now_ns() - start);
    }
    state.counters["ns_per_op"] = median(took);
  });
}
BENCHMARK(wake_round_trip)->Name("X3.wake/axle")->Iterations(1000);

}  // namespace

BENCHMARK_MAIN();
