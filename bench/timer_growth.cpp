// Timer insert + cancel with N pending (row T2), for callgrind: only measured_region is counted.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <axle/timer_wheel.hpp>

namespace {
constexpr std::int64_t start_ns = 1'000'000'000;
constexpr std::int64_t hour_ns = 3'600'000'000'000;
constexpr std::int64_t minute_ns = 60'000'000'000;
constexpr int operations = 100'000;

std::uint64_t state = 88'172'645'463'325'252U;
std::int64_t random_deadline() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return start_ns + hour_ns + static_cast<std::int64_t>(state % minute_ns);
}
}  // namespace

extern "C" __attribute__((noinline)) void measured_region(axle::timer_wheel& wheel,
                                                          const std::int64_t* deadlines) {
  axle::detail::timer_node timer;
  for (int i = 0; i < operations; ++i) {
    timer.deadline_ns = deadlines[i];
    wheel.arm(timer);
    wheel.disarm(timer);
  }
}

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100;
  axle::timer_wheel wheel(start_ns);
  std::vector<axle::detail::timer_node> pending(count);
  for (auto& each : pending) {
    each.deadline_ns = random_deadline();
    wheel.arm(each);
  }
  std::vector<std::int64_t> deadlines(operations);
  for (auto& each : deadlines) each = random_deadline();
  measured_region(wheel, deadlines.data());
  std::printf("%zu pending\n", count);
}
