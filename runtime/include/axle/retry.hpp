// retry: something that fails now and then, tried again after a while.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include <axle/result.hpp>
#include <axle/sleep.hpp>
#include <axle/task.hpp>

namespace axle {

struct retry_options {
  std::size_t attempts = 5;  ///< in all
  std::chrono::nanoseconds first_delay = std::chrono::milliseconds(10);
  double factor = 2.0;  ///< from one delay to the next
  std::chrono::nanoseconds longest_delay = std::chrono::seconds(10);
  double jitter =
      0.5;  ///< this part of each delay is chosen at random, so that many do not try again together
  std::uint64_t seed = 1;  ///< of the jitter
};

namespace detail {

class back_off {
 public:
  explicit back_off(const retry_options& options) noexcept
      : options_(options),
        delay_ns_(static_cast<double>(options.first_delay.count())),
        random_(options.seed | 1) {}
  std::chrono::nanoseconds next() noexcept {
    random_ ^= random_ << 13;  // xorshift64, Marsaglia 2003
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const double part = static_cast<double>(random_ >> 11) * 0x1p-53;
    const double wait_ns = delay_ns_ * (1 - options_.jitter * part);
    delay_ns_ = std::min(delay_ns_ * options_.factor, static_cast<double>(options_.longest_delay.count()));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(wait_ns));
  }

 private:
  retry_options options_;
  double delay_ns_;
  std::uint64_t random_;
};

}  // namespace detail

/// Runs f(args...), which returns a task<result<T>>, until it gives a value, or so often; gives the last result. An
/// exception or a cancel ends it at once. `args` are copied for each attempt.
template <class F, class... Args>
std::invoke_result_t<F&, Args&...> retry(retry_options options, F f, Args... args) {
  detail::back_off wait(options);
  for (std::size_t attempt = 1;; ++attempt) {
    auto got = co_await std::invoke(f, args...);
    if (got || attempt >= options.attempts) co_return got;
    co_await sleep(wait.next());
  }
}

}  // namespace axle
