// The table of a task's locals: shared until somebody changes it, then copied. Owning core only.
#include <axle/task_local.hpp>

#include <algorithm>
#include <new>

#include "labels.hpp"

namespace axle::detail {

struct local_entry {
  const void* key;
  local_holder* holder;
};

struct local_values {
  std::uint32_t references = 1;
  std::uint32_t count = 0;

  static std::size_t bytes(std::size_t count) noexcept {
    return sizeof(local_values) + count * sizeof(local_entry);
  }
  local_entry* begin() noexcept { return reinterpret_cast<local_entry*>(this + 1); }
  local_entry* end() noexcept { return begin() + count; }
  local_entry* find(const void* key) noexcept {
    local_entry* const found =
        std::find_if(begin(), end(), [key](const local_entry& each) { return each.key == key; });
    return found == end() ? nullptr : found;
  }
};
static_assert(sizeof(local_values) % alignof(local_entry) == 0, "the entries follow the table");

namespace {

void drop_holder(local_holder& holder) noexcept {
  if (--holder.references == 0) holder.destroy(holder);
}

// The same table with one entry set.
local_values* changed(local_values* from, const void* key, local_holder& holder) {
  const bool is_new = !from || !from->find(key);
  const std::size_t count = (from ? from->count : 0U) + (is_new ? 1U : 0U);
  auto* made = ::new (alloc::frame_allocate(local_values::bytes(count))) local_values;
  made->count = static_cast<std::uint32_t>(count);
  local_entry* place = made->begin();
  if (from)
    for (const local_entry& each : *from) {
      if (each.key == key) continue;
      ++each.holder->references;
      *place++ = each;
    }
  *place = {key, &holder};
  return made;
}

}  // namespace

void share_locals(local_values& locals) noexcept { ++locals.references; }

void drop_locals(local_values& locals) noexcept {
  if (--locals.references) return;
  for (const local_entry& each : locals) drop_holder(*each.holder);
  alloc::frame_free(&locals, local_values::bytes(locals.count));
}

const local_holder* find_local(const void* key) noexcept {
  if (!this_loop || !this_loop->current) return nullptr;
  local_values* const locals = locals_of(*this_loop->current);
  const local_entry* const found = locals ? locals->find(key) : nullptr;
  return found ? found->holder : nullptr;
}

void set_local(const void* key, local_holder& holder) {
  task_state& task = *this_loop->current;
  local_values* made = nullptr;
  try {
    made = changed(locals_of(task), key, holder);
    set_locals(task, made);
  } catch (...) {
    if (made) {
      drop_locals(*made);
    } else {
      drop_holder(holder);
    }
    throw;
  }
}

locals_restorer::locals_restorer() noexcept : task_(&need_task("task_local")), before_(locals_of(*task_)) {
  if (before_) share_locals(*before_);
}

locals_restorer::~locals_restorer() {
  if (task_->labelled) {
    set_locals(*task_, before_);
  } else if (before_) {
    drop_locals(*before_);  // nothing was set
  }
}

}  // namespace axle::detail
