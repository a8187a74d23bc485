// Watching tasks end. Owning core only.
#include <axle/wait.hpp>

namespace axle::detail {

const wait_kind watch_list::kind_of = {
    .complete = nullptr,
    .cancel = [](wait_node& node) noexcept { this_loop->make_ready_to_end(*node.waiter); },
    .what = "wait",
    .whom =
        [](const wait_node& node, wait_edges& into) {
          const auto& mine = static_cast<const watch_list&>(node);
          for (const watched& each : mine.watched_)
            if (!each.done) into.tasks.push_back(each.task->id);
          into.any_will_do = mine.failure_too_ || mine.enough_ < mine.watched_.size();
        },
};

watch_list::watch_list(std::vector<task_state*> tasks) : watched_(tasks.size()) {
  need_loop("wait");
  kind = &kind_of;
  ended_.reserve(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    watched& each = watched_[i];
    each.in = this;
    each.task = tasks[i];
    each.ended = [](end_hook& hook, task_state&) noexcept {
      auto& ended = static_cast<watched&>(hook);
      ended.in->note(ended);
    };
    if (each.task->now == phase::finished) {
      note(each);
    } else {
      AXLE_CHECK(each.task->joiner() == nullptr, "this task is being joined already: one joiner at a time");
      each.task->joiner() = &each;
    }
  }
}

watch_list::~watch_list() {
  for (watched& each : watched_)
    if (!each.done) each.task->joiner() = nullptr;
}

void watch_list::note(watched& which) noexcept {
  which.done = true;
  ended_.push_back(static_cast<std::size_t>(&which - watched_.data()));
  failed_ |= which.task->how == ending::error;
  if (waiter && waiter->waiting() == this && satisfied()) this_loop->make_ready(*waiter);
}

}  // namespace axle::detail
