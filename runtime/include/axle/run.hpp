// run: from main() to loops and back; one call.
//
// It chooses cores, starts one loop on each (the first on the calling thread), runs the main task on core 0, and when that
// has ended cancels what is left, drains, and stops the loops. Ctrl-C (SIGINT) and SIGTERM cancel the main task, so that
// servers stop gracefully; a second one ends the process at once.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <axle/detail/family.hpp>
#include <axle/outcome.hpp>
#include <axle/poll_mode.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>
#include <axle/topology.hpp>

namespace axle {

/// What a run goes by. Every field can also be set from outside, as AXLE_TASKS_PER_TURN or in the file that AXLE_CONFIG names, and
/// that wins: see options.hpp.
struct run_options {
  core_choice cores = {};  ///< default: one loop, not pinned
  std::string_view driver =
      {};                      ///< "uring", "epoll", "sim"; named here it stays; default: the best that works
  bool handle_signals = true;  ///< SIGINT and SIGTERM
  std::chrono::nanoseconds drain = std::chrono::seconds(10);  ///< after a cancel, until shields are pierced
  unsigned tasks_per_turn = 256;  ///< ready tasks run before the turn goes on to timers and I/O
  std::chrono::nanoseconds run_budget = std::chrono::microseconds(500);  ///< the same, as time
  poll_mode poll = poll_mode::adaptive;  ///< what an idle loop does; blocking if loops outnumber processors
  std::chrono::nanoseconds spin_limit = std::chrono::microseconds(200);  ///< adaptive: no spin is longer
  std::uint32_t ring_entries = 1024;
  std::uint32_t buffers = 2'048;  ///< receive buffers of each core; memory is touched as the load needs it
  std::uint32_t buffer_bytes = 16'384;
  std::uint64_t seed = 0;  ///< of the "sim" driver
  bool debug = false;      ///< warn of what is probably wrong, see debug.hpp
  std::chrono::nanoseconds slow_callback = std::chrono::milliseconds(100);  ///< what debug warns of
  bool ask_environment = true;  ///< false: these stand, whatever AXLE_CONFIG and AXLE_... say
};

namespace detail {

struct main_task : task_state, end_hook {
  explicit main_task(frame_handle root) noexcept { frame = root; }
  main_task(const main_task&) = delete;
  main_task& operator=(const main_task&) = delete;
  ~main_task() {
    if (frame) frame.destroy();
    free_label(*this);
  }
};

/// Runs everything; returns when all loops have stopped. Throws what start-up throws.
AXLE_EXPORT void run_main(const run_options& options, main_task& main);

}  // namespace detail

/// Runs a task to its end and gives its value or throws its exception. Cancelled by a signal, a task<> or task<int> ends
/// normally (0), any other throws `cancelled`. Throws std::invalid_argument or std::system_error if it cannot start.
template <class T>
T run(const run_options& options, task<T> main) {
  detail::main_task root(main.release());
  detail::run_main(options, root);
  if constexpr (std::is_void_v<T> || std::same_as<T, int>) {
    if (root.how == detail::ending::cancelled) return T();
  }
  return detail::outcome_of<T>(root).value();
}
template <class T>
T run(task<T> main) {
  return run(run_options{}, std::move(main));
}

/// Runs f(), which returns a task and is called on core 0.
template <class F>
  requires detail::makes_task<F>
auto run(const run_options& options, F f) {
  return run(options, detail::call_owned(std::move(f)));
}
template <class F>
  requires detail::makes_task<F>
auto run(F f) {
  return run(run_options{}, detail::call_owned(std::move(f)));
}

}  // namespace axle
