// Small operations with axle: timers, tasks, awaiting, yielding, cancelling. The counterparts of peers/*_micro.cpp and
// raw/micro_raw.cpp, each written the way the README shows it.
//
// Invariant: every figure is taken inside one loop on the driver that a server would use; only the operations
// themselves are between the two readings of the clock.
#include <algorithm>
#include <memory>
#include <vector>

#include <axle/gather.hpp>
#include <axle/run.hpp>
#include <axle/sleep.hpp>
#include <axle/spawn.hpp>
#include <axle/sync.hpp>
#include <axle/timer_wheel.hpp>

#include "in_a_loop.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::int64_t minute_ns = 60'000'000'000;
constexpr std::int64_t hour_ns = 60 * minute_ns;

struct counted_timer : axle::detail::timer_node {};

// Timers with random deadlines of an hour and up to a minute from `now_ns`, chosen before the measurement.
std::vector<std::int64_t> random_deadlines(std::size_t count, std::int64_t from_ns) {
  bench::random_numbers random;
  std::vector<std::int64_t> deadlines(count);
  for (auto& each : deadlines) each = from_ns + static_cast<std::int64_t>(random.below(minute_ns));
  return deadlines;
}

void timer_insert_cancel(benchmark::State& state) {
  const auto start_ns = static_cast<std::int64_t>(bench::now_ns());
  axle::timer_wheel wheel(start_ns);
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto pending_at = random_deadlines(count, start_ns + hour_ns);
  std::vector<counted_timer> pending(count);
  for (std::size_t i = 0; i < count; ++i) {
    pending[i].deadline_ns = pending_at[i];
    wheel.arm(pending[i]);
  }
  const auto deadlines = random_deadlines(4096, start_ns + hour_ns);
  counted_timer timer;
  std::size_t next = 0;
  bench::time_operations(state, 10'000, [&](std::int64_t operations) {
    for (std::int64_t i = 0; i < operations; ++i) {
      timer.deadline_ns = deadlines[next++ % deadlines.size()];
      wheel.arm(timer);
      wheel.disarm(timer);
    }
  });
}
BENCHMARK(timer_insert_cancel)->Name("T1/axle")->Arg(100)->Arg(100'000);

void timer_expiry(benchmark::State& state) {
  constexpr std::size_t overdue = 1'000'000;
  double spent = 0;
  const auto start_ns = static_cast<std::int64_t>(bench::now_ns());
  const auto deadlines = random_deadlines(overdue, start_ns);
  std::vector<counted_timer> timers(overdue);
  for (auto _ : state) {
    axle::timer_wheel wheel(start_ns);
    for (std::size_t i = 0; i < overdue; ++i) {
      timers[i].deadline_ns = deadlines[i];
      wheel.arm(timers[i]);
    }
    std::size_t fired = 0;
    std::int64_t last_ns = 0;
    bool ordered = true;
    const double start = bench::now_ns();
    while (wheel.advance(start_ns + minute_ns))
      while (auto* due = wheel.pop_due()) {
        ordered &= due->deadline_ns >= last_ns;
        last_ns = due->deadline_ns;
        ++fired;
      }
    spent += bench::now_ns() - start;
    if (fired != overdue || !ordered) state.SkipWithError("timers were lost, or fired out of order");
  }
  state.counters["ns_per_op"] = spent / static_cast<double>(state.iterations() * overdue);
}
BENCHMARK(timer_expiry)->Name("T3/axle")->Iterations(3);

void look_with_a_million_pending(benchmark::State& state) {
  constexpr std::size_t count = 1'000'000;
  const auto start_ns = static_cast<std::int64_t>(bench::now_ns());
  axle::timer_wheel wheel(start_ns);
  const auto deadlines = random_deadlines(count, start_ns + hour_ns);
  std::vector<counted_timer> timers(count);
  for (std::size_t i = 0; i < count; ++i) {
    timers[i].deadline_ns = deadlines[i];
    wheel.arm(timers[i]);
  }
  std::int64_t now_ns = start_ns;
  bench::time_operations(state, 10'000, [&](std::int64_t operations) {
    for (std::int64_t i = 0; i < operations; ++i) {
      now_ns += 1000;
      benchmark::DoNotOptimize(wheel.advance(now_ns));
    }
  });
  benchmark::DoNotOptimize(wheel.next_deadline());
}
BENCHMARK(look_with_a_million_pending)->Name("T3.look/axle");

void next_deadline(benchmark::State& state) {
  const auto start_ns = static_cast<std::int64_t>(bench::now_ns());
  axle::timer_wheel wheel(start_ns);
  const auto deadlines = random_deadlines(100'000, start_ns + hour_ns);
  std::vector<counted_timer> timers(deadlines.size());
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].deadline_ns = deadlines[i];
    wheel.arm(timers[i]);
  }
  bench::time_operations(state, 100'000, [&](std::int64_t operations) {
    for (std::int64_t i = 0; i < operations; ++i) {
      benchmark::ClobberMemory();
      benchmark::DoNotOptimize(wheel.next_deadline());
    }
  });
}
BENCHMARK(next_deadline)->Name("T3.next/axle");

axle::task<int> immediate(int value) { co_return value; }

axle::task<> spawn_one_by_one(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    benchmark::DoNotOptimize(co_await axle::spawn(immediate(static_cast<int>(i))));
}

