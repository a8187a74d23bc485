// cancel_scope: work that can be ended from outside, by a deadline or by cancel(reason), while the task it belongs to
// goes on. trio.CancelScope, asyncio's timeout() with reschedule().
//
//     axle::cancel_scope scope(5s);
//     on_quit([&] { scope.cancel("the user left"); });
//     auto answer = co_await scope.run(ask(server));
//     if (!answer) log(scope.reason());
//
// Scopes nest: what ends an outer one ends those inside it, except where one is a shield; a shield still has its own
// deadline and its own cancel(). A cancel from outside is never taken for the scope's own. Owning core only.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <axle/clock.hpp>
#include <axle/detail/family.hpp>
#include <axle/detail/wait_list.hpp>
#include <axle/result.hpp>
#include <axle/task.hpp>
#include <axle/timeout.hpp>

namespace axle {

/// One step on the way a cancel took, from the scope down to what was waited for.
struct cancel_step {
  std::uint32_t task;          ///< its id
  std::source_location at;     ///< a co_await
  std::string_view waits_for;  ///< "sleep", "receive" ..., for the last step of a task; else empty
};

struct cancel_scope_options {
  clock::time_point deadline = clock::time_point::max();
  bool shield = false;       ///< a cancel from outside waits until the work has ended
  bool record_path = false;  ///< keep what cancel_path() tells; debug mode does so always
};

namespace detail {
class scope_family;
}

class cancel_scope : detail::core_bound {
 public:
  explicit cancel_scope(cancel_scope_options options = {}) noexcept : options_(options) {}
  template <class Rep, class Period>
  explicit cancel_scope(std::chrono::duration<Rep, Period> timeout) noexcept
      : cancel_scope(cancel_scope_options{.deadline = clock::now() + timeout}) {}
  AXLE_EXPORT ~cancel_scope();

  /// Runs a task inside: its value; errc::timed_out or errc::operation_canceled if the scope ended it, after it has fully
  /// ended. A value reached before that is delivered. One run at a time; after a cancel the next is ended where it first
  /// waits.
  template <class T>
  auto run(task<T> work) noexcept;

  /// Ends what runs inside. The first reason stays. Idempotent. O(1).
  AXLE_EXPORT void cancel(std::string_view reason = {}) noexcept;
  /// Sooner, later, or never (time_point::max()); also while it runs.
  AXLE_EXPORT void set_deadline(clock::time_point when) noexcept;

  clock::time_point deadline() const noexcept { return options_.deadline; }
  bool shields() const noexcept { return options_.shield; }
  /// Whether its deadline has passed while it ran, or cancel() was called.
  bool cancelled() const noexcept { return how_ != ended_by::none; }
  bool timed_out() const noexcept { return how_ == ended_by::deadline; }
  /// What was given to cancel(); "timed out" after the deadline.
  std::string_view reason() const noexcept { return reason_; }
  /// From the cancel until everything inside had ended.
  std::chrono::nanoseconds time_to_end() const noexcept { return std::chrono::nanoseconds(took_ns_); }
  /// With `record_path`: what the cancel met, from the scope down to what was waited for.
  const std::vector<cancel_step>& cancel_path() const noexcept { return path_; }

 private:
  friend detail::scope_family;
  enum class ended_by : std::uint8_t { none, deadline, call };

  void end(ended_by how, std::string_view reason) noexcept;

  cancel_scope_options options_;
  detail::scope_family* running_ = nullptr;
  ended_by how_ = ended_by::none;
  std::int64_t asked_ns_ = 0;
  std::int64_t took_ns_ = 0;
  std::string reason_;
  std::vector<cancel_step> path_;
};

namespace detail {

class scope_family : public family {
 public:
  void end_work() noexcept { cancel_children(); }
  AXLE_EXPORT void arm() noexcept;
  const task_state& work() const noexcept { return child_; }

 protected:
  AXLE_EXPORT scope_family(cancel_scope& of, frame_handle frame) noexcept;

  AXLE_EXPORT bool start() noexcept;
  template <class P>
  void wait(std::coroutine_handle<P> h) noexcept {
    if (all_ended()) return requeue_with_value(h);
    if (of_.options_.shield) {
      suspend_apart(h);
    } else {
      suspend(h);
    }
    arm();
  }
  bool was_ended_by_scope() const noexcept { return child_.how == ending::cancelled && of_.cancelled(); }
  std::error_code why() const noexcept {
    return make_error_code(of_.timed_out() ? errc::timed_out : errc::operation_canceled);
  }

  child_task child_;

 private:
  AXLE_EXPORT static void told(family& of, child_task& ended) noexcept;
  AXLE_EXPORT static const wait_kind open_kind;
  AXLE_EXPORT static const wait_kind shielded_kind;
  AXLE_EXPORT static const wait_kind alarm_kind;

  struct alarm : timer_node {
    scope_family* of;
  };
  cancel_scope& of_;
  alarm alarm_;
};

template <class T>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] scope_await : scope_family {
 public:
  scope_await(cancel_scope& of, frame_handle frame) noexcept : scope_family(of, frame) {}
  using value = typename timed_result<T>::type;

  bool await_ready() noexcept { return start(); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    wait(h);
  }
  value await_resume() {
    throw_if_cut();
    if (was_ended_by_scope()) return fail(why());
    return take_in_time<T>(child_);
  }
};

}  // namespace detail

template <class T>
auto cancel_scope::run(task<T> work) noexcept {
  return detail::scope_await<T>(*this, work.release());
}

}  // namespace axle
