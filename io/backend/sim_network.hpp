// sim_network: TCP as the simulator has it: sockets, the bytes between them, and how connections begin and end. Private to io/.
//
// It says what happens, never when: sim.cpp calls it at moments of its own choosing. What Linux does is followed where a
// program can tell: data that arrived before a reset stays readable, an error is reported once, the first send to a peer
// that has closed is taken and answered by a reset. Every handle whose prospects a call may have changed is put into
// `touched`. Owning thread only; out of memory ends the program, as befits a test tool.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <axle/io/address.hpp>
#include <axle/io/tcp_options.hpp>

namespace axle::io::detail {

struct sim_socket {
  enum class phase : std::uint8_t { fresh, listening, connected };

  phase now = phase::fresh;
  address::family family = address::family::v4;
  address local;
  address remote;
  std::int32_t handle = -1;                                    // -1: not accepted yet
  std::array<int, 6> options = {1, 0, 65'536, 65'536, -1, 0};  // by socket_option

  // Connected.
  sim_socket* peer = nullptr;  // null when that end is gone
  std::vector<std::byte> inbox;
  std::size_t taken = 0;  // bytes of the inbox that were read
  bool ended = false;     // the peer sends no more
  bool shut = false;      // this end sends no more
  bool broken = false;    // reset
  int error = 0;          // of a reset; reported once

  // Listening.
  std::deque<std::unique_ptr<sim_socket>> backlog;
  listen_options listening = {};

  std::size_t unread() const noexcept { return inbox.size() - taken; }
  int& option(socket_option which) noexcept { return options[static_cast<std::size_t>(which)]; }
};

class sim_network {
 public:
  static constexpr std::size_t window_bytes = 64 * 1024;  // sent and not yet read

  std::vector<std::int32_t> touched;

  /// 0 or a negative errno value.
  int listen(sim_socket& on, const address& at, const listen_options& options) {
    on.local = at.port() ? at : with_port(at, free_port(at));
    for (const sim_socket* other : listeners_)
      if (overlaps(other->local, on.local) && !(options.reuse_port && other->listening.reuse_port))
        return -EADDRINUSE;
    on.now = sim_socket::phase::listening;
    on.listening = options;
    listeners_.push_back(&on);
    return 0;
  }

  /// 0 or a negative errno value; -EAGAIN: the listener's backlog is full. `chance` chooses among listeners of one port.
  int connect(sim_socket& from, const address& to, std::uint64_t chance) {
    if (from.now != sim_socket::phase::fresh) return -EISCONN;
    if (from.family != to.which()) return -EAFNOSUPPORT;
    std::vector<sim_socket*> fitting;
    for (sim_socket* each : listeners_)
      if (overlaps(each->local, to)) fitting.push_back(each);
    if (fitting.empty()) return -ECONNREFUSED;
    sim_socket& listener = *fitting[chance % fitting.size()];
    if (listener.backlog.size() >= static_cast<std::size_t>(std::max(1, listener.listening.backlog)))
      return -EAGAIN;
    auto accepted = std::make_unique<sim_socket>();
    from.now = accepted->now = sim_socket::phase::connected;
    from.remote = accepted->local = to;
    if (from.local.which() == address::family::none) from.local = with_port(to, 0);
    if (from.local.port() == 0) from.local = with_port(from.local, free_port(from.local));
    accepted->remote = from.local;
    accepted->family = from.family;
    from.peer = accepted.get();
    accepted->peer = &from;
    listener.backlog.push_back(std::move(accepted));
    touched.push_back(listener.handle);
    return 0;
  }

  /// A connection out of the backlog, or null.
  static std::unique_ptr<sim_socket> accept(sim_socket& listener) {
    if (listener.backlog.empty()) return nullptr;
    std::unique_ptr<sim_socket> first = std::move(listener.backlog.front());
    listener.backlog.pop_front();
    return first;
  }

