// Allocations from the general heap in steady state (row C3): requests over loopback, tasks and timers, counted by
// replacing operator new. Prints one JSON object.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <axle/io/tcp_listener.hpp>
#include <axle/io/tcp_stream.hpp>
#include <axle/run.hpp>
#include <axle/sleep.hpp>
#include <axle/spawn.hpp>
#include <axle/timeout.hpp>

namespace {
std::atomic<long> allocations{0};
}

void* operator new(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace std::chrono_literals;

axle::task<> echo(axle::io::tcp_stream peer) {
  peer.set_timeouts(60s, 60s);
  while (auto data = co_await peer.recv())
    if (data->empty() || !co_await peer.write_all(*data)) break;
}

axle::task<int> small_work(int value) {
  co_await axle::yield();
  co_return value;
}

// A request over the connection, a spawned task, a timer that fires, a timeout that does not: four operations.
axle::task<long> round(axle::io::tcp_stream& server, long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    std::array<std::byte, 64> message = {};
    static_cast<void>(co_await server.write_all(std::span<const std::byte>(message)));
    static_cast<void>(co_await server.read_exactly(message));
    sum += co_await axle::spawn(small_work(1));
    if (i % 16 == 0) co_await axle::sleep(1us);
    const axle::result<int> in_time = co_await axle::with_timeout(1s, small_work(1));
    sum += in_time.value_or(0);
  }
  co_return sum;
}

axle::task<> measure(long rounds) {
  auto listener = axle::io::tcp_listener::bind({"127.0.0.1", 0}).value();
  auto server = axle::spawn(listener.serve(echo));
  auto stream = (co_await axle::io::tcp_stream::connect(listener.local_address().value())).value();
  co_await round(stream, 2'000);  // warm: pools and queues have their size
  const long before = allocations.load();
  const long sum = co_await round(stream, rounds);
  const long after = allocations.load();
  std::printf("{\"allocations\":%ld,\"operations\":%ld}\n", after - before, rounds * 4);
  if (sum != rounds * 2) std::abort();
  stream.close();
  server.cancel();
  static_cast<void>(co_await server.outcome());
}

}  // namespace

int main(int argc, char** argv) { axle::run(measure(argc > 1 ? std::atol(argv[1]) : 100'000)); }
