// Socket calls that complete at once. TCP_NODELAY is set on the listener: accepted sockets inherit it.
#include "posix_sockets.hpp"

#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace axle::io::detail {

kernel_address to_kernel(const address& from) noexcept {
  kernel_address made = {};
  if (from.is_v6()) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(made.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(from.port());
    v6.sin6_scope_id = from.scope();
    std::memcpy(&v6.sin6_addr, from.bytes().data(), 16);
    made.size = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(made.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(from.port());
    std::memcpy(&v4.sin_addr, from.bytes().data(), 4);
    made.size = sizeof v4;
  }
  return made;
}

address from_kernel(const sockaddr_storage& storage) noexcept {
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, 16);
    return address::from_v6(bytes, ntohs(v6.sin6_port), v6.sin6_scope_id);
  }
  if (storage.ss_family != AF_INET) return {};
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
  std::array<std::uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &v4.sin_addr, 4);
  return address::from_v4(bytes, ntohs(v4.sin_port));
}

namespace {

class owned_socket {
 public:
  explicit owned_socket(int fd) noexcept : fd_(fd) {}
  ~owned_socket() {
    if (fd_ >= 0) close(fd_);
  }
  owned_socket(const owned_socket&) = delete;
  owned_socket& operator=(const owned_socket&) = delete;
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  bool set(int level, int name, int value) const noexcept {
    return setsockopt(fd_, level, name, &value, sizeof value) == 0;
  }

 private:
  int fd_;
};

struct option_name {
  int level;
  int name;
};
option_name name_of(socket_option option) noexcept {
  switch (option) {
    case socket_option::no_delay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case socket_option::keep_alive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case socket_option::receive_buffer_bytes:
      return {SOL_SOCKET, SO_RCVBUF};
    case socket_option::send_buffer_bytes:
      return {SOL_SOCKET, SO_SNDBUF};
    case socket_option::linger_seconds:
      return {SOL_SOCKET, SO_LINGER};
    case socket_option::incoming_cpu:
      return {SOL_SOCKET, SO_INCOMING_CPU};
  }
  return {-1, -1};
}

}  // namespace

std::int64_t posix_sockets::now() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

result<std::int32_t> posix_sockets::listen(const address& at, const listen_options& options) noexcept {
  if (at.which() == address::family::none) return fail(errc::invalid_argument);
  owned_socket made(socket(at.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return fail_errno(errno);
  const bool set = (!options.reuse_address || made.set(SOL_SOCKET, SO_REUSEADDR, 1)) &&
                   (!options.reuse_port || made.set(SOL_SOCKET, SO_REUSEPORT, 1)) &&
                   (!at.is_v6() || made.set(IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only)) &&
                   made.set(IPPROTO_TCP, TCP_NODELAY, 1);
  if (!set) return fail_errno(errno);
  const kernel_address where = to_kernel(at);
  if (bind(made.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) != 0)
    return fail_errno(errno);
  if (::listen(made.get(), options.backlog) != 0) return fail_errno(errno);
  return made.release();
}

result<std::int32_t> posix_sockets::open(address::family family, const address* from) noexcept {
  owned_socket made(socket(family == address::family::v6 ? AF_INET6 : AF_INET,
                           SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return fail_errno(errno);
  if (!made.set(IPPROTO_TCP, TCP_NODELAY, 1)) return fail_errno(errno);
  if (from) {
    const kernel_address where = to_kernel(*from);
    if (bind(made.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) != 0)
      return fail_errno(errno);
  }
  return made.release();
}

result<address> posix_sockets::local_address(std::int32_t handle) noexcept {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  if (getsockname(handle, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return fail_errno(errno);
  return from_kernel(storage);
}

result<address> posix_sockets::peer_address(std::int32_t handle) noexcept {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  if (getpeername(handle, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return fail_errno(errno);
  return from_kernel(storage);
}

result<void> posix_sockets::set_option(std::int32_t handle, socket_option option, int value) noexcept {
  const auto [level, name] = name_of(option);
  if (option == socket_option::linger_seconds) {
    const linger wanted = {.l_onoff = value >= 0, .l_linger = value >= 0 ? value : 0};
    if (setsockopt(handle, level, name, &wanted, sizeof wanted) != 0) return fail_errno(errno);
    return {};
  }
  if (option == socket_option::incoming_cpu) return fail(errc::invalid_argument);
  if (setsockopt(handle, level, name, &value, sizeof value) != 0) return fail_errno(errno);
  return {};
}

result<int> posix_sockets::get_option(std::int32_t handle, socket_option option) noexcept {
  const auto [level, name] = name_of(option);
  if (option == socket_option::linger_seconds) {
    linger got = {};
    socklen_t size = sizeof got;
    if (getsockopt(handle, level, name, &got, &size) != 0) return fail_errno(errno);
    return got.l_onoff ? got.l_linger : -1;
  }
  int value = 0;
  socklen_t size = sizeof value;
  if (getsockopt(handle, level, name, &value, &size) != 0) return fail_errno(errno);
  return value;
}

result<void> posix_sockets::shutdown_write(std::int32_t handle) noexcept {
  if (shutdown(handle, SHUT_WR) != 0) return fail_errno(errno);
  return {};
}

void posix_sockets::discard(std::int32_t handle) noexcept { close(handle); }

}  // namespace axle::io::detail
