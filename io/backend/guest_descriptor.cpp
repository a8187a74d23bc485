// An epoll in an epoll, and a timer.
#include "guest_descriptor.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace axle::io::detail {

guest_descriptor::guest_descriptor(int drivers) {
  both_ = epoll_create1(EPOLL_CLOEXEC);
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  epoll_event interest = {.events = EPOLLIN, .data = {.fd = drivers}};
  epoll_event timed = {.events = EPOLLIN, .data = {.fd = timer_}};
  if (both_ >= 0 && timer_ >= 0 && epoll_ctl(both_, EPOLL_CTL_ADD, drivers, &interest) == 0 &&
      epoll_ctl(both_, EPOLL_CTL_ADD, timer_, &timed) == 0)
    return;
  const int error = errno;
  if (both_ >= 0) close(both_);
  if (timer_ >= 0) close(timer_);
  throw std::system_error(error, std::system_category(),
                          "a descriptor for a guest loop (raise the limit of open files: ulimit -n)");
}

guest_descriptor::~guest_descriptor() {
  close(both_);
  close(timer_);
}

// Set again, a timer that has expired is unreadable until its new time.
void guest_descriptor::alarm(std::int64_t until_ns) noexcept {
  if (until_ns == until_ns_ && until_ns == INT64_MAX) return;
  until_ns_ = until_ns;
  itimerspec at = {};  // zero: off
  if (until_ns != INT64_MAX) {
    const std::int64_t at_ns = std::max<std::int64_t>(until_ns, 1);
    at.it_value = {.tv_sec = at_ns / 1'000'000'000, .tv_nsec = at_ns % 1'000'000'000};
  }
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
}

}  // namespace axle::io::detail
