// loop_core: the part of a loop that inlined code reaches: the running task, the ready lanes, the wheel, the
// operations staged for the driver. The rest of the loop is in runtime/loop.hpp.
//
// One per core, found through the thread-local `this_loop`. Everything here belongs to the owning thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <axle/check.hpp>
#include <axle/detail/ready_queue.hpp>
#include <axle/detail/task_state.hpp>
#include <axle/driver.hpp>
#include <axle/timer_wheel.hpp>

/// For what is had at once nine times in ten: compilers find it too long to inline in a coroutine, for the tenth.
#if defined(__GNUC__) || defined(__clang__)
#define AXLE_INLINE [[gnu::always_inline]]
#else
#define AXLE_INLINE
#endif

namespace axle {
class call_window;
}

namespace axle::detail {

/// Tells every loop of every run of this process from every other; never 0. Of the same run: the same but for the core.
constexpr std::uint64_t core_key(std::uint64_t run_number, unsigned core) noexcept {
  return run_number << 16 | core;
}
constexpr bool same_run(std::uint64_t key, std::uint64_t other) noexcept { return key >> 16 == other >> 16; }
constexpr unsigned core_of(std::uint64_t key) noexcept { return static_cast<unsigned>(key & 0xFFFF); }

class lane;

struct loop_core {
  explicit loop_core(std::int64_t start_ns) noexcept : now_ns(start_ns), wheel(start_ns) {}

  task_state* current = nullptr;  // the task whose frame is running
  frame_handle next_frame = {};   // the trampoline's: which frame of the current task to resume next
  unsigned depth = 0;             // of awaits that run nested on the native stack
  /// Awaits that may still complete at once before the task must yield: none if it is being cancelled, so that one look
  /// tells both.
  unsigned credit = 0;
  bool cut = false;       // the wait that is being left was called off inside another library's coroutine
  std::uint64_t key = 0;  // see core_key
  std::int64_t now_ns;    // the clock, as read this turn
  ready_queue ready;
  ready_queue microtasks;
  operation_list staged;
  timer_wheel wheel;
  task_state* all_tasks = nullptr;
  std::size_t task_count = 0;
  std::size_t in_driver = 0;  // operations staged or in the driver, that must come back before the loop ends
  unsigned core = 0;
  unsigned cores = 1;             // of this run
  call_window* window = nullptr;  // of the calls that name none
  lane** lanes = nullptr;         // to each core of the run, once used; null before the first
  std::uint32_t next_id = 1;
  driver* drives = nullptr;

  /// Hands an operation to the driver at the end of this turn.
  void stage(operation& op) noexcept {
    ++in_driver;
    staged.push_back(op);
  }

  void make_ready(task_state& task) noexcept {
    task.queued = true;
    ready.push(task, false);
  }

  /// A wait was called off: the task is resumed only to be ended.
  void make_ready_to_end(task_state& task) noexcept {
    task.unwinding = true;
    make_ready(task);
  }
};

AXLE_EXPORT extern thread_local constinit AXLE_TLS_INITIAL_EXEC loop_core* this_loop;

inline constexpr unsigned max_await_depth = 24;
inline constexpr unsigned await_credit = 1024;

/// The calling thread's loop; a CHECK fails on a thread that runs none.
inline loop_core& need_loop(const char* what) noexcept {
  AXLE_CHECK(this_loop != nullptr, "%s was used on a thread that runs no axle loop; start one with axle::run",
             what);
  return *this_loop;
}
inline task_state& need_task(const char* what) noexcept {
  loop_core& loop = need_loop(what);
  AXLE_CHECK(loop.current != nullptr, "%s was awaited outside a task; use axle::spawn or axle::run", what);
  return *loop.current;
}

/// Wrong-core use of an object is a CHECK that names both cores.
[[noreturn]] AXLE_EXPORT void wrong_core(const loop_core* owner, const char* what) noexcept;
inline void check_core(const loop_core* owner, const char* what) noexcept {
  if (owner != this_loop) [[unlikely]]
    wrong_core(owner, what);
}

// Out of line (runtime/task.cpp).
AXLE_EXPORT void run_task(task_state& task) noexcept;        // a turn's share of a task: resume, or end it
AXLE_EXPORT void request_cancel(task_state& task) noexcept;  // on the owning core
AXLE_EXPORT void begin_task(task_state& task, loop_core& loop) noexcept;  // joins all_tasks
AXLE_EXPORT void drop_reference(task_state& task) noexcept;  // on the owning core; the last one frees it
AXLE_EXPORT void drop_unrun(frame_handle frame) noexcept;    // of a task that was never awaited
AXLE_EXPORT void start_inline(task_state& task) noexcept;  // runs a new task until it first suspends, nested
AXLE_EXPORT lane* open_lane(loop_core& here, unsigned core) noexcept;  // null: no memory
AXLE_EXPORT void nudge(lane& posted_to) noexcept;                      // wakes its reader if that sleeps
AXLE_EXPORT void precise_now(loop_core& loop) noexcept;                // re-reads the clock into now_ns

}  // namespace axle::detail
