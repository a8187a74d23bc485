// The server: one connection from its first byte to its last, read downwards from converse(); what it keeps; how the
// server stops; then requests and responses themselves. Owning core only.
//
// A connection is idle (no byte of a request yet), reading (a request has begun and a deadline runs), or answering. Only
// an idle one is cut when the server stops; the others end by themselves, for every reply then says `Connection: close`.
// A received buffer is given back before anything is waited for: what is left of its bytes moves to `input` first.
#include <axle/io/http.hpp>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

#include <axle/clock.hpp>
#include <axle/gather.hpp>
#include <axle/sleep.hpp>

#include "reply_writer.hpp"
#include "request_parser.hpp"
#include "text.hpp"

namespace axle::io::http {

namespace {

using std::chrono::nanoseconds;

constexpr std::size_t output_most = 64 * 1024;  // then it is written out before more of a batch is answered
constexpr std::size_t joined_body = 16 * 1024;  // a larger body is not copied behind its head
constexpr std::size_t kept_memory = 16 * 1024;  // of each of a connection's strings, between batches
// After a reply that ends a connection the client gets this long to read it: closing at once, with bytes of the client
// unread, would reset the connection and could take the reply with it.
constexpr std::chrono::milliseconds linger_time(2000), linger_time_stopping(250);

constexpr nanoseconds limit_or_none(nanoseconds limit) noexcept {
  return limit.count() > 0 ? limit : tcp_stream::default_timeout;
}

struct connection;

struct server {
  server(detail::handler_ref to, const options& given)
      : handler(to), limits(given), writer(given.server_name) {}
  void stop() noexcept;
  void report(const std::exception_ptr& error) const noexcept;

  detail::handler_ref handler;
  options limits;
  reply_writer writer;
  connection* connections = nullptr;
  bool stopping = false;
};

struct connection {
  explicit connection(server& served_by) noexcept;
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  nanoseconds patience() const noexcept;
  std::string_view take(buffer& received);
  void keep(std::string_view rest);
  void wait_for_rest(std::string_view data);
  void answer(bool failed);
  void refuse(unsigned status);
  void written() noexcept;

  enum class part : std::uint8_t { none, head, body };

  server& of;
  axle::detail::task_state* const task;
  connection* next;
  connection* prev = nullptr;
  request_parser parser;
  response reply;
  std::string input;   // of the request being read, what came before the latest buffer; empty: nothing did
  std::string output;  // replies not yet written
  std::int64_t deadline_ns = 0;
  part reading = part::none;  // what the deadline is for
  bool idle = false;          // waits for a request, and may be cut
  bool over = false;          // no further request is answered
  bool lingers = false;       // the client may not expect the end
  bool body_apart = false;    // the last reply's body is not in `output`: it follows
};

// ---- a connection, from its first byte to its last ------------------------------------------------------------------

task<bool> write_out(connection& here, tcp_stream& stream) {
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(here.output)),
                                              std::as_bytes(std::span(here.reply.body()))};
  const std::span<const std::span<const std::byte>> all(parts, here.body_apart ? 2 : 1);
  const auto wrote = co_await stream.write_all(all, limit_or_none(here.of.limits.write_timeout));
  here.written();
  co_return wrote.has_value();
}

task<> let_client_read(connection& here, tcp_stream& stream) {
  if (!stream.shutdown_write()) co_return;
  here.idle = true;
  const auto until = clock::now() + (here.of.stopping ? linger_time_stopping : linger_time);
  for (auto left = until - clock::now(); left.count() > 0; left = until - clock::now()) {
    const auto unread = co_await stream.recv(left);
    if (!unread || unread->empty()) break;
  }
}

