// fiber: blocking-style code, which waits anywhere in its call stack, as a task's child.
//
//     std::size_t count_lines(axle::io::tcp_stream& from) {           // no coroutine, nor is what calls it
//       std::size_t lines = 0;
//       for (auto data = axle::await(from.recv()); data && !data->empty(); data = axle::await(from.recv()))
//         lines += count_newlines(*data);
//       return lines;
//     }
//     const std::size_t lines = co_await axle::fiber(count_lines, std::ref(stream));
//
// The function runs on a stack of its own (alloc/stack_pool.hpp), in the task that awaits it. axle::await(x) gives what
// `co_await x` would; while it waits, the loop goes on. Switching is Boost.Context's. To run it beside others spawn it:
// spawn(fiber(f, args...)).
// A cancel takes the shape of the exception `cancelled`, which await throws and the function's end swallows: a stack can only
// be left by unwinding. It stays: each later await of that fiber throws it as well, so caught, it is not averted. What must
// be awaited while leaving goes through finally(...); a destructor must not await.
// A fiber costs its stack: 256 KiB of addresses and the pages that it touches, two at least; for many waiting at once
// coroutines are hundreds of times smaller. Running over the end of the stack is a fault, at the page below it.
// Runs on the owning core.
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

#include <axle/task.hpp>

namespace axle {

struct fiber_options {
  std::size_t stack_bytes = 256 * 1024;  ///< rounded up to pages; 16 KiB at least
};

namespace detail {

class stack_switch;

/// One function on a stack of its own, and the coroutine frame that stands for it in the task.
class fiber_stack {
 public:
  /// Throws std::bad_alloc.
  AXLE_EXPORT fiber_stack(std::size_t stack_bytes, void (*run)(void*), void* argument);
  fiber_stack(const fiber_stack&) = delete;
  fiber_stack& operator=(const fiber_stack&) = delete;
  /// Cancels the function if it has not ended: `cancelled` is thrown where it waits.
  AXLE_EXPORT ~fiber_stack();

  /// The calling one; outside a fiber, and in a coroutine that a fiber awaits, a CHECK fails.
  AXLE_EXPORT static fiber_stack& running() noexcept;

  AXLE_EXPORT bool ended() const noexcept;
  void rethrow_failure() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  /// Runs the function until it waits or ends; what the task goes on with then.
  template <class P>
  std::coroutine_handle<> go_on(std::coroutine_handle<P> h) noexcept {
    frame_ = handle_of(h);
    resume();
    if (ended()) return h;
    return suspend_(*this, awaiter_, frame_);
  }

  /// From inside: suspends the task on the awaiter, which has said that it is not ready.
  template <class W>
  void wait_on(W& awaiter) {
    awaiter_ = std::addressof(awaiter);
    suspend_ = [](fiber_stack& of, void* on, frame_handle frame) noexcept {
      return of.suspended(*static_cast<W*>(on), frame);
    };
    leave();
    if (unwinding_) throw cancelled();
    rethrow_failure();
  }
  /// From inside, before each wait.
  void notes(std::source_location where) {
    if (unwinding_) throw cancelled();
    frame_.promise().note.awaits_at(where);
  }

 private:
  template <class W>
  std::coroutine_handle<> suspended(W& awaiter, frame_handle frame) noexcept {
    using suspends = decltype(awaiter.await_suspend(frame));
    try {
      if constexpr (std::is_void_v<suspends>) {
        awaiter.await_suspend(frame);
        return std::noop_coroutine();
      } else if constexpr (std::is_same_v<suspends, bool>) {
        if (awaiter.await_suspend(frame)) return std::noop_coroutine();
        return frame;
      } else {
        return awaiter.await_suspend(frame);
      }
    } catch (...) {
      failure_ = std::current_exception();  // wait_on throws it
      return frame;
    }
  }

  AXLE_EXPORT void resume() noexcept;
  AXLE_EXPORT void leave() noexcept;
  void body() noexcept;

