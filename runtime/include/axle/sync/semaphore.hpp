// semaphore, bounded_semaphore: so many permits, handed out first come first served. asyncio's, with permits that come back
// by themselves.
//
// Fair: a task that asks for many permits is not passed by tasks that ask for few. Single core, no atomics.
#pragma once

#include <coroutine>
#include <cstddef>
#include <limits>
#include <utility>

#include <axle/detail/wait_list.hpp>

namespace axle {

class semaphore : detail::core_bound {
 public:
  /// Holds permits; gives them back when it goes. Move-only; empty after release(), keep() or a move.
  class [[nodiscard("the permits are given back when this goes")]] permit {
   public:
    permit() = default;
    permit(permit&& other) noexcept : count_(other.count_), of_(std::exchange(other.of_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        if (of_) of_->release(count_);
        of_ = std::exchange(other.of_, nullptr);
        count_ = other.count_;
      }
      return *this;
    }
    AXLE_INLINE ~permit() {
      if (of_) of_->release(count_);
    }
    /// Gives them back early. A CHECK if it holds none.
    void release() noexcept {
      AXLE_CHECK(of_ != nullptr, "this permit is empty: it was released, kept or moved from");
      std::exchange(of_, nullptr)->release(count_);
    }
    /// Does not give them back: somebody else will, by semaphore::release.
    void keep() noexcept { of_ = nullptr; }
    explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    friend semaphore;
    permit(semaphore& of, std::size_t count) noexcept : count_(count), of_(&of) {}
    // The other way round than in the awaiter: else both are copied as one vector, which has to wait until the stores of
    // its halves have left the store buffer (10 ns).
    std::size_t count_ = 0;
    semaphore* of_ = nullptr;
  };

  class [[nodiscard]] acquire_await : detail::list_waiter {
   public:
    acquire_await(semaphore& of, std::size_t count) noexcept : of_(of), count_(count) {}
    acquire_await(const acquire_await&) = delete;
    acquire_await& operator=(const acquire_await&) = delete;

    bool await_ready() noexcept {
      detail::loop_core& loop = of_.need_own_loop("a semaphore");
      if (!of_.can_give(count_) || !detail::may_take_now(loop)) return false;
      of_.available_ -= count_;
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.can_give(count_) && !detail::this_loop->current->must_end()) {
        of_.available_ -= count_;
        return detail::requeue_with_value(h);
      }
      AXLE_CHECK(count_ <= of_.bound_,
                 "%zu permits were asked for of a semaphore that never has more than %zu", count_,
                 of_.bound_);
      kind = &kind_of;
      if (detail::suspend_on(h, *this, "semaphore")) of_.waiters_.push_back(*this);
    }
    permit await_resume() const {
      detail::throw_if_cut();
      return permit(of_, count_);
    }

   private:
    friend semaphore;
    AXLE_EXPORT static const detail::wait_kind kind_of;
    semaphore& of_;
    std::size_t count_;
  };

  explicit semaphore(std::size_t permits) noexcept : available_(permits) {}

  /// `const auto permit = co_await s.acquire();` O(1). None asked for is none waited for.
  acquire_await acquire(std::size_t permits = 1) noexcept { return {*this, permits}; }
  /// An empty permit if there are not enough, or others wait.
  permit try_acquire(std::size_t permits = 1) noexcept {
    need_own_loop("a semaphore");
    if (!can_give(permits)) return {};
    available_ -= permits;
    return {*this, permits};
  }
  /// Adds permits, or gives back those that were kept; they go to who has waited longest.
  AXLE_INLINE void release(std::size_t permits = 1) noexcept {
    need_own_loop("a semaphore");
    const std::size_t available = available_ + permits;
    AXLE_CHECK(available >= permits && available <= bound_,
               "a semaphore was released beyond its bound of %zu permits", bound_);
    available_ = available;
    if (!waiters_.empty()) hand_out();
  }
  std::size_t available() const noexcept { return available_; }

  struct semaphore_statistics {
    std::size_t available;
    waiting_statistics waiting;
  };
  semaphore_statistics statistics() const noexcept { return {available_, waiters_.statistics()}; }

 protected:
  semaphore(std::size_t permits, std::size_t bound) noexcept : available_(permits), bound_(bound) {}

 private:
  bool can_give(std::size_t count) const noexcept {
    return count == 0 || (count <= available_ && waiters_.empty());
  }
  AXLE_EXPORT void hand_out() noexcept;

  std::size_t available_;
  std::size_t bound_ = std::numeric_limits<std::size_t>::max();
  detail::wait_list waiters_{"semaphore"};
};

/// A semaphore that never has more permits than at first: to release one too many is a CHECK.
class bounded_semaphore : public semaphore {
 public:
  explicit bounded_semaphore(std::size_t permits) noexcept : semaphore(permits, permits) {}
};

}  // namespace axle
