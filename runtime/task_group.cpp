// A group's children: made, told of, freed. Owning core only.
#include <axle/task_group.hpp>

#include <stdexcept>

namespace axle {

using detail::child_task;
using detail::ending;

const detail::wait_kind task_group::kind_of = {nullptr, cancel_all, "task_group", whom};

void task_group::begin_body() noexcept {
  adopt(body_);
  detail::this_loop->ready.push(body_, false);
}

child_task& task_group::add(detail::frame_handle root, std::string_view name, std::source_location where) {
  child_task* const child = &detail::make_child(root, name, where);
  adopt(*child);
  ++children_;
  detail::this_loop->ready.push(*child, false);
  const bool closing = cancelled_ || failed_ || (waiter && waiter->must_end());
  if (closing) detail::request_cancel(*child);
  return *child;
}

void task_group::cancel() noexcept {
  cancelled_ = true;
  cancel_children();
}

void task_group::told(family& of, child_task& ended) noexcept {
  auto& mine = static_cast<task_group&>(of);
  if (ended.how == ending::error) {
    mine.failed_.add(ended.error());
    mine.cancel_children();
  }
  if (&ended != &mine.body_) {
    mine.cut_ |= ended.how == ending::cancelled && !mine.cancelled_;
    --mine.children_;
    detail::free_child(ended);
  }
  if (!mine.all_ended()) return;
  // The body's value is the group's when every child has ended as well, and not when they were cut off.
  const bool has_value = mine.body_.how == ending::value && !mine.cut_;
  mine.wake_parent(mine.failed_ || has_value);
}

void task_group::check() { failed_.rethrow_if_any(); }

namespace detail {

// Whoever waits for a child to be ready goes only when that has ended, or is ready after all.
const wait_kind start_slot::kind_of = {
    .complete = nullptr,
    .cancel = [](wait_node& node) noexcept { request_cancel(*static_cast<start_slot&>(node).child_); },
    .what = "group.start",
    .whom = [](const wait_node& node,
               wait_edges& into) { into.tasks.push_back(static_cast<const start_slot&>(node).child_->id); },
};

void start_slot::ended() noexcept {
  if (waiter->must_end()) return this_loop->make_ready_to_end(*waiter);
  this_loop->make_ready(*waiter);
}

bool start_guard::fail(std::exception_ptr error) noexcept {
  if (!of_) return false;
  start_slot& slot = *take();
  slot.error_ = std::move(error);
  slot.wake();
  return true;
}

void start_guard::returned() {
  if (!of_) return;
  fail(std::make_exception_ptr(
      std::logic_error("axle: a task given to group.start returned before it was ready")));
}

void start_slot::take_failure() {
  if (error_) std::rethrow_exception(error_);
  if (told_) return;
  throw cancelled();
}

}  // namespace detail

}  // namespace axle
