// The echo server as one writes it with libuv: callbacks, one loop, one thread.
//
// A write is tried at once (uv_try_write) and queued only for what the socket did not take; the idle timeout
// is a uv_timer per connection, restarted by each request. --no-timeout leaves it out.
// Invariant: a peer owns its socket and timer handles and is freed when both have closed.
#include <uv.h>

#include <vector>

#include "../server.hpp"

namespace {

constexpr std::uint64_t idle_limit_ms = 60'000;

struct settings {
  std::size_t bytes_buffer;
  bool oneshot;
  bool timeout;
} how;

std::vector<char> incoming;  // one read at a time: its callback has used it up before the next read

struct peer {
  uv_tcp_t socket;
  uv_timer_t idle;
  uv_shutdown_t ending;
  int open_handles;
};

struct pending_write {
  uv_write_t request;
  std::vector<char> data;
};

void on_closed(uv_handle_t* handle) {
  peer* self = static_cast<peer*>(handle->data);
  if (--self->open_handles == 0) delete self;
}

void close_peer(peer* self) {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&self->socket))) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&self->socket), on_closed);
  if (how.timeout) uv_close(reinterpret_cast<uv_handle_t*>(&self->idle), on_closed);
}

void on_written(uv_write_t* request, int status) {
  peer* self = static_cast<peer*>(request->handle->data);
  delete reinterpret_cast<pending_write*>(request);
  if (status != 0 || how.oneshot) close_peer(self);
}

void queue_write(peer* self, const char* data, std::size_t size) {
  auto* pending = new pending_write{{}, {data, data + size}};
  uv_buf_t rest = uv_buf_init(pending->data.data(), unsigned(size));
  auto* stream = reinterpret_cast<uv_stream_t*>(&self->socket);
  if (uv_write(&pending->request, stream, &rest, 1, on_written) == 0) return;
  delete pending;
  close_peer(self);
}

void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  peer* self = static_cast<peer*>(stream->data);
  if (size == 0) return;
  if (size == UV_EOF) {  // what is queued is still written
    auto on_drained = [](uv_shutdown_t* request, int) {
      close_peer(static_cast<peer*>(request->handle->data));
    };
    if (uv_shutdown(&self->ending, stream, on_drained) != 0) close_peer(self);
    return;
  }
  if (size < 0) return close_peer(self);
  if (how.timeout) uv_timer_again(&self->idle);
  uv_buf_t answer = uv_buf_init(buffer->base, unsigned(size));
  int written = uv_try_write(stream, &answer, 1);
  if (written < 0 && written != UV_EAGAIN) return close_peer(self);
  if (written < 0) written = 0;
  if (written < size) return queue_write(self, buffer->base + written, std::size_t(size - written));
  if (how.oneshot) close_peer(self);
}

void give_buffer(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(incoming.data(), unsigned(incoming.size()));
}

void on_connection(uv_stream_t* listener, int status) {
  if (status != 0) return;
  peer* self = new peer{};
  self->open_handles = how.timeout ? 2 : 1;
  self->socket.data = self->idle.data = self;
  uv_tcp_init(listener->loop, &self->socket);
  if (how.timeout) {
    uv_timer_init(listener->loop, &self->idle);
    uv_timer_start(
        &self->idle, [](uv_timer_t* timer) { close_peer(static_cast<peer*>(timer->data)); }, idle_limit_ms,
        idle_limit_ms);
  }
  auto* stream = reinterpret_cast<uv_stream_t*>(&self->socket);
  if (uv_accept(listener, stream) != 0) return close_peer(self);
  uv_read_start(stream, give_buffer, on_read);
}

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  bench::server_options options = bench::read_server_options(given);
  how = {options.bytes_buffer ? options.bytes_buffer : 65'536u, options.oneshot, !given.flag("--no-timeout")};
  given.finish(bench::server_usage);
  bench::prepare_process(options);
  incoming.resize(how.bytes_buffer);
  int fd = bench::listen_on(options);
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  uv_tcp_open(&listener, fd);
  uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, on_connection);
  bench::announce(fd);
  if (!options.spin) return uv_run(loop, UV_RUN_DEFAULT);
  for (;;) uv_run(loop, UV_RUN_NOWAIT);
}
