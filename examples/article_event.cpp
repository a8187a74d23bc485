// An event: runners wait for the start, and all go at once.
#include <chrono>
#include <cstdio>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

axle::task<> run_race(const char* name, axle::event& start) {
  std::printf("%s is ready\n", name);
  co_await start.wait();
  std::printf("%s runs\n", name);
}

axle::task<> say_go(axle::event& start) {
  co_await axle::sleep(20ms);
  std::printf("go\n");
  start.set();
}

axle::task<int> amain() {
  axle::event start;
  co_await axle::gather(run_race("A", start), run_race("B", start), say_go(start));
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
