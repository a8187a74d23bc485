// watch: the latest value of something, which any thread may set and read, and tasks of any core wait to see change.
//
// Who waits learns of a change, not of every value: several sets before it runs are one change, to the newest. For every
// value: broadcast. Takes a lock, held for a few words; a T that is not small and plain costs one block of the general heap
// when it is set, and is copied by each reader on its own core.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <type_traits>
#include <utility>

#include <axle/detail/far_list.hpp>
#include <axle/detail/far_reader.hpp>
#include <axle/result.hpp>

namespace axle {

struct watch_statistics {
  std::size_t watchers;
  std::uint64_t sets;
  waiting_statistics waiters;
};

namespace detail {

inline constexpr wait_kind watch_kind = {
    .complete = nullptr, .cancel = far_list::leave, .what = "watch: changed"};

}  // namespace detail

template <class T>
class watch;

/// Remembers what it has seen. Move-only; used by one task at a time, of any core; must be gone before the watch is.
template <class T>
class [[nodiscard]] watcher : detail::far_reader {
 public:
  watcher() = default;
  watcher(watcher&& other) noexcept
      : far_reader(std::move(other)), of_(std::exchange(other.of_, nullptr)), seen_(other.seen_) {}
  watcher& operator=(watcher&& other) noexcept {
    if (this != &other) {
      far_reader::operator=(std::move(other));
      leave();
      of_ = std::exchange(other.of_, nullptr);
      seen_ = other.seen_;
    }
    return *this;
  }
  ~watcher() { leave(); }

  /// The newest value, as soon as it is one that this watcher has not seen; errc::broken_pipe when the watch is closed and
  /// its last value was seen. What was set before the watcher was made counts as seen. Throws what T's copy throws.
  detail::read_await<T, watcher> changed() noexcept {
    AXLE_CHECK(of_ != nullptr, "this watcher is empty: it was moved from");
    return detail::read_await<T, watcher>(*this, detail::watch_kind);
  }
  /// False once moved from.
  explicit operator bool() const noexcept { return of_ != nullptr; }

 private:
  friend watch<T>;
  friend detail::read_await<T, watcher>;
  watcher(watch<T>& of, std::uint64_t seen) noexcept : of_(&of), seen_(seen) {}

  void leave() noexcept {
    if (!of_) return;
    const std::lock_guard held(of_->lock_);
    --of_->watchers_;
  }
  detail::answer look(detail::shared_value<T>& got, detail::far_waiter* line) noexcept {
    const std::lock_guard held(of_->lock_);
    if (seen_ == of_->sets_) {
      if (of_->closed_) return detail::answer::closed;
      if (line) of_->waiters_.push_back(*line);
      return detail::answer::wait;
    }
    seen_ = of_->sets_;
    got = of_->value_;
    return detail::answer::yes;
  }

  watch<T>* of_ = nullptr;
  std::uint64_t seen_ = 0;
};

template <class T>
class watch {
  static_assert(std::is_copy_constructible_v<T>, "watch<T>: every reader gets a copy");

 public:
  /// May throw std::bad_alloc.
  explicit watch(T initial) : value_(std::move(initial)) {}
  watch()
    requires std::default_initializable<T>
      : watch(T()) {}
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;
  /// Only when no watcher is left, or it is a CHECK.
  ~watch() { AXLE_CHECK(watchers_ == 0, "a watch was destroyed while it has %zu watchers", watchers_); }

  /// A copy of the latest value, also when it is closed. Any thread.
  T get() const { return T(*latest()); }
  /// False when it is closed, and the value stays. May throw std::bad_alloc. Any thread; O(watchers that wait).
  bool set(T value) {
    detail::shared_value<T> fresh(std::move(value));  // leaves with the value that it displaces
    detail::far_wakes woken;
    const std::lock_guard writing(writers_);
    return publish(fresh, woken);
  }
  /// Sets what f(value) makes of a copy of the latest value; no other set comes between. Other writers, not readers, wait
  /// for f: it must be short, and must not write to this watch. If f throws nothing is set. False when it is closed. Any
  /// thread.
  template <std::invocable<T&> F>
  bool update(F&& f) {
    detail::shared_value<T> fresh;
    detail::far_wakes woken;
    const std::lock_guard writing(writers_);
    if (closed()) return false;
    T value = get();
    std::invoke(std::forward<F>(f), value);
    fresh = detail::shared_value<T>(std::move(value));
    return publish(fresh, woken);
  }
  /// Sees what is set from now on. Any thread.
  axle::watcher<T> watcher() noexcept {
    const std::lock_guard held(lock_);
    ++watchers_;
    return axle::watcher<T>(*this, sets_);
  }
  /// The value stays as it is; watchers get errc::broken_pipe when they have seen it. Idempotent. Any thread.
  void close() noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    closed_ = true;
    waiters_.take_all(woken);
  }

  /// As of some moment during the call. Any thread.
  bool closed() const noexcept {
    const std::lock_guard held(lock_);
    return closed_;
  }
  watch_statistics statistics() const noexcept {
    const std::lock_guard held(lock_);
    return {watchers_, sets_, waiters_.statistics()};
  }

 private:
  friend axle::watcher<T>;

  detail::shared_value<T> latest() const noexcept {
    const std::lock_guard held(lock_);
    return value_;
  }
  // With writers_ held.
  bool publish(detail::shared_value<T>& fresh, detail::far_wakes& woken) noexcept {
    const std::lock_guard held(lock_);
    if (closed_) return false;
    std::swap(value_, fresh);
    ++sets_;
    waiters_.take_all(woken);
    return true;
  }

  std::mutex writers_;  // held by who sets; taken before lock_
  mutable std::mutex lock_;
  detail::shared_value<T> value_;
  std::uint64_t sets_ = 0;
  std::size_t watchers_ = 0;
  bool closed_ = false;
  detail::far_list waiters_{lock_, "watch"};
};

}  // namespace axle
