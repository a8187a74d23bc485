// mailbox: the inbox through which threads without a loop, and full lanes, reach a loop.
//
// A lock-free stack that the owner empties whole and turns round: messages of one sender arrive in the order they
// were sent. Unbounded in itself: what it carries is bounded by its senders (a call across cores waits for its reply and has
// its window, post_to counts what it has under way), and calls to cancel or to drop must never fail.
//
// Ordering: push's exchange publishes the message (release) and is, together with the load of the reader's attention after
// it, sequentially consistent; the owner says that it sleeps, fences, and then looks here once more (sleep_protocol.hpp). So
// either the sender sees it asleep and wakes it, or the owner sees the message. Rejected: Vyukov's queue (a sender stopped half
// way hides those after it).
#pragma once

#include <atomic>

namespace axle::detail {

class lane;

/// Something to be run once by the loop that receives it. The sender keeps it alive until then.
struct message {
  message* next = nullptr;
  void (*receive)(message&) noexcept = nullptr;
  lane* spilled_from = nullptr;  // it comes through the mailbox because this lane was full
};

class mailbox {
 public:
  /// Any thread.
  void push(message& sent) noexcept {
    message* head = head_.load(std::memory_order_relaxed);
    do {
      sent.next = head;
      // seq_cst: pairs with the owner's empty() after it has said that it sleeps
    } while (!head_.compare_exchange_weak(head, &sent, std::memory_order_seq_cst, std::memory_order_relaxed));
  }

  /// Owner: takes everything, oldest first; null if there is nothing.
  message* take_all() noexcept {
    if (!head_.load(std::memory_order_relaxed)) return nullptr;
    // acquire: pairs with push, whose message is read from here on
    message* newest = head_.exchange(nullptr, std::memory_order_acquire);
    message* oldest = nullptr;
    while (newest) {
      message* older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    return oldest;
  }

  /// Owner. seq_cst: the look after it has said that it sleeps, pairs with push.
  bool empty() const noexcept { return head_.load(std::memory_order_seq_cst) == nullptr; }

 private:
  alignas(128) std::atomic<message*> head_{nullptr};
};

}  // namespace axle::detail
