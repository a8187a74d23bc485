// The least that another library's coroutine type has: lazy, resumes its awaiter at its end, knows nothing of axle.
#pragma once

#include <coroutine>
#include <exception>

namespace axle::test {

struct foreign {
  struct promise_type {
    std::coroutine_handle<> awaiter = std::noop_coroutine();
    std::exception_ptr error;
    foreign get_return_object() { return foreign(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().awaiter;
      }
      void await_resume() noexcept {}
    };
    last final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
  };
  explicit foreign(std::coroutine_handle<promise_type> h) : frame(h) {}
  foreign(const foreign&) = delete;
  foreign& operator=(const foreign&) = delete;
  ~foreign() { frame.destroy(); }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
    frame.promise().awaiter = h;
    return frame;
  }
  void await_resume() {
    if (frame.promise().error) std::rethrow_exception(frame.promise().error);
  }
  std::coroutine_handle<promise_type> frame;
};

}  // namespace axle::test
