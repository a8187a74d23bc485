// capacity_limiter: how many may do something at the same time; may be changed, knows who does. trio.CapacityLimiter.
//
// Unlike a semaphore's permits its tokens belong to borrowers (by default the task itself), and a borrower has one at most:
// asking for a second is a CHECK, for it could wait for itself for ever.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <axle/detail/wait_list.hpp>

namespace axle {

class capacity_limiter : detail::core_bound {
 public:
  /// Who borrows: a task's id, or whatever else tells borrowers apart (an address).
  using borrower = std::uintptr_t;

  class [[nodiscard("the token is given back when this goes")]] token {
   public:
    token() = default;
    token(token&& other) noexcept : of_(std::exchange(other.of_, nullptr)), for_(other.for_) {}
    token& operator=(token&& other) noexcept {
      if (this != &other) {
        if (of_) of_->release(for_);
        of_ = std::exchange(other.of_, nullptr);
        for_ = other.for_;
      }
      return *this;
    }
    ~token() {
      if (of_) of_->release(for_);
    }
    void release() noexcept {
      AXLE_CHECK(of_ != nullptr, "this token is empty: it was released or moved from");
      std::exchange(of_, nullptr)->release(for_);
    }
    explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    friend capacity_limiter;
    token(capacity_limiter& of, borrower by) noexcept : of_(&of), for_(by) {}
    capacity_limiter* of_ = nullptr;
    borrower for_ = 0;
  };

  class [[nodiscard]] acquire_await : detail::list_waiter {
   public:
    acquire_await(capacity_limiter& of, borrower by, bool is_other) noexcept
        : of_(of), for_(by), is_other_(is_other) {
      kind = &kind_of;
    }
    acquire_await(const acquire_await&) = delete;
    acquire_await& operator=(const acquire_await&) = delete;

    bool await_ready() {
      detail::loop_core& loop = of_.need_own_loop("a capacity_limiter");
      of_.prepare(for_, is_other_);
      if (!of_.can_lend() || !detail::may_take_now(loop)) return false;
      of_.borrowers_.push_back(for_);
      return true;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      if (of_.can_lend() && !detail::this_loop->current->must_end()) {
        of_.borrowers_.push_back(for_);
        return detail::requeue_with_value(h);
      }
      if (!detail::suspend_on(h, *this, "capacity_limiter")) return;
      of_.waiters_.push_back(*this);
      of_.waiting_for_others_ += is_other_;
    }
    token await_resume() const {
      detail::throw_if_cut();
      return token(of_, for_);
    }

   private:
    friend capacity_limiter;
    AXLE_EXPORT static const detail::wait_kind kind_of;
    capacity_limiter& of_;
    borrower for_;
    bool is_other_;  // not the task itself, which cannot wait twice
  };

  explicit capacity_limiter(std::size_t tokens) noexcept : total_(tokens) {}

  /// `const auto token = co_await limiter.acquire();` O(borrowers), for the check.
  acquire_await acquire() noexcept { return {*this, this_task(), false}; }
  acquire_await acquire_on_behalf_of(borrower by) noexcept {
    lent_to_others_ = true;
    return {*this, by, true};
  }
  /// An empty token if there is none.
  AXLE_EXPORT token try_acquire();

  /// More lets waiters in; fewer take effect as tokens come back.
  AXLE_EXPORT void set_total(std::size_t tokens) noexcept;
  std::size_t total() const noexcept { return total_; }
  std::size_t borrowed() const noexcept { return borrowers_.size(); }
  std::size_t available() const noexcept { return borrowed() < total_ ? total_ - borrowed() : 0; }

  struct limiter_statistics {
    std::size_t total;
    std::vector<borrower> borrowers;
    waiting_statistics waiting;
  };
  limiter_statistics statistics() const { return {total_, borrowers_, waiters_.statistics()}; }

 private:
  static borrower this_task() noexcept { return detail::need_task("capacity_limiter").id; }
  bool can_lend() const noexcept { return waiters_.empty() && borrowers_.size() < total_; }
  AXLE_EXPORT void prepare(borrower by,
                           bool is_other);  // checks, and makes room, so that lending cannot fail
  AXLE_EXPORT void release(borrower by) noexcept;
  AXLE_EXPORT void lend() noexcept;

  std::size_t total_;
  std::vector<borrower> borrowers_;
  std::size_t waiting_for_others_ = 0;
  bool lent_to_others_ = false;  // ever: then a borrower need not be a task
  detail::wait_list waiters_{"capacity_limiter"};
};

}  // namespace axle