task<> converse(server& of, tcp_stream stream) {
  connection here(of);
  while (!here.over) {
    here.idle = here.parser.idle();
    if (here.idle && of.stopping) {
      here.lingers = true;
      break;
    }
    result<buffer> received = co_await stream.recv(here.patience());
    here.idle = false;
    of.writer.look_at_clock();

    if (received && !received->empty()) {
      std::string_view data = here.take(*received);
      while (!data.empty() && !here.over) {
        const auto found = here.parser.parse(data);
        if (found == request_parser::outcome::partial) {
          here.wait_for_rest(data);
          break;
        }
        if (found == request_parser::outcome::refused) {
          here.refuse(here.parser.status());
          break;
        }
        bool failed = false;
        here.reply.reset();
        try {
          if (of.handler.is_plain()) {
            of.handler.call(here.parser.current(), here.reply);
          } else {
            co_await of.handler.begin(here.parser.current(), here.reply);
          }
        } catch (...) {
          failed = true;
          of.report(std::current_exception());
        }
        here.answer(failed);
        data.remove_prefix(here.parser.consumed());
        here.parser.next();
        if (here.over) here.lingers |= !data.empty();
        if (here.output.size() < output_most && !here.body_apart) continue;
        here.keep(data);
        *received = buffer();
        if (!co_await write_out(here, stream)) co_return;
        data = here.input;
      }
      if (data.empty()) here.input.clear();
      *received = buffer();
    } else if (!received && received.error() == errc::timed_out && !here.parser.idle()) {
      here.refuse(408);
    } else {
      co_return;  // the client has gone, perhaps in the middle of a request; or was idle for too long
    }

    if (here.output.empty()) continue;
    const auto wrote = co_await stream.write_all(here.output, limit_or_none(of.limits.write_timeout));
    if (!wrote) co_return;
    here.written();
  }
  if (here.lingers) co_await let_client_read(here, stream);
}

// ---- what it keeps --------------------------------------------------------------------------------------------------

connection::connection(server& served_by) noexcept
    : of(served_by), task(axle::detail::this_loop->current), next(of.connections), parser(of.limits) {
  if (next) next->prev = this;
  of.connections = this;
}

connection::~connection() {
  (prev ? prev->next : of.connections) = next;
  if (next) next->prev = prev;
}

/// How long to wait for the next bytes.
nanoseconds connection::patience() const noexcept {
  if (reading == part::none) return limit_or_none(of.limits.idle_timeout);
  if (deadline_ns == timer_wheel::never) return tcp_stream::default_timeout;
  return nanoseconds(std::max<std::int64_t>(1, deadline_ns - clock::now().time_since_epoch().count()));
}

// A plain handler reads the buffer itself. A coroutine may take its time, and must not hold one of the core's buffers.
std::string_view connection::take(buffer& received) {
  if (input.empty() && of.handler.is_plain()) return received.text();
  input.append(received.text());
  received = buffer();
  return input;
}

/// Makes `input` be `rest`, which is a part of it or of a received buffer.
void connection::keep(std::string_view rest) {
  if (input.empty()) {
    input.assign(rest);
  } else {
    input.erase(0, static_cast<std::size_t>(rest.data() - input.data()));
    input.resize(rest.size());
  }
}

void connection::wait_for_rest(std::string_view data) {
  keep(data.substr(0, parser.kept()));
  if (parser.idle()) return;
  const part now_reading = parser.in_body() ? part::body : part::head;
  const std::int64_t now_ns = clock::now().time_since_epoch().count();
  if (reading == now_reading) {
    if (now_ns >= deadline_ns) refuse(408);
    return;
  }
  reading = now_reading;
  const nanoseconds limit = reading == part::head ? of.limits.header_timeout : of.limits.body_timeout;
  deadline_ns = limit.count() > 0 ? axle::detail::deadline_after(now_ns, limit.count()) : timer_wheel::never;
  if (parser.take_expectation()) output.append("HTTP/1.1 100 Continue\r\n\r\n");
}

void connection::answer(bool failed) {
  if (failed) reply.reset().status(500).text("500 Internal Server Error\n").close();
  const request& asked = parser.current();
  const bool stays = asked.keep_alive && !reply.closes() && !of.stopping;
  const bool with_body = asked.method != "HEAD";
  body_apart = with_body && reply.body().size() > joined_body && reply.may_have_body();
  using after = reply_writer::after;
  of.writer.append(output, reply,
                   !stays                ? after::close
                   : asked.version_minor ? after::keep
                                         : after::keep_and_say_so,
                   with_body && !body_apart);
  reading = part::none;
  over = !stays;
  lingers = over && asked.keep_alive;
}

