// A group's children: made, told of, freed. Owning core only.
#include <axle/task_group.hpp>

namespace axle {

using detail::child_task;
using detail::ending;

const detail::wait_kind task_group::kind_of = {nullptr, cancel_all, "task_group", whom};

void task_group::begin_body() noexcept {
  adopt(body_);
  detail::this_loop->ready.push(body_, false);
}

void task_group::add(detail::frame_handle root, std::string_view name, std::source_location where) {
  child_task* const child = &detail::make_child(root, name, where);
  adopt(*child);
  ++children_;
  detail::this_loop->ready.push(*child, false);
  const bool closing = cancelled_ || failed_ || (waiter && waiter->must_end());
  if (closing) detail::request_cancel(*child);
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
    --mine.children_;
    detail::free_child(ended);
  }
  if (!mine.all_ended()) return;
  const bool body_has_value = mine.body_.how == ending::value;
  mine.wake_parent(mine.failed_ || body_has_value);
}

void task_group::check() { failed_.rethrow_if_any(); }

}  // namespace axle
