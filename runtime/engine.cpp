// Starting and stopping loops: see engine.hpp for the order. Each loop is made, run and destroyed by its own thread.
// Every atomic here is sequentially consistent unless it says otherwise: all of it happens at the start or at the end.
#include "engine.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

#include <axle/call.hpp>
#include <axle/cores.hpp>
#include <axle/debug.hpp>

namespace axle::detail {

namespace {

thread_local constinit engine* this_engine = nullptr;

// Pins the calling thread and makes its timers precise, for as long as it lives: the main thread is the user's, and
// gets back what it had.
class thread_setting {
 public:
  explicit thread_setting(const placement& place) {
    slack_ = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (!place.pinned) return;
    before_.emplace();
    if (sched_getaffinity(0, sizeof *before_, &*before_) != 0) before_.reset();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(place.os_index, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
      throw std::system_error(errno, std::system_category(),
                              "cannot pin a loop to processor " + std::to_string(place.os_index));
  }
  ~thread_setting() {
    if (before_) sched_setaffinity(0, sizeof *before_, &*before_);
    if (slack_ > 0) prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack_));
  }
  thread_setting(const thread_setting&) = delete;
  thread_setting& operator=(const thread_setting&) = delete;

 private:
  int slack_;
  std::optional<cpu_set_t> before_;
};

// A guest is one loop, and its signals are its host's.
option_values for_guest(option_values options) {
  options.now.cores = {};
  options.now.handle_signals = false;
  return options;
}

void say_once(const std::string& line) {
  static std::mutex lock;
  static std::string said;
  const std::lock_guard guard(lock);
  if (said == line) return;
  said = line;
  std::fprintf(stderr, "axle: %s\n", line.c_str());
}

// relaxed: only to be different each time
std::uint64_t next_run_number() noexcept {
  static std::atomic<std::uint64_t> latest{0};
  return latest.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

engine_registry& engine_registry::instance() {
  static engine_registry registry;
  return registry;
}

engine*& current_engine() noexcept { return this_engine; }

engine::engine(const run_options& given, loop_host* host)
    : engine(host ? for_guest(settle_options(given)) : settle_options(given), host) {}

engine::engine(option_values settled, loop_host* host) : host_(host), run_number_(next_run_number()) {
  choose_places(settled);
  options_.assign(places_.size(), settled);
  loops_.resize(places_.size());
  lanes_.resize(places_.size());
  if (settled.now.debug) debug_mode.store(true, std::memory_order_relaxed);
  if (settled.now.driver == "sim" && places_.size() > 1)
    throw std::invalid_argument(
        "the sim driver has a clock of its own, so it drives one core: cores must be 1");
}

// Reading the machine takes milliseconds: not for one loop that may run anywhere.
void engine::choose_places(option_values& settled) {
  if (settled.now.cores.is_default()) {
    places_ = {{.os_index = 0, .numa_node = 0, .pinned = false}};
    return;
  }
  const topology machine = topology::detect();
  try {
    places_ = machine.place(settled.now.cores);
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument(origin_of(settled, "cores") + refused.what());
  }
  // Spinning would take the processor from the loop that is waited for, or from the quota of all.
  const bool crowded = places_.size() > machine.processors().size();
  if (crowded && settled.now.poll == poll_mode::adaptive) settled.now.poll = poll_mode::blocking;
  if (machine.quota() > 0)
    processors_per_loop_ = std::min(1.0, machine.quota() / static_cast<double>(places_.size()));
}

loop_limits engine::limits_of(const run_options& options) const {
  return {.tasks_per_turn = options.tasks_per_turn,
          .run_ns = options.run_budget.count(),
          .debug = options.debug,
          .slow_ns = options.slow_callback.count(),
          .idle = {.mode = options.poll,
                   .limit_ns = options.spin_limit.count(),
                   .wake_cost_ns = measured_wake_cost_ns(),
                   .processors = processors_per_loop_}};
}

engine::~engine() {
  for (std::thread& thread : threads_) thread.join();
  for (const auto& from : lanes_)
    for (lane* each : from) delete each;
}

std::unique_ptr<loop> engine::make_loop(unsigned core) {
  std::string why_not;
  const run_options& options = options_[core].now;
  auto made = make_driver({.name = options.driver,
                           .ring_entries = options.ring_entries,
                           .buffers = options.buffers,
                           .buffer_bytes = options.buffer_bytes,
                           .seed = options.seed + core},
                          why_not);
  if (!why_not.empty()) say_once(why_not);
  if (host_ && made->descriptor() < 0)
    throw std::invalid_argument("the " + std::string(made->name()) +
                                " driver has no descriptor that another loop could watch");
  auto ready = std::make_unique<loop>(std::move(made), core, limits_of(options));
  ready->key = core_key(run_number_, core);
  ready->cores = size();
  if (host_) ready->be_guest_of(*host_);
  return ready;
}

void engine::set_options(unsigned core, option_values changed) noexcept {
  options_[core] = std::move(changed);
  loops_[core]->set_limits(limits_of(options_[core].now));
}

void engine::set_poll_mode(unsigned core, poll_mode mode) noexcept {
  options_[core].now.poll = mode;
  loops_[core]->set_limits(limits_of(options_[core].now));
}

// A core's whole life. The first failure to start is kept for run() to throw; the others then stop unused.
void engine::serve_core(unsigned core) noexcept {
  std::optional<thread_setting> setting;
  try {
    setting.emplace(places_[core]);
    loops_[core] = make_loop(core);
  } catch (...) {
    const std::lock_guard guard(failure_lock_);
    if (!failure_) failure_ = std::current_exception();
  }
  made_.fetch_add(1);
  made_.notify_all();
  for (unsigned seen = made_.load(); seen < size(); seen = made_.load()) made_.wait(seen);
  {
    const std::lock_guard guard(failure_lock_);
    if (failure_) {
      loops_[core].reset();
      return;
    }
  }
  loop& mine = *loops_[core];
  this_loop = &mine;
  this_engine = this;
  serve_until_told(mine);
  drain(mine);
  mine.drop_leftovers();
  // Every loop stops before any is destroyed: a late message must find a mailbox.
  stopped_.fetch_add(1);
  stopped_.notify_all();
  for (unsigned seen = stopped_.load(); seen < size(); seen = stopped_.load()) stopped_.wait(seen);
  mine.drop_leftovers();
  {
    // A stranger who has woken this loop may still be about it.
    const std::lock_guard guard(engine_registry::instance().lock);
  }
  loops_[core].reset();
  this_loop = nullptr;
  this_engine = nullptr;
}

void engine::serve_until_told(loop& mine) noexcept {
  if (mine.core == 0) {
    begin_task(*main_, mine);
    main_->observed = true;
    main_->on_end = main_;
    main_->ended = [](end_hook&, task_state&) noexcept {
      this_engine->main_ended_ = true;
      this_engine->at(0).wake();  // this turn must not end asleep
    };
    mine.ready.push(*main_, false);
    stage_.store(stage::running);
    if (host_) {
      mine.drives->alarm(0);
      host_->leave();
    }
    while (!main_ended_) {
      mine.turn(cut_at_ns_);
      watch_signals(*main_);
    }
    if (stage_.load() == stage::running) advance_to(stage::draining);
    return;
  }
  while (stage_.load(std::memory_order_relaxed) <= stage::running) mine.turn(timer_wheel::never);
}

// A stop signal cancels main, which gets `drain` to end; then shields are pierced, on every core.
void engine::watch_signals(main_task& main) noexcept {
  if (signals_.load(std::memory_order_relaxed) != signals_seen_) {
    signals_seen_ = signals_.load(std::memory_order_relaxed);
    request_cancel(main);
    cut_at_ns_ = deadline_after(this_loop->drives->now(), options_[0].now.drain.count());
  }
  if (cut_at_ns_ < timer_wheel::never && this_loop->now_ns >= cut_at_ns_) {
    if (stage_.load() < stage::cutting) advance_to(stage::cutting);
    for (task_state* each = this_loop->all_tasks; each; each = each->next_task) each->shields = 0;
    cancel_all(static_cast<loop&>(*this_loop));
    cut_at_ns_ = timer_wheel::never;
  }
}

// A task that another one owns is ended by that: it may be part of what a shield, or a clean-up, is to protect.
void engine::cancel_all(loop& mine) noexcept {
  const bool cut = stage_.load() >= stage::cutting;
  for (task_state* each = mine.all_tasks; each; each = each->next_task) {
    if (cut) each->shields = 0;
    if (cut || !each->owned) request_cancel(*each);
  }
}

// Cancels and turns until every core is quiet at the same time. `busy_` counts the cores that are not.
void engine::drain(loop& mine) noexcept {
  bool counted_busy = true;
  stage seen = stage::draining;
  std::int64_t give_up_ns = deadline_after(mine.drives->now(), options_[mine.core].now.drain.count());
  cancel_all(mine);
  std::uint32_t cancelled_up_to = mine.next_id;
  while (stage_.load() != stage::stopped) {
    if (const stage now = stage_.load(); now != seen) {
      seen = now;
      cancel_all(mine);
      give_up_ns = deadline_after(mine.drives->now(), options_[mine.core].now.drain.count());
    }
    const bool busy = !mine.quiet();
    if (busy != counted_busy) {
      counted_busy = busy;
      if (busy) {
        busy_.fetch_add(1);
      } else if (busy_.fetch_sub(1) == 1) {
        advance_to(stage::stopped);
        break;
      }
    }
    if (busy && mine.now_ns >= give_up_ns) {
      give_up_ns = deadline_after(mine.now_ns, options_[mine.core].now.drain.count());
      if (stage_.load() < stage::cutting) {
        advance_to(stage::cutting);
        continue;  // pierce the shields now
      }
      mine.report_stuck();
      std::_Exit(70);  // EX_SOFTWARE: a task that never ends, in a program that was to stop
    }
    // A turn that makes this core quiet must not fall asleep over it: others wait to be told.
    const bool may_sleep = mine.ready.empty() && mine.microtasks.empty();
    mine.turn(!may_sleep ? 0 : busy ? give_up_ns : timer_wheel::never);
    if (!mine.quiet() && !counted_busy) {
      counted_busy = true;
      busy_.fetch_add(1);
    }
    if (mine.next_id != cancelled_up_to) {  // what was spawned meanwhile
      cancelled_up_to = mine.next_id;
      cancel_all(mine);
    }
  }
}

void engine::advance_to(stage next) noexcept {
  stage_.store(next);
  for (const auto& each : loops_)
    if (each && each.get() != this_loop) each->wake();
}

void engine::signalled() noexcept {
  signals_.fetch_add(1, std::memory_order_relaxed);
  if (loops_[0]) loops_[0]->wake();
}

// SIGINT and SIGTERM, for the first engine of the process; what was set before comes back afterwards.
struct engine_signals {
  static constexpr int watched[] = {SIGINT, SIGTERM};

  static void on_signal(int number) {
    const int saved = errno;
    if (engine* active = engine_registry::instance().active.load()) {
      if (active->signals_.load(std::memory_order_relaxed) >= 1) {
        signal(number, SIG_DFL);  // the second one ends the process at once
        raise(number);
      } else {
        active->signalled();
      }
    }
    errno = saved;
  }

  explicit engine_signals(bool wanted) : on_(wanted) {
    struct sigaction ignore_pipe = {};
    ignore_pipe.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore_pipe, &pipe_before_);
    if (!on_) return;
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < std::size(watched); ++i) sigaction(watched[i], &action, &before_[i]);
  }
  ~engine_signals() {
    sigaction(SIGPIPE, &pipe_before_, nullptr);
    if (!on_) return;
    for (std::size_t i = 0; i < std::size(watched); ++i) sigaction(watched[i], &before_[i], nullptr);
  }
  engine_signals(const engine_signals&) = delete;
  engine_signals& operator=(const engine_signals&) = delete;

