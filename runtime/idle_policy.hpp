// idle_policy: how long a loop that has nothing to do spins before it sleeps. Private to runtime/; owning thread only.
//
// Spinning for `b` costs the time until something comes, or b; sleeping costs the wake: microseconds in which what came waits.
// The policy keeps how long the last idle times lasted (in powers of two, older ones fading), and takes the b that gains most:
//
//     gain(b) = patience x wake x P(comes within b) - E(time spun)
//
// A loop whose idle times are mostly longer than any b gains nothing, and does not spin at all. Idle times are known whether
// they were spun or slept through, so nothing has to be tried out. Spinning that does not plainly save more processor time than it
// costs is done for half of the time at most; none goes beyond the share of a processor that the CPU quota leaves, for a group
// that uses up its quota is stopped for the rest of the period. A spin in which the clock jumped (somebody else had the
// processor) is taken as a sign that it is wanted elsewhere: no spin for a while.
// After the ski-rental rule of A. Karlin et al., 1990, with the distribution known.
#pragma once

#include <array>
#include <cstdint>

#include <axle/poll_mode.hpp>

namespace axle::detail {

class idle_policy {
 public:
  struct settings {
    poll_mode mode = poll_mode::blocking;
    std::int64_t limit_ns = 200'000;     // adaptive: no spin is longer
    std::int64_t wake_cost_ns = 20'000;  // what a sleep costs when something comes
    double processors = 1;               // of the loop; less than 1 under a CPU quota
  };

  explicit idle_policy(const settings& chosen, std::int64_t now_ns) noexcept
      : chosen_(chosen), counted_to_ns_(now_ns) {}

  poll_mode mode() const noexcept { return chosen_.mode; }
  void change(const settings& chosen) noexcept { chosen_ = chosen; }

  /// For how long to spin, from `now_ns` on; 0: not at all.
  std::int64_t spin_ns(std::int64_t now_ns) noexcept;

  /// An idle time has ended, with something to do or at a deadline.
  struct idle_time {
    std::int64_t began_ns;
    std::int64_t ended_ns = 0;
    std::int64_t spun_ns = 0;
    bool interrupted = false;  // while it spun, somebody else had the processor
  };
  void ended(const idle_time& idle) noexcept;

 private:
  static constexpr double patience = 3;
  static constexpr std::size_t kinds = 12;     // up to 1, 2, 4, ... us; the last: longer than all
  static constexpr unsigned renew_every = 16;  // idle times
  static constexpr std::int64_t burst_ns = 2'000'000;

  void choose() noexcept;
  void earn(std::int64_t now_ns) noexcept;

  settings chosen_;
  std::array<float, kinds> lasted_{};  // how often, older ones fading
  std::int64_t best_ns_ = 0;
  bool pays_ = false;  // plainly
  unsigned until_renewed_ = 1;
  std::int64_t allowed_ns_ = 0;       // to spin, of what is limited
  std::int64_t quota_ns_ = burst_ns;  // of processor time, under a quota
  std::int64_t counted_to_ns_;
  std::int64_t not_before_ns_ = 0;
  std::int64_t pause_ns_ = 0;
};

/// What a sleep costs on this machine when it ends: measured once in the process, by a few short ones.
std::int64_t measured_wake_cost_ns() noexcept;

}  // namespace axle::detail
