// task_group: a scope whose tasks cannot outlive it (trio's nursery, asyncio's TaskGroup, Swift's withTaskGroup).
//
// `with_task_group(body, args...)` runs `body(group, args...)`; the body spawns into the group, and the whole returns
// when the body and every child have ended. The first failure cancels the others; a single exception is rethrown as it
// is, several as an exception_group. `group.cancel()` ends all quietly. There is no group without a scope: a
// destructor cannot wait, so a free-standing group could orphan its children when its task is cancelled.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include <axle/detail/family.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

/// The open end of a scope: children are spawned through it. Belongs to its core; lives as long as its scope.
class task_group;

namespace detail {

/// Between a child that is to say when it is ready and the task that waits for it. The waiting task has it; the child
/// has a guard, which says that it has ended.
class start_slot : public wait_node {
 public:
  start_slot(const start_slot&) = delete;
  start_slot& operator=(const start_slot&) = delete;

 protected:
  start_slot() noexcept { kind = &kind_of; }
  ~start_slot() = default;
  void wake() noexcept {
    told_ = true;
    this_loop->make_ready(*waiter);
  }
  AXLE_EXPORT void take_failure();  // throws what the child failed with, if it did

  child_task* child_ = nullptr;
  std::exception_ptr error_;
  bool told_ = false;  // or has ended

 private:
  friend class start_guard;
  AXLE_EXPORT static const wait_kind kind_of;
  AXLE_EXPORT void ended() noexcept;
};

/// Lives in the child's frame, from before it begins. Move-only.
class start_guard {
 public:
  explicit start_guard(start_slot& of) noexcept : of_(&of) {}
  start_guard(start_guard&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  start_guard& operator=(start_guard&&) = delete;
  ~start_guard() {
    if (of_) of_->ended();
  }
  /// To be told something, once; null when it was told or has gone.
  start_slot* take() noexcept { return std::exchange(of_, nullptr); }
  /// False: the waiting task has gone on, and the failure is the group's.
  AXLE_EXPORT bool fail(std::exception_ptr error) noexcept;
  /// The child is at its end; whoever still waits will never hear that it is ready.
  AXLE_EXPORT void returned();

 private:
  start_slot* of_;
};

template <class T>
class start_value;
template <class T, class F, class... Args>
class start_await;

}  // namespace detail

/// Given to a child by group.start, to say that it is ready: once, and while the child runs.
template <class T = void>
class ready_signal {
 public:
  explicit ready_signal(detail::start_guard& guard) noexcept : guard_(&guard) {}
  /// `ready(value)`, or `ready()` for void.
  template <class... Given>
  void operator()(Given&&... value) {
    detail::start_slot* const slot = guard_->take();
    AXLE_CHECK(slot != nullptr, "a task says once that it is ready");
    static_cast<detail::start_value<T>&>(*slot).set(std::forward<Given>(value)...);
  }

 private:
  detail::start_guard* guard_;
};

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
  /// Schedules f(ready, args...), which returns a task<>, and waits until it calls `ready(value)`; gives that value. If it
  /// fails before, its exception is thrown here and the group goes on; if it returns before, std::logic_error is. Cancelled
  /// while it waits, it cancels the child. trio's nursery.start.
  ///     const auto port = co_await group.start<int>(serve, options);   // task<> serve(ready_signal<int>, options)
  template <class T = void, class F, class... Args>
  detail::start_await<T, F, Args...> start(F f, Args... args) {
    return detail::start_await<T, F, Args...>(*this, std::move(f), std::move(args)...);
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
  template <class T, class F, class... Args>
  friend class detail::start_await;
  AXLE_EXPORT detail::child_task& add(detail::frame_handle root, std::string_view name,
                                      std::source_location where);
  AXLE_EXPORT static void told(family& of, detail::child_task& ended) noexcept;
  AXLE_EXPORT static const detail::wait_kind kind_of;

  std::size_t children_ = 0;
  detail::failures failed_;
  bool cut_ = false;  // a child was ended by a cancel of the task that has the group
};

namespace detail {

template <class T>
class start_value : public start_slot {
 public:
  template <class... Given>
  void set(Given&&... value) {
    value_.emplace(std::forward<Given>(value)...);
    wake();
  }

 protected:
  start_value() = default;
  T take() {
    take_failure();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};
template <>
class start_value<void> : public start_slot {
 public:
  void set() noexcept { wake(); }

 protected:
  start_value() = default;
  void take() { take_failure(); }
};

/// The child: what f makes of the signal, with its failure given to whoever waits, as long as somebody does.
template <class T, class F, class... Args>
task<> start_in_group(start_guard guard, F f, Args... args) {
  std::exception_ptr failed;
  try {
    co_await std::invoke(f, ready_signal<T>(guard), std::move(args)...);
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed) {
    guard.returned();
  } else if (!guard.fail(failed)) {
    std::rethrow_exception(failed);
  }
}

template <class T, class F, class... Args>
class [[nodiscard]] start_await : start_value<T> {
 public:
  start_await(task_group& group, F&& f, Args&&... args)
      : group_(group), f_(std::move(f)), args_(std::move(args)...) {}

  bool await_ready() {
    if (need_task("group.start").must_end()) return false;
    auto work = std::apply(
        [this](Args&... args) {
          return start_in_group<T, F, Args...>(start_guard(*this), std::move(f_), std::move(args)...);
        },
        args_);
    this->child_ = &group_.add(work.release(), {}, std::source_location::current());
    return false;
  }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    static_cast<void>(suspend_on(h, *this, "group.start"));
  }
  T await_resume() {
    throw_if_cut();
    return this->take();
  }

 private:
  task_group& group_;
  F f_;
  std::tuple<Args...> args_;
};

template <class F, class... Args>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] group_await : task_group {
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

/// `co_await with_task_group(body, args...)`: body(group, args...) as a coroutine and all that it spawns. Gives the body's
/// value when every child has ended; none if a cancel from outside had to end one. The callable lives as long as the scope;
/// args are passed on as they are, by the body's own parameter types.
template <class F, class... Args>
detail::group_await<F, Args&&...> with_task_group(F body, Args&&... args) {
  return detail::group_await<F, Args&&...>(std::move(body), std::forward<Args>(args)...);
}

}  // namespace axle
