// ready_queue: what a loop runs next, in order of arrival; intrusive, without atomics.
//
// Two kinds stand in it, tasks and callbacks, told apart by the lowest bit of the link. Owned by one loop.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axle::detail {

struct task_state;

/// A link in the queue. The low bit of a link says that it leads to a callback, not to a task.
struct ready_node {
  std::uintptr_t next = 0;
};

/// Something other than a task to be run once by the loop.
struct ready_callback : ready_node {
  void (*run)(ready_callback&) noexcept = nullptr;
};

class ready_queue {
 public:
  bool empty() const noexcept { return head_ == 0; }
  std::size_t size() const noexcept { return size_; }

  /// Appends; O(1).
  void push(ready_node& node, bool is_callback) noexcept {
    node.next = 0;
    const std::uintptr_t link = reinterpret_cast<std::uintptr_t>(&node) | (is_callback ? 1 : 0);
    if (tail_) {
      tail_->next = link;
    } else {
      head_ = link;
    }
    tail_ = &node;
    ++size_;
  }

  struct item {
    ready_node* node;
    bool is_callback;
  };
  /// Takes the oldest; the queue must not be empty. O(1).
  item pop() noexcept {
    const std::uintptr_t link = head_;
    auto* node = reinterpret_cast<ready_node*>(link & ~std::uintptr_t{1});
    head_ = node->next;
    if (!head_) tail_ = nullptr;
    --size_;
    return {node, (link & 1) != 0};
  }

 private:
  std::uintptr_t head_ = 0;
  ready_node* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace axle::detail
