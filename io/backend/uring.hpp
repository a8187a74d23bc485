// The io_uring driver's door. Private to io/.
#pragma once

#include <memory>

#include "../io_driver.hpp"

namespace axle::io::detail {

/// Throws std::system_error that says what the kernel refused and what would change it.
std::unique_ptr<io_driver> make_uring(const driver_options& options);

}  // namespace axle::io::detail
