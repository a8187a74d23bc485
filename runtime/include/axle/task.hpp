// task<T>: a lazy coroutine, owned by one core for life.
//
// How frames call each other. Awaiting a child first runs it nested, on the native stack: a child that completes
// without suspending costs its frame, two indirect calls and no suspension of the parent. Nesting is bounded; at the
// bound, and whenever a child has suspended, parent and child go on through the task's trampoline (run_task), so
// chains of any depth neither grow the stack nor need tail calls. After `await_credit` awaits in one go the task
// returns to the end of the ready queue, so that a long run of ready awaits cannot starve I/O.
// Runs on the owning core.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include <axle/alloc/frame_pool.hpp>
#include <axle/check.hpp>
#include <axle/detail/frame_note.hpp>
#include <axle/detail/loop_core.hpp>
#include <axle/detail/task_state.hpp>
#include <axle/outcome.hpp>

namespace axle {

template <class T = void>
class task;

namespace detail {

template <class>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

// g++ before 12.3 lays out wrongly, and miscompiles in silence, the frame of a coroutine that awaits inside a condition
// (if, while, for, switch) and declares no variable in its outermost block (GCC bug 106188): the frame is then 8 bytes or
// more further on than it says. Such a frame is found out when it is made.
#if defined(__GNUC__) && !defined(__clang__) && (__GNUC__ < 12 || (__GNUC__ == 12 && __GNUC_MINOR__ < 3))
inline constexpr bool frames_may_be_misplaced = true;
#else
inline constexpr bool frames_may_be_misplaced = false;
#endif
inline thread_local constinit void* latest_frame = nullptr;

/// The place in the parent's frame where a child is awaited: it owns the child.
struct child_await {
  frame_handle child = {};
  frame_handle parent = {};  // set when the parent has suspended
  bool foreign_parent = false;
  bool cut = false;  // the child was unwound and a foreign parent is to throw `cancelled`
};

struct final_await {
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> ended) const noexcept;
  void await_resume() const noexcept {}
};

/// Whether `co_await a` asks `a` for its awaiter first.
template <class A>
concept has_co_await = requires(A&& a) { static_cast<A&&>(a).operator co_await(); } ||
                       requires(A&& a) { operator co_await(static_cast<A&&>(a)); };

#if defined(__clang__)
template <class A>
A& pass_on(A& awaiter) noexcept {
  return awaiter;
}
#else
/// g++ 12 copies an awaiter that await_transform returns by reference.
template <class A>
class awaiter_reference {
 public:
  explicit awaiter_reference(A& to) noexcept : to_(to) {}
  bool await_ready() noexcept(noexcept(to_.await_ready())) { return to_.await_ready(); }
  template <class P>
  auto await_suspend(std::coroutine_handle<P> h) noexcept(noexcept(to_.await_suspend(h))) {
    return to_.await_suspend(h);
  }
  decltype(auto) await_resume() noexcept(noexcept(to_.await_resume())) { return to_.await_resume(); }

 private:
  A& to_;
};
template <class A>
awaiter_reference<A> pass_on(A& awaiter) noexcept {
  return awaiter_reference<A>(awaiter);
}
#endif

struct promise_base {
  child_await* awaited_by = nullptr;  // null: the root of a task
  frame_note note;

  explicit promise_base(std::source_location of_coroutine) noexcept : note(of_coroutine) {}

  /// Passes on what is awaited, and notes where.
  template <class A>
  decltype(auto) await_transform(A&& awaited,
                                 std::source_location where = std::source_location::current()) noexcept {
    static_assert(!std::is_lvalue_reference_v<A> || !is_task<std::remove_cvref_t<A>>,
                  "a named task is awaited as `co_await std::move(t)`: it can be awaited once");
    note.awaits_at(where);
    if constexpr (has_co_await<A>) {
      return static_cast<A&&>(awaited);
    } else {
      return pass_on(awaited);
    }
  }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_await final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { note.failed(std::current_exception()); }
  ending how() const noexcept { return note.holds_error() ? ending::error : ending::value; }  // once ended