void connection::refuse(unsigned status) {
  reply.reset()
      .status(status)
      .text(std::to_string(status))
      .body()
      .append(" ")
      .append(reason_of(status))
      .append("\n");
  of.writer.append(output, reply, reply_writer::after::close, true);
  over = lingers = true;
}

/// The output is the kernel's. A connection that may now be idle for long keeps little.
void connection::written() noexcept {
  output.clear();
  body_apart = false;
  for (std::string* each : {&output, &input, &reply.body()})
    if (each->capacity() > kept_memory && (each != &input || input.empty())) std::string().swap(*each);
}

// ---- the server -----------------------------------------------------------------------------------------------------

// One that is idle but waits for nothing has been woken by data: it answers that.
void server::stop() noexcept {
  stopping = true;
  for (connection* each = connections; each; each = each->next)
    if (each->idle && each->task->waiting()) axle::detail::request_cancel(*each->task);
}

void server::report(const std::exception_ptr& error) const noexcept {
  if (limits.on_failure) return limits.on_failure(error);
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    std::fprintf(stderr, "axle: an HTTP handler failed, the client gets 500: %s\n", known.what());
  } catch (...) {
    std::fprintf(
        stderr,
        "axle: an HTTP handler failed, the client gets 500: an exception that is no std::exception\n");
  }
}

struct opener {
  server* of;
  task<> operator()(tcp_stream stream) const { return converse(*of, std::move(stream)); }
};

struct stop_at_end {
  server& of;
  ~stop_at_end() { of.stop(); }
};

// Ends only by being cancelled, which comes before the listener's drain.
task<> until_cancelled(server& of) {
  const stop_at_end last{of};
  co_await sleep(nanoseconds::max());
}

}  // namespace

task<> detail::serve(tcp_listener& listener, handler_ref handler, const options& limits) {
  server state(handler, limits);
  serve_options accepting;
  accepting.max_connections = limits.max_connections;
  accepting.drain = limits.drain;
  accepting.on_failure = limits.on_failure;
  co_await gather(listener.serve(opener{&state}, accepting), until_cancelled(state));
}

// ---- requests and responses -----------------------------------------------------------------------------------------

const header_field* request::find(std::string_view name) const noexcept {
  for (const header_field& each : headers)
    if (same_name(each.name, name)) return &each;
  return nullptr;
}

std::string_view request::path() const noexcept {
  std::string_view rest = target;
  if (!rest.starts_with('/')) {  // "http://authority/path"
    const std::size_t scheme = rest.find("://");
    if (scheme == rest.npos) return rest.substr(0, rest.find('?'));  // "*", or CONNECT's "host:port"
    const std::size_t slash = rest.find_first_of("/?", scheme + 3);
    if (slash == rest.npos || rest[slash] == '?') return "/";
    rest.remove_prefix(slash);
  }
  return rest.substr(0, rest.find('?'));
}

std::string_view request::query() const noexcept {
  const std::size_t mark = target.find('?');
  return mark == target.npos ? std::string_view{} : target.substr(mark + 1);
}

response& response::status(unsigned code) noexcept {
  AXLE_CHECK(code >= 200 && code <= 599, "a reply's status is 200 to 599, not %u", code);
  status_ = code;
  return *this;
}

response& response::header(std::string_view name, std::string_view value) {
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument("response header \"" + std::string(name) + "\": " + why);
  };
  if (!is_token(name)) refuse("the name is not a token");
  if (!is_field_text(value)) refuse("the value holds a control character");
  for (const std::string_view own : {"content-length", "transfer-encoding", "connection", "date", "server"})
    if (same_name(name, own)) refuse("the server sends this one itself");
  if (same_name(name, "content-type")) return content_type(value);
  lines_.append(name).append(": ").append(trimmed(value)).append("\r\n");
  return *this;
}

response& response::content_type(std::string_view type) {
  if (!is_field_text(type))
    throw std::invalid_argument("response content type: it holds a control character");
  type_.assign(trimmed(type));
  return *this;
}

response& response::reset() noexcept {
  status_ = 200;
  close_ = false;
  type_.clear();
  lines_.clear();
  body_.clear();
  return *this;
}

}  // namespace axle::io::http
