// JavaScript's classic puzzle, in its order: the script, then microtasks, then timers.
#include <chrono>
#include <cstdio>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

void say(const char* what) { std::printf("%s\n", what); }

axle::task<int> amain() {
  say("script start");
  axle::call_later(0ms, say, "setTimeout");
  axle::call_microtask([] {
    say("promise 1");
    axle::call_microtask(say, "promise 2");
  });
  axle::call_soon(say, "call_soon");
  say("script end");
  co_await axle::sleep(1ms);
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