  static void* operator new(std::size_t bytes) {
    void* const frame = alloc::frame_allocate(bytes);
    if constexpr (frames_may_be_misplaced) latest_frame = frame;
    return frame;
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept { alloc::frame_free(frame, bytes); }
};

template <class T>
class promise : public promise_base {
  static_assert(alignof(T) <= 16,
                "task<T>: a T aligned to more than 16 bytes must be returned through a pointer");
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

 public:
  explicit promise(std::source_location of_coroutine = std::source_location::current()) noexcept
      : promise_base(of_coroutine) {}
  ~promise() {
    if (has_value_) value_.~stored();
  }
  promise(const promise&) = delete;
  promise& operator=(const promise&) = delete;

  task<T> get_return_object() noexcept;

  template <class U = T>
    requires(!std::is_reference_v<T> && std::constructible_from<stored, U>)
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<stored, U>) {
    ::new (static_cast<void*>(&value_)) stored(std::forward<U>(value));
    has_value_ = true;
    note.ended();
  }
  void return_value(T value) noexcept
    requires std::is_reference_v<T>
  {
    value_ = std::addressof(value);
    has_value_ = true;
    note.ended();
  }

  /// The value moved out, or the exception thrown.
  T take() {
    if (note.holds_error()) [[unlikely]]
      std::rethrow_exception(note.error());
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else {
      return std::move(value_);
    }
  }

 private:
  union {
    stored value_;
  };
  bool has_value_ = false;
};

template <>
class promise<void> : public promise_base {
 public:
  explicit promise(std::source_location of_coroutine = std::source_location::current()) noexcept
      : promise_base(of_coroutine) {}
  task<void> get_return_object() noexcept;
  void return_void() noexcept { note.ended(); }
  void take() const {
    if (note.holds_error()) [[unlikely]]
      std::rethrow_exception(note.error());
  }
};

template <class T>
std::coroutine_handle<promise<T>> typed(frame_handle frame) noexcept {
  return std::coroutine_handle<promise<T>>::from_address(frame.address());
}

template <class P>
inline constexpr bool is_axle_promise = std::derived_from<P, promise_base>;

template <class P>
frame_handle frame_of(P& promise) noexcept {
  static_assert(alignof(P) <= 16, "the promise must lie at the frame's usual offset");
  void* const frame = std::coroutine_handle<P>::from_promise(promise).address();
  if constexpr (frames_may_be_misplaced)
    AXLE_CHECK(
        frame == latest_frame,
        "g++ before 12.3 miscompiles a coroutine that has co_await in the condition of an if, while, for or "
        "switch and no variable in its outermost block (GCC bug 106188): declare one there, as in "
        "`const bool more = co_await f(); if (more)`, or use clang or a later g++");
  return frame_handle::from_address(frame);
}

/// A coroutine's frame as axle handles it; for a foreign one only resume() is ever used.
template <class P>
frame_handle handle_of(std::coroutine_handle<P> h) noexcept {
  return frame_handle::from_address(h.address());
}

/// Suspends the current task at `frame` on `node`: what every leaf awaiter calls from await_suspend. False: the task
/// is being ended instead, and the node must not be put to use.
template <class P>
[[nodiscard]] bool suspend_on(std::coroutine_handle<P> frame, wait_node& node, const char* what) noexcept {
  task_state& task = need_task(what);
  node.waiter = &task;
  task.suspend(handle_of(frame), node, !is_axle_promise<P>);
  if (task.must_end()) [[unlikely]] {
    this_loop->make_ready_to_end(task);
    return false;
  }
  return true;
}

/// For a leaf's await_ready: whether it may complete at once. Not when the task is to be ended, and not when it has
/// had its share of this turn.
inline bool may_complete_now(const char* what) noexcept {
  loop_core& loop = need_loop(what);
  AXLE_CHECK(loop.current != nullptr, "%s was awaited outside a task; use axle::spawn or axle::run", what);
  if (loop.credit == 0) [[unlikely]]
    return false;
  --loop.credit;
  return true;
}

/// Puts the current task, suspended at `frame`, at the end of the ready queue; it has a value to take when it goes on.
template <class P>
void requeue_with_value(std::coroutine_handle<P> frame) noexcept {
  loop_core& loop = *this_loop;
  task_state& task = *loop.current;
  task.frame = handle_of(frame);
  task.foreign = !is_axle_promise<P>;
  task.now = phase::suspended;
  loop.make_ready(task);
}

/// The same for a task that has taken nothing yet: a cancel, pending or to come, ends it here.
template <class P>
void requeue(std::coroutine_handle<P> frame) noexcept {
  requeue_with_value(frame);
  task_state& task = *this_loop->current;
  task.only_yields = true;
  if (task.must_end()) task.unwinding = true;
}

/// For await_resume in leaf awaiters: a foreign coroutine learns of the cancellation by exception.
inline void throw_if_cut() {
  if (this_loop->cut) [[unlikely]] {
    this_loop->cut = false;
    this_loop->current->unwinding = false;
    this_loop->current->foreign = false;
    throw cancelled();
  }
}

template <class T>
class task_await : child_await {
 public:
  explicit task_await(frame_handle task_frame) noexcept { child = task_frame; }
  task_await(const task_await&) = delete;
  task_await& operator=(const task_await&) = delete;
  ~task_await() {
    if (child) child.destroy();
  }

