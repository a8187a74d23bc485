// mutex: one task at a time. asyncio.Lock.
//
// Fair: unlocking hands the mutex to the task that has waited longest; nobody can take it in between. Single core, no
// atomics: for a section that awaits nothing no mutex is needed at all.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include <axle/detail/wait_list.hpp>

namespace axle {

class condition;

class mutex : detail::core_bound {
 public:
  /// Holds the mutex; unlocks it when it goes. Move-only; empty after unlock() or a move, or from a try_lock that failed.
  class [[nodiscard("the mutex is unlocked when the guard goes")]] guard {
   public:
    guard() = default;
    guard(guard&& other) noexcept : of_(std::exchange(other.of_, nullptr)) { moved(); }
    guard& operator=(guard&& other) noexcept {
      if (this != &other) {
        if (of_) of_->release();
        of_ = std::exchange(other.of_, nullptr);
        moved();
      }
      return *this;
    }
    ~guard() {
      if (of_) of_->release();
    }
    /// Unlocks early. A CHECK if it holds nothing.
    void unlock() noexcept {
      AXLE_CHECK(of_ != nullptr, "this guard holds no mutex: it was unlocked or moved from");
      std::exchange(of_, nullptr)->release();
    }
    explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    friend mutex;
    friend condition;
    explicit guard(mutex& of) noexcept : of_(&of) {}
    // Perhaps to another task: who holds the mutex is no longer known.
    void moved() const noexcept {
      if (of_) of_->holder_ = somebody;
    }
    mutex* of_ = nullptr;
  };

  class [[nodiscard]] lock_await : detail::list_waiter {
   public:
    explicit lock_await(mutex& of) noexcept : of_(of) {}
    lock_await(const lock_await&) = delete;
    lock_await& operator=(const lock_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a mutex");
      if (of_.holder_ || !detail::may_take_now(loop)) return false;
      of_.holder_ = loop.current->id;
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      detail::task_state& task = *detail::this_loop->current;
      if (!of_.holder_ && !task.must_end()) {
        of_.holder_ = task.id;
        return detail::requeue_with_value(h);
      }
      AXLE_CHECK(of_.holder_ != task.id,
                 "this task holds this mutex already: it would wait for itself for ever");
      kind = &kind_of;
      if (detail::suspend_on(h, *this, "mutex")) of_.waiters_.push_back(*this);
    }
    guard await_resume() const {
      detail::throw_if_cut();
      return guard(of_);
    }

   private:
    friend mutex;
    AXLE_EXPORT static const detail::wait_kind kind_of;
    mutex& of_;
  };

  mutex() = default;

  /// `const auto held = co_await m.lock();` O(1). Locking what this task locked and holds is a CHECK.
  lock_await lock() noexcept { return lock_await(*this); }
  /// An empty guard if somebody holds it.
  guard try_lock() noexcept {
    detail::loop_core& loop = need_own_loop("a mutex");
    if (holder_) return {};
    holder_ = loop.current ? loop.current->id : somebody;
    return guard(*this);
  }
  bool locked() const noexcept { return holder_ != nobody; }

  struct mutex_statistics {
    bool locked;
    std::uint32_t holder;  ///< the id of the task that holds it; 0: nobody; 0xFFFFFFFF: the guard was moved
    waiting_statistics waiting;
  };
  mutex_statistics statistics() const noexcept { return {locked(), holder_, waiters_.statistics()}; }

 private:
  friend condition;
  // Handed over, not put down: in between nobody else can take it.
  void release() noexcept {
    need_own_loop("a mutex");
    if (waiters_.empty()) {
      holder_ = nobody;
    } else {
      pass_on();
    }
  }
  AXLE_EXPORT void pass_on() noexcept;
  void add_holder(detail::wait_edges& into) const;

  static constexpr std::uint32_t nobody = 0, somebody = 0xFFFF'FFFF;

  std::uint32_t holder_ = nobody;  // the id of a task
  detail::wait_list waiters_{"mutex"};
};

}  // namespace axle
