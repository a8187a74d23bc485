// connection: the state behind a tcp_stream. Private to io/.
//
// Life: made by accept or connect, held by one tcp_stream; when that lets go, operations in flight are cancelled, the
// handle is closed, and the block is freed when the last completion has come back. Nothing in it outlives that, and no
// operation's memory goes before: that is why addresses serve as user_data.
// One core. An idle connection holds no buffer.
#pragma once

#include <cstdint>

#include <axle/detail/loop_core.hpp>
#include <axle/io/operation.hpp>
#include <axle/io/tcp_stream.hpp>
#include "io_driver.hpp"

namespace axle::io::detail {

/// Several writes as one message: what sendmsg wants, and the parts; from the frame pool, while in flight.
struct joined_write;

/// The operation that receives, multishot where the driver can; its chain is what came and was not yet taken.
struct receive_operation : io_operation {};
/// The earlier of a connection's two deadlines, filed lazily.
struct connection_clock : axle::detail::timer_node {};

struct connection : receive_operation, connection_clock {
  axle::detail::loop_core* loop;
  receive_await* reader = nullptr;
  write_await* first_writer = nullptr;
  write_await* last_writer = nullptr;
  joined_write* joined = nullptr;
  std::int64_t read_deadline_ns = timer_wheel::never;   // of the waiting reader
  std::int64_t write_deadline_ns = timer_wheel::never;  // of the first writer
  std::int64_t read_timeout_ns = 0;                     // the stream's own; 0: none
  std::int64_t write_timeout_ns = 0;
  std::int32_t socket;
  std::int32_t ended = 1;         // 1: open; 0: the peer has closed; < 0: broken, an errno value
  std::uint32_t head_offset = 0;  // bytes of the chain's first buffer that were taken
  std::uint8_t in_flight = 0;     // operations the driver has
  bool receiving = false;         // `receive` is staged or in the driver
  bool has_received = false;      // or tried to
  bool sending = false;           // the first writer's operation is
  bool closing = false;

  receive_operation& receive() noexcept { return *this; }
  connection_clock& clock() noexcept { return *this; }

  connection(std::int32_t owned_handle, axle::detail::loop_core& on) noexcept;
  static connection* make(std::int32_t owned_handle);  // throws std::bad_alloc; the handle is then closed

  io_driver& driver() const noexcept { return static_cast<io_driver&>(*loop->drives); }

  // Reading.
  void start_receiving() noexcept;
  void wait_to_read(receive_await& waiting) noexcept;
  buffer take_buffer() noexcept;
  std::size_t copy_out(std::span<std::byte> into) noexcept;
  void received() noexcept;
  void wake_reader(bool to_end) noexcept;
  void cancel_reader() noexcept;

  // Writing.
  void enqueue(write_await& writer) noexcept;
  void send_next() noexcept;
  void join_into(write_await& first) noexcept;
  void sent(write_await& first) noexcept;
  void cancel_writer(write_await& writer) noexcept;
  void unjoin() noexcept;

  // Time and end.
  void set_clock(std::int64_t at_ns) noexcept;
  void clock_struck() noexcept;
  void let_go() noexcept;
  void close_handle() noexcept;
  void free_if_done() noexcept;

  static const axle::detail::wait_kind receive_kind;
  static const axle::detail::wait_kind clock_kind;
  static const axle::detail::wait_kind reader_kind;
  static const axle::detail::wait_kind writer_kind;
};

/// The connection of a stream that is used: on its core, and there.
inline connection& checked(connection* given, const char* what) noexcept {
  AXLE_CHECK(given != nullptr, "%s: this tcp_stream is empty: it was closed or moved from", what);
  axle::detail::check_core(given->loop, "a tcp_stream");
  return *given;
}

/// A completion resumes its task directly, in this turn.
inline void resume_now(axle::detail::task_state& task, bool to_end) noexcept {
  task.unwinding = to_end;
  axle::detail::run_task(task);
}

}  // namespace axle::io::detail
