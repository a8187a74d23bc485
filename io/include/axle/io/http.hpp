// http: a small HTTP/1.1 server. A library parses; limits on size and time hold; replies go out in order.
//
// A handler fills in the reply to a request: `void handler(const request&, response&)`, or a coroutine that returns
// task<>. Both objects belong to the connection and are reused, so that a plain handler allocates nothing in steady state.
// Every complete request in the data received is answered before one joined write. A connection is one task; everything
// belongs to the core that serves.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <axle/io/tcp_listener.hpp>
#include <axle/task.hpp>

namespace axle::io::http {

struct header_field {
  std::string_view name;
  std::string_view value;  ///< without the white space around it
};

/// One request, complete. What it refers to stays until the handler has ended.
struct request {
  std::string_view method;  ///< "GET"
  std::string_view target;  ///< as sent: "/path?query", or in absolute form
  std::span<const header_field> headers;
  std::string_view body;  ///< decoded, if it came in chunks
  unsigned version_minor = 1;
  bool keep_alive = true;  ///< the client wants to go on after this one

  /// The first header of that name, in whatever case; nullptr if there is none.
  AXLE_EXPORT const header_field* find(std::string_view name) const noexcept;
  /// Its value; empty if there is none.
  std::string_view header(std::string_view name) const noexcept {
    const header_field* found = find(name);
    return found ? found->value : std::string_view{};
  }
  /// The target's path, as sent: neither authority nor query, nothing decoded.
  AXLE_EXPORT std::string_view path() const noexcept;
  /// What follows the target's '?'; empty if nothing does.
  AXLE_EXPORT std::string_view query() const noexcept;
};

/// The reply to one request; 200 and empty to begin with. The server adds Content-Length, Date, Server and Connection,
/// and leaves the body out where the protocol has none (HEAD, 204, 304).
class response {
 public:
  /// 200 to 599.
  AXLE_EXPORT response& status(unsigned code) noexcept;
  unsigned status() const noexcept { return status_; }
  /// Adds a header. Throws std::invalid_argument for what would break the reply: a name that is no token, a control
  /// character in the value, a header that the server itself sends.
  AXLE_EXPORT response& header(std::string_view name, std::string_view value);
  AXLE_EXPORT response& content_type(std::string_view type);

  response& body(std::string_view bytes) { return body_.assign(bytes), *this; }
  response& body(std::string&& bytes) noexcept { return body_ = std::move(bytes), *this; }
  response& body(const char* text) { return body(std::string_view(text)); }
  /// The body, to append to.
  std::string& body() noexcept { return body_; }
  const std::string& body() const noexcept { return body_; }

  response& text(std::string_view bytes) { return type_.assign("text/plain; charset=utf-8"), body(bytes); }
  response& html(std::string_view bytes) { return type_.assign("text/html; charset=utf-8"), body(bytes); }
  response& json(std::string_view bytes) { return type_.assign("application/json"), body(bytes); }

  /// The connection is closed after this reply.
  response& close() noexcept { return close_ = true, *this; }

  /// As it was to begin with; keeps the memory.
  AXLE_EXPORT response& reset() noexcept;

  bool closes() const noexcept { return close_; }
  /// Whether the protocol has a body for this status.
  bool may_have_body() const noexcept { return status_ != 204 && status_ != 304; }

 private:
  friend class reply_writer;

  unsigned status_ = 200;
  bool close_ = false;
  std::string type_;
  std::string lines_;  // "Name: value\r\n", as they go out
  std::string body_;
};

/// A duration of zero or less: no limit.
struct options {
  std::size_t max_line_bytes = 8 * 1024;     ///< of the request line (414) and of each header (431)
  std::size_t max_header_bytes = 16 * 1024;  ///< of the whole head (431), at most 80 KiB
  std::size_t max_headers = 100;             ///< 431
  std::size_t max_body_bytes = 1024 * 1024;  ///< 413
  std::chrono::nanoseconds header_timeout =
      std::chrono::seconds(10);  ///< for a head, from its first byte (408)
  std::chrono::nanoseconds body_timeout = std::chrono::seconds(30);   ///< for a whole body (408)
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);   ///< between requests, then it is closed
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);  ///< without the peer taking a byte
  std::size_t max_connections = 16'384;  ///< of this listener; more wait in the kernel's queue
  std::chrono::nanoseconds drain =
      std::chrono::seconds(5);            ///< after a cancel: for requests that are being answered
  std::string_view server_name = "axle";  ///< the Server header; empty: none. Not copied.
  /// Hears of a handler's exception; the client gets 500 and the connection is closed. Default: a line on stderr.
  void (*on_failure)(const std::exception_ptr& error) noexcept = nullptr;
};

template <class F>
concept handler = std::invocable<F&, const request&, response&> &&
                  (std::is_void_v<std::invoke_result_t<F&, const request&, response&>> ||
                   std::same_as<std::invoke_result_t<F&, const request&, response&>, task<>>);

namespace detail {

/// A handler of either kind, by reference.
class handler_ref {
 public:
  template <handler F>
  explicit handler_ref(F& to) noexcept : to_(std::addressof(to)) {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, const request&, response&>>) {
      call_ = [](void* f, const request& asked, response& reply) {
        std::invoke(*static_cast<F*>(f), asked, reply);
      };
    } else {
      begin_ = [](void* f, const request& asked, response& reply) {
        return std::invoke(*static_cast<F*>(f), asked, reply);
      };
    }
  }
  bool is_plain() const noexcept { return call_ != nullptr; }
  void call(const request& asked, response& reply) const { call_(to_, asked, reply); }
  task<> begin(const request& asked, response& reply) const { return begin_(to_, asked, reply); }

 private:
  void* to_;
  void (*call_)(void*, const request&, response&) = nullptr;
  task<> (*begin_)(void*, const request&, response&) = nullptr;
};

AXLE_EXPORT task<> serve(tcp_listener& listener, handler_ref handler, const options& limits);

}  // namespace detail

/// Serves until cancelled. Then it stops accepting, closes idle connections at once, answers the requests that are being
/// read or handled with `Connection: close`, and after `drain` cuts what is left. The handler is shared by all
/// connections of this core.
template <handler F>
task<> serve(tcp_listener listener, F handler, options limits = {}) {
  co_await detail::serve(listener, detail::handler_ref(handler), limits);
}

}  // namespace axle::io::http
