// A semaphore limits how many do something at the same time: five downloads, two at a time.
#include <chrono>
#include <cstdio>
#include <vector>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

axle::task<> download(int number, axle::semaphore& slots) {
  const auto slot =
      co_await slots.acquire();  // given back when it goes out of scope, however that comes about
  std::printf("%d starts, %zu slots left\n", number, slots.available());
  co_await axle::sleep(20ms);
  std::printf("%d ends\n", number);
}

axle::task<int> amain() {
  axle::semaphore slots(2);
  std::vector<axle::task<>> all;
  for (int number = 1; number <= 5; ++number) all.push_back(download(number, slots));
  co_await axle::gather(std::move(all));
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
