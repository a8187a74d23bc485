// shared_mutex: many readers or one writer.
//
// Fair: first come, first served. A reader that comes while a writer waits stands behind it, so that writers do not starve;
// readers that stand next to each other go in together.
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include <axle/detail/wait_list.hpp>

namespace axle {

class shared_mutex : detail::core_bound {
 public:
  /// Holds the mutex, for reading or for writing; lets go of it when it goes. Move-only.
  class [[nodiscard("the mutex is unlocked when the guard goes")]] guard {
   public:
    guard() = default;
    guard(guard&& other) noexcept : of_(std::exchange(other.of_, nullptr)), writes_(other.writes_) {}
    guard& operator=(guard&& other) noexcept {
      if (this != &other) {
        if (of_) of_->release(writes_);
        of_ = std::exchange(other.of_, nullptr);
        writes_ = other.writes_;
      }
      return *this;
    }
    ~guard() {
      if (of_) of_->release(writes_);
    }
    void unlock() noexcept {
      AXLE_CHECK(of_ != nullptr, "this guard holds no mutex: it was unlocked or moved from");
      std::exchange(of_, nullptr)->release(writes_);
    }
    explicit operator bool() const noexcept { return of_ != nullptr; }
    bool is_exclusive() const noexcept { return writes_; }

   private:
    friend shared_mutex;
    guard(shared_mutex& of, bool writes) noexcept : of_(&of), writes_(writes) {}
    shared_mutex* of_ = nullptr;
    bool writes_ = false;
  };

  class [[nodiscard]] lock_await : detail::list_waiter {
   public:
    lock_await(shared_mutex& of, bool writes) noexcept : of_(of), writes_(writes) { kind = &kind_of; }
    lock_await(const lock_await&) = delete;
    lock_await& operator=(const lock_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a shared_mutex");
      if (!of_.can_enter(writes_) || !detail::may_take_now(loop)) return false;
      of_.enter(writes_);
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.can_enter(writes_) && !detail::this_loop->current->must_end()) {
        of_.enter(writes_);
        return detail::requeue_with_value(h);
      }
      if (detail::suspend_on(h, *this, "shared_mutex")) of_.waiters_.push_back(*this);
    }
    guard await_resume() const {
      detail::throw_if_cut();
      return guard(of_, writes_);
    }

   private:
    friend shared_mutex;
    AXLE_EXPORT static const detail::wait_kind kind_of;
    shared_mutex& of_;
    bool writes_;
  };

  shared_mutex() = default;

  /// For writing: alone.
  lock_await lock() noexcept { return {*this, true}; }
  /// For reading: with other readers.
  lock_await lock_shared() noexcept { return {*this, false}; }
  guard try_lock() noexcept { return try_enter(true); }
  guard try_lock_shared() noexcept { return try_enter(false); }

  struct shared_mutex_statistics {
    bool writing;
    std::size_t readers;
    waiting_statistics waiting;
  };
  shared_mutex_statistics statistics() const noexcept { return {writing_, readers_, waiters_.statistics()}; }

 private:
  bool is_free_for(bool writes) const noexcept { return !writing_ && (!writes || readers_ == 0); }
  bool can_enter(bool writes) const noexcept { return waiters_.empty() && is_free_for(writes); }
  void enter(bool writes) noexcept {
    writing_ = writes;
    readers_ += !writes;
  }
  guard try_enter(bool writes) noexcept {
    need_own_loop("a shared_mutex");
    if (!can_enter(writes)) return {};
    enter(writes);
    return {*this, writes};
  }
  void release(bool writes) noexcept {
    need_own_loop("a shared_mutex");
    if (writes) {
      writing_ = false;
    } else {
      --readers_;
    }
    let_in();
  }
  AXLE_EXPORT void let_in() noexcept;

  bool writing_ = false;
  std::size_t readers_ = 0;
  detail::wait_list waiters_{"shared_mutex"};
};

}  // namespace axle
