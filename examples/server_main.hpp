// What the example servers share: a command line, a port that every core listens on, and errors that say what to do.
#pragma once

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <axle/axle.hpp>

struct server_about {
  const char* name;
  const char* about;
  std::uint16_t port;
};

struct server_arguments {
  std::uint16_t port;
  std::string_view cores = {};
  std::string_view driver = {};
};

/// Says on stderr what is wrong with the command line, and ends the program with status 2.
[[noreturn]] inline void refuse_arguments(const server_about& server, const std::string& why) {
  std::fprintf(stderr, "%s: %s (see %s --help)\n", server.name, why.c_str(), server.name);
  std::exit(2);
}

/// A whole number and nothing else.
template <class Number>
bool parse_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

inline server_arguments parse_arguments(const server_about& server, int argc, char** argv) {
  server_arguments given{.port = server.port};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      std::printf(
          "usage: %s [--port N] [--cores WHICH] [--driver NAME]\n"
          "%s\n\n"
          "  --port N        on 127.0.0.1; 0 takes a free one (default: %u)\n"
          "  --cores WHICH   all, physical, performance, node:0, a number of loops, or a list such as 0-3,8 "
          "(default: all)\n"
          "  --driver NAME   uring or epoll (default: the best that works here)\n",
          server.name, server.about, server.port);
      std::exit(0);
    }
    if (name != "--port" && name != "--cores" && name != "--driver")
      refuse_arguments(server, "unknown argument \"" + name + "\"");
    if (++i == argc) refuse_arguments(server, name + " wants a value");
    const std::string_view value = argv[i];
    if (name == "--cores") given.cores = value;
    if (name == "--driver") given.driver = value;
    if (name == "--port" && !parse_number(value, given.port))
      refuse_arguments(server, "--port wants a number from 0 to 65535, not \"" + std::string(value) + "\"");
  }
  return given;
}

/// One port, and how many cores listen on it by now.
struct shared_port {
  axle::io::address at;
  std::atomic<unsigned> listening = 0;
};

/// This core's listener. The last core says that the server is ready.
inline axle::io::tcp_listener listen_on(shared_port& port) {
  auto listener = axle::io::tcp_listener::bind(port.at);
  if (!listener) throw std::system_error(listener.error(), "cannot listen on " + port.at.to_string());
  if (++port.listening == axle::core_count()) {
    std::printf("listening on %s (%u cores, %s)\n", port.at.to_string().c_str(), axle::core_count(),
                std::string(axle::driver_name()).c_str());
    std::fflush(stdout);
  }
  return std::move(*listener);
}

/// Cores share a port, and so would a second server, unnoticed. Taking the port alone for a moment finds out.
inline void take_port(shared_port& port) {
  auto alone = axle::io::tcp_listener::bind(port.at, {.reuse_port = false});
  if (alone) {
    port.at = alone->local_address().value();
    return;
  }
  std::string why = "cannot listen on " + port.at.to_string();
  if (alone.error() == std::errc::address_in_use)
    why += " (another program has this port: `ss -ltnp 'sport = :" + std::to_string(port.at.port()) +
           "'` names it; stop it, or choose another port with --port)";
  if (alone.error() == std::errc::permission_denied)
    why += " (ports below 1024 are for root: choose another with --port)";
  throw std::system_error(alone.error(), why);
}

template <class Serve>
axle::task<int> serve_on_every_core(std::uint16_t port, Serve serve) {
  shared_port shared{.at = {"127.0.0.1", port}};
  take_port(shared);
  const auto serve_here = [&shared, serve] { return serve(shared); };
  co_await axle::for_each_core(serve_here);
  co_return 0;
}

/// Runs the task that serve_all(number of the port) returns, on core 0 of those that were asked for, until SIGINT or SIGTERM.
template <class Main>
int run_server_main(const server_about& server, int argc, char** argv, Main serve_all) {
  const server_arguments given = parse_arguments(server, argc, argv);
  try {
    // The command line wins over the environment, and that over "all".
    axle::run_options options = axle::options_from_environment({.cores = "all"});
    options.ask_environment = false;
    int count = 0;
    if (!given.driver.empty()) options.driver = given.driver;
    if (parse_number(given.cores, count)) {
      options.cores = count;
    } else if (!given.cores.empty()) {
      options.cores = given.cores;
    }
    return axle::run(options, serve_all(given.port));
  } catch (const std::invalid_argument& wrong) {
    refuse_arguments(server, wrong.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", server.name, error.what());
    return 1;
  }
}

/// Runs serve(port), which returns a task, on every core that was asked for, until SIGINT or SIGTERM. For main().
template <class Serve>
int run_server(const server_about& server, int argc, char** argv, Serve serve) {
  return run_server_main(server, argc, argv,
                         [serve](std::uint16_t port) { return serve_on_every_core(port, serve); });
}
