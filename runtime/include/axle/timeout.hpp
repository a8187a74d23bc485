// with_timeout, with_deadline: a task that must end in time.
//
// When the time is up the task is cancelled, and the wait goes on until it has fully ended: nothing is orphaned, no
// buffer is still the kernel's. A value that was reached in time, or before the cancel took hold, is delivered. A cancel
// from outside is never taken for a timeout. The task is started at once, nested: one that completes without
// suspending costs no timer.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <type_traits>

#include <axle/clock.hpp>
#include <axle/detail/family.hpp>
#include <axle/result.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

/// task<T> gives result<T>; a task that already gives a result<U> keeps it, with timed_out as one more error.
template <class T>
struct timed_result {
  using type = result<T>;
};
template <class U>
struct timed_result<result<U>> {
  using type = result<U>;
};

class timeout_family : public family {
 protected:
  timeout_family(frame_handle frame, std::int64_t ns, bool is_deadline) noexcept;

  AXLE_EXPORT bool start() noexcept;
  template <class P>
  void wait(std::coroutine_handle<P> h) noexcept {
    if (all_ended()) return requeue_with_value(h);
    arm();
    suspend(h);
  }

  struct alarm : timer_node {
    timeout_family* of;
  };
  child_task child_;
  alarm alarm_;
  bool timed_out_ = false;
  bool is_deadline_;

 private:
  AXLE_EXPORT void arm() noexcept;
  AXLE_EXPORT static void told(family& of, child_task& ended) noexcept;
  AXLE_EXPORT static const wait_kind kind_of;
  AXLE_EXPORT static const wait_kind alarm_kind;
};

inline timeout_family::timeout_family(frame_handle frame, std::int64_t ns, bool is_deadline) noexcept
    : family(told, kind_of), child_(frame), is_deadline_(is_deadline) {
  alarm_.kind = &alarm_kind;
  alarm_.of = this;
  alarm_.deadline_ns = ns;
}

/// What the child ended with, when it was not ended by the limit around it.
template <class T>
typename timed_result<T>::type take_in_time(child_task& ended) {
  if (ended.how == ending::cancelled) throw cancelled();
  auto& held = typed<T>(ended.frame).promise();
  if constexpr (std::is_void_v<T>) {
    held.take();
    return {};
  } else {
    return held.take();
  }
}

template <class T>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] timeout_await : timeout_family {
 public:
  timeout_await(frame_handle frame, std::int64_t ns, bool is_deadline) noexcept
      : timeout_family(frame, ns, is_deadline) {}
  using value = typename timed_result<T>::type;

  bool await_ready() noexcept { return start(); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    wait(h);
  }
  value await_resume() {
    throw_if_cut();
    if (timed_out_ && child_.how == ending::cancelled) return fail(errc::timed_out);
    return take_in_time<T>(child_);
  }
};

}  // namespace detail

/// Runs a task for at most `d`: its value, or errc::timed_out after it has been cancelled and has ended. Zero or less:
/// the task gets as far as it comes without waiting.
template <class Rep, class Period, class T>
detail::timeout_await<T> with_timeout(std::chrono::duration<Rep, Period> d, task<T> work) noexcept {
  return {work.release(), detail::clamped_ns(d), false};
}

/// The same, until a point in time.
template <class T>
detail::timeout_await<T> with_deadline(clock::time_point when, task<T> work) noexcept {
  return {work.release(), when.time_since_epoch().count(), true};
}

}  // namespace axle
