// A time limit: what is not done in time is cancelled, has fully ended when with_timeout returns, and is an error value.
#include <chrono>
#include <cstdio>
#include <string>

#include <axle/axle.hpp>

namespace {

using namespace std::chrono_literals;

axle::task<std::string> answer(std::chrono::milliseconds delay) {
  co_await axle::sleep(delay);
  co_return "done";
}

axle::task<> ask(std::chrono::milliseconds limit, std::chrono::milliseconds delay) {
  const axle::result<std::string> got = co_await axle::with_timeout(limit, answer(delay));
  if (got) {
    std::printf("%lld ms of work in %lld ms: %s\n", static_cast<long long>(delay.count()),
                static_cast<long long>(limit.count()), got->c_str());
  } else {
    std::printf("%lld ms of work in %lld ms: %s\n", static_cast<long long>(delay.count()),
                static_cast<long long>(limit.count()),
                got.error() == axle::errc::timed_out ? "timed out" : got.error().message().c_str());
  }
}

axle::task<int> amain() {
  co_await ask(1000ms, 5ms);
  co_await ask(50ms, 60'000ms);
  co_return 0;
}

}  // namespace

int main() { return axle::run(amain()); }
