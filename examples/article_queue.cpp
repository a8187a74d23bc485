// Producer and consumers over a queue with room for two: a producer that is faster than they are waits for them.
#include <chrono>
#include <cstdio>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

axle::task<> produce(axle::queue<int>& items) {
  for (int item = 1; item <= 4; ++item) {
    if (!co_await items.put(item)) co_return;
    std::printf("put %d, %zu in the queue\n", item, items.size());
  }
  items.close();  // the consumers take what is left, and then hear of the end
}

axle::task<> consume(const char* name, axle::queue<int>& items) {
  while (const auto item = co_await items.get()) {
    std::printf("%s got %d\n", name, *item);
    co_await axle::sleep(20ms);
  }
  std::printf("%s is done\n", name);
}

axle::task<int> amain() {
  axle::queue<int> items(2);
  co_await axle::gather(produce(items), consume("A", items), consume("B", items));
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
