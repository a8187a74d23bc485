// family: children of one awaiting task, each a task of its own that ends before the parent goes on.
//
// The shared half of gather, first_of, with_timeout, finally and groups. A child lives in the awaiter (or, for groups,
// in a block of its own); the parent waits on the family and is resumed through the ready queue when the last child
// has fully ended, cancelled ones included: nothing is orphaned.
//
// What the parent meets then, in this order: exceptions are thrown (none is swallowed, not even when the parent is
// being cancelled); a value that was reached is delivered (the cancel takes effect at the next await); else, if the
// parent is being cancelled, it is ended here. Owning core only.
#pragma once

#include <coroutine>
#include <exception>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

#include <axle/detail/loop_core.hpp>
#include <axle/detail/wait_edges.hpp>
#include <axle/exception_group.hpp>
#include <axle/task.hpp>

namespace axle::detail {

class family;

/// One child. Owns its coroutine's root frame.
struct child_task : task_state, end_hook {
  child_task() = default;
  explicit child_task(frame_handle root) noexcept { frame = root; }
  child_task(const child_task&) = delete;
  child_task& operator=(const child_task&) = delete;
  AXLE_EXPORT ~child_task();

  std::exception_ptr error() const noexcept {
    return how == ending::error ? frame.promise().note.error() : nullptr;
  }

  family* of = nullptr;
  child_task* next_sibling = nullptr;
  child_task* prev_sibling = nullptr;
};

class family : public wait_node {
 public:
  family(const family&) = delete;
  family& operator=(const family&) = delete;

  bool all_ended() const noexcept { return live_ == nullptr; }
  /// Asks every living child to end. Once is enough: a cancel stays.
  void cancel_children() noexcept {
    if (std::exchange(told_to_end_, true)) return;
    for (child_task* each = live_; each; each = each->next_sibling) request_cancel(*each);
  }

 protected:
  using on_child_ended = void (*)(family&, child_task&) noexcept;
  explicit family(on_child_ended told, const wait_kind& of_kind) noexcept : told_(told) { kind = &of_kind; }

  /// Takes a child in and into the list of all tasks; the caller queues it or starts it inline. A child without a site
  /// is given its parent's.
  AXLE_EXPORT void adopt(child_task& child) noexcept;

  /// Takes in children that stand in a row and queues them in that order.
  AXLE_EXPORT void start_all(child_task* children, std::size_t count) noexcept;

  /// The parent waits for its children. If it is being cancelled, so are they.
  template <class P>
  void suspend(std::coroutine_handle<P> h) noexcept {
    task_state& parent = *this_loop->current;
    waiter = &parent;
    parent.suspend(handle_of(h), *this, !is_axle_promise<P>);
    if (parent.must_end()) cancel_children();
  }
  /// The same for one that outlives the cancel of its parent.
  template <class P>
  void suspend_apart(std::coroutine_handle<P> h) noexcept {
    waiter = this_loop->current;
    waiter->suspend(handle_of(h), *this, !is_axle_promise<P>);
  }
  /// The wait is over; `deliver`: there is something to give to the parent even if it is being cancelled.
  void wake_parent(bool deliver) noexcept {
    if (waiter->must_end() && !deliver) {
      this_loop->make_ready_to_end(*waiter);
    } else {
      this_loop->make_ready(*waiter);
    }
  }
  /// For kinds: the children that have not ended.
  AXLE_EXPORT static void whom(const wait_node& node, wait_edges& into);
  /// For kinds: cancelling the parent cancels the children, and the parent waits on.
  static void cancel_all(wait_node& node) noexcept { static_cast<family&>(node).cancel_children(); }

 private:
  AXLE_EXPORT static void on_ended(end_hook& hook, task_state& ended) noexcept;

  child_task* live_ = nullptr;
  on_child_ended told_;
  bool told_to_end_ = false;
};

/// A child in a block of its own, for families that grow. Takes the frame, even if it throws std::bad_alloc.
AXLE_EXPORT child_task& make_child(frame_handle root, std::string_view name, std::source_location where);
AXLE_EXPORT void free_child(child_task& child) noexcept;

/// Collects failures: one is rethrown as it is, several become an exception_group.
class failures {
 public:
  void add(std::exception_ptr error) {
    if (!error) return;
    if (!first_) {
      first_ = std::move(error);
    } else {
      rest_.push_back(std::move(error));
    }
  }
  explicit operator bool() const noexcept { return first_ != nullptr; }
  void rethrow_if_any() {
    if (!first_) return;
    if (rest_.empty()) std::rethrow_exception(std::move(first_));
    rest_.insert(rest_.begin(), std::move(first_));
    throw exception_group(std::move(rest_));
  }

 private:
  std::exception_ptr first_;
  std::vector<std::exception_ptr> rest_;
};

}  // namespace axle::detail
