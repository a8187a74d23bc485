// Yardsticks between two cores, without any library: the ways to wake a thread that sleeps.
//
// Invariant: the thread of the benchmark is pinned to the first allowed processor, the other one to the second, and the other
// has begun before the clock is read. Each figure is nanoseconds per single operation, as in micro.hpp.
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "../micro.hpp"

namespace {

void pin_to(int which) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && which-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
}

// Runs `there` on the second processor and `here` on the first.
template <class There, class Here>
void with_two_cores(There&& there, Here&& here) {
  cpu_set_t before;
  sched_getaffinity(0, sizeof before, &before);
  std::atomic<bool> up{false};
  std::thread other([&] {
    pin_to(1);
    up = true;
    there();
  });
  while (!up) std::this_thread::yield();
  pin_to(0);
  here();
  other.join();
  sched_setaffinity(0, sizeof before, &before);
}

// ---- waking a thread that sleeps: there and back, both asleep ---------------------------------------------------------

// Both sides sleep between, so a round trip is two wakes; the other answers each.
template <class Wait, class Wake>
void wake_round_trip(benchmark::State& state, Wait&& wait, Wake&& wake) {
  std::atomic<bool> over{false};
  with_two_cores(
      [&] {
        while (!over) {
          wait(1);
          wake(0);
        }
      },
      [&] {
        std::vector<double> took;
        for (auto _ : state) {
          usleep(200);  // until the other is asleep
          const double start = bench::now_ns();
          wake(1);
          wait(0);
          took.push_back(bench::now_ns() - start);
        }
        over = true;
        wake(1);
        std::nth_element(took.begin(), took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2),
                         took.end());
        state.counters["ns_per_op"] = took[took.size() / 2];
      });
}

void wake_by_eventfd(benchmark::State& state) {
  const std::array<int, 2> ends = {eventfd(0, 0), eventfd(0, 0)};
  wake_round_trip(
      state,
      [&](std::size_t side) {
        std::uint64_t value = 0;
        if (read(ends[side], &value, sizeof value) < 0) std::abort();
      },
      [&](std::size_t side) {
        const std::uint64_t one = 1;
        if (write(ends[side], &one, sizeof one) < 0) std::abort();
      });
  for (const int end : ends) close(end);
}
BENCHMARK(wake_by_eventfd)->Name("X3.wake/eventfd")->Iterations(1000);

void wake_by_futex(benchmark::State& state) {
  struct alignas(128) line {
    std::atomic<std::int64_t> value{0};
  };
  std::array<line, 2> flags;
  const auto word = [&](std::size_t side) { return reinterpret_cast<std::uint32_t*>(&flags[side].value); };
  wake_round_trip(
      state,
      [&](std::size_t side) {
        while (flags[side].value.exchange(0) == 0)
          syscall(SYS_futex, word(side), FUTEX_WAIT_PRIVATE, 0, nullptr);
      },
      [&](std::size_t side) {
        flags[side].value.store(1);
        syscall(SYS_futex, word(side), FUTEX_WAKE_PRIVATE, 1);
      });
}
BENCHMARK(wake_by_futex)->Name("X3.wake/futex")->Iterations(1000);

}  // namespace

BENCHMARK_MAIN();
