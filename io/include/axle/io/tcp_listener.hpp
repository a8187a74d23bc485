// tcp_listener: accepts TCP connections on this core, one by one or as a server with a limit and a graceful end.
//
// Shortage (EMFILE, ENFILE, ENOBUFS, ENOMEM) never surfaces and never spins: accepting pauses and is tried again; the
// pauses are counted. Belongs to the core that bound it.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <system_error>
#include <utility>

#include <axle/detail/family.hpp>
#include <axle/io/address.hpp>
#include <axle/io/tcp_options.hpp>
#include <axle/io/tcp_stream.hpp>
#include <axle/result.hpp>
#include <axle/shield.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle::io {

struct serve_options {
  std::size_t max_connections = 10'000;  ///< of this listener; more wait in the kernel's queue
  /// After a cancel: how long the handlers have to end by themselves before they are cancelled.
  std::chrono::nanoseconds drain = std::chrono::seconds(5);
  /// What becomes of a handler's exception; the connection is closed either way. Default: a line on stderr.
  void (*on_failure)(const std::exception_ptr& error) noexcept = nullptr;
};

struct listener_counts {
  std::uint64_t accepted = 0;
  std::uint64_t pauses = 0;   ///< times accepting paused for lack of descriptors or memory
  std::uint64_t aborted = 0;  ///< connections gone before they were accepted
};

namespace detail {

struct acceptor;

class [[nodiscard]] accept_await : public axle::detail::wait_node {
 public:
  AXLE_EXPORT explicit accept_await(acceptor* from) noexcept;
  accept_await(const accept_await&) = delete;
  accept_await& operator=(const accept_await&) = delete;

  bool await_ready() noexcept { return available() && axle::detail::may_complete_now("tcp_listener"); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (available()) return axle::detail::requeue(h);
    if (axle::detail::suspend_on(h, *this, "tcp_listener")) begin();
  }
  AXLE_EXPORT result<tcp_stream> await_resume();

 private:
  AXLE_EXPORT bool available() const noexcept;
  AXLE_EXPORT void begin() noexcept;
  friend struct acceptor;
  acceptor* from_;
};

/// The connections of one serve(), each a child task. Unlike a group's they are not cancelled with the server: they are
/// drained first.
class server_state : axle::detail::family {
 public:
  AXLE_EXPORT explicit server_state(const serve_options& options) noexcept;

  bool full() const noexcept { return count_ >= options_.max_connections; }
  AXLE_EXPORT void start(task<> handler);
  AXLE_EXPORT void failed(const std::exception_ptr& error) const noexcept;
  /// Until fewer than `limit` connections are left.
  AXLE_EXPORT task<> below(std::size_t limit);
  std::size_t max() const noexcept { return options_.max_connections; }
  /// Waits for the rest; cancels what is left at the deadline.
  AXLE_EXPORT static task<> drain(server_state& state);

 private:
  class below_await;
  AXLE_EXPORT static void told(family& of, axle::detail::child_task& ended) noexcept;

  serve_options options_;
  std::size_t count_ = 0;
  below_await* waiting_ = nullptr;
};

}  // namespace detail

class tcp_listener {
 public:
  /// Binds and listens on this core. Port 0 takes a free one: see local_address(). Errors: errc::address_in_use,
  /// errc::permission_denied, errc::address_not_available, ...
  AXLE_EXPORT static result<tcp_listener> bind(const address& at, const listen_options& options = {});

  tcp_listener(tcp_listener&& other) noexcept : acceptor_(std::exchange(other.acceptor_, nullptr)) {}
  tcp_listener& operator=(tcp_listener&& other) noexcept {
    if (this != &other) {
      close();
      acceptor_ = std::exchange(other.acceptor_, nullptr);
    }
    return *this;
  }
  ~tcp_listener() { close(); }

  /// The next connection. One caller at a time. An accepted connection is never dropped by a cancel: it waits for the next
  /// accept.
  detail::accept_await accept() noexcept { return detail::accept_await(acceptor_); }

  /// Accepts for ever and runs handler(tcp_stream), which returns task<>, for each connection, up to a limit. When
  /// cancelled it stops accepting, lets the handlers end for `drain`, cancels the rest, and ends when all have.
  template <class F>
  task<> serve(F handler, serve_options options = {});

  AXLE_EXPORT result<address> local_address() const noexcept;
  AXLE_EXPORT const listener_counts& counts() const noexcept;
  /// Stops listening. Nobody may be awaiting accept(). The address is free at once if nobody ever did, else after a turn
  /// or two.
  AXLE_EXPORT void close() noexcept;

 private:
  explicit tcp_listener(detail::acceptor& owned) noexcept : acceptor_(&owned) {}
  template <class F>
  static task<> accept_all(tcp_listener& self, detail::server_state& state, const F& handler);

  detail::acceptor* acceptor_;
};

// ---- the templates --------------------------------------------------------------------------------------------------

template <class F>
task<> tcp_listener::accept_all(tcp_listener& self, detail::server_state& state, const F& handler) {
  for (;;) {
    if (state.full()) co_await state.below(state.max());
    auto accepted = co_await self.accept();
    if (!accepted) throw std::system_error(accepted.error(), "accept");
    try {
      state.start(std::invoke(handler, std::move(*accepted)));
    } catch (...) {
      state.failed(std::current_exception());  // no memory for this one; the next may be luckier
    }
  }
}

template <class F>
task<> tcp_listener::serve(F handler, serve_options options) {
  detail::server_state state(options);
  co_await finally(accept_all(*this, state, handler), detail::server_state::drain, std::ref(state));
}

}  // namespace axle::io
