// The echo server of the benchmarks, written with axle as a user would: the whole coroutine API, an idle
// timeout on every connection. Same command line as bench/raw and bench/peers, plus --driver, --poll and
// --no-timeout. It waits as they do, by sleeping, unless told otherwise. One loop on the processor that --cpu names.
#include <chrono>
#include <cstdio>
#include <string>

#include <axle/cores.hpp>
#include <axle/io/tcp_listener.hpp>
#include <axle/io/tcp_stream.hpp>
#include <axle/run.hpp>

#include "arguments.hpp"

using namespace std::chrono_literals;

namespace {

axle::task<> echo(axle::io::tcp_stream peer, std::chrono::nanoseconds idle) {
  peer.set_timeouts(idle, idle);
  while (auto data = co_await peer.recv())
    if (data->empty() || !co_await peer.write_all(*data)) break;
}

axle::task<> answer_once(axle::io::tcp_stream peer, std::chrono::nanoseconds idle) {
  peer.set_timeouts(idle, idle);
  if (auto data = co_await peer.recv(); data && !data->empty())
    if (!co_await peer.write_all(*data)) co_return;
}

struct settings {
  std::uint16_t port;
  bool oneshot;
  bool timeouts;
};

axle::task<int> serve(settings given) {
  auto listener = axle::io::tcp_listener::bind({"127.0.0.1", given.port}, {.backlog = 16'384});
  if (!listener) {
    std::fprintf(stderr, "cannot listen on port %u: %s\n", given.port, listener.error().message().c_str());
    co_return 1;
  }
  std::printf("listening %u\n", listener->local_address().value().port());
  std::fflush(stdout);
  const std::chrono::nanoseconds idle = given.timeouts ? std::chrono::nanoseconds(60s) : 0ns;
  const axle::io::serve_options options{.max_connections = 100'000, .drain = 0s};
  if (given.oneshot) {
    const auto answering = [idle](axle::io::tcp_stream peer) { return answer_once(std::move(peer), idle); };
    co_await listener->serve(answering, options);
  } else {
    const auto echoing = [idle](axle::io::tcp_stream peer) { return echo(std::move(peer), idle); };
    co_await listener->serve(echoing, options);
  }
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  const std::string cpu = given.text("--cpu", "-1");
  const std::string driver = given.text("--driver", "");
  const std::string poll = given.text("--poll", "blocking");
  const auto buffers = static_cast<std::uint32_t>(given.number("--buffers", 2048));
  const settings wanted{.port = static_cast<std::uint16_t>(given.number("--port", 0)),
                        .oneshot = given.text("--mode", "echo") == "oneshot",
                        .timeouts = !given.flag("--no-timeout")};
  given.finish(
      "axle_echo [--port N] [--cpu K] [--mode echo|oneshot] [--driver uring|epoll] "
      "[--poll adaptive|busy|blocking] [--buffers N] [--no-timeout]");
  axle::run_options options{.cores = cpu == "-1" ? axle::core_choice() : axle::core_choice(cpu),
                            .driver = driver};
  options.poll = poll == "adaptive" ? axle::poll_mode::adaptive
                 : poll == "busy"   ? axle::poll_mode::busy
                                    : axle::poll_mode::blocking;
  options.buffers = buffers;
  return axle::run(options, serve(wanted));
}
