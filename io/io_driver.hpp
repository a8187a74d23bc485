// io_driver: a driver and the calls about sockets that complete at once. Private to io/.
//
// The five functions of `driver` carry everything that may wait. What cannot wait (making a socket, its options, its
// addresses) goes through here, so that the simulator can stand in for the kernel. Owning thread only, as all of it.
#pragma once

#include <cstdint>

#include <axle/alloc/buffer_pool.hpp>
#include <axle/driver.hpp>
#include <axle/io/address.hpp>
#include <axle/io/operation.hpp>
#include <axle/io/tcp_options.hpp>
#include <axle/result.hpp>

namespace axle::io::detail {

class io_driver : public driver {
 public:
  explicit io_driver(const driver_options& options) : buffers_(options.buffers, options.buffer_bytes) {}

  /// Receive buffers; what is given back here reaches a kernel-side ring with the next wait.
  alloc::buffer_pool& buffers() noexcept { return buffers_; }

  /// A bound, listening socket.
  virtual result<std::int32_t> listen(const address& at, const listen_options& options) noexcept = 0;
  /// An unconnected socket for connect; `from` (if any) is bound.
  virtual result<std::int32_t> open(address::family family, const address* from) noexcept = 0;
  virtual result<address> local_address(std::int32_t handle) noexcept = 0;
  virtual result<address> peer_address(std::int32_t handle) noexcept = 0;
  virtual result<void> set_option(std::int32_t handle, socket_option option, int value) noexcept = 0;
  virtual result<int> get_option(std::int32_t handle, socket_option option) noexcept = 0;
  /// No more will be sent (the peer reads the end of the stream).
  virtual result<void> shutdown_write(std::int32_t handle) noexcept = 0;
  /// Closes a handle that never had an operation.
  virtual void discard(std::int32_t handle) noexcept = 0;

 protected:
  alloc::buffer_pool buffers_;
};

}  // namespace axle::io::detail
