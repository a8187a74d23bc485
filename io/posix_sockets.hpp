// posix_sockets: the half of io_driver that both real drivers share: socket calls that complete at once.
// Private to io/. Owning thread only.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "io_driver.hpp"

namespace axle::io::detail {

/// A socket address as the kernel wants it.
struct kernel_address {
  sockaddr_storage storage;
  socklen_t size;
};
kernel_address to_kernel(const address& from) noexcept;
address from_kernel(const sockaddr_storage& storage) noexcept;

class posix_sockets : public io_driver {
 public:
  using io_driver::io_driver;

  std::int64_t now() noexcept override;
  result<std::int32_t> listen(const address& at, const listen_options& options) noexcept override;
  result<std::int32_t> open(address::family family, const address* from) noexcept override;
  result<address> local_address(std::int32_t handle) noexcept override;
  result<address> peer_address(std::int32_t handle) noexcept override;
  result<void> set_option(std::int32_t handle, socket_option option, int value) noexcept override;
  result<int> get_option(std::int32_t handle, socket_option option) noexcept override;
  result<void> shutdown_write(std::int32_t handle) noexcept override;
  void discard(std::int32_t handle) noexcept override;
};

}  // namespace axle::io::detail
