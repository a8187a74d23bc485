// Choosing how long to spin, from how long idle times have lasted. Owning thread only.
#include "idle_policy.hpp"

#include <time.h>

#include <algorithm>
#include <bit>

#include <axle/clock.hpp>

namespace axle::detail {

namespace {

constexpr float fading = 63.0F / 64;
constexpr std::int64_t shortest_pause_ns = 1'000'000;
constexpr std::int64_t longest_pause_ns = 128'000'000;
constexpr double plainly = 2;           // spinning pays: what it saves, over what it costs
constexpr double limited_share = 0.5;   // of the time
constexpr double share_of_quota = 0.9;  // the rest is for what the loop does not see

// 0: up to 1 us, 1: up to 2 us, ...
std::size_t kind_of(std::int64_t ns, std::size_t kinds) noexcept {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)) / 1'000;
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(us)), kinds - 1);
}
constexpr std::int64_t longest_of(std::size_t kind) noexcept { return std::int64_t{1'000} << kind; }

}  // namespace

std::int64_t idle_policy::spin_ns(std::int64_t now_ns) noexcept {
  if (chosen_.mode == poll_mode::blocking) return 0;
  if (chosen_.mode == poll_mode::busy && chosen_.processors >= 1) return INT64_MAX;
  earn(now_ns);
  if (chosen_.processors < 1 && quota_ns_ <= 0) return 0;
  if (chosen_.mode == poll_mode::busy) return INT64_MAX;
  if (now_ns < not_before_ns_) return 0;
  return pays_ || allowed_ns_ > 0 ? best_ns_ : 0;
}

// What may be spun grows with time. Work counts against a quota, too: all time that was not slept.
void idle_policy::earn(std::int64_t now_ns) noexcept {
  const std::int64_t passed_ns = std::max<std::int64_t>(now_ns - counted_to_ns_, 0);
  counted_to_ns_ = now_ns;
  const auto earned = [passed_ns](double share) {
    return static_cast<std::int64_t>(static_cast<double>(passed_ns) * share);
  };
  allowed_ns_ = std::min(allowed_ns_ + earned(limited_share), burst_ns);
  quota_ns_ =
      std::clamp(quota_ns_ + earned(chosen_.processors * share_of_quota) - passed_ns, -burst_ns, burst_ns);
}

void idle_policy::ended(const idle_time& idle) noexcept {
  if (chosen_.mode == poll_mode::blocking) return;
  if (chosen_.mode == poll_mode::busy && chosen_.processors >= 1) return;  // nothing to decide
  earn(idle.ended_ns);
  const std::int64_t lasted_ns = idle.ended_ns - idle.began_ns;
  const std::int64_t slept_ns = std::max<std::int64_t>(lasted_ns - idle.spun_ns, 0);
  quota_ns_ = std::min(quota_ns_ + slept_ns, burst_ns);
  allowed_ns_ -= idle.spun_ns;
  if (idle.interrupted) {
    pause_ns_ = std::clamp(pause_ns_ * 2, shortest_pause_ns, longest_pause_ns);
    not_before_ns_ = idle.ended_ns + pause_ns_;
  } else if (idle.spun_ns > 0) {
    pause_ns_ = 0;
  }
  // What ended a sleep had come before the loop was awake.
  const std::int64_t came_ns =
      slept_ns ? std::max(lasted_ns - chosen_.wake_cost_ns, idle.spun_ns) : lasted_ns;
  for (float& each : lasted_) each *= fading;
  lasted_[kind_of(came_ns, kinds)] += 1;
  if (--until_renewed_ == 0) choose();
}

void idle_policy::choose() noexcept {
  until_renewed_ = renew_every;
  double all = 0;
  for (const float each : lasted_) all += static_cast<double>(each);
  double best_gain = 0;
  best_ns_ = 0;
  pays_ = false;
  double within = 0;     // share of idle times that end within b
  double spun_then = 0;  // mean time spun of those, over all
  for (std::size_t kind = 0; kind + 1 < kinds && longest_of(kind) <= chosen_.limit_ns; ++kind) {
    const double share = static_cast<double>(lasted_[kind]) / all;
    const auto b = static_cast<double>(longest_of(kind));
    within += share;
    spun_then += share * b * 0.75;
    const double cost = spun_then + (1 - within) * b;
    const double saved = within * static_cast<double>(chosen_.wake_cost_ns);
    if (const double gain = patience * saved - cost; gain > best_gain) {
      best_gain = gain;
      best_ns_ = longest_of(kind);
      pays_ = saved >= plainly * cost;
    }
  }
}

std::int64_t measured_wake_cost_ns() noexcept {
  static const std::int64_t cost_ns = [] {
    constexpr std::int64_t nap_ns = 50'000;
    std::array<std::int64_t, 5> late{};
    for (std::int64_t& each : late) {
      const std::int64_t until_ns = clock::now().time_since_epoch().count() + nap_ns;
      const timespec until = {.tv_sec = until_ns / 1'000'000'000, .tv_nsec = until_ns % 1'000'000'000};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
      each = clock::now().time_since_epoch().count() - until_ns;
    }
    std::sort(late.begin(), late.end());
    return std::clamp<std::int64_t>(late[late.size() / 2], 3'000, 100'000);
  }();
  return cost_ns;
}

}  // namespace axle::detail
