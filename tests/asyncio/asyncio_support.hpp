// What the tests after CPython's test_asyncio share. README.md beside this file holds the tables they belong to.
#pragma once

#include <string>
#include <vector>

#include "../support.hpp"

namespace axle::test {

using numbers = std::vector<int>;

inline bool is(std::error_code error, errc expected) { return error == std::make_error_condition(expected); }

/// `asyncio.sleep(0)`, so often: whatever is ready runs once for each.
inline task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

/// The time that has passed, to the millisecond below: the simulator's loop takes a microsecond here and there.
inline std::chrono::milliseconds since(clock::time_point begin) {
  return std::chrono::floor<std::chrono::milliseconds>(clock::now() - begin);
}

/// Waits for an event, and says so.
inline task<> passes(event& gate, numbers& log, int number) {
  co_await gate.wait();
  log.push_back(number);
}

/// Runs `f`, which returns a task, to its end; for death tests, whose statement may hold no lambda with commas.
template <class F>
void in_a_task(F f) {
  on_sim(f);
}

}  // namespace axle::test
