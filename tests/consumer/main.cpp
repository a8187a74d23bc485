// What a user's first program needs: axle's headers and library, found by pkg-config, and nothing of axle's tree.
#include <chrono>

#include <axle/axle.hpp>

axle::task<int> answer() {
  co_await axle::sleep(std::chrono::milliseconds(1));
  co_return 42;
}

int main() { return axle::run(answer()) == 42 ? 0 : 1; }
