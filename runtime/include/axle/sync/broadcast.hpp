// broadcast: every subscriber, on any core, gets every value that is sent after it subscribed, in one order for all.
//
// Sending never waits: the latest `keep` values are kept, and a subscriber that is further behind loses the oldest, counts
// them, and goes on with the oldest that is kept (tokio's Lagged). A value is copied by each subscriber on its own core.
// Takes a lock, held for a few words; a T that is not small and plain costs one block of the general heap when it is sent.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include <axle/detail/far_list.hpp>
#include <axle/detail/far_reader.hpp>
#include <axle/result.hpp>

namespace axle {

struct broadcast_statistics {
  std::size_t subscribers;
  std::uint64_t sent;
  std::uint64_t lost;  ///< values that subscribers missed, over all of them
  waiting_statistics getters;
};

namespace detail {

inline constexpr wait_kind broadcast_kind = {
    .complete = nullptr, .cancel = far_list::leave, .what = "broadcast: get"};

}  // namespace detail

template <class T>
class broadcast;

/// One subscriber's place. Move-only; used by one task at a time, of any core; must be gone before the broadcast is.
template <class T>
class [[nodiscard]] subscription : detail::far_reader {
 public:
  subscription() = default;
  subscription(subscription&& other) noexcept
      : far_reader(std::move(other)),
        of_(std::exchange(other.of_, nullptr)),
        next_(other.next_),
        lost_(other.lost_) {}
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      far_reader::operator=(std::move(other));
      leave();
      of_ = std::exchange(other.of_, nullptr);
      next_ = other.next_;
      lost_ = other.lost_;
    }
    return *this;
  }
  ~subscription() { leave(); }

  /// The next value; errc::broken_pipe when the broadcast is closed and everything was seen. Throws what T's copy throws;
  /// the value is then passed over.
  detail::read_await<T, subscription> get() noexcept {
    need_broadcast();
    return detail::read_await<T, subscription>(*this, detail::broadcast_kind);
  }
  /// errc::operation_would_block if there is none yet, errc::broken_pipe if there will be none. Any thread.
  result<T> try_get() {
    need_broadcast();
    detail::shared_value<T> got;
    const detail::answer had = look(got, nullptr);
    if (had == detail::answer::yes) return T(*got);
    return fail(had == detail::answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }
  /// How many values this subscriber has missed so far: it was more than `keep` behind. Known when the next one is got.
  std::uint64_t lost() const noexcept { return lost_; }
  /// False once moved from.
  explicit operator bool() const noexcept { return of_ != nullptr; }

 private:
  friend broadcast<T>;
  friend detail::read_await<T, subscription>;
  subscription(broadcast<T>& of, std::uint64_t next) noexcept : of_(&of), next_(next) {}

  void need_broadcast() const noexcept {
    AXLE_CHECK(of_ != nullptr, "this subscription is empty: it was moved from");
  }
  void leave() noexcept {
    if (!of_) return;
    const std::lock_guard held(of_->lock_);
    --of_->subscribers_;
  }
  detail::answer look(detail::shared_value<T>& got, detail::far_waiter* line) noexcept {
    const std::lock_guard held(of_->lock_);
    if (next_ == of_->sent_) {
      if (of_->closed_) return detail::answer::closed;
      if (line) of_->getters_.push_back(*line);
      return detail::answer::wait;
    }
    const std::uint64_t oldest = of_->sent_ - std::min<std::uint64_t>(of_->sent_, of_->kept_.size());
    if (next_ < oldest) {
      lost_ += oldest - next_;
      of_->lost_ += oldest - next_;
      next_ = oldest;
    }
    got = of_->place_of(next_++);
    return detail::answer::yes;
  }

  broadcast<T>* of_ = nullptr;
  std::uint64_t next_ = 0;
  std::uint64_t lost_ = 0;
};

template <class T>
class broadcast {
  static_assert(std::is_copy_constructible_v<T>, "broadcast<T>: every subscriber gets a copy");

 public:
  /// Keeps the latest `keep` values, at least one, also when all have seen them. Throws std::bad_alloc.
  explicit broadcast(std::size_t keep) : kept_(keep) {
    AXLE_CHECK(keep > 0, "a broadcast that keeps nothing: nobody could get a value");
  }
  broadcast(const broadcast&) = delete;
  broadcast& operator=(const broadcast&) = delete;
  /// Only when no subscription is left, or it is a CHECK.
  ~broadcast() {
    AXLE_CHECK(subscribers_ == 0, "a broadcast was destroyed while it has %zu subscriptions", subscribers_);
  }

  /// Gets what is sent from now on. Any thread.
  subscription<T> subscribe() noexcept {
    const std::lock_guard held(lock_);
    ++subscribers_;
    return subscription<T>(*this, sent_);
  }
  /// To every subscriber; false when it is closed. Does not wait. May throw std::bad_alloc, and then nothing was sent. Any
  /// thread; O(subscribers that wait).
  bool send(T value) {
    detail::shared_value<T> fresh(std::move(value));  // leaves with the value that it displaces
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    if (closed_) return false;
    std::swap(place_of(sent_++), fresh);
    getters_.take_all(woken);
    return true;
  }
  /// Nothing more is sent; subscribers get what is kept for them, then errc::broken_pipe. Idempotent. Any thread.
  void close() noexcept {
    detail::far_wakes woken;
    const std::lock_guard held(lock_);
    closed_ = true;
    getters_.take_all(woken);
  }

  /// As of some moment during the call. Any thread.
  bool closed() const noexcept {
    const std::lock_guard held(lock_);
    return closed_;
  }
  broadcast_statistics statistics() const noexcept {
    const std::lock_guard held(lock_);
    return {subscribers_, sent_, lost_, getters_.statistics()};
  }

 private:
  friend subscription<T>;
  detail::shared_value<T>& place_of(std::uint64_t number) noexcept { return kept_[number % kept_.size()]; }

  mutable std::mutex lock_;
  std::vector<detail::shared_value<T>> kept_;  // value n at place n % size
  std::uint64_t sent_ = 0;
  std::uint64_t lost_ = 0;
  std::size_t subscribers_ = 0;
  bool closed_ = false;
  detail::far_list getters_{lock_, "broadcast"};
};

}  // namespace axle
