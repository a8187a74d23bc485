// call_soon, call_later, call_at, call_microtask: plain functions run by the loop, and the handle to call them off.
//
// As asyncio's: call_soon's callbacks and tasks share one FIFO; timed ones go by deadline, equal deadlines in the order
// in which they were asked for. Microtasks run before anything else, JavaScript's queueMicrotask, under the turn's
// budget. An exception from a callback goes to the handler for unjoined failures. This core only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <axle/clock.hpp>
#include <axle/detail/loop_core.hpp>

namespace axle {

namespace detail {

/// A callback in the ready queue or the wheel; from the frame pool. Referenced by its place there and by its handle.
struct callback_block : ready_callback, timer_node {
  void (*invoke)(callback_block&) = nullptr;
  void (*drop)(callback_block&) noexcept = nullptr;  // destroys the callable and frees the block
  loop_core* loop = nullptr;
  std::uint8_t references = 1;
  bool called_off = false;
  bool over = false;
};

template <class F, class... Args>
struct callback_of final : callback_block {
  callback_of(F&& f, Args&&... args) : call(std::move(f)), with(std::move(args)...) {
    invoke = [](callback_block& block) {
      std::apply(std::move(static_cast<callback_of&>(block).call),
                 std::move(static_cast<callback_of&>(block).with));
    };
    drop = [](callback_block& block) noexcept {
      auto& mine = static_cast<callback_of&>(block);
      mine.~callback_of();
      alloc::frame_free(&mine, sizeof(callback_of));
    };
  }
  F call;
  std::tuple<Args...> with;
};

template <class F, class... Args>
callback_block& make_callback(F f, Args... args) {
  static_assert(std::is_invocable_v<F, Args...>, "the callback cannot be called with these arguments");
  static_assert(alignof(callback_of<F, Args...>) <= 16);
  void* memory = alloc::frame_allocate(sizeof(callback_of<F, Args...>));
  return *::new (memory) callback_of<F, Args...>(std::move(f), std::move(args)...);
}

AXLE_EXPORT void queue_callback(callback_block& block, bool microtask) noexcept;
AXLE_EXPORT void arm_callback(callback_block& block, std::int64_t deadline_ns) noexcept;
AXLE_EXPORT std::int64_t deadline_from_now(std::int64_t after_ns) noexcept;
AXLE_EXPORT void call_off(callback_block& block) noexcept;
AXLE_EXPORT void drop_callback(callback_block& block) noexcept;
void drop_timed_call(timer_node& armed) noexcept;
void drop_uncalled(callback_block& block) noexcept;

}  // namespace detail

/// To call a callback off. Dropping it changes nothing. Move-only; this core only.
class call_handle {
 public:
  call_handle() = default;
  explicit call_handle(detail::callback_block& block) noexcept : block_(&block) { ++block.references; }
  call_handle(call_handle&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  call_handle& operator=(call_handle&& other) noexcept {
    if (this != &other) {
      reset();
      block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
  }
  ~call_handle() { reset(); }

  /// True if the callback had not run and now never will. O(1).
  bool cancel() noexcept {
    if (!block_ || block_->over) return false;
    detail::call_off(*block_);
    return true;
  }

 private:
  void reset() noexcept {
    if (auto* block = std::exchange(block_, nullptr)) detail::drop_callback(*block);
  }
  detail::callback_block* block_ = nullptr;
};

/// Runs f(args...) in the loop's next round, behind what is ready now.
template <class F, class... Args>
call_handle call_soon(F f, Args... args) {
  detail::need_loop("call_soon");
  auto& block = detail::make_callback(std::move(f), std::move(args)...);
  call_handle handle(block);
  detail::queue_callback(block, false);
  return handle;
}

/// Runs f(args...) before any other task, callback or message: as soon as the running task suspends.
template <class F, class... Args>
void call_microtask(F f, Args... args) {
  detail::need_loop("call_microtask");
  detail::queue_callback(detail::make_callback(std::move(f), std::move(args)...), true);
}

/// Runs f(args...) at `when` or later, never earlier.
template <class F, class... Args>
call_handle call_at(clock::time_point when, F f, Args... args) {
  detail::need_loop("call_at");
  auto& block = detail::make_callback(std::move(f), std::move(args)...);
  call_handle handle(block);
  detail::arm_callback(block, when.time_since_epoch().count());
  return handle;
}

/// Runs f(args...) after at least `d`.
template <class Rep, class Period, class F, class... Args>
call_handle call_later(std::chrono::duration<Rep, Period> d, F f, Args... args) {
  detail::need_loop("call_later");
  auto& block = detail::make_callback(std::move(f), std::move(args)...);
  call_handle handle(block);
  detail::arm_callback(block, detail::deadline_from_now(detail::clamped_ns(d)));
  return handle;
}

}  // namespace axle
