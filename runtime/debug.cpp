// What debug mode warns of. Any thread, where it does not say otherwise.
#include <axle/debug.hpp>

#include <cstdarg>
#include <cstdio>
#include <string>

#include <axle/inspect.hpp>
#include <axle/shield.hpp>
#include "loop.hpp"

namespace axle {

namespace detail {

std::atomic<bool> debug_mode{false};

namespace {

void print_warning(std::string_view text) noexcept {
  std::fprintf(stderr, "axle: %.*s\n", static_cast<int>(text.size()), text.data());
}
std::atomic<warning_handler> handler{print_warning};

constexpr double ms(std::int64_t ns) noexcept { return static_cast<double>(ns) / 1e6; }

}  // namespace

void warn(const char* format, ...) noexcept {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  handler.load(std::memory_order_relaxed)(text);
}

void drop_unrun(frame_handle frame) noexcept {
  if (debugging() && !frame.promise().note.has_begun()) {
    const std::source_location where = frame.promise().note.where();
    warn("a task of %s (%s:%u) was never awaited; is a co_await or a spawn missing?", where.function_name(),
         where.file_name(), where.line());
  }
  frame.destroy();
}

// Owning core. The task may be gone when it has run, so what is to be said is taken down before.
void loop::run_item_timed(ready_queue::item next) noexcept {
  char who[192] = "a callback";
  if (!next.is_callback) {
    const auto& task = static_cast<const task_state&>(*next.node);
    const std::string_view name = name_of(task);
    // Of another library's frame nothing is known.
    const std::source_location from =
        task.foreign ? std::source_location() : task.frame.promise().note.where();
    const std::source_location born = site_of(task);
    std::snprintf(who, sizeof who, "task #%u \"%.*s\" (spawned at %s:%u), which went on from %s:%u,", task.id,
                  static_cast<int>(name.size()), name.data(), born.file_name(), born.line(), from.file_name(),
                  from.line());
  }
  const std::int64_t begin = driver_->now();
  if (next.is_callback) {
    auto& callback = static_cast<ready_callback&>(*next.node);
    callback.run(callback);
  } else {
    run_task(static_cast<task_state&>(*next.node));
  }
  const std::int64_t took = driver_->now() - begin;
  if (took > limits_.slow_ns) warn("%s held up core %u for %.1f ms", who, core, ms(took));
}

std::int64_t shield_scope::watch() const noexcept { return task_->loop->drives->now(); }

void shield_scope::report() const noexcept {
  const std::int64_t took = task_->loop->drives->now() - since_ns_;
  if (!task_->cancel_requested || took <= static_cast<loop*>(task_->loop)->limits().slow_ns) return;
  warn("task #%u was asked to end, and the shield at %s:%u held that up; it took %.1f ms", task_->id,
       where_.file_name(), where_.line(), ms(took));
}

// Owning core.
void loop::look_for_deadlocks() noexcept {
  constexpr std::int64_t every_ns = 1'000'000'000;
  next_look_ns_ = deadline_after(now_ns, every_ns);
  try {
    const std::vector<task_info> tasks = axle::all_tasks();
    const auto circles = deadlocks(tasks);
    if (circles.size() > deadlocks_seen_)
      warn("core %u: tasks wait for each other, and only a cancel would end it: %s", core,
           describe(tasks).c_str());
    deadlocks_seen_ = circles.size();
  } catch (const std::bad_alloc&) {
    warn("core %u: no memory to look for deadlocks", core);
  }
}

}  // namespace detail

warning_handler set_warning_handler(warning_handler given) noexcept {
  return detail::handler.exchange(given ? given : detail::print_warning, std::memory_order_relaxed);
}

}  // namespace axle
