// task_local<T>: a value that a task has, and hands down to the tasks it makes. Python's contextvars.
//
//     static axle::task_local<std::string> request_id("none");
//     request_id.set("r-17");                 // in a handler; what it awaits and spawns from now on sees it
//     log(request_id.get());
//
// A task begins with what the task that made it had at that moment; what it sets later is its own. Across cores nothing is
// handed down. A task's values stand in one small table, copied when it changes: reading costs a look through that table
// (one entry for each task_local in use), and a task without any costs nothing. Owning core only.
#pragma once

#include <cstdint>
#include <new>
#include <utility>

#include <axle/alloc/frame_pool.hpp>
#include <axle/detail/loop_core.hpp>

namespace axle {

namespace detail {

struct local_values;

/// One value, shared by the tables it stands in.
struct local_holder {
  void (*destroy)(local_holder&) noexcept;
  std::uint32_t references = 1;
};

template <class T>
struct local_holder_of final : local_holder {
  template <class... Args>
  explicit local_holder_of(Args&&... args) : value(std::forward<Args>(args)...) {
    destroy = [](local_holder& holder) noexcept {
      auto& mine = static_cast<local_holder_of&>(holder);
      mine.~local_holder_of();
      alloc::frame_free(&mine, sizeof(local_holder_of));
    };
  }
  T value;
};

/// What the current task has for `key`; null if it has nothing, and outside tasks.
AXLE_EXPORT const local_holder* find_local(const void* key) noexcept;
/// Takes the holder over, even if it throws std::bad_alloc.
AXLE_EXPORT void set_local(const void* key, local_holder& holder);

/// Puts back all the locals that a task had when this was made.
class locals_restorer {
 public:
  AXLE_EXPORT locals_restorer() noexcept;
  AXLE_EXPORT ~locals_restorer();
  locals_restorer(const locals_restorer&) = delete;
  locals_restorer& operator=(const locals_restorer&) = delete;

 private:
  task_state* task_;
  local_values* before_;
};

}  // namespace detail

template <class T>
class task_local {
 public:
  /// `otherwise` is what tasks have that were given nothing.
  explicit task_local(T otherwise = T()) : otherwise_(std::move(otherwise)) {}
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// The current task's value; outside tasks the one given to the constructor. Valid until it is set again.
  const T& get() const noexcept {
    const detail::local_holder* const found = detail::find_local(this);
    return found ? static_cast<const detail::local_holder_of<T>*>(found)->value : otherwise_;
  }
  /// Sets it for the current task and for those that it makes from now on. Throws std::bad_alloc.
  void set(T value) {
    static_assert(alignof(detail::local_holder_of<T>) <= 16);
    detail::need_task("task_local::set");
    void* const memory = alloc::frame_allocate(sizeof(detail::local_holder_of<T>));
    detail::set_local(this, *::new (memory) detail::local_holder_of<T>(std::move(value)));
  }

  /// Sets it, until this goes: then the task has again every local that it had before.
  class [[nodiscard("the value is put back when this goes")]] scope {
   public:
    scope(task_local& of, T value) { of.set(std::move(value)); }

   private:
    detail::locals_restorer restore_;
  };
  scope with(T value) { return scope(*this, std::move(value)); }

 private:
  T otherwise_;
};

}  // namespace axle
