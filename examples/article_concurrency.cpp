// Sequential against concurrent: two waits of 2 s and 1 s take 3 s one after the other, and 2 s together.
// An argument scales the seconds: `article_concurrency 0.01` is done in a moment.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>

#include <axle/axle.hpp>

namespace {

using seconds = std::chrono::duration<double>;

axle::task<std::string> work(std::string name, seconds delay) {
  std::printf("  %s starts\n", name.c_str());
  co_await axle::sleep(delay);
  std::printf("  %s ends\n", name.c_str());
  co_return name;
}

axle::task<> sequential(double scale) {
  co_await work("A", seconds(2 * scale));
  co_await work("B", seconds(1 * scale));
}

axle::task<> concurrent(double scale) {
  const auto [a, b] = co_await axle::gather(work("A", seconds(2 * scale)), work("B", seconds(1 * scale)));
  std::printf("  results in the order asked for: %s, %s\n", a.c_str(), b.c_str());
}

axle::task<> timed(const char* what, double scale, axle::task<> body) {
  std::printf("%s\n", what);
  const auto start = axle::clock::now();
  co_await std::move(body);
  const seconds took = axle::clock::now() - start;
  std::printf("%s took %.1f s\n", what, took.count() / scale);
}

axle::task<int> amain(double scale) {
  co_await timed("sequential", scale, sequential(scale));
  co_await timed("concurrent", scale, concurrent(scale));
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const double scale = argc > 1 ? std::atof(argv[1]) : 1.0;
  if (!(scale > 0)) {
    std::fprintf(stderr,
                 "usage: article_concurrency [SCALE]   SCALE: a factor for every delay, more than 0\n");
    return 2;
  }
  return axle::run(amain(scale));
}
