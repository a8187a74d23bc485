// Clock and sleep: arming the wheel with a precise reading of the clock, so that a sleep is never early.
#include <axle/sleep.hpp>

#include <time.h>

#include "loop.hpp"

namespace axle {

clock::time_point clock::now() noexcept {
  if (detail::this_loop) return time_point(duration(detail::this_loop->drives->now()));
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return time_point(duration(std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec));
}

namespace detail {

namespace {

void wake(wait_node& node) noexcept { this_loop->make_ready(*node.waiter); }

void call_off(wait_node& node) noexcept {
  this_loop->wheel.disarm(static_cast<timer_node&>(node));
  this_loop->make_ready_to_end(*node.waiter);
}

}  // namespace

const wait_kind sleep_await::for_duration = {wake, call_off, "sleep"};
const wait_kind sleep_await::for_deadline = {wake, call_off, "sleep_until"};

void sleep_await::begin() noexcept {
  loop_core& loop = *this_loop;
  if (kind == &for_duration) deadline_ns = deadline_after(loop.drives->now(), deadline_ns);
  if (deadline_ns >= timer_wheel::never) deadline_ns = timer_wheel::never - 1;
  loop.wheel.arm(*this);
}

}  // namespace detail
}  // namespace axle
