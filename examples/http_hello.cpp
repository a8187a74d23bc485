// http_hello: "Hello, world!" over HTTP/1.1, from every core. Try it:  curl -i http://127.0.0.1:8080/
#include <cstdint>
#include <utility>

#include <axle/axle.hpp>

#include "server_main.hpp"

namespace http = axle::io::http;

namespace {

void hello(const http::request& request, http::response& reply) {
  if (request.path() != "/") {
    reply.status(404).text("Not found\n");
  } else if (request.method != "GET" && request.method != "HEAD") {
    reply.status(405).header("Allow", "GET, HEAD").text("Method not allowed\n");
  } else {
    reply.text("Hello, world!\n");
  }
}

/// One core's server. Every core listens on the same port; the kernel spreads the connections.
axle::task<> serve(shared_port& port) {
  auto listener = listen_on(port);
  co_await http::serve(std::move(listener), hello);
}

}  // namespace

int main(int argc, char** argv) {
  return run_server({.name = "http_hello",
                     .about = "Answers \"Hello, world!\" at / over HTTP/1.1, from every core.",
                     .port = 8080},
                    argc, argv, serve);
}
