// sleep, sleep_until, yield: giving the core to others for a time, or for one round.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>

#include <axle/clock.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

/// Until it begins, `deadline_ns` is what was given: a duration, if the kind says so.
class [[nodiscard("nothing happens until it is awaited: co_await it")]] sleep_await : public timer_node {
 public:
  sleep_await(std::int64_t ns, const wait_kind& given) noexcept {
    deadline_ns = ns;
    kind = &given;
  }
  sleep_await(const sleep_await&) = delete;
  sleep_await& operator=(const sleep_await&) = delete;

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (deadline_ns <= 0 && kind == &for_duration) return requeue(h);
    if (suspend_on(h, *this, "sleep")) begin();
  }
  void await_resume() const { throw_if_cut(); }

  AXLE_EXPORT static const wait_kind for_duration;
  AXLE_EXPORT static const wait_kind for_deadline;

 private:
  AXLE_EXPORT void begin() noexcept;
};

class [[nodiscard("nothing happens until it is awaited: co_await it")]] yield_await {
 public:
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) const noexcept {
    need_task("yield");
    requeue(h);
  }
  void await_resume() const { throw_if_cut(); }
};

}  // namespace detail

/// Suspends the task for at least `d`; zero or less lets every other ready task run once. O(1), allocates nothing.
/// Never early; how late depends on the loop (see `axle::clock`). Absurdly long durations sleep until cancelled.
template <class Rep, class Period>
detail::sleep_await sleep(std::chrono::duration<Rep, Period> d) noexcept {
  return {detail::clamped_ns(d), detail::sleep_await::for_duration};
}

/// Suspends the task until `when`; a time that has passed lets the timers that are due go first.
inline detail::sleep_await sleep_until(clock::time_point when) noexcept {
  return {when.time_since_epoch().count(), detail::sleep_await::for_deadline};
}

/// Lets every task that is ready now run before this one goes on (asyncio's `sleep(0)`).
inline detail::yield_await yield() noexcept { return {}; }

}  // namespace axle
