// The epoll driver's door. Private to io/.
#pragma once

#include <memory>

#include "../io_driver.hpp"

namespace axle::io::detail {

/// Throws std::system_error.
std::unique_ptr<io_driver> make_epoll(const driver_options& options);

}  // namespace axle::io::detail
