// task_group: a scope whose tasks cannot outlive it (trio's nursery, asyncio's TaskGroup, Swift's withTaskGroup).
//
// `with_task_group(body, args...)` runs `body(group, args...)`; the body spawns into the group, and the whole returns
// when the body and every child have ended. The first failure cancels the others; a single exception is rethrown as it
// is, several as an exception_group. `group.cancel()` ends all quietly. There is no group without a scope: a
// destructor cannot wait, so a free-standing group could orphan its children when its task is cancelled.
#pragma once

#include <coroutine>
#include <cstddef>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <axle/detail/family.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

/// The open end of a scope: children are spawned through it. Belongs to its core; lives as long as its scope.
class task_group : protected detail::family {
 public:
  /// Schedules a child; its value is dropped, its failure ends the group. In a group that is being cancelled the child
  /// never begins.
  template <class T>
  void spawn(task<T> work, spawn_options options = {},
             std::source_location where = std::source_location::current()) {
    add(work.release(), options.name, where);
  }
  /// Schedules f(args...), which returns a task; both live as long as it.
  template <class F, class... Args>
    requires detail::makes_task<F, Args...>
  void spawn(F f, Args... args) {
    spawn(detail::call_owned(std::move(f), std::move(args)...));
  }
  /// Ends every task of the group, the body included, quietly: with_task_group returns as if they had finished.
  AXLE_EXPORT void cancel() noexcept;
  /// Children that have not ended.
  std::size_t size() const noexcept { return children_; }
  bool cancelled() const noexcept { return cancelled_; }

 protected:
  explicit task_group() noexcept : family(told, kind_of) {}
  AXLE_EXPORT void begin_body() noexcept;
  AXLE_EXPORT void check();

  detail::child_task body_;
  bool cancelled_ = false;

 private:
  AXLE_EXPORT void add(detail::frame_handle root, std::string_view name, std::source_location where);
  AXLE_EXPORT static void told(family& of, detail::child_task& ended) noexcept;
  AXLE_EXPORT static const detail::wait_kind kind_of;

  std::size_t children_ = 0;
  detail::failures failed_;
};

namespace detail {

template <class F, class... Args>
class group_await : task_group {
 public:
  using body_type = std::invoke_result_t<F&, task_group&, Args...>;
  static_assert(is_task<body_type>, "with_task_group wants a body that takes task_group& and returns a task");
  using value_type = typename body_type::value_type;

  template <class... Given>
  explicit group_await(F body, Given&&... args) : make_(std::move(body)) {
    body_.frame = std::invoke(make_, static_cast<task_group&>(*this), std::forward<Given>(args)...).release();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("with_task_group");
    begin_body();
    this->suspend(h);
  }
  value_type await_resume() {
    throw_if_cut();
    check();
    if constexpr (std::is_void_v<value_type>) {
      return;
    } else {
      if (body_.how == ending::cancelled) throw axle::cancelled();
      return typed<value_type>(body_.frame).promise().take();
    }
  }

 private:
  F make_;
};

}  // namespace detail

/// `co_await with_task_group(body, args...)`: body(group, args...) as a coroutine and all that it spawns. The callable
/// lives as long as the scope; args are passed on as they are, by the body's own parameter types.
template <class F, class... Args>
detail::group_await<F, Args&&...> with_task_group(F body, Args&&... args) {
  return detail::group_await<F, Args&&...>(std::move(body), std::forward<Args>(args)...);
}

}  // namespace axle