  stack_switch* stack_ = nullptr;
  void (*run_)(void*);
  void* argument_;
  frame_handle frame_ = {};
  void* awaiter_ = nullptr;
  std::coroutine_handle<> (*suspend_)(fiber_stack&, void*, frame_handle) noexcept = nullptr;
  std::exception_ptr failure_;
  unsigned depth_ = 0;  // loop_core::depth as the function was last resumed
  bool unwinding_ = false;
};

class fiber_turn {
 public:
  explicit fiber_turn(fiber_stack& of) noexcept : of_(of) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) const noexcept {
    return of_.go_on(h);
  }
  void await_resume() const noexcept {}

 private:
  fiber_stack& of_;
};

/// A call with its arguments, and in the end its result.
template <class R, class F, class... Args>
class fiber_call {
  using kept_type =
      std::conditional_t<std::is_void_v<R>, bool,
                         std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

 public:
  explicit fiber_call(F& f, Args&... args) noexcept : f_(f), args_(args...) {}

  static void run(void* call) {
    auto& mine = *static_cast<fiber_call*>(call);
    std::apply(
        [&mine](Args&... args) {
          if constexpr (std::is_void_v<R>) {
            std::invoke(std::move(mine.f_), std::move(args)...);
          } else if constexpr (std::is_reference_v<R>) {
            mine.result_ = std::addressof(std::invoke(std::move(mine.f_), std::move(args)...));
          } else {
            mine.result_.emplace(std::invoke(std::move(mine.f_), std::move(args)...));
          }
        },
        mine.args_);
  }
  R take() {
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(**result_);
    } else if constexpr (!std::is_void_v<R>) {
      return std::move(*result_);
    }
  }

 private:
  F& f_;
  std::tuple<Args&...> args_;
  std::optional<kept_type> result_;
};

/// `co_await x` asks x for its awaiter as this does.
template <class A>
decltype(auto) awaiter_of(A&& awaited) {
  if constexpr (requires { static_cast<A&&>(awaited).operator co_await(); }) {
    return static_cast<A&&>(awaited).operator co_await();
  } else if constexpr (requires { operator co_await(static_cast<A&&>(awaited)); }) {
    return operator co_await(static_cast<A&&>(awaited));
  } else {
    return static_cast<A&&>(awaited);
  }
}

template <class F, class... Args>
using fiber_result = std::invoke_result_t<F, Args...>;

}  // namespace detail

/// Runs f(args...), all taken by value (std::ref for what outlives the await), on a stack of its own; gives its result or
/// throws its exception. std::bad_alloc when no stack can be had.
template <class F, class... Args>
  requires std::invocable<F, Args...>
task<detail::fiber_result<F, Args...>> fiber(fiber_options options, F f, Args... args) {
  using result_type = detail::fiber_result<F, Args...>;
  detail::fiber_call<result_type, F, Args...> call(f, args...);
  detail::fiber_stack on(options.stack_bytes, call.run, &call);
  do {
    co_await detail::fiber_turn(on);
  } while (!on.ended());
  on.rethrow_failure();
  co_return call.take();
}
template <class F, class... Args>
  requires std::invocable<F, Args...>
task<detail::fiber_result<F, Args...>> fiber(F f, Args... args) {
  return fiber(fiber_options{}, std::move(f), std::move(args)...);
}

/// In a fiber: gives what `co_await awaited` gives in a coroutine; the fiber's task waits for it. Throws what the awaited
/// throws, and `cancelled` when the task is being cancelled. A CHECK fails outside a fiber.
template <class A>
auto await(A&& awaited, std::source_location where = std::source_location::current()) -> std::conditional_t<
    std::is_rvalue_reference_v<decltype(detail::awaiter_of(static_cast<A&&>(awaited)).await_resume())>,
    std::remove_reference_t<decltype(detail::awaiter_of(static_cast<A&&>(awaited)).await_resume())>,
    decltype(detail::awaiter_of(static_cast<A&&>(awaited)).await_resume())> {
  static_assert(!std::is_lvalue_reference_v<A> || !detail::is_task<std::remove_cvref_t<A>>,
                "a named task is awaited as `axle::await(std::move(t))`: it can be awaited once");
  detail::fiber_stack& mine = detail::fiber_stack::running();
  mine.notes(where);
  auto&& awaiter = detail::awaiter_of(static_cast<A&&>(awaited));
  if (!awaiter.await_ready()) mine.wait_on(awaiter);
  return awaiter.await_resume();
}

}  // namespace axle
