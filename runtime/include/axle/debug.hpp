// Debug mode: warnings of what is probably wrong, for `run_options::debug` or AXLE_DEBUG=1. asyncio's debug mode.
//
// With it a run tells of: a task or callback that held its loop up for longer than `run_options::slow_callback`; a task that
// was made and dropped without having been awaited or spawned; a shield that held a cancel up for that long; and, once a
// second, of tasks that wait for each other in a circle. Costs two looks at the clock for each task run.
//
// Told of always: a future whose exception nobody looked at; and a circle of tasks on a core that has nothing else to wait for
// and not more than 1,000 tasks.
// Each warning is one line for the handler, by default on stderr.
#pragma once

#include <atomic>
#include <string_view>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle {

/// Where warnings go, without "axle: " and newline. Any core may call it. Null: back to stderr. Gives the one before.
using warning_handler = void (*)(std::string_view text) noexcept;
AXLE_EXPORT warning_handler set_warning_handler(warning_handler handler) noexcept;

namespace detail {

/// Whether a run with debug has begun in this process; relaxed: only warnings depend on it.
AXLE_EXPORT extern std::atomic<bool> debug_mode;
inline bool debugging() noexcept { return debug_mode.load(std::memory_order_relaxed); }

AXLE_EXPORT void warn(const char* format, ...) noexcept __attribute__((format(printf, 1, 2)));

}  // namespace detail

}  // namespace axle
