// What every echo server of the benchmarks has in common: its command line, its listening socket, its one
// line.
//
// Invariant: whatever could make two servers differ without being the point of the comparison (backlog,
// socket options, pinning, the way they stop) is decided here, once. TCP_NODELAY is set on the listener:
// Linux hands it down to accepted sockets, so nobody pays a system call per connection for it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "arguments.hpp"

namespace bench {

struct server_options {
  std::uint16_t port = 0;     // 0: the system picks
  int cpu = -1;               // -1: not pinned
  bool oneshot = false;       // answer one request, then close
  bool spin = false;          // never sleep
  unsigned bytes_buffer = 0;  // 0: the server's own choice
};

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline constexpr const char* server_usage =
    "[--port N] [--cpu K] [--mode echo|oneshot] [--spin] [--bytes-buffer B]";

// Reads the options all servers share. The caller asks for its own afterwards and then calls `finish`.
inline server_options read_server_options(arguments& given) {
  server_options options;
  options.port = std::uint16_t(given.number("--port", 0));
  options.cpu = int(given.number("--cpu", -1));
  options.spin = given.flag("--spin");
  options.bytes_buffer = unsigned(given.number("--bytes-buffer", 0));
  std::string mode = given.text("--mode", "echo");
  options.oneshot = mode == "oneshot";
  if (mode == "echo" || mode == "oneshot") return options;
  std::fprintf(stderr, "--mode: echo or oneshot, not %s\n", mode.c_str());
  std::exit(2);
}

// Pins the calling thread, or does nothing for -1.
inline void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

inline void raise_file_limit() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A non-blocking listener on the loopback address. Call `announce` once the program can serve it.
inline int listen_on(const server_options& options) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(fd, 4096) != 0) die("listen");
  return fd;
}

// Prepares the process: file limit, pinning, quiet end on SIGTERM and when whoever started it dies.
inline void prepare_process(const server_options& options) {
  raise_file_limit();
  pin_to(options.cpu);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { _exit(0); });
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

// Prints `listening PORT`, the line the measuring side waits for.
inline void announce(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
}

}  // namespace bench
