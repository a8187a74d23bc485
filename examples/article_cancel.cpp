// Cancel and catch: a cancelled task's destructors run, and whoever joins it hears of it as `axle::cancelled`.
#include <chrono>
#include <cstdio>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

struct cleanup {
  const char* what;
  ~cleanup() { std::printf("  cleaned up: %s\n", what); }
};

axle::task<int> long_computation() {
  const cleanup outer{"what the task held"};
  std::printf("  the task sleeps for an hour\n");
  co_await axle::sleep(1h);
  std::printf("  never printed\n");
  co_return 42;
}

axle::task<int> amain() {
  axle::join_handle<int> task = axle::spawn(long_computation(), {.name = "long"});
  co_await axle::sleep(10ms);
  std::printf("cancelling\n");
  task.cancel();
  try {
    const int value = co_await task;
    std::printf("a value after all: %d\n", value);
  } catch (const axle::cancelled&) {
    std::printf("the task was cancelled\n");
  }

  // The same without an exception: the outcome as a plain value.
  axle::join_handle<int> again = axle::spawn(long_computation());
  co_await axle::yield();
  again.cancel();
  const axle::outcome<int> became = co_await again.outcome();
  std::printf("as a value: %s\n", became.is_cancelled() ? "cancelled" : "not cancelled");
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
