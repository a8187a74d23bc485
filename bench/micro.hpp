// What the small-operation benchmarks share: a clock, a cheap random number, memory in use, a measurement in
// a child process.
//
// Invariant: every benchmark reports nanoseconds per single operation in the counter "ns_per_op", whatever
// its loop does per iteration, so that programs written with different libraries compare line by line.
#pragma once

#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace bench {

inline double now_ns() {
  return double(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

// Runs `body(n)`, which performs n operations, until enough was seen, and reports the time of one operation.
template <class Body>
void time_operations(benchmark::State& state, std::int64_t batch, Body&& body) {
  double spent = 0;
  std::int64_t done = 0;
  while (state.KeepRunningBatch(batch)) {
    double start = now_ns();
    body(batch);
    spent += now_ns() - start;
    done += batch;
  }
  state.counters["ns_per_op"] = spent / double(done);
}

// Xorshift: deadlines that differ, the same in every run.
class random_numbers {
 public:
  std::uint64_t below(std::uint64_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % limit;
  }

 private:
  std::uint64_t state_ = 88'172'645'463'325'252u;
};

// Resident memory of this process.
inline double resident_bytes() {
  long total = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return double(resident) * double(sysconf(_SC_PAGESIZE));
}

// What `measure()` returns when run in a child of its own, whose memory nothing else has touched.
template <class Measure>
double in_a_child(Measure&& measure) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  pid_t child = fork();
  if (child == 0) {
    double value = measure();
    bool written = write(ends[1], &value, sizeof value) == ssize_t(sizeof value);
    _exit(written ? 0 : 1);
  }
  double value = 0;
  close(ends[1]);
  if (read(ends[0], &value, sizeof value) != ssize_t(sizeof value)) value = 0;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return value;
}

}  // namespace bench
