// engine: the loops of one run(), their threads, and the way down. Private to runtime/.
//
// The way down, in order: main has ended or was cancelled -> every core cancels what it has -> all cores are quiet at
// once (no task, no operation; a call across cores keeps its caller's core busy) -> every loop stops.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <axle/run.hpp>
#include "loop.hpp"
#include "option_table.hpp"

namespace axle::detail {

class engine {
 public:
  /// With a host: one loop, the guest of another; run() then leaves to the host instead of sleeping.
  explicit engine(const run_options& given, loop_host* host = nullptr);
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  void run(main_task& main);

  loop& at(unsigned core) noexcept { return *loops_[core]; }
  /// A lane from the calling loop; null if there is no memory for it.
  lane* make_lane(loop_core& here, unsigned core) noexcept;
  unsigned size() const noexcept { return static_cast<unsigned>(places_.size()); }
  /// Whether threads without a loop may still post.
  bool accepts_posts() const noexcept { return stage_.load() == stage::running; }
  /// A stop signal has arrived. Async-signal-safe.
  void signalled() noexcept;

  /// A core's options, and new ones for it, which its loop goes by from the next turn on. That core only.
  const option_values& options_of(unsigned core) const noexcept { return options_[core]; }
  void set_options(unsigned core, option_values changed) noexcept;
  void set_poll_mode(unsigned core, poll_mode mode) noexcept;

  /// The first loop's driver.
  driver& drives() noexcept { return *loops_[0]->drives; }

  /// Messages of post_to under way, over all cores.
  std::atomic<std::uint32_t> posted{0};

 private:
  enum class stage : std::uint8_t { starting, running, draining, cutting, stopped };

  void serve_core(unsigned core) noexcept;  // a loop's life, on its own thread
  std::unique_ptr<loop> make_loop(unsigned core);
  void serve_until_told(loop& mine) noexcept;
  void drain(loop& mine) noexcept;
  void advance_to(stage next) noexcept;
  void cancel_all(loop& mine) noexcept;
  void watch_signals(main_task& main) noexcept;

  engine(option_values settled, loop_host* host);
  void choose_places(option_values& settled);
  loop_limits limits_of(const run_options& options) const;

  loop_host* host_;
  std::uint64_t run_number_;
  std::vector<placement> places_;
  std::vector<option_values> options_;        // one for each core
  std::vector<std::unique_ptr<loop>> loops_;  // each made, and ended, by its own thread
  std::vector<std::vector<lane*>> lanes_;  // from each core to each, once used; freed when no thread is left
  double processors_per_loop_ = 1;
  std::vector<std::thread> threads_;
  std::atomic<stage> stage_{stage::starting};
  std::atomic<unsigned> made_{0};
  std::atomic<unsigned> busy_{0};
  std::atomic<unsigned> stopped_{0};
  std::atomic<unsigned> signals_{0};
  unsigned signals_seen_ = 0;
  std::int64_t cut_at_ns_ = timer_wheel::never;
  std::mutex failure_lock_;
  std::exception_ptr failure_;
  bool main_ended_ = false;
  main_task* main_ = nullptr;

  friend struct engine_signals;
};

/// The engine of the calling thread's loop.
engine*& current_engine() noexcept;

/// The engine that post_to and signals reach: the first one running in this process. Guards its life.
struct engine_registry {
  std::mutex lock;
  std::atomic<engine*> active{nullptr};
  static engine_registry& instance();
};

}  // namespace axle::detail