  /// Bytes taken, or a negative errno value; -EAGAIN: no room at the peer.
  std::int32_t send(sim_socket& from, std::span<const std::byte> data) {
    if (from.error) return -std::exchange(from.error, 0);
    if (from.now != sim_socket::phase::connected || from.shut || from.broken) return -EPIPE;
    if (!from.peer) {
      from.broken = true;
      return static_cast<std::int32_t>(data.size());
    }
    sim_socket& to = *from.peer;
    const std::size_t bytes = std::min(data.size(), window_bytes - to.unread());
    if (bytes == 0 && !data.empty()) return -EAGAIN;
    if (to.taken > window_bytes) {
      to.inbox.erase(to.inbox.begin(), to.inbox.begin() + static_cast<std::ptrdiff_t>(to.taken));
      to.taken = 0;
    }
    to.inbox.insert(to.inbox.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(bytes));
    touch(&to);
    return static_cast<std::int32_t>(bytes);
  }

  /// Bytes copied, 0 at the end of the stream, or a negative errno value; -EAGAIN: nothing is there.
  std::int32_t receive(sim_socket& to, std::span<std::byte> into) {
    if (to.now != sim_socket::phase::connected) return -ENOTCONN;
    if (const std::size_t bytes = std::min(into.size(), to.unread()); bytes != 0) {
      std::memcpy(into.data(), to.inbox.data() + to.taken, bytes);
      to.taken += bytes;
      touch(to.peer);
      return static_cast<std::int32_t>(bytes);
    }
    if (to.ended) return 0;
    if (to.error) return -std::exchange(to.error, 0);
    return to.broken || into.empty() ? 0 : -EAGAIN;
  }

  /// 0 or a negative errno value.
  int shut_down_writing(sim_socket& from) {
    if (from.now != sim_socket::phase::connected || from.broken) return -ENOTCONN;
    from.shut = true;
    if (from.peer) {
      from.peer->ended = true;
      touch(from.peer);
    }
    return 0;
  }

  /// Says good-bye to the peer: with a reset if asked to by linger 0 or if data was left unread.
  void close(sim_socket& leaving) {
    std::erase(listeners_, &leaving);
    for (const auto& unaccepted : leaving.backlog) reset(unaccepted->peer);
    if (!leaving.peer) return;
    if (leaving.unread() || leaving.option(socket_option::linger_seconds) == 0) {
      reset(leaving.peer);
    } else {
      leaving.peer->ended = true;
      leaving.peer->peer = nullptr;
      touch(leaving.peer);
    }
  }

 private:
  void reset(sim_socket* end) {
    if (!end) return;
    end->peer = nullptr;
    end->broken = true;
    if (!end->ended) end->error = ECONNRESET;
    touch(end);
  }

  void touch(const sim_socket* changed) {
    if (changed && changed->handle >= 0) touched.push_back(changed->handle);
  }

  static bool any_host(const address& of) noexcept {
    return std::all_of(of.bytes().begin(), of.bytes().end(), [](std::uint8_t byte) { return byte == 0; });
  }
  static bool overlaps(const address& a, const address& b) noexcept {
    return a.which() == b.which() && a.port() == b.port() &&
           (any_host(a) || any_host(b) || a.bytes() == b.bytes());
  }
  static address with_port(const address& host, std::uint16_t port) noexcept {
    if (host.is_v6()) return address::from_v6(host.bytes(), port, host.scope());
    return address::from_v4({host.bytes()[0], host.bytes()[1], host.bytes()[2], host.bytes()[3]}, port);
  }
  std::uint16_t free_port(const address& host) {
    for (;;) {
      last_port_ = last_port_ == 60'999 ? 32'768 : static_cast<std::uint16_t>(last_port_ + 1);
      const address wanted = with_port(host, last_port_);
      if (std::none_of(listeners_.begin(), listeners_.end(),
                       [&](const sim_socket* each) { return overlaps(each->local, wanted); }))
        return last_port_;
    }
  }

  std::vector<sim_socket*> listeners_;
  std::uint16_t last_port_ = 32'767;
};

}  // namespace axle::io::detail
