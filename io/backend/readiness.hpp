// readiness: completions made out of readiness; the shared part of the epoll and kqueue drivers. Private to io/.
//
// After asio's reactor: an operation is tried at once; if the kernel would block, it waits in its handle's queue until the
// handle becomes ready, and is tried again. Each handle is registered once, edge-triggered, for both directions. After a
// short read the handle counts as exhausted, which saves the call that would only say EAGAIN: a new edge follows new data.
// Not so when the peer has closed: then no edge may follow, and the handle counts as readable for good.
#pragma once

#include <cstdint>
#include <vector>

#include "../posix_sockets.hpp"

namespace axle::io::detail {

class readiness : public posix_sockets {
 public:
  using posix_sockets::posix_sockets;

  void submit(axle::detail::operation_list& staged) noexcept final;
  void cancel(axle::detail::operation& op) noexcept final;
  void wait(axle::detail::operation_list& completed, std::int64_t until_ns) noexcept final;

 protected:
  /// Registers a handle for both directions, edge-triggered; 0 or a negative errno value.
  virtual int watch(std::int32_t handle) noexcept = 0;
  virtual void unwatch(std::int32_t handle) noexcept = 0;
  /// Sleeps until `until_ns` (0: does not) and reports through became_ready.
  virtual void poll(std::int64_t until_ns) noexcept = 0;

  void became_ready(std::int32_t handle, bool readable, bool writable, bool hung_up) noexcept;

 private:
  using io_queue = axle::detail::operation_list;
  struct direction {
    io_queue waiting;
    bool ready = true;  // as far as is known
  };
  struct handle_state {
    direction in;
    direction out;
    io_operation* acceptor = nullptr;  // multishot: stays while its results are handed out
    bool watched = false;
    bool hung_up = false;
  };

  void begin(io_operation& op) noexcept;
  bool try_perform(io_operation& op, handle_state& state) noexcept;  // true: completed
  void accept_some(handle_state& state) noexcept;
  bool try_receive_leased(io_operation& op, handle_state& state) noexcept;
  void close_handle(io_operation& op) noexcept;
  void retry(direction& waiting_at, handle_state& state) noexcept;
  void finish(io_operation& op, std::int32_t result, bool more = false) noexcept;
  handle_state& state_of(std::int32_t handle) noexcept;
  static bool is_input(opcode code) noexcept {
    return code == opcode::accept || code == opcode::receive || code == opcode::receive_leased;
  }

  std::vector<handle_state> handles_;
  io_queue collected_;
  std::vector<io_operation*> starved_;    // receives that wait for a buffer
  std::vector<std::int32_t> unfinished_;  // listeners with more to accept than one go takes
  unsigned polls_skipped_ = 0;
};

}  // namespace axle::io::detail
