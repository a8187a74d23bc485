// task_state: the control block of a task; a stack of coroutine frames with one life, one owner and one cancellation.
//
// `co_await child()` does not make a task: the child's frame joins the awaiting task's stack. `spawn`, and each
// child of `gather`, `first_of`, `with_timeout`, a group or `finally`, does. A task is driven by its loop alone:
//
//     pending --run--> running --await--> suspended --completion--> (queued) --run--> running --end--> finished
//
// Ownership: the runtime holds one reference until the end, a join_handle another; embedded children (those of
// with_timeout and its kin, which live inside the awaiter) are not counted. Touched by the owning core only.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string_view>

#include <axle/alloc/frame_pool.hpp>
#include <axle/check.hpp>
#include <axle/detail/ready_queue.hpp>
#include <axle/detail/wait_node.hpp>

namespace axle::detail {

struct promise_base;
struct loop_core;
struct task_state;

/// Frames are handled through their common base: every promise of task<T> begins with a promise_base and is
/// aligned to at most 16 bytes, so that it lies at the same place in every frame.
using frame_handle = std::coroutine_handle<promise_base>;

/// Who is told when a task has ended. Called once, on the owning core, after the task's last frame has stopped.
struct end_hook {
  void (*ended)(end_hook&, task_state&) noexcept = nullptr;
};

/// The hook of a task with done-callbacks, in front of whoever joins it.
struct callback_list : end_hook {
  end_hook* joiner = nullptr;
  ready_queue callbacks;
};

enum class phase : std::uint8_t { pending, running, suspended, finished };
enum class ending : std::uint8_t { none, value, error, cancelled };

struct task_state : ready_node {
  frame_handle frame;  // to resume next; of a finished task: the root frame, which holds the outcome
  task_state* next_task = nullptr;  // all tasks of the loop
  task_state* prev_task = nullptr;
  const void* about =
      nullptr;  // a source_location's data; a task_label if `labelled`; the parent task if `nested`
  end_hook* on_end = nullptr;
  loop_core* loop = nullptr;
  std::uint32_t id = 0;
  std::uint8_t references = 0;
  std::uint8_t shields = 0;
  // Two bytes, each read and written as a byte: a load that is wider than the store before it waits for that store to reach
  // the cache (18 of the 77 ns of a spawn and join were that). In the first, what every run of a task looks at.
  phase now : 2 = phase::pending;
  bool queued : 1 = false;            // woken, and in the ready queue
  bool only_yields : 1 = false;       // queued with nothing to deliver: a cancel may end it there
  bool cancel_requested : 1 = false;  // asked for; level-triggered: stays
  bool unwinding : 1 = false;         // takes effect at the next run: frames are destroyed, not resumed
  bool foreign : 1 = false;           // suspended inside a coroutine of another library
  std::uint8_t : 0;
  ending how : 2 = ending::none;
  bool labelled : 1 = false;
  bool nested : 1 = false;  // lives in its parent's frame, and has its parent's place of birth and locals
  bool owned : 1 = false;   // a task waits for it and passes cancels on to it, unless it is shielded
  bool has_callbacks : 1 = false;  // on_end is a callback_list
  bool observed : 1 = false;       // its outcome was taken, so a failure is nobody else's to report

  /// What a suspended task waits for; null when it has been woken. Shares its place with the link of the ready queue.
  wait_node* waiting() const noexcept {
    return now == phase::suspended && !queued ? reinterpret_cast<wait_node*>(next) : nullptr;
  }
  void suspend(frame_handle at, wait_node& on, bool is_foreign) noexcept {
    frame = at;
    foreign = is_foreign;
    now = phase::suspended;
    next = reinterpret_cast<std::uintptr_t>(&on);
  }
  /// Where whoever joins this task leaves its hook.
  end_hook*& joiner() noexcept {
    return has_callbacks ? static_cast<callback_list*>(on_end)->joiner : on_end;
  }
  /// Whether the next await must end this task.
  bool must_end() const noexcept { return cancel_requested && shields == 0; }
};

struct local_values;

/// What a task has that most have not: a name, or task_locals. From the frame pool.
struct task_label {
  const void* site;
  local_values* locals;
  std::uint32_t length;
  char text[1];
};

inline constexpr std::size_t task_label_bytes(std::size_t length) noexcept {
  return sizeof(task_label) + length;
}

}  // namespace axle::detail
