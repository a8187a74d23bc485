// axle::clock: the time that timers run on: CLOCK_MONOTONIC, or under the simulator its own.
#pragma once

#include <chrono>
#include <cstdint>

#include <axle/detail/loop_core.hpp>

namespace axle {

/// A steady clock. Inside a loop it is the driver's, so that the simulator's time is every program's time.
struct clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<clock>;
  static constexpr bool is_steady = true;

  /// The time now. Any thread. About 25 ns.
  AXLE_EXPORT static time_point now() noexcept;
};

namespace detail {

/// Any chrono duration in nanoseconds, clamped: absurd durations mean "for ever", not overflow.
template <class Rep, class Period>
constexpr std::int64_t clamped_ns(std::chrono::duration<Rep, Period> d) noexcept {
  using wide = std::chrono::duration<long double, std::nano>;
  constexpr std::int64_t most = timer_wheel::never;
  if constexpr (std::is_integral_v<Rep> && std::ratio_less_equal_v<Period, std::nano>) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  } else {
    const long double ns = wide(d).count();
    if (!(ns > 0)) return ns <= -9.2e18L ? -most : static_cast<std::int64_t>(ns);
    return ns >= 9.2e18L ? most : static_cast<std::int64_t>(ns);
  }
}

/// `from_ns + after_ns` without overflow. A finite sum stays below `never`.
constexpr std::int64_t deadline_after(std::int64_t from_ns, std::int64_t after_ns) noexcept {
  if (after_ns <= 0) return from_ns;
  return after_ns >= timer_wheel::never - from_ns ? timer_wheel::never : from_ns + after_ns;
}

}  // namespace detail
}  // namespace axle
