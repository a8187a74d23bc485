// echo: sends back what it receives, from every core. Try it:  nc 127.0.0.1 9000
#include <cstdint>
#include <utility>

#include <axle/axle.hpp>

#include "server_main.hpp"

namespace {

axle::task<> echo(axle::io::tcp_stream peer) {
  while (auto data = co_await peer.recv())  // a leased buffer: idle connections hold none
    if (data->empty() || !co_await peer.write_all(*data)) break;
}

/// One core's server. Every core listens on the same port; the kernel spreads the connections.
axle::task<> serve(shared_port& port) {
  auto listener = listen_on(port);
  co_await listener.serve(echo, {.max_connections = 10'000});
}

}  // namespace

int main(int argc, char** argv) {
  return run_server({.name = "echo", .about = "Sends back what it receives, from every core.", .port = 9000},
                    argc, argv, serve);
}
