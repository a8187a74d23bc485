// Yardsticks between two threads that are awake, without any library: a cache line there and one back, and a ring each way.
//
// Each has two halves, for the two threads; the first one's ends the other. The threads are the caller's, so that a library's
// figure and the yardstick can be taken in turn, a millisecond each, on the same two threads: where the host puts them changes the
// figure tenfold from one second to the next.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace bench {

class two_transfers {
 public:
  void there() noexcept {
    for (std::int64_t seen = 0;;) {
      // acquire: pairs with the other side's store
      const std::int64_t now = ball_.value.load(std::memory_order_acquire);
      if (now < 0) return;
      // release: pairs with the other side's load
      if (now != seen) back_.value.store(seen = now, std::memory_order_release);
    }
  }
  void here(std::int64_t round_trips) noexcept {
    for (std::int64_t turn = 1; turn <= round_trips; ++turn) {
      // release: pairs with the other side's load
      ball_.value.store(turn, std::memory_order_release);
      // acquire: pairs with the other side's store
      while (back_.value.load(std::memory_order_acquire) != turn) {}
    }
  }
  // release: pairs with the other side's load
  void end() noexcept { ball_.value.store(-1, std::memory_order_release); }

 private:
  struct alignas(128) line {
    std::atomic<std::int64_t> value{0};
  };
  line ball_, back_;
};

/// Lamport's ring with cached indices, of words.
class word_ring {
 public:
  static constexpr std::int64_t size = 256;

  bool push(std::int64_t word) noexcept {
    if (tail_mine_ - head_seen_ == words_.size()) {
      // acquire: pairs with the other side's store
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail_mine_ - head_seen_ == words_.size()) return false;
    }
    words_[tail_mine_++ % words_.size()] = word;
    // release: pairs with the other side's load
    tail_.store(tail_mine_, std::memory_order_release);
    return true;
  }
  bool pop(std::int64_t& word) noexcept {
    if (head_mine_ == tail_seen_) {
      // acquire: pairs with the other side's store
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head_mine_ == tail_seen_) return false;
    }
    word = words_[head_mine_++ % words_.size()];
    // release: pairs with the other side's load
    head_.store(head_mine_, std::memory_order_release);
    return true;
  }

 private:
  alignas(128) std::uint64_t tail_mine_ = 0;
  std::uint64_t head_seen_ = 0;
  alignas(128) std::atomic<std::uint64_t> tail_{0};
  alignas(128) std::uint64_t head_mine_ = 0;
  std::uint64_t tail_seen_ = 0;
  alignas(128) std::atomic<std::uint64_t> head_{0};
  alignas(128) std::array<std::int64_t, size> words_{};
};

class ring_each_way {
 public:
  void there() noexcept {
    for (std::int64_t word = 0;;)
      if (there_.pop(word)) {
        if (word < 0) return;
        while (!back_.push(word + 1)) {}
      }
  }
  void here(std::int64_t messages) noexcept {
    std::int64_t sent = 0, word = 0;
    for (std::int64_t home = 0; home < messages;) {
      while (sent < messages && sent - home < word_ring::size && there_.push(sent)) ++sent;
      while (back_.pop(word)) ++home;
    }
  }
  void end() noexcept {
    while (!there_.push(-1)) {}
  }

 private:
  word_ring there_, back_;
};

}  // namespace bench
