// The alarm of a cancel_scope, its end, and the record of the way a cancel took. Owning core only.
#include <axle/cancel_scope.hpp>

#include <algorithm>
#include <new>
#include <utility>

#include <axle/debug.hpp>

namespace axle {

namespace detail {

namespace {

// From a task's root frame in to what it waits for, and on through the first of its children.
void add_path(const task_state& of, std::vector<cancel_step>& path) {
  for (const task_state* task = &of; task;) {
    const std::size_t first = path.size();
    if (task->now == phase::suspended && !task->foreign) {
      for (frame_handle frame = task->frame; frame;) {
        path.push_back({task->id, frame.promise().note.where(), {}});
        const child_await* const place = frame.promise().awaited_by;
        frame = place && !place->foreign_parent ? place->parent : frame_handle();
      }
      std::reverse(path.begin() + static_cast<std::ptrdiff_t>(first), path.end());
    }
    const wait_node* const on = task->waiting();
    if (!on) return;
    if (path.size() > first) path.back().waits_for = on->kind->what;
    if (!on->kind->whom) return;
    wait_edges edges;
    on->kind->whom(*on, edges);
    if (!edges.owned || edges.tasks.empty()) return;
    const std::uint32_t child = edges.tasks.front();
    task = this_loop->all_tasks;
    while (task && task->id != child) task = task->next_task;
  }
}

}  // namespace

const wait_kind scope_family::open_kind = {nullptr, cancel_all, "cancel_scope", whom};
const wait_kind scope_family::shielded_kind = {nullptr, [](wait_node&) noexcept {}, "cancel_scope (shield)",
                                               whom};

const wait_kind scope_family::alarm_kind = {
    .complete =
        [](wait_node& node) noexcept {
          static_cast<alarm&>(node).of->of_.end(cancel_scope::ended_by::deadline, "timed out");
        },
    .cancel = nullptr,
    .what = "deadline",
};

scope_family::scope_family(cancel_scope& of, frame_handle frame) noexcept
    : family(told, of.options_.shield ? shielded_kind : open_kind), child_(frame), of_(of) {
  alarm_.kind = &alarm_kind;
  alarm_.of = this;
}

// True: the work completed without suspending.
bool scope_family::start() noexcept {
  loop_core& loop = of_.need_own_loop("a cancel_scope");
  const task_state& parent = need_task("a cancel_scope");
  AXLE_CHECK(!of_.running_, "a cancel_scope runs one task at a time; use a gather or a group inside it");
  of_.running_ = this;
  adopt(child_);
  const bool to_end = of_.cancelled() || (parent.must_end() && !of_.options_.shield);
  if (of_.cancelled()) cancel_children();
  if (to_end || loop.depth >= max_await_depth) {
    loop.ready.push(child_, false);
    return false;
  }
  start_inline(child_);
  if (child_.now != phase::finished || loop.credit == 0) return false;
  --loop.credit;
  return true;
}

void scope_family::arm() noexcept {
  this_loop->wheel.disarm(alarm_);
  alarm_.deadline_ns = of_.options_.deadline.time_since_epoch().count();
  if (alarm_.deadline_ns < timer_wheel::never && !of_.cancelled()) this_loop->wheel.arm(alarm_);
}

void scope_family::told(family& of, child_task& ended) noexcept {
  auto& mine = static_cast<scope_family&>(of);
  this_loop->wheel.disarm(mine.alarm_);
  cancel_scope& scope = mine.of_;
  scope.running_ = nullptr;
  if (scope.asked_ns_) scope.took_ns_ = this_loop->drives->now() - scope.asked_ns_;
  if (mine.waiter) mine.wake_parent(ended.how != ending::cancelled);
}

}  // namespace detail

cancel_scope::~cancel_scope() {
  AXLE_CHECK(!running_, "a cancel_scope was destroyed while a task runs in it");
}

void cancel_scope::cancel(std::string_view reason) noexcept {
  need_own_loop("a cancel_scope");
  end(ended_by::call, reason);
}

void cancel_scope::end(ended_by how, std::string_view reason) noexcept {
  if (cancelled()) return;
  how_ = how;
  asked_ns_ = detail::this_loop->drives->now();
  try {
    reason_ = reason;
    if (running_ && (options_.record_path || detail::debugging())) detail::add_path(running_->work(), path_);
  } catch (const std::bad_alloc&) {
    path_.clear();  // it is told less, and ended all the same
  }
  if (running_) running_->end_work();
}

void cancel_scope::set_deadline(clock::time_point when) noexcept {
  need_own_loop("a cancel_scope");
  options_.deadline = when;
  if (running_) running_->arm();
}

}  // namespace axle
