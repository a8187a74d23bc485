// spawn: a task of its own, scheduled now on this core; join_handle: to wait for it, ask after it, cancel it.
//
// The runtime holds a spawned task until it ends, with or without a handle. A handle belongs to its core; cancel() and
// destruction on another core become messages to the owner, every other use there is a CHECK.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include <axle/call.hpp>
#include <axle/detail/wait_edges.hpp>
#include <axle/outcome.hpp>
#include <axle/task.hpp>

namespace axle {

/// How a task is spawned.
struct spawn_options {
  std::string_view name = {};  ///< for people; copied
  bool eager = false;          ///< runs at once, inside spawn, up to where it first waits
};

/// As in asyncio's diagram. `suspended` covers a task that has been woken and waits for its turn.
enum class task_state : std::uint8_t { pending, running, suspended, finished };

/// Where a failed task's exception goes when nobody joined it. The default prints it and calls std::terminate.
/// Process-wide; set it before run().
using unjoined_failure_handler = void (*)(std::string_view name, std::source_location spawned_at,
                                          const std::exception_ptr& error) noexcept;
AXLE_EXPORT unjoined_failure_handler set_unjoined_failure_handler(unjoined_failure_handler handler) noexcept;

namespace detail {

/// A new task around a coroutine that has not begun; in the list of all tasks, not yet queued.
AXLE_EXPORT task_state& make_task(frame_handle root, std::string_view name, std::source_location where);
/// Gives a new task its place of birth, its name, and the locals of the current task. Throws std::bad_alloc.
AXLE_EXPORT void label_task(task_state& fresh, std::string_view name, std::source_location where);
AXLE_EXPORT void free_label_of(task_state& task) noexcept;
inline void free_label(task_state& task) noexcept {
  if (task.labelled) free_label_of(task);
}
AXLE_EXPORT void start_eagerly(task_state& fresh) noexcept;
struct callback_block;
AXLE_EXPORT void call_when_ended(task_state& task, callback_block& callback);  // throws std::bad_alloc
AXLE_EXPORT void release_handle(task_state& task) noexcept;                    // any core
AXLE_EXPORT void cancel_from_anywhere(task_state& task) noexcept;
AXLE_EXPORT std::string_view name_of(const task_state& task) noexcept;
AXLE_EXPORT std::source_location site_of(const task_state& task) noexcept;

/// Waits for a task to end; the base of `co_await handle` and `co_await handle.outcome()`.
class join_await : public wait_node, public end_hook {
 public:
  explicit join_await(task_state& joined) noexcept;
  join_await(const join_await&) = delete;
  join_await& operator=(const join_await&) = delete;

  bool await_ready() const noexcept {
    return joined_->now == phase::finished && may_complete_now("join_handle");
  }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (joined_->now == phase::finished) return requeue(h);
    check_alone();
    if (suspend_on(h, *this, "join_handle")) joined_->joiner() = this;
  }

 protected:
  void check_alone() const noexcept {
    AXLE_CHECK(joined_->joiner() == nullptr, "this task is being joined already: one joiner at a time");
  }
  task_state* joined_;

 private:
  static void on_ended(end_hook& hook, task_state& ended) noexcept;
  static void on_cancel(wait_node& node) noexcept;
  static void whom(const wait_node& node, wait_edges& into);
  static constexpr wait_kind kind_of = {nullptr, on_cancel, "join", whom};
};

inline join_await::join_await(task_state& joined) noexcept : joined_(&joined) {
  check_core(joined.loop, "a join_handle");
  check_alone();
  AXLE_CHECK(&joined != this_loop->current, "a task cannot join itself: it would wait for ever");
  kind = &kind_of;
  ended = on_ended;
}
inline void join_await::on_ended(end_hook& hook, task_state&) noexcept {
  auto& self = static_cast<join_await&>(hook);
  this_loop->make_ready(*self.waiter);
}
inline void join_await::on_cancel(wait_node& node) noexcept {
  auto& self = static_cast<join_await&>(node);
  self.joined_->joiner() = nullptr;
  this_loop->make_ready_to_end(*self.waiter);
}

inline void join_await::whom(const wait_node& node, wait_edges& into) {
  into.tasks.push_back(static_cast<const join_await&>(node).joined_->id);
}

/// Values are moved to the joiner, so a second one would find an empty one. Errors and cancellations can be met again.
template <class T>
void take_note(task_state& finished_task) noexcept {
  if constexpr (!std::is_void_v<T> && !std::is_reference_v<T>)
    AXLE_CHECK(finished_task.how != ending::value || !finished_task.observed,
               "this task was joined before and its value taken: a task that returns a value is joined once");
  finished_task.observed = true;
}

template <class T>
outcome<T> outcome_of(task_state& finished_task) {
  finished_task.observed = true;
  if (finished_task.how == ending::cancelled) return {};
  promise<T>& held = typed<T>(finished_task.frame).promise();
  if (held.note.holds_error()) return outcome<T>(held.note.error());
  if constexpr (std::is_void_v<T>) {
    return outcome<T>(std::in_place);
  } else if constexpr (std::is_reference_v<T>) {
    return outcome<T>(std::in_place, std::addressof(held.take()));
  } else {
    return outcome<T>(std::in_place, held.take());
  }
}

template <class T>
class value_await : public join_await {
 public:
  using join_await::join_await;
  T await_resume() {
    throw_if_cut();
    take_note<T>(*joined_);
    if (joined_->how == ending::cancelled) throw cancelled();
    return typed<T>(joined_->frame).promise().take();
  }
};

template <class T>
class outcome_await : public join_await {
 public:
  using join_await::join_await;
  outcome<T> await_resume() {
    throw_if_cut();
    take_note<T>(*joined_);
    return outcome_of<T>(*joined_);
  }
};

}  // namespace detail

