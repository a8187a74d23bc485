// shield: work that must not be cut off; finally: work with a clean-up that may await.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <axle/debug.hpp>
#include <axle/detail/family.hpp>
#include <axle/outcome.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

/// While it lives, a cancel of the current task is noted but takes no effect.
class shield_scope {
 public:
  explicit shield_scope(std::source_location where = std::source_location::current()) noexcept
      : task_(&need_task("shield")), where_(where) {
    ++task_->shields;
    if (debugging()) [[unlikely]]
      since_ns_ = watch();
  }
  ~shield_scope() {
    if (--task_->shields == 0 && task_->must_end()) this_loop->credit = 0;
    if (since_ns_) [[unlikely]]
      report();
  }
  shield_scope(const shield_scope&) = delete;
  shield_scope& operator=(const shield_scope&) = delete;

 private:
  AXLE_EXPORT std::int64_t watch() const noexcept;
  AXLE_EXPORT void report() const noexcept;

  task_state* task_;
  std::int64_t since_ns_ = 0;  // debug
  std::source_location where_;
};

/// Runs a body as a child that takes the parent's cancel, and always comes back with what became of it.
class body_family : public family {
 protected:
  explicit body_family(frame_handle frame) noexcept : family(told, kind_of), child_(frame) {}
  child_task child_;

 private:
  static void told(family& of, child_task&) noexcept {
    this_loop->make_ready(*static_cast<body_family&>(of).waiter);
  }
  static constexpr wait_kind kind_of = {nullptr, cancel_all, "finally", whom};
};

template <class T>
class body_await : body_family {
 public:
  explicit body_await(task<T>&& body) noexcept : body_family(body.release()) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    adopt(child_);
    this_loop->ready.push(child_, false);
    suspend(h);
  }
  outcome<T> await_resume() { return outcome_of<T>(child_); }
};

/// Ends the current task here if a cancel is pending; else does nothing.
class [[nodiscard("nothing happens until it is awaited: co_await it")]] checkpoint_await {
 public:
  bool await_ready() const noexcept { return !need_task("checkpoint").must_end(); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) const noexcept {
    requeue(h);
  }
  void await_resume() const { throw_if_cut(); }
};

}  // namespace detail

/// Runs a task to its end whatever happens: a cancel that arrives meanwhile takes effect at the first await after it.
template <class T>
task<T> shield(task<T> work, std::source_location where = std::source_location::current()) {
  const detail::shield_scope guard(where);
  co_return co_await std::move(work);
}

/// Ends the task here if it is being cancelled; for long computations between awaits.
inline detail::checkpoint_await checkpoint() noexcept { return {}; }

/// Runs `body`, then `cleanup(args...)`, which returns a task and runs shielded, however the body ended: with a value, an
/// exception, or cancelled. Then the body's ending takes its course. An exception from the clean-up replaces it.
template <class T, class F, class... Args>
task<T> finally(task<T> body, F cleanup, Args... args) {
  auto became = co_await detail::body_await<T>(std::move(body));
  {
    const detail::shield_scope guard;
    co_await std::invoke(cleanup, std::move(args)...);
  }
  if (became.is_cancelled()) co_await checkpoint();
  co_return std::move(became).value();
}

}  // namespace axle
