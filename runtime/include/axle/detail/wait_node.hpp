// wait_node: what a task waits for, seen from the task: who is to be woken, and how to call it off.
//
// It stands at the front of every timer, operation and awaiter that can suspend a task. One function pointer
// table per kind takes the place of virtual functions, so that a node is two words. Touched by the owning core.
#pragma once

namespace axle::detail {

struct task_state;
struct wait_node;
struct wait_edges;

/// A kind of wait. `complete` ends it (a timer is due, a driver is done with an operation); `cancel` asks for an
/// early end and may finish at once or later through `complete`; `what` is the kind's name for people; `whom`, where tasks
/// are known whose doing would end the wait, names them.
struct wait_kind {
  void (*complete)(wait_node&) noexcept;
  void (*cancel)(wait_node&) noexcept;
  const char* what;
  void (*whom)(const wait_node&, wait_edges&) = nullptr;
};

/// For the wait_node of an awaiter that mostly need not wait: it is filled in only when it does.
struct when_waiting {};

struct wait_node {
  wait_node() noexcept : kind(nullptr), waiter(nullptr) {}
  explicit wait_node(when_waiting) noexcept {}  // NOLINT(cppcoreguidelines-pro-type-member-init)

  const wait_kind* kind;
  task_state* waiter;
};

}  // namespace axle::detail