/// The handle of a spawned task. Move-only. Dropping it detaches the task: it runs on, and if it fails, the handler for
/// unjoined failures hears of it.
template <class T = void>
class [[nodiscard("dropping the handle detaches the task; say so with .detach()")]] join_handle {
 public:
  join_handle() = default;
  explicit join_handle(detail::task_state& task) noexcept : task_(&task) { ++task.references; }
  join_handle(join_handle&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      detach();
      task_ = std::exchange(other.task_, nullptr);
    }
    return *this;
  }
  ~join_handle() { detach(); }

  /// Waits for the end; gives the value, throws the task's exception, or throws `cancelled`. A value: once.
  /// Cancelling the joiner does not cancel the joined task: it has its own life.
  detail::value_await<T> operator co_await() const { return detail::value_await<T>(held()); }
  /// Waits for the end; gives what became of the task as a plain value, and throws nothing.
  detail::outcome_await<T> outcome() const { return detail::outcome_await<T>(held()); }

  /// Asks the task to end: what it waits for is called off, then its frames are destroyed. Any core. Idempotent.
  void cancel() const noexcept { detail::cancel_from_anywhere(held()); }
  /// Lets go of the task, which runs on.
  void detach() noexcept {
    if (auto* task = std::exchange(task_, nullptr)) detail::release_handle(*task);
  }

  /// Calls f(args...) as by call_soon when the task has ended; at once as by call_soon if it has. The callbacks of a task
  /// run in the order in which they were added, before whoever joins it goes on. Throws std::bad_alloc.
  template <class F, class... Args>
  call_handle on_done(F f, Args... args) const {
    auto& block = detail::make_callback(std::move(f), std::move(args)...);
    call_handle handle(block);
    detail::call_when_ended(owned(), block);
    return handle;
  }

  bool done() const noexcept { return owned().now == detail::phase::finished; }
  bool was_cancelled() const noexcept { return done() && task_->how == detail::ending::cancelled; }
  axle::task_state state() const noexcept { return static_cast<axle::task_state>(owned().now); }
  /// The name given to spawn; empty if none was.
  std::string_view name() const noexcept { return detail::name_of(owned()); }
  /// Unique among the tasks of its core, for four thousand million tasks.
  std::uint32_t id() const noexcept { return owned().id; }
  std::source_location spawned_at() const noexcept { return detail::site_of(owned()); }
  explicit operator bool() const noexcept { return task_ != nullptr; }

  /// For wait and as_completed.
  detail::task_state& task_to_watch() const noexcept { return owned(); }

 private:
  detail::task_state& held() const noexcept {
    AXLE_CHECK(task_ != nullptr, "this join_handle is empty: it was detached or moved from");
    return *task_;
  }
  detail::task_state& owned() const noexcept {
    detail::check_core(held().loop, "a join_handle");
    return *task_;
  }

  detail::task_state* task_ = nullptr;
};

/// Schedules a task on this core, behind what is ready now. The runtime holds it until it ends.
template <class T>
join_handle<T> spawn(task<T> work, spawn_options options = {},
                     std::source_location where = std::source_location::current()) {
  detail::loop_core& loop = detail::need_loop("spawn");
  detail::task_state& made = detail::make_task(work.release(), options.name, where);
  join_handle<T> handle(made);
  if (options.eager) {
    detail::start_eagerly(made);
  } else {
    loop.ready.push(made, false);
  }
  return handle;
}

namespace detail {

/// Keeps a callable and its arguments alive for as long as the task that they make.
template <class F, class... Args>
auto call_owned(F f, Args... args) -> std::invoke_result_t<F&, Args&&...> {
  co_return co_await std::invoke(f, std::move(args)...);
}

template <class F, class... Args>
concept makes_task = is_task<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>&&...>>;

}  // namespace detail

/// Spawns f(args...), where f is a function or lambda that returns a task; both are kept alive as long as the task.
template <class F, class... Args>
  requires detail::makes_task<F, Args...>
auto spawn(F f, Args... args) {
  return spawn(detail::call_owned(std::move(f), std::move(args)...));
}

/// What the current task is called, where it was spawned, its id; for logs.
struct task_description {
  std::string_view name;
  std::source_location spawned_at;
  std::uint32_t id;
};
AXLE_EXPORT task_description current_task() noexcept;

}  // namespace axle
