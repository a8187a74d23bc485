// A mutex keeps a section whole that awaits in the middle: without it both would read the same balance.
#include <chrono>
#include <cstdio>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

struct account {
  axle::mutex lock;
  int balance = 100;
};

axle::task<> withdraw(account& from, int amount) {
  const auto held = co_await from.lock.lock();
  const int before = from.balance;
  co_await axle::sleep(10ms);  // as if it asked somebody
  if (before >= amount) from.balance = before - amount;
  std::printf("%d of %d: %s, %d left\n", amount, before, before >= amount ? "paid out" : "refused",
              from.balance);
}

axle::task<int> amain() {
  account shared;
  co_await axle::gather(withdraw(shared, 80), withdraw(shared, 80));
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
