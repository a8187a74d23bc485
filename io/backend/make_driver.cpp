// Which driver: one list in order of preference, tried in turn; falling back says why.
#include <stdexcept>
#include <string>
#include <system_error>

#include "epoll.hpp"
#include "sim.hpp"
#include "uring.hpp"

namespace axle {

namespace {

struct candidate {
  std::string_view name;
  std::unique_ptr<io::detail::io_driver> (*make)(const driver_options&);
  bool by_name_only;
};

constexpr candidate candidates[] = {
    {"uring", io::detail::make_uring, false},
    {"epoll", io::detail::make_epoll, false},
    {"sim", io::detail::make_sim, true},
};

}  // namespace

std::unique_ptr<driver> make_driver(const driver_options& options, std::string& why_not) {
  if (!options.name.empty()) {
    for (const candidate& each : candidates)
      if (each.name == options.name) return each.make(options);
    throw std::invalid_argument(
        "driver \"" + std::string(options.name) +
        "\" does not exist; this build has \"uring\", \"epoll\" and \"sim\" (option driver or AXLE_DRIVER)");
  }
  for (const candidate& each : candidates) {
    if (each.by_name_only) continue;
    try {
      return each.make(options);
    } catch (const std::system_error& refused) {
      if (&each == &candidates[1]) throw;
      why_not = "using epoll, not io_uring: " + std::string(refused.what());
    }
  }
  throw std::runtime_error("no driver works on this machine");
}

}  // namespace axle
