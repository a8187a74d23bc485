// guest_descriptor: one descriptor for a loop that another loop hosts: readable when the driver's own is, or at a time. Private
// to the Linux drivers.
#pragma once

#include <cstdint>

namespace axle::io::detail {

class guest_descriptor {
 public:
  /// `drivers` is readable when there is something to collect. Throws std::system_error.
  explicit guest_descriptor(int drivers);
  ~guest_descriptor();
  guest_descriptor(const guest_descriptor&) = delete;
  guest_descriptor& operator=(const guest_descriptor&) = delete;

  int get() const noexcept { return both_; }
  /// Readable from `until_ns` (CLOCK_MONOTONIC) on as well; a time that has passed: now. INT64_MAX: never.
  void alarm(std::int64_t until_ns) noexcept;

 private:
  int both_ = -1;  // an epoll of the driver's and the timer
  int timer_ = -1;
  std::int64_t until_ns_ = INT64_MAX;
};

}  // namespace axle::io::detail