axle::task<> spawn_a_thousand(std::int64_t count) {
  std::vector<axle::join_handle<int>> handles;
  handles.reserve(1000);
  for (std::int64_t done = 0; done < count; done += 1000) {
    for (int i = 0; i < 1000; ++i) handles.push_back(axle::spawn(immediate(i)));
    for (auto& handle : handles) benchmark::DoNotOptimize(co_await handle);
    handles.clear();
  }
}

axle::task<> await_children(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await immediate(static_cast<int>(i)));
}

axle::task<> yield_repeatedly(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) co_await axle::yield();
}

// ---- C5: the primitives, when nobody is in the way, and handed from task to task ---------------------------------------

axle::task<> lock_mutex(std::int64_t count) {
  axle::mutex mutex;
  for (std::int64_t i = 0; i < count; ++i) const auto held = co_await mutex.lock();
}

axle::task<> acquire_semaphore(std::int64_t count) {
  axle::semaphore semaphore(2);
  for (std::int64_t i = 0; i < count; ++i) const auto permit = co_await semaphore.acquire();
}

axle::task<> put_and_get(std::int64_t count) {
  axle::queue<std::int64_t> queue(16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await queue.put(i));
    benchmark::DoNotOptimize(co_await queue.get());
  }
}

axle::task<> lock_and_yield(axle::mutex& mutex, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto held = co_await mutex.lock();
    co_await axle::yield();
  }
}
axle::task<> contend_for_mutex(std::int64_t count) {
  axle::mutex mutex;
  co_await axle::gather(lock_and_yield(mutex, count / 2), lock_and_yield(mutex, count / 2));
}

axle::task<> put_all(axle::queue<std::int64_t>& queue, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await queue.put(i));
  queue.close();
}
axle::task<> get_all(axle::queue<std::int64_t>& queue) {
  while (auto item = co_await queue.get()) benchmark::DoNotOptimize(item);
}
axle::task<> hand_through_queue(std::int64_t count) {
  axle::queue<std::int64_t> queue(16);
  co_await axle::gather(put_all(queue, count), get_all(queue));
}

BENCHMARK(bench::in_a_loop<spawn_one_by_one, 10'000>)->Name("C1.one/axle");
BENCHMARK(bench::in_a_loop<spawn_a_thousand, 10'000>)->Name("C1.thousand/axle");
BENCHMARK(bench::in_a_loop<await_children, 10'000>)->Name("C2.await/axle");
BENCHMARK(bench::in_a_loop<yield_repeatedly, 10'000>)->Name("C2.yield/axle");
BENCHMARK(bench::in_a_loop<lock_mutex, 10'000>)->Name("C5.mutex/axle");
BENCHMARK(bench::in_a_loop<acquire_semaphore, 10'000>)->Name("C5.semaphore/axle");
BENCHMARK(bench::in_a_loop<put_and_get, 10'000>)->Name("C5.queue/axle");
BENCHMARK(bench::in_a_loop<contend_for_mutex, 10'000>)->Name("C5.contended/axle");
BENCHMARK(bench::in_a_loop<hand_through_queue, 10'000>)->Name("C5.handed/axle");

// Four frames, each with a destructor to run, as in raw/micro_raw.cpp.
int destroyed = 0;
struct counted {
  ~counted() { benchmark::DoNotOptimize(++destroyed); }
};
axle::task<> frame_4() {
  const counted local;
  co_await axle::sleep(1h);
}
axle::task<> frame_3() {
  const counted local;
  co_await frame_4();
}
axle::task<> frame_2() {
  const counted local;
  co_await frame_3();
}
axle::task<> frame_1() {
  const counted local;
  co_await frame_2();
}

// The tasks are spawned and asleep before the clock is read; measured are cancel(), the unwinding of the four frames, and
// the joiner being told.
void cancel_four_frames(benchmark::State& state) {
  axle::run([&state]() -> axle::task<> {
    constexpr int batch = 100;
    double spent = 0;
    std::int64_t done = 0;
    std::vector<axle::join_handle<>> tasks;
    tasks.reserve(batch);
    while (state.KeepRunningBatch(batch)) {
      for (int i = 0; i < batch; ++i) tasks.push_back(axle::spawn(frame_1()));
      co_await axle::yield();
      const double start = bench::now_ns();
      for (auto& each : tasks) each.cancel();
      for (auto& each : tasks) benchmark::DoNotOptimize((co_await each.outcome()).is_cancelled());
      spent += bench::now_ns() - start;
      done += batch;
      tasks.clear();
    }
    state.counters["ns_per_op"] = spent / static_cast<double>(done);
  });
}
BENCHMARK(cancel_four_frames)->Name("C4.cancel/axle");

void sleep_lateness(benchmark::State& state) {
  axle::run([&state]() -> axle::task<> {
    std::vector<double> late;
    for (auto _ : state) {
      const double start = bench::now_ns();
      co_await axle::sleep(1ms);
      late.push_back(bench::now_ns() - start - 1e6);
    }
    std::sort(late.begin(), late.end());
    if (late.front() < 0) state.SkipWithError("a timer fired early");
    state.counters["p99_ns"] = late[late.size() * 99 / 100];
    state.counters["ns_per_op"] = late[late.size() / 2];
  });
}
BENCHMARK(sleep_lateness)->Name("T4/axle")->Iterations(500);

}  // namespace

BENCHMARK_MAIN();