  bool await_ready() noexcept {
    loop_core& loop = need_loop("task");
    child.promise().awaited_by = this;
    if (loop.depth >= max_await_depth) [[unlikely]]
      return false;
    ++loop.depth;
    child.resume();
    --loop.depth;
    if (!child.done()) return false;
    if (loop.credit == 0) [[unlikely]]
      return false;
    --loop.credit;
    return true;
  }

  template <class P>
  void await_suspend(std::coroutine_handle<P> awaiting) noexcept {
    loop_core& loop = *this_loop;
    parent = handle_of(awaiting);
    foreign_parent = !is_axle_promise<P>;
    if (child.done()) [[unlikely]] {
      requeue_with_value(awaiting);
    } else if (loop.depth >= max_await_depth) [[unlikely]] {
      loop.next_frame = child;  // not begun yet: the trampoline does
    }
  }

  T await_resume() {
    if (cut) [[unlikely]]
      throw cancelled();
    return typed<T>(child).promise().take();
  }
};

}  // namespace detail

/// A coroutine that computes a T: lazy, move-only, awaited or spawned once. An unawaited task is destroyed unrun.
/// `co_await` it (`co_await std::move(t)` a named one) to run it inside the awaiting task, or give it to `spawn`.
template <class T>
class [[nodiscard("a task runs only when it is awaited or spawned")]] task {
 public:
  using promise_type = detail::promise<T>;
  using value_type = T;

  task(task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (frame_) detail::drop_unrun(frame_);
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  ~task() {
    if (frame_) detail::drop_unrun(frame_);
  }

  /// Runs the task inside the awaiting one; gives its value or throws its exception.
  detail::task_await<T> operator co_await() && noexcept { return detail::task_await<T>(release()); }
  /// A named task is awaited as `co_await std::move(t)`: it can be awaited once.
  void operator co_await() & = delete;

  /// False once awaited, spawned or moved from.
  explicit operator bool() const noexcept { return static_cast<bool>(frame_); }

  /// For spawn and its kin: gives up the frame.
  detail::frame_handle release() noexcept {
    AXLE_CHECK(frame_, "this task was awaited, spawned or moved from before: a task can be awaited once");
    return std::exchange(frame_, {});
  }

 private:
  friend promise_type;
  explicit task(detail::frame_handle frame) noexcept : frame_(frame) {}

  detail::frame_handle frame_;
};

namespace detail {

template <class T>
task<T> promise<T>::get_return_object() noexcept {
  return task<T>(frame_of(*this));
}
inline task<void> promise<void>::get_return_object() noexcept { return task<void>(frame_of(*this)); }

template <class P>
void final_await::await_suspend(std::coroutine_handle<P> ended) const noexcept {
  loop_core& loop = *this_loop;
  P& mine = ended.promise();
  if (child_await* const place = mine.awaited_by) {
    if (place->parent) loop.next_frame = place->parent;  // else it is just below us on the native stack
    return;
  }
  task_state& task = *loop.current;  // run_task goes on from here, once this frame is left
  task.frame = handle_of(ended);
  task.how = mine.how();
  task.now = phase::finished;
}

}  // namespace detail

}  // namespace axle
