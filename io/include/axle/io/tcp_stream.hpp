// tcp_stream: one TCP connection of this core.
//
// Reading and writing may go on at the same time; one reader and any number of writers. Received data waits in leased
// buffers, up to a bound; writes of one turn are joined. Everything may be cancelled and timed: an operation's memory is
// the kernel's until the operation has come back, and every await here returns only then.
// A stream belongs to the core that accepted or connected it. Destroying it closes the connection once the driver has
// let go of what was in flight; nobody waits for that.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <axle/clock.hpp>
#include <axle/io/address.hpp>
#include <axle/io/buffer.hpp>
#include <axle/io/operation.hpp>
#include <axle/io/tcp_options.hpp>
#include <axle/result.hpp>
#include <axle/task.hpp>

namespace axle::io {

namespace detail {

struct connection;

/// Waits until received data, the end or an error is there.
class receive_await : public axle::detail::wait_node {
 public:
  receive_await(const receive_await&) = delete;
  receive_await& operator=(const receive_await&) = delete;

  bool await_ready() noexcept { return available() && axle::detail::may_complete_now("tcp_stream"); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (available()) return axle::detail::requeue(h);
    if (axle::detail::suspend_on(h, *this, "tcp_stream")) begin();
  }

 protected:
  AXLE_EXPORT receive_await(connection* from, std::int64_t timeout_ns) noexcept;
  AXLE_EXPORT bool available() const noexcept;
  AXLE_EXPORT void begin() noexcept;

  connection* from_;
  std::int64_t timeout_ns_;
  bool timed_out_ = false;

 private:
  friend struct connection;
};

class [[nodiscard]] recv_await : public receive_await {
 public:
  recv_await(connection* from, std::int64_t timeout_ns) noexcept : receive_await(from, timeout_ns) {}
  AXLE_EXPORT result<buffer> await_resume();
};

class [[nodiscard]] read_await : public receive_await {
 public:
  read_await(connection* from, std::span<std::byte> into, std::int64_t timeout_ns) noexcept
      : receive_await(from, timeout_ns), into_(into) {}
  AXLE_EXPORT result<std::size_t> await_resume();

 private:
  std::span<std::byte> into_;
};

/// One write: a block or several. Stands in the connection's queue of writers until every byte is the kernel's; it is the
/// operation for itself and the writers behind it when it comes first.
class [[nodiscard]] write_await : io_operation {
 public:
  AXLE_EXPORT write_await(connection* to, std::span<const std::byte> data, std::int64_t timeout_ns) noexcept;
  AXLE_EXPORT write_await(connection* to, std::span<const std::span<const std::byte>> parts,
                          std::int64_t timeout_ns) noexcept;
  write_await(const write_await&) = delete;
  write_await& operator=(const write_await&) = delete;

  bool await_ready() noexcept { return left_ == 0 && axle::detail::may_complete_now("tcp_stream"); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (left_ == 0) return axle::detail::requeue(h);
    if (axle::detail::suspend_on(h, *this, "tcp_stream")) begin();
  }
  AXLE_EXPORT result<void> await_resume();

 private:
  friend struct connection;
  AXLE_EXPORT void begin() noexcept;
  std::span<const std::span<const std::byte>> parts() const noexcept;

  connection* to_;
  write_await* behind_ = nullptr;
  std::span<const std::byte> one_;
  std::span<const std::span<const std::byte>> several_;  // of a vectored write; empty: `one_` is all
  std::size_t done_ = 0;                                 // bytes that the kernel has taken
  std::size_t left_;
  std::int64_t timeout_ns_;
  std::int32_t error_ = 0;
  bool in_message_ = false;  // part of what is in flight
  bool cut_ = false;         // cancelled
  bool timed_out_ = false;
};

}  // namespace detail

/// A connected TCP stream. Move-only; an empty one (moved from) may only be destroyed or assigned.
class tcp_stream {
 public:
  tcp_stream() = default;
  AXLE_EXPORT explicit tcp_stream(detail::connection& owned) noexcept;
  tcp_stream(tcp_stream&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  tcp_stream& operator=(tcp_stream&& other) noexcept {
    if (this != &other) {
      close();
      connection_ = std::exchange(other.connection_, nullptr);
    }
    return *this;
  }
  ~tcp_stream() { close(); }

  /// Connects to a peer. Errors: those of connect(2), errc::timed_out.
  AXLE_EXPORT static task<result<tcp_stream>> connect(
      address peer, std::chrono::nanoseconds timeout = std::chrono::seconds(30));

  static constexpr std::chrono::nanoseconds default_timeout{-1};

  /// The next received bytes, in a buffer leased from the core: an idle connection holds none. Empty at the end of the
  /// stream. Errors: errc::timed_out, errc::connection_reset, ... A `timeout` given here goes before the stream's own.
  detail::recv_await recv(std::chrono::nanoseconds timeout = default_timeout) noexcept {
    return {connection_, timeout.count()};
  }
  /// Copies what is there, at least one byte; 0 at the end of the stream.
  detail::read_await read(std::span<std::byte> into,
                          std::chrono::nanoseconds timeout = default_timeout) noexcept {
    return {connection_, into, timeout.count()};
  }
  /// Fills `into`. errc::no_message_available if the stream ended before it was full. The timeout holds for each wait.
  AXLE_EXPORT task<result<void>> read_exactly(std::span<std::byte> into,
                                              std::chrono::nanoseconds timeout = default_timeout);

  /// Hands all bytes to the kernel; returns when it has taken the last. `data` must stay until then.
  detail::write_await write_all(std::span<const std::byte> data,
                                std::chrono::nanoseconds timeout = default_timeout) noexcept {
    return {connection_, data, timeout.count()};
  }
  detail::write_await write_all(std::string_view text,
                                std::chrono::nanoseconds timeout = default_timeout) noexcept {
    return {connection_, std::as_bytes(std::span(text)), timeout.count()};
  }
  /// Hands all parts to the kernel in one go, in order; the parts and the array must stay until then.
  detail::write_await write_all(std::span<const std::span<const std::byte>> parts,
                                std::chrono::nanoseconds timeout = default_timeout) noexcept {
    return {connection_, parts, timeout.count()};
  }

  /// Half-close: the peer reads the end of the stream after what was written; reading goes on. What is queued for writing
  /// must have been awaited.
  AXLE_EXPORT result<void> shutdown_write() noexcept;
  /// Limits on every later read and every later write, unless the call gives its own; zero or less: none (the default).
  AXLE_EXPORT void set_timeouts(std::chrono::nanoseconds read, std::chrono::nanoseconds write) noexcept;

  AXLE_EXPORT result<void> set_option(socket_option option, int value) noexcept;
  AXLE_EXPORT result<int> option(socket_option option) const noexcept;
  AXLE_EXPORT result<address> local_address() const noexcept;
  AXLE_EXPORT result<address> peer_address() const noexcept;

  /// Closes now. Nobody may be awaiting this stream.
  AXLE_EXPORT void close() noexcept;
  explicit operator bool() const noexcept { return connection_ != nullptr; }

 private:
  detail::connection* connection_ = nullptr;
};

}  // namespace axle::io
