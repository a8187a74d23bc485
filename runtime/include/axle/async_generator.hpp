// async_generator<T>: a coroutine that gives values one after the other and may await in between.
//
//     async_generator<int> count(int n) {
//       for (int i = 0; i < n; ++i) {
//         co_await sleep(1ms);
//         co_yield i;
//       }
//     }
//     auto numbers = count(3);
//     while (const int* i = co_await numbers.next()) ...
//
// It runs as part of the task that asks for the next value. Destroying it early, at any co_yield, runs the destructors of
// what is alive in it, then and there; what must await at the end belongs into the asking task. If the task is cancelled
// while the generator awaits, the generator is unwound like any frame of the task, and has ended. This core only.
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <axle/task.hpp>

namespace axle {

template <class T>
class async_generator;

namespace detail {

template <class T>
class generator_promise : public promise_base {
 public:
  using value_type = std::remove_reference_t<T>;

  explicit generator_promise(std::source_location of_coroutine = std::source_location::current()) noexcept
      : promise_base(of_coroutine) {}
  async_generator<T> get_return_object() noexcept;
  void return_void() noexcept { note.ended(); }

  /// Back to who asked, as at the end of a frame; but the frame stays.
  struct yield_suspend {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<generator_promise> h) const noexcept {
      child_await& place = *h.promise().awaited_by;
      if (place.parent) this_loop->next_frame = place.parent;
    }
    void await_resume() const noexcept {}
  };
  /// The value lies in the frame until the next one is asked for.
  yield_suspend yield_value(value_type& value) noexcept {
    current = std::addressof(value);
    return {};
  }
  yield_suspend yield_value(value_type&& value) noexcept {
    current = std::addressof(value);
    return {};
  }

  value_type* current = nullptr;
};

}  // namespace detail

template <class T>
class [[nodiscard]] async_generator {
 public:
  using promise_type = detail::generator_promise<T>;
  using value_type = typename promise_type::value_type;

  async_generator(async_generator&& other) noexcept : place_(std::exchange(other.place_, {})) {
    AXLE_CHECK(!place_.parent, "an async_generator was moved while a task awaits its next value");
  }
  async_generator& operator=(async_generator&& other) noexcept {
    if (this != &other) {
      drop();
      place_ = std::exchange(other.place_, {});
    }
    return *this;
  }
  ~async_generator() { drop(); }

  class [[nodiscard]] next_await {
   public:
    explicit next_await(async_generator& of) noexcept : of_(of) {}
    next_await(const next_await&) = delete;
    next_await& operator=(const next_await&) = delete;

    // As task_await: nested first, through the trampoline if it suspends.
    bool await_ready() noexcept {
      detail::loop_core& loop = detail::need_loop("async_generator");
      detail::child_await& place = of_.place_;
      if (!place.child || place.child.done()) return true;
      AXLE_CHECK(!of_.awaited_, "two tasks await the next value of one async_generator");
      of_.awaited_ = true;
      detail::promise_base& frame = place.child.promise();
      frame.awaited_by = &place;
      of_.promise().current = nullptr;
      if (loop.depth >= detail::max_await_depth) [[unlikely]]
        return false;
      ++loop.depth;
      begun_ = true;
      place.child.resume();
      --loop.depth;
      if (!has_answer() || loop.credit == 0) return false;
      --loop.credit;
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      detail::loop_core& loop = *detail::this_loop;
      detail::child_await& place = of_.place_;
      place.parent = detail::handle_of(h);
      place.foreign_parent = !detail::is_axle_promise<P>;
      if (!begun_) {
        loop.next_frame = place.child;
      } else if (has_answer()) {
        detail::requeue_with_value(h);
      }
    }
    /// The value, until the next one is asked for; null at the end. Throws what escaped from the generator.
    value_type* await_resume() {
      detail::child_await& place = of_.place_;
      of_.awaited_ = false;
      place.parent = {};
      if (std::exchange(place.cut, false)) throw cancelled();
      if (!place.child) return nullptr;
      if (!place.child.done()) return of_.promise().current;
      if (auto failed = of_.promise().note.take_error()) std::rethrow_exception(failed);
      return nullptr;
    }

   private:
    bool has_answer() const noexcept { return of_.place_.child.done() || of_.promise().current; }
    async_generator& of_;
    bool begun_ = false;
  };

  /// Runs on to the next co_yield or the end. One caller at a time.
  next_await next() noexcept { return next_await(*this); }

 private:
  friend promise_type;
  explicit async_generator(detail::frame_handle frame) noexcept { place_.child = frame; }
  promise_type& promise() const noexcept {
    return std::coroutine_handle<promise_type>::from_address(place_.child.address()).promise();
  }
  void drop() noexcept {
    if (place_.child) place_.child.destroy();
  }

  detail::child_await place_;
  bool awaited_ = false;
};

namespace detail {

template <class T>
async_generator<T> generator_promise<T>::get_return_object() noexcept {
  return async_generator<T>(frame_of(*this));
}

}  // namespace detail

}  // namespace axle
