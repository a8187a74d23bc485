// What a task is called and what it carries: its label, and the locals in it. Private to runtime/; owning core only.
#pragma once

#include <string_view>

#include <axle/detail/task_state.hpp>

namespace axle::detail {

/// Gives a task that has none a label of its own, in place of its bare place of birth. Throws std::bad_alloc.
task_label& add_label(task_state& task, std::string_view name, local_values* locals);

/// The locals a task sees, its own or its parent's; null if there are none.
local_values* locals_of(const task_state& task) noexcept;
/// Takes over a reference to `locals`, which may be null. Throws std::bad_alloc, and then has not.
void set_locals(task_state& task, local_values* locals);

void share_locals(local_values& locals) noexcept;
void drop_locals(local_values& locals) noexcept;

}  // namespace axle::detail
