// What a process has cost so far, read from /proc, and the difference between two such readings.
//
// Nanoseconds come from the scheduler's own accounting (schedstat, exact); how they divide into user and
// kernel comes from the tick counters of stat, which sample, so that division needs seconds to mean anything.
// Invariant: a reading sums over all tasks alive now; servers under measurement start their threads
// beforehand.
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace bench {

struct process_cost {
  double cpu_ns = 0;
  double user_ticks = 0;
  double system_ticks = 0;

  double user_ns() const {
    double ticks = user_ticks + system_ticks;
    return ticks > 0 ? cpu_ns * user_ticks / ticks : 0;
  }
};

inline process_cost operator-(const process_cost& end, const process_cost& start) {
  return {end.cpu_ns - start.cpu_ns, end.user_ticks - start.user_ticks,
          end.system_ticks - start.system_ticks};
}

// All zero when there is no such process.
inline process_cost read_process_cost(int pid) {
  process_cost cost;
  std::string root = "/proc/" + std::to_string(pid);
  std::string tasks = root + "/task";
  if (DIR* folder = opendir(tasks.c_str())) {
    while (dirent* entry = readdir(folder)) {
      if (entry->d_name[0] == '.') continue;  // ".." would count the whole process again
      FILE* file = std::fopen((tasks + "/" + entry->d_name + "/schedstat").c_str(), "r");
      if (!file) continue;
      unsigned long long ran = 0;
      if (std::fscanf(file, "%llu", &ran) == 1) cost.cpu_ns += double(ran);
      std::fclose(file);
    }
    closedir(folder);
  }
  if (FILE* file = std::fopen((root + "/stat").c_str(), "r")) {
    char line[1024] = {};
    std::size_t size = std::fread(line, 1, sizeof line - 1, file);
    std::fclose(file);
    const char* after_name = size ? std::strrchr(line, ')') : nullptr;
    unsigned long long user = 0, system = 0;
    const char* format = ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu";
    if (after_name && std::sscanf(after_name, format, &user, &system) == 2) {
      cost.user_ticks = double(user);
      cost.system_ticks = double(system);
    }
  }
  return cost;
}

}  // namespace bench
