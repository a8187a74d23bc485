// Making tasks, naming them, and what happens to their handles on other cores. Owning thread, but for the two
// functions that say otherwise.
#include <axle/spawn.hpp>

#include <atomic>
#include <bit>
#include <cstdio>
#include <exception>
#include <new>

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

const void* make_about(std::string_view name, std::source_location where) {
  const void* site = std::bit_cast<const void*>(where);
  if (name.empty()) return site;
  auto* named = static_cast<named_site*>(alloc::frame_allocate(named_site_bytes(name.size())));
  named->site = site;
  named->length = static_cast<std::uint32_t>(name.size());
  std::memcpy(named->text, name.data(), name.size());
  return named;
}

void free_about(const task_state& task) noexcept {
  if (!task.named) return;
  auto* name = const_cast<named_site*>(static_cast<const named_site*>(task.about));
  alloc::frame_free(name, named_site_bytes(name->length));
}

task_state& make_task(frame_handle root, std::string_view name, std::source_location where) {
  task_state* made = nullptr;
  try {
    made = ::new (alloc::frame_allocate(sizeof(task_state))) task_state;
    made->about = make_about(name, where);
  } catch (...) {
    if (made) alloc::frame_free(made, sizeof(task_state));
    root.destroy();
    throw;
  }
  made->named = !name.empty();
  made->frame = root;
  made->references = 1;
  begin_task(*made, *this_loop, made->about);
  return *made;
}

std::string_view name_of(const task_state& task) noexcept {
  if (!task.named) return {};
  const auto* named = static_cast<const named_site*>(task.about);
  return {named->text, named->length};
}

std::source_location site_of(const task_state& task) noexcept {
  const void* about = task.named ? static_cast<const named_site*>(task.about)->site : task.about;
  return std::bit_cast<std::source_location>(about);
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
  handler(name_of(task), site_of(task), root.promise().error);
}

void report_failed_callback(const std::exception_ptr& error) noexcept {
  unjoined_failure.load(std::memory_order_relaxed)("callback", std::source_location{}, error);
}

}  // namespace detail
}  // namespace axle