 private:
  bool on_;
  struct sigaction before_[std::size(watched)];
  struct sigaction pipe_before_;
};

void engine::run(main_task& main) {
  main_ = &main;
  busy_.store(size());
  engine_registry& registry = engine_registry::instance();
  engine* none = nullptr;
  const bool first = registry.active.compare_exchange_strong(none, this);
  struct leave {
    engine_registry& registry;
    bool first;
    ~leave() {
      if (!first) return;
      const std::lock_guard guard(registry.lock);
      registry.active.store(nullptr);
    }
  };
  const engine_signals signals(options_[0].now.handle_signals && first);
  try {
    for (unsigned core = 1; core < size(); ++core) threads_.emplace_back([this, core] { serve_core(core); });
  } catch (const std::system_error& error) {
    // A thread was refused: the loops that exist must still pass the barrier, and then stop.
    {
      const std::lock_guard guard(failure_lock_);
      failure_ = std::make_exception_ptr(std::system_error(
          error.code(), "cannot start a thread for core " + std::to_string(threads_.size() + 1) + " of " +
                            std::to_string(size()) + "; see `ulimit -u` and the cgroup's pids.max"));
    }
    made_.fetch_add(size() - 1 - static_cast<unsigned>(threads_.size()));
  }
  {
    const leave at_end{registry, first};
    serve_core(0);
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (failure_) std::rethrow_exception(failure_);
}

void run_main(const run_options& options, main_task& main) {
  AXLE_CHECK(this_loop == nullptr, "run() was called inside a loop; await the task, or use spawn");
  engine(options).run(main);
}

// Allocated by the writer, for its memory is to be near.
lane* engine::make_lane(loop_core& here, unsigned core) noexcept {
  AXLE_CHECK(core < size(), "core %u does not exist: this run has %u, counted from 0", core, size());
  std::vector<lane*>& mine = lanes_[here.core];
  try {
    if (mine.empty()) mine.resize(size());
    mine[core] = new lane(here.core, at(core), at(core).readers_attention());
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  here.lanes = mine.data();
  return mine[core];
}

}  // namespace axle::detail

namespace axle {

unsigned this_core() noexcept { return detail::need_loop("this_core").core; }

std::string_view driver_name() noexcept { return detail::need_loop("driver_name").drives->name(); }

void set_poll_mode(poll_mode mode) noexcept {
  const detail::loop_core& here = detail::need_loop("set_poll_mode");
  detail::this_engine->set_poll_mode(here.core, mode);
}

poll_mode current_poll_mode() noexcept {
  detail::need_loop("current_poll_mode");
  return static_cast<detail::loop*>(detail::this_loop)->idle().mode();
}

idle_statistics idle_times() noexcept {
  detail::need_loop("idle_times");
  return static_cast<detail::loop*>(detail::this_loop)->idle_times();
}

unsigned core_count() noexcept {
  detail::need_loop("core_count");
  return detail::this_engine->size();
}

}  // namespace axle
