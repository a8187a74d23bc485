// The epoll driver: readiness by epoll, waits with nanosecond precision by epoll_pwait2. Owning thread only, but for wake().
#include "epoll.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <system_error>

#include "guest_descriptor.hpp"
#include "readiness.hpp"

namespace axle::io::detail {

namespace {

class owned_descriptor {
 public:
  owned_descriptor(int fd, const char* what) : fd_(fd) {
    if (fd < 0)
      throw std::system_error(errno, std::system_category(),
                              std::string(what) + " (raise the limit of open files: ulimit -n)");
  }
  ~owned_descriptor() { close(fd_); }
  owned_descriptor(const owned_descriptor&) = delete;
  owned_descriptor& operator=(const owned_descriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

class epoll final : public readiness {
 public:
  explicit epoll(const driver_options& options)
      : readiness(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd") {
    epoll_event interest = {.events = EPOLLIN | EPOLLET,
                            .data = {.fd = wake_.get()}};  // never read: each write is an edge
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &interest) != 0)
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }

  void wake() noexcept override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);  // EAGAIN: awake already
  }
  int descriptor() override {
    if (!guest_) guest_.emplace(epoll_.get());
    return guest_->get();
  }
  void alarm(std::int64_t until_ns) noexcept override { guest_->alarm(until_ns); }
  std::string_view name() const noexcept override { return "epoll"; }

 private:
  int watch(std::int32_t handle) noexcept override {
    epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.fd = handle}};
    ++counts_.kernel_entries;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, handle, &interest) == 0 || errno == EEXIST ? 0 : -errno;
  }

  void unwatch(std::int32_t handle) noexcept override {
    ++counts_.kernel_entries;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, handle, nullptr);
  }

  void poll(std::int64_t until_ns) noexcept override {
    std::array<epoll_event, 256> events;
    ++counts_.kernel_entries;
    const int count = wait_for_events(events.data(), static_cast<int>(events.size()), until_ns);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == wake_.get()) continue;
      const std::uint32_t what = events[i].events;
      const bool broken = (what & (EPOLLERR | EPOLLHUP)) != 0;
      const bool hung_up = broken || (what & EPOLLRDHUP) != 0;
      became_ready(events[i].data.fd, hung_up || (what & EPOLLIN), broken || (what & EPOLLOUT), hung_up);
    }
  }

  int wait_for_events(epoll_event* events, int most, std::int64_t until_ns) noexcept {
    if (until_ns == INT64_MAX) return epoll_wait(epoll_.get(), events, most, -1);
    const std::int64_t left_ns = until_ns > 0 ? std::max<std::int64_t>(0, until_ns - now()) : 0;
    if (left_ns == 0) return epoll_wait(epoll_.get(), events, most, 0);
    if (precise_) {
      const timespec patience = {.tv_sec = left_ns / 1'000'000'000, .tv_nsec = left_ns % 1'000'000'000};
      const int count = epoll_pwait2(epoll_.get(), events, most, &patience, nullptr);
      if (count >= 0 || errno != ENOSYS) return count;
      precise_ = false;  // before Linux 5.11: milliseconds, rounded up, so as not to be early
    }
    return epoll_wait(
        epoll_.get(), events, most,
        static_cast<int>(std::min<std::int64_t>((left_ns + 999'999) / 1'000'000, 1'000'000'000)));
  }

  owned_descriptor epoll_;
  owned_descriptor wake_;
  std::optional<guest_descriptor> guest_;
  bool precise_ = true;
};

}  // namespace

std::unique_ptr<io_driver> make_epoll(const driver_options& options) {
  return std::make_unique<epoll>(options);
}

}  // namespace axle::io::detail
