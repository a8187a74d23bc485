// Memory of a million sleeping tasks (row M1): resident memory before and after, printed as one JSON object.
#include <cstdio>

#include <axle/run.hpp>
#include <axle/sleep.hpp>
#include <axle/spawn.hpp>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;

double resident_bytes() {
  long total = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

axle::task<> sleeper() { co_await axle::sleep(1h); }

axle::task<> measure() {
  constexpr int tasks = 1'000'000;
  co_await axle::yield();
  const double before = resident_bytes();
  for (int i = 0; i < tasks; ++i) axle::spawn(sleeper()).detach();
  co_await axle::sleep(200ms);  // all of them have run as far as their sleep
  std::printf("{\"tasks\":%d,\"bytes_per_task\":%.1f}\n", tasks, (resident_bytes() - before) / tasks);
}

}  // namespace

int main() { axle::run(measure()); }
