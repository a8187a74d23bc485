// wait, as_completed: several spawned tasks watched through their handles, as asyncio's. The tasks are not owned by the
// watching: they run on when it ends early, which is what sets these apart from gather and first_of.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <axle/clock.hpp>
#include <axle/result.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>
#include <axle/timeout.hpp>

namespace axle {

/// What wait() waits for.
enum class wait_until : std::uint8_t {
  first_completed,  ///< any end: value, exception or cancelled
  first_exception,  ///< the first to fail, or all ended
  all_completed
};

/// Numbers of handles, in the order in which their tasks ended, and of those that have not.
struct waited {
  std::vector<std::size_t> done;
  std::vector<std::size_t> pending;
};

namespace detail {

/// Hooks on tasks that run elsewhere on this core. Counts as their joiner, so there is no other meanwhile.
class watch_list : public wait_node {
 public:
  AXLE_EXPORT explicit watch_list(std::vector<task_state*> tasks);  // throws std::bad_alloc
  AXLE_EXPORT ~watch_list();
  watch_list(const watch_list&) = delete;
  watch_list& operator=(const watch_list&) = delete;

  std::size_t size() const noexcept { return watched_.size(); }
  const std::vector<std::size_t>& ended() const noexcept { return ended_; }
  bool failed() const noexcept { return failed_; }
  bool has_ended(std::size_t number) const noexcept { return watched_[number].done; }

  /// Until so many have ended, or one has failed if that matters.
  class [[nodiscard]] until_await {
   public:
    until_await(watch_list& list, std::size_t enough, bool failure_too) noexcept : list_(list) {
      list.enough_ = enough;
      list.failure_too_ = failure_too;
    }
    bool await_ready() const noexcept { return list_.satisfied() && may_complete_now("wait"); }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) const noexcept {
      if (list_.satisfied()) return requeue(h);
      AXLE_CHECK(!list_.waiter || list_.waiter->waiting() != &list_,
                 "two tasks wait for the next of one as_completed: each needs its own");
      static_cast<void>(suspend_on(h, list_, "wait"));
    }
    void await_resume() const { throw_if_cut(); }

   private:
    watch_list& list_;
  };

 private:
  struct watched : end_hook {
    watch_list* in = nullptr;
    task_state* task = nullptr;
    bool done = false;
  };
  bool satisfied() const noexcept { return ended_.size() >= enough_ || (failure_too_ && failed_); }
  AXLE_EXPORT void note(watched& which) noexcept;
  AXLE_EXPORT static const wait_kind kind_of;

  std::vector<watched> watched_;
  std::vector<std::size_t> ended_;
  std::size_t enough_ = 0;
  bool failure_too_ = false;
  bool failed_ = false;
};

template <class T>
std::vector<task_state*> tasks_of(std::span<const join_handle<T>> handles) {
  std::vector<task_state*> tasks;
  tasks.reserve(handles.size());
  for (const join_handle<T>& each : handles) tasks.push_back(&each.task_to_watch());
  return tasks;
}

inline task<waited> wait_for_tasks(std::vector<task_state*> tasks, wait_until when) {
  watch_list list(std::move(tasks));
  const std::size_t enough = when == wait_until::first_completed && list.size() ? 1 : list.size();
  co_await watch_list::until_await(list, enough, when == wait_until::first_exception);
  waited all;
  all.done = list.ended();
  for (std::size_t i = 0; i < list.size(); ++i)
    if (!list.has_ended(i)) all.pending.push_back(i);
  co_return all;
}

}  // namespace detail

/// Waits for some or all of the tasks behind `handles`, which must stay until it returns, and says which have ended. Their
/// values are taken from the handles. With with_timeout it gives up in time, and the tasks run on. asyncio.wait.
template <class T>
task<waited> wait(std::span<const join_handle<T>> handles, wait_until when = wait_until::all_completed) {
  return detail::wait_for_tasks(detail::tasks_of(handles), when);
}
template <class T>
task<waited> wait(const std::vector<join_handle<T>>& handles, wait_until when = wait_until::all_completed) {
  return wait(std::span<const join_handle<T>>(handles), when);
}

/// The tasks behind `handles` as they end:
///     as_completed done(handles);
///     while (auto number = co_await done.next()) use(co_await handles[*number]);
/// The handles must stay, and must not be joined before their turn.
class as_completed {
 public:
  template <class T>
  explicit as_completed(const std::vector<join_handle<T>>& handles)
      : list_(std::make_unique<detail::watch_list>(
            detail::tasks_of(std::span<const join_handle<T>>(handles)))) {}

  /// The number of the next handle whose task has ended; none when all have been told.
  task<std::optional<std::size_t>> next() {
    if (told_ == list_->size()) co_return std::nullopt;
    co_await detail::watch_list::until_await(*list_, told_ + 1, false);
    co_return list_->ended()[told_++];
  }

 private:
  std::unique_ptr<detail::watch_list> list_;
  std::size_t told_ = 0;
};

}  // namespace axle
