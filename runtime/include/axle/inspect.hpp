// all_tasks, deadlocks, dump_tasks: what every task of a core is doing, and who waits for whom.
//
// Nothing has to be switched on: each frame notes the line of its latest co_await, and each wait knows, where it can be
// known, which tasks would end it. For this core; for another, `co_await on(core, all_tasks)`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <axle/spawn.hpp>

namespace axle {

/// A task as it was when it was looked at.
struct task_info {
  std::uint32_t id = 0;
  std::uint32_t parent = 0;  ///< the task that waits for this one as its child (gather, a group ...); 0: none
  std::string name;
  std::source_location spawned_at;
  task_state state = task_state::pending;
  bool cancelling = false;     ///< it was asked to end
  std::string_view waits_for;  ///< "mutex", "sleep", "receive" ...; empty when it waits for its turn
  std::vector<std::uint32_t> waits_for_tasks;  ///< whose doing would end that, as far as it is known
  bool any_will_do = false;                    ///< one of them is enough
  bool or_else = false;                        ///< or something else, such as a deadline
  /// Where it stands: the lines of the co_awaits, innermost first; of a task that has not begun, its coroutine. Empty while
  /// it runs.
  std::vector<std::source_location> awaits;
};

/// Every task of this core, the oldest first. O(tasks). Throws std::bad_alloc.
AXLE_EXPORT std::vector<task_info> all_tasks();

/// Tasks of this core that wait for each other in a circle, so that none can go on: one list of ids for each circle, in which
/// each waits for the next and the last for the first. Only a cancel ends such a wait. O(tasks). Throws std::bad_alloc.
AXLE_EXPORT std::vector<std::vector<std::uint32_t>> deadlocks();
/// The same in a snapshot taken by all_tasks().
AXLE_EXPORT std::vector<std::vector<std::uint32_t>> deadlocks(const std::vector<task_info>& tasks);

/// What dump_tasks prints.
AXLE_EXPORT std::string describe(const std::vector<task_info>& tasks);

/// Prints this core's tasks, children below their parents, what each waits for and where, and the deadlocks. Tasks that look
/// alike are counted, not repeated. Throws std::bad_alloc.
AXLE_EXPORT void dump_tasks(std::FILE* to = stderr);

}  // namespace axle
