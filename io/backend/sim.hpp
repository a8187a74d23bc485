// The simulator's door. Private to io/.
#pragma once

#include <memory>

#include "../io_driver.hpp"

namespace axle::io::detail {

/// Never fails but for memory.
std::unique_ptr<io_driver> make_sim(const driver_options& options);

}  // namespace axle::io::detail
