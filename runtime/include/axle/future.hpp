// promise<T>, future<T>: a result that is set once, from any thread, and awaited on any core. (asyncio.Future, and what
// run_coroutine_threadsafe returns.)
//
// Between tasks of one core a join_handle or a queue costs less: a future takes a lock and a block of the general heap.
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <mutex>
#include <type_traits>
#include <utility>

#include <axle/detail/far_list.hpp>
#include <axle/outcome.hpp>
#include <axle/task.hpp>

namespace axle {

/// What a future gives whose promise was dropped unset.
class AXLE_EXPORT broken_promise : public std::exception {
 public:
  const char* what() const noexcept override;
};

template <class T>
class future;

namespace detail {

inline constexpr wait_kind future_kind = {.complete = nullptr, .cancel = far_list::leave, .what = "future"};

/// The part without the value. `ready_` is set after the value has been written, and never changes back.
class future_state {
 public:
  future_state(const future_state&) = delete;
  future_state& operator=(const future_state&) = delete;

  // acquire: pairs with finish()
  bool ready() const noexcept { return ready_.load(std::memory_order_acquire); }
  AXLE_EXPORT void wait() noexcept;  // blocks the thread

  /// Whether it is ready; else the waiter has joined the list. Any core.
  AXLE_EXPORT bool ready_or_join(far_waiter& waiter) noexcept;

  void add_reference() noexcept {
    references_.fetch_add(1, std::memory_order_relaxed);
  }  // relaxed: one is held
  // acq_rel: whoever is last sees all that the others did
  bool drop_reference() noexcept { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 protected:
  future_state() = default;
  ~future_state() = default;
  /// Whether the caller is the one who may set it; then it must write the value and call finish().
  bool claim() noexcept { return !claimed_.exchange(true, std::memory_order_relaxed); }
  AXLE_EXPORT void finish() noexcept;
  AXLE_EXPORT static void report_unread(const std::exception_ptr& error) noexcept;

 private:
  std::mutex lock_;
  std::condition_variable finished_;
  far_list waiters_{lock_, "future"};
  std::atomic<int> references_{1};
  std::atomic<bool> claimed_{false};
  std::atomic<bool> ready_{false};
};

template <class T>
class future_value : public future_state {
 public:
  bool set(outcome<T> became) {
    if (!claim()) return false;
    became_ = std::move(became);
    finish();
    return true;
  }
  ~future_value() {
    if (!looked_at_.load(std::memory_order_relaxed) && became_.error()) [[unlikely]]
      report_unread(became_.error());
  }
  outcome<T>& get() noexcept {
    looked_at_.store(true, std::memory_order_relaxed);
    return became_;
  }

 private:
  outcome<T> became_;
  std::atomic<bool> looked_at_{false};  // by whoever waited: debug mode tells of failures that nobody saw
};

/// A counted reference.
template <class T>
class future_link {
 public:
  future_link() = default;
  explicit future_link(future_value<T>* owned) noexcept : state_(owned) {}
  future_link(const future_link& other) noexcept : state_(other.state_) {
    if (state_) state_->add_reference();
  }
  future_link(future_link&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  future_link& operator=(future_link other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~future_link() {
    if (state_ && state_->drop_reference()) delete state_;
  }
  explicit operator bool() const noexcept { return state_ != nullptr; }
  future_value<T>& operator*() const noexcept {
    AXLE_CHECK(state_ != nullptr, "this promise or future is empty: it was moved from");
    return *state_;
  }

 private:
  future_value<T>* state_ = nullptr;
};

template <class T, bool Move>
class future_await : far_waiter {
  using value_type = std::conditional_t<Move || std::is_void_v<T>, T, std::add_lvalue_reference_t<const T>>;

 public:
  explicit future_await(future_link<T> state) noexcept : state_(std::move(state)) { kind = &future_kind; }
  future_await(const future_await&) = delete;
  future_await& operator=(const future_await&) = delete;

  bool await_ready() noexcept { return (*state_).ready() && may_complete_now(kind->what); }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if ((*state_).ready()) return requeue(h);
    suspend_unless(h, *this, [this] { return (*state_).ready_or_join(*this); });
  }
  value_type await_resume() {
    throw_if_cut();
    outcome<T>& became = (*state_).get();
    if constexpr (Move) {
      return std::move(became).value();
    } else if constexpr (std::is_void_v<T>) {
      return outcome<T>(became).value();
    } else {
      return became.look();
    }
  }

 private:
  future_link<T> state_;
};

}  // namespace detail

/// The reading end. Copyable; any number of tasks and threads may wait for it.
template <class T = void>
class future {
 public:
  future() = default;
  explicit future(detail::future_link<T> state) noexcept : state_(std::move(state)) {}

  /// The value, valid as long as this or a copy of it is; or throws what was set: an exception, `cancelled`, broken_promise.
  detail::future_await<T, false> operator co_await() const& { return detail::future_await<T, false>(state_); }
  /// `co_await std::move(f)`: the value, moved out. Once.
  detail::future_await<T, true> operator co_await() && {
    return detail::future_await<T, true>(std::move(state_));
  }

  /// Blocks the calling thread, which must run no loop, and gives the value moved out.
  T get() {
    AXLE_CHECK(detail::this_loop == nullptr, "future::get() would block the loop; co_await the future");
    (*state_).wait();
    return std::move((*state_).get()).value();
  }
  bool ready() const noexcept { return (*state_).ready(); }
  explicit operator bool() const noexcept { return static_cast<bool>(state_); }

 private:
  detail::future_link<T> state_;
};

/// The writing end. Move-only. Dropped unset, it gives broken_promise.
template <class T = void>
class promise {
 public:
  /// Throws std::bad_alloc.
  promise() : state_(new detail::future_value<T>) {}
  promise(promise&&) noexcept = default;
  promise& operator=(promise&& other) noexcept {
    if (this != &other) {
      abandon();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~promise() { abandon(); }

  future<T> get_future() const noexcept { return future<T>(state_); }

  /// Sets the value and wakes who waits. False if something was set before. Any thread.
  template <class... Args>
  bool set_value(Args&&... args) {
    return (*state_).set(outcome<T>(std::in_place, std::forward<Args>(args)...));
  }
  bool set_exception(std::exception_ptr error) { return (*state_).set(outcome<T>(std::move(error))); }
  /// Who waits gets `cancelled`.
  bool cancel() { return (*state_).set(outcome<T>()); }

 private:
  void abandon() noexcept {
    if (state_ && !(*state_).ready()) (*state_).set(outcome<T>(std::make_exception_ptr(broken_promise())));
  }
  detail::future_link<T> state_;
};

}  // namespace axle
