// oneshot: one value from one sender, on any thread, to one receiver, on any core.
//
// A future without copies of either end, where both ends learn when the other is gone. One block of the general heap, freed
// by the end that goes last. Takes a lock, held for the move of the value at most.
#pragma once

#include <atomic>
#include <coroutine>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <axle/detail/far_list.hpp>
#include <axle/result.hpp>

namespace axle {

namespace detail {

inline constexpr wait_kind oneshot_kind = {.complete = nullptr, .cancel = far_list::leave, .what = "oneshot"};

template <class T>
class oneshot_get_await;

template <class T>
class oneshot_state {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "oneshot<T>: a value whose move may throw could get lost between two cores");

 public:
  /// False: the receiver is gone, and `value` is as it was.
  bool send(T& value) noexcept {
    far_wakes woken;
    std::unique_lock held(lock_);
    if (receiver_gone_) return false;
    sender_gone_ = true;
    far_waiter* const waiting = receivers_.take_front();
    if (!waiting) {
      value_.emplace(std::move(value));
      return true;
    }
    held.unlock();
    static_cast<oneshot_get_await<T>*>(waiting)->got_.emplace(std::move(value));
    woken.add(*waiting);
    return true;
  }
  answer take(std::optional<T>& place, far_waiter* line) noexcept {
    const std::lock_guard held(lock_);
    if (value_) {
      place.emplace(std::move(*value_));
      value_.reset();
      return answer::yes;
    }
    if (sender_gone_) return answer::closed;
    if (line) {
      AXLE_CHECK(receivers_.empty(), "two tasks wait for one oneshot: it has one value");
      receivers_.push_back(*line);
    }
    return answer::wait;
  }

  bool receiver_gone() const noexcept {
    const std::lock_guard held(lock_);
    return receiver_gone_;
  }
  void drop_sender() noexcept {
    {
      far_wakes woken;
      const std::lock_guard held(lock_);
      sender_gone_ = true;
      receivers_.take_all(woken);
    }
    drop();
  }
  void drop_receiver() noexcept {
    {
      const std::lock_guard held(lock_);
      AXLE_CHECK(receivers_.empty(), "the receiver of a oneshot was destroyed while a task waits with it");
      receiver_gone_ = true;
    }
    drop();
  }

 private:
  void drop() noexcept {
    // acq_rel: whoever is last sees all that the other did
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  mutable std::mutex lock_;
  far_list receivers_{lock_, "oneshot"};
  std::optional<T> value_;
  bool sender_gone_ = false;  // or it has sent
  bool receiver_gone_ = false;
  std::atomic<int> owners_{2};
};

template <class T>
class [[nodiscard]] oneshot_get_await : far_waiter {
 public:
  explicit oneshot_get_await(oneshot_state<T>& of) noexcept : of_(of) { kind = &oneshot_kind; }
  oneshot_get_await(const oneshot_get_await&) = delete;
  oneshot_get_await& operator=(const oneshot_get_await&) = delete;

  bool await_ready() noexcept {
    return may_complete_now(kind->what) && of_.take(got_, nullptr) != answer::wait;
  }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    suspend_unless(h, *this, [this] { return of_.take(got_, this) != answer::wait; });
  }
  result<T> await_resume() {
    throw_if_cut();
    if (!got_) return fail(errc::broken_pipe);
    return std::move(*got_);
  }

 private:
  friend oneshot_state<T>;
  oneshot_state<T>& of_;
  std::optional<T> got_;
};

}  // namespace detail

template <class T>
struct oneshot_ends;
template <class T>
oneshot_ends<T> oneshot();

/// The writing end. Move-only; any thread. Dropped unsent, it gives the receiver errc::broken_pipe.
template <class T>
class oneshot_sender {
 public:
  oneshot_sender() = default;
  oneshot_sender(oneshot_sender&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  oneshot_sender& operator=(oneshot_sender&& other) noexcept {
    if (this != &other) {
      if (state_) state_->drop_sender();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~oneshot_sender() {
    if (state_) state_->drop_sender();
  }

  /// Sends the value, and the sender is empty then. False when the receiver is gone: the value is as it was. Does not wait.
  bool send(T&& value) noexcept {
    if (!need_state().send(value)) return false;
    std::exchange(state_, nullptr)->drop_sender();
    return true;
  }
  bool send(const T& value) { return send(T(value)); }
  /// Whether the receiver is gone: nobody wants the value any more.
  bool closed() const noexcept { return need_state().receiver_gone(); }
  /// False once it has sent or was moved from.
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  friend oneshot_ends<T> oneshot<T>();
  explicit oneshot_sender(detail::oneshot_state<T>* state) noexcept : state_(state) {}
  detail::oneshot_state<T>& need_state() const noexcept {
    AXLE_CHECK(state_ != nullptr, "this sender of a oneshot is empty: it has sent, or was moved from");
    return *state_;
  }
  detail::oneshot_state<T>* state_ = nullptr;
};

/// The reading end. Move-only. Must not be destroyed while a task waits with it, and one may at a time: CHECKs.
template <class T>
class oneshot_receiver {
 public:
  oneshot_receiver() = default;
  oneshot_receiver(oneshot_receiver&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  oneshot_receiver& operator=(oneshot_receiver&& other) noexcept {
    if (this != &other) {
      if (state_) state_->drop_receiver();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~oneshot_receiver() {
    if (state_) state_->drop_receiver();
  }

  /// The value, once; errc::broken_pipe when the sender was dropped unsent, or the value was got before. Any core.
  detail::oneshot_get_await<T> get() const noexcept { return detail::oneshot_get_await<T>(need_state()); }
  /// The same without waiting: errc::operation_would_block if nothing has been sent yet. Any thread.
  result<T> try_get() {
    std::optional<T> got;
    const detail::answer had = need_state().take(got, nullptr);
    if (got) return std::move(*got);
    return fail(had == detail::answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  /// False once it was moved from.
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  friend oneshot_ends<T> oneshot<T>();
  explicit oneshot_receiver(detail::oneshot_state<T>* state) noexcept : state_(state) {}
  detail::oneshot_state<T>& need_state() const noexcept {
    AXLE_CHECK(state_ != nullptr, "this receiver of a oneshot is empty: it was moved from");
    return *state_;
  }
  detail::oneshot_state<T>* state_ = nullptr;
};

template <class T>
struct oneshot_ends {
  oneshot_sender<T> sender;
  oneshot_receiver<T> receiver;
};

/// `auto [sender, receiver] = oneshot<int>();` Throws std::bad_alloc.
template <class T>
oneshot_ends<T> oneshot() {
  auto* const state = new detail::oneshot_state<T>;
  return {oneshot_sender<T>(state), oneshot_receiver<T>(state)};
}

}  // namespace axle
