// Making tasks, naming them, and what happens to their handles on other cores. Owning thread, but for the two
// functions that say otherwise.
#include <axle/spawn.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <exception>
#include <new>

#include "labels.hpp"
#include "loop.hpp"

namespace axle {

namespace {

void report_and_terminate(std::string_view name, std::source_location where,
                          const std::exception_ptr& error) noexcept {
  const char* what = "an exception that is no std::exception";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    what = known.what();
    std::fprintf(stderr, "axle: task \"%.*s\" spawned at %s:%u failed and nobody joined it: %s\n",
                 static_cast<int>(name.size()), name.data(), where.file_name(), where.line(), what);
  } catch (...) {
    std::fprintf(stderr, "axle: task \"%.*s\" spawned at %s:%u failed and nobody joined it: %s\n",
                 static_cast<int>(name.size()), name.data(), where.file_name(), where.line(), what);
  }
  std::terminate();
}

std::atomic<unjoined_failure_handler> unjoined_failure{report_and_terminate};

}  // namespace

unjoined_failure_handler set_unjoined_failure_handler(unjoined_failure_handler handler) noexcept {
  return unjoined_failure.exchange(handler ? handler : report_and_terminate);
}

task_description current_task() noexcept {
  const detail::task_state& task = detail::need_task("current_task");
  return {detail::name_of(task), detail::site_of(task), task.id};
}

namespace detail {

static_assert(sizeof(std::source_location) == sizeof(const void*),
              "a source_location is one pointer to static data");
static_assert(sizeof(task_state) == 64, "a task's control block is paid a million times over");

task_label& add_label(task_state& task, std::string_view name, local_values* locals) {
  auto* label = static_cast<task_label*>(alloc::frame_allocate(task_label_bytes(name.size())));
  label->site = std::bit_cast<const void*>(site_of(task));
  label->locals = locals;
  label->length = static_cast<std::uint32_t>(name.size());
  std::copy(name.begin(), name.end(), label->text);
  if (locals) share_locals(*locals);
  task.about = label;
  task.labelled = true;
  task.nested = false;
  return *label;
}

void label_task(task_state& fresh, std::string_view name, std::source_location where) {
  fresh.about = std::bit_cast<const void*>(where);
  const task_state* const maker = this_loop->current;
  if (name.empty() && (!maker || (!maker->labelled && !maker->nested))) [[likely]]
    return;  // nothing to hand down
  local_values* const locals = this_loop->current ? locals_of(*this_loop->current) : nullptr;
  if (!name.empty() || locals) add_label(fresh, name, locals);
}

void free_label_of(task_state& task) noexcept {
  auto* label = const_cast<task_label*>(static_cast<const task_label*>(task.about));
  if (label->locals) drop_locals(*label->locals);
  task.about = label->site;
  task.labelled = false;
  alloc::frame_free(label, task_label_bytes(label->length));
}

task_state& make_task(frame_handle root, std::string_view name, std::source_location where) {
  task_state* made = nullptr;
  try {
    made = ::new (alloc::frame_allocate(sizeof(task_state))) task_state;
    label_task(*made, name, where);
  } catch (...) {
    if (made) alloc::frame_free(made, sizeof(task_state));
    root.destroy();
    throw;
  }
  made->frame = root;
  made->references = 1;
  begin_task(*made, *this_loop);
  return *made;
}

namespace {

// Nested children have what the task has in whose frame they live.
const task_state& bearer_of(const task_state& task) noexcept {
  const task_state* bearer = &task;
  while (bearer->nested) bearer = static_cast<const task_state*>(bearer->about);
  return *bearer;
}

}  // namespace

std::string_view name_of(const task_state& task) noexcept {
  if (!task.labelled) return {};
  const auto* label = static_cast<const task_label*>(task.about);
  return {label->text, label->length};
}

std::source_location site_of(const task_state& task) noexcept {
  const task_state& bearer = bearer_of(task);
  const void* site = bearer.labelled ? static_cast<const task_label*>(bearer.about)->site : bearer.about;
  return std::bit_cast<std::source_location>(site);
}

local_values* locals_of(const task_state& task) noexcept {
  const task_state& bearer = bearer_of(task);
  return bearer.labelled ? static_cast<const task_label*>(bearer.about)->locals : nullptr;
}

void set_locals(task_state& task, local_values* locals) {
  if (!task.labelled) {
    if (!locals) return;
    add_label(task, {}, nullptr);
  }
  auto* label = const_cast<task_label*>(static_cast<const task_label*>(task.about));
  if (local_values* const before = std::exchange(label->locals, locals)) drop_locals(*before);
}

void start_eagerly(task_state& fresh) noexcept {
  if (this_loop->depth >= max_await_depth) {
    this_loop->ready.push(fresh, false);
  } else {
    start_inline(fresh);
  }
}

void call_when_ended(task_state& task, callback_block& callback) {
  if (task.now == phase::finished) return queue_callback(callback, false);
  if (!task.has_callbacks) {
    void* memory = nullptr;
    try {
      memory = alloc::frame_allocate(sizeof(callback_list));
    } catch (...) {
      drop_callback(callback);  // it will never be queued
      throw;
    }
    auto* list = ::new (memory) callback_list;
    list->joiner = std::exchange(task.on_end, list);
    list->ended = [](end_hook& hook, task_state& ended) noexcept {
      auto& mine = static_cast<callback_list&>(hook);
      ended.has_callbacks = false;
      while (!mine.callbacks.empty()) {
        auto& next = static_cast<ready_callback&>(*mine.callbacks.pop().node);
        queue_callback(static_cast<callback_block&>(next), false);
      }
      end_hook* const joiner = mine.joiner;
      alloc::frame_free(&mine, sizeof(callback_list));
      if (joiner) joiner->ended(*joiner, ended);
    };
    task.has_callbacks = true;
  }
  callback.loop = task.loop;
  static_cast<callback_list*>(task.on_end)->callbacks.push(callback, true);
}

namespace {

// A handle used on another core: the owner does it. Sent to a loop that is alive: a handle must not outlive run().
struct handle_message : message {
  task_state* task;
};

void send_about(task_state& task, void (*receive)(message&) noexcept) noexcept {
  auto* sent =
      new handle_message;  // NOLINT(bugprone-unhandled-exception-at-new): a cancel must not get lost quietly
  sent->task = &task;
  sent->receive = receive;
  static_cast<loop*>(task.loop)->send(*sent);
}

}  // namespace

void release_handle(task_state& task) noexcept {
  if (task.loop == this_loop) return drop_reference(task);
  send_about(task, [](message& sent) noexcept {
    auto& mine = static_cast<handle_message&>(sent);
    drop_reference(*mine.task);
    delete &mine;
  });
}

// The handle that asks may be gone before the message arrives, but its own farewell comes after this message.
void cancel_from_anywhere(task_state& task) noexcept {
  if (task.loop == this_loop) return request_cancel(task);
  send_about(task, [](message& sent) noexcept {
    auto& mine = static_cast<handle_message&>(sent);
    request_cancel(*mine.task);
    delete &mine;
  });
}

void report_unjoined(task_state& task, frame_handle root) noexcept {
  const auto handler = unjoined_failure.load(std::memory_order_relaxed);
  handler(name_of(task), site_of(task), root.promise().note.error());
}

void report_failed_callback(const std::exception_ptr& error) noexcept {
  unjoined_failure.load(std::memory_order_relaxed)("callback", std::source_location{}, error);
}

}  // namespace detail
}  // namespace axle
