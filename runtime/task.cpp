// Running and ending tasks: the trampoline, cancellation by destroying frames from the inside out, ownership.
// Everything runs on the owning loop's thread.
#include <axle/task.hpp>

#include <cstdlib>

#include <axle/spawn.hpp>
#include "loop.hpp"

namespace axle {

const char* cancelled::what() const noexcept { return "axle: the task was cancelled"; }

namespace detail {

thread_local constinit loop_core* this_loop = nullptr;

namespace {

// Resumes frames of the current task until it suspends or ends. A frame that completes a deep chain, or awaits below
// the nesting bound, names its successor in next_frame and returns here: the native stack stays flat.
void resume_chain(loop_core& loop, frame_handle frame) noexcept {
  const unsigned depth = loop.depth;
  do {
    loop.next_frame = {};
    frame.resume();
    loop.depth = depth;
    frame = loop.next_frame;
  } while (frame);
}

void unlink_from_all(loop_core& loop, task_state& task) noexcept {
  if (task.prev_task) {
    task.prev_task->next_task = task.next_task;
  } else {
    loop.all_tasks = task.next_task;
  }
  if (task.next_task) task.next_task->prev_task = task.prev_task;
  --loop.task_count;
}

// A cancel reaches coroutines of another library as an exception; if it came all the way up, the task was cancelled.
bool was_cut_by_exception(const task_state& task) noexcept {
  try {
    std::rethrow_exception(task.frame.promise().note.error());
  } catch (const cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

// The task's last frame has stopped (or is gone): tell whoever waits, then give up the runtime's reference.
void finish(task_state& task) noexcept {
  loop_core& loop = *task.loop;
  unlink_from_all(loop, task);
  // What a spawned task lets escape when one it joined was cancelled cancels it, too.
  if (task.how == ending::error && (task.cancel_requested || task.references) && was_cut_by_exception(task)) {
    std::exchange(task.frame, {}).destroy();
    task.how = ending::cancelled;
  }
  const bool counted = task.references != 0;  // an embedded task may be freed by the hook
  if (end_hook* hook = std::exchange(task.on_end, nullptr)) hook->ended(*hook, task);
  if (counted) drop_reference(task);
}

// Destroys the frames of a suspended task from the inside out; each frame's destructors run before its caller's. True:
// a coroutine of another library stands in the way and is to be resumed, to throw `cancelled`.
bool unwind(task_state& task) noexcept {
  frame_handle frame = task.frame;
  for (;;) {
    child_await* const place = frame.promise().awaited_by;
    frame.destroy();
    if (!place) break;
    place->child = {};
    frame = place->parent;
    if (place->foreign_parent) {
      place->cut = true;
      task.frame = frame;
      return true;
    }
  }
  task.frame = {};
  task.how = ending::cancelled;
  task.now = phase::finished;
  return false;
}

void settle(loop_core& loop, task_state& task, task_state* outer) noexcept {
  loop.current = outer;
  if (task.now == phase::finished) finish(task);
}

}  // namespace

void run_task(task_state& task) noexcept {
  loop_core& loop = *task.loop;
  loop.current = &task;
  task.queued = false;
  task.only_yields = false;
  loop.depth = 0;
  loop.credit = await_credit;
  if (task.must_end()) [[unlikely]] {
    loop.credit = 0;
    if (task.now == phase::pending) task.unwinding = true;
  }
  if (task.unwinding && !task.foreign) [[unlikely]] {
    if (!unwind(task)) return settle(loop, task, nullptr);
    task.unwinding = false;
  }
  loop.cut = task.unwinding;
  task.now = phase::running;
  resume_chain(loop, task.frame);
  settle(loop, task, nullptr);
}

void start_inline(task_state& task) noexcept {
  loop_core& loop = *task.loop;
  task_state* const outer = loop.current;
  loop.current = &task;
  task.now = phase::running;
  ++loop.depth;
  resume_chain(loop, task.frame);
  --loop.depth;
  settle(loop, task, outer);
  if (outer && outer->must_end()) loop.credit = 0;
}

void request_cancel(task_state& task) noexcept {
  if (task.now == phase::finished) return;
  task.cancel_requested = true;
  if (task.shields) return;
  if (task.loop->current == &task) task.loop->credit = 0;
  if (wait_node* const node = task.waiting()) {
    node->kind->cancel(*node);
  } else if (task.queued && task.only_yields) {
    task.unwinding = true;
  }
}

void begin_task(task_state& task, loop_core& loop) noexcept {
  task.loop = &loop;
  task.id = loop.next_id++;
  task.next_task = loop.all_tasks;
  if (loop.all_tasks) loop.all_tasks->prev_task = &task;
  loop.all_tasks = &task;
  ++loop.task_count;
}

void drop_reference(task_state& task) noexcept {
  if (--task.references) return;
  if (task.frame) {
    const frame_handle root = std::exchange(task.frame, {});
    if (task.how == ending::error && !task.observed) report_unjoined(task, root);
    root.destroy();
  }
  free_label(task);
  alloc::frame_free(&task, sizeof(task_state));
}

void wrong_core(const loop_core* owner, const char* what) noexcept {
  AXLE_CHECK(this_loop != nullptr,
             "%s of core %u was used on a thread that runs no loop; use axle::post_to to reach its core",
             what, owner->core);
  AXLE_CHECK(owner == this_loop,
             "%s of core %u was used on core %u; use axle::on(core, f, args...) to reach it", what,
             owner->core, this_loop->core);
  std::abort();
}

}  // namespace detail
}  // namespace axle
