// Children of an awaiting task: adoption, and the report of their end. Owning core only.
#include <axle/detail/family.hpp>

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <axle/spawn.hpp>

namespace axle {

exception_group::exception_group(std::vector<std::exception_ptr> errors) : errors_(std::move(errors)) {
  std::vector<std::pair<std::string, std::size_t>> messages;  // each once, with how often
  for (const std::exception_ptr& error : errors_) {
    std::string message;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      message = known.what();
    } catch (...) {
      message = "an exception that is no std::exception";
    }
    const auto same = [&message](const auto& other) { return other.first == message; };
    const auto found = std::find_if(messages.begin(), messages.end(), same);
    if (found == messages.end()) {
      messages.emplace_back(std::move(message), 1);
    } else {
      ++found->second;
    }
  }
  what_ = std::to_string(errors_.size()) + " tasks of one scope failed:";
  for (const auto& [message, count] : messages) {
    what_ += " [" + message + "]";
    if (count > 1) what_ += " (" + std::to_string(count) + " times)";
  }
}

namespace detail {

void family::adopt(child_task& child) noexcept {
  loop_core& loop = *this_loop;
  child.of = this;
  child.ended = on_ended;
  child.on_end = &child;
  child.observed = true;
  child.owned = true;
  child.next_sibling = live_;
  child.prev_sibling = nullptr;
  if (live_) live_->prev_sibling = &child;
  live_ = &child;
  if (!child.about && loop.current) {
    child.about = loop.current;
    child.nested = true;
  }
  begin_task(child, loop);
}

child_task& make_child(frame_handle root, std::string_view name, std::source_location where) {
  child_task* child = nullptr;
  try {
    child = ::new (alloc::frame_allocate(sizeof(child_task))) child_task(root);
    label_task(*child, name, where);
  } catch (...) {
    if (child) {
      child->~child_task();
      alloc::frame_free(child, sizeof(child_task));
    } else {
      root.destroy();
    }
    throw;
  }
  return *child;
}

void free_child(child_task& child) noexcept {
  child.~child_task();
  alloc::frame_free(&child, sizeof(child_task));
}

child_task::~child_task() {
  if (frame) frame.destroy();
  free_label(*this);
}

void family::whom(const wait_node& node, wait_edges& into) {
  const auto& mine = static_cast<const family&>(node);
  into.owned = true;
  for (const child_task* each = mine.live_; each; each = each->next_sibling) into.tasks.push_back(each->id);
}

void family::start_all(child_task* children, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    adopt(children[i]);
    this_loop->ready.push(children[i], false);
  }
}

void family::on_ended(end_hook& hook, task_state&) noexcept {
  auto& child = static_cast<child_task&>(hook);
  family& mine = *child.of;
  if (child.prev_sibling) {
    child.prev_sibling->next_sibling = child.next_sibling;
  } else {
    mine.live_ = child.next_sibling;
  }
  if (child.next_sibling) child.next_sibling->prev_sibling = child.prev_sibling;
  mine.told_(mine, child);
}

}  // namespace detail
}  // namespace axle
