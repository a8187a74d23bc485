// Measuring a coroutine inside axle's loop. Invariant: as micro.hpp, nanoseconds per single operation.
#pragma once

#include <axle/run.hpp>
#include <axle/task.hpp>

#include "micro.hpp"

namespace bench {

// Runs `Body(Batch)`, which performs Batch operations, inside a loop until enough was seen.
template <axle::task<> (*Body)(std::int64_t), std::int64_t Batch>
void in_a_loop(benchmark::State& state) {
  axle::run([&state]() -> axle::task<> {
    double spent = 0;
    std::int64_t done = 0;
    while (state.KeepRunningBatch(Batch)) {
      const double start = now_ns();
      co_await Body(Batch);
      spent += now_ns() - start;
      done += Batch;
    }
    state.counters["ns_per_op"] = spent / static_cast<double>(done);
  });
}

}  // namespace bench
