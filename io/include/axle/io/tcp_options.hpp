// Options of TCP sockets: those set when listening or connecting, and those changed on a live one.
#pragma once

#include <chrono>
#include <cstdint>

namespace axle::io {

/// What can be read and set on a stream at any time.
enum class socket_option : std::uint8_t {
  no_delay,    ///< 1: small writes go out at once (the default of every axle stream)
  keep_alive,  ///< 1: probe a silent peer
  receive_buffer_bytes,
  send_buffer_bytes,
  linger_seconds,  ///< -1: off; 0: close resets the connection
  incoming_cpu,    ///< read only
};

struct listen_options {
  int backlog = 4096;
  bool reuse_port = true;  ///< one listener on every core, the kernel spreads connections
  bool reuse_address = true;
  bool v6_only = true;  ///< an IPv6 listener takes no IPv4 connections
};

}  // namespace axle::io
