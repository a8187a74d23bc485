// The turn of a loop, in the order that is promised: read downwards from turn(). Owning thread only, but for send().
#include "loop.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <axle/call.hpp>
#include <axle/clock.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>
#include "sleep_protocol.hpp"

namespace axle::detail {

loop::loop(std::unique_ptr<driver> drives_it, unsigned core_number, loop_limits limits)
    : loop_core(drives_it->now()),
      driver_(std::move(drives_it)),
      limits_(limits),
      idle_(limits.idle, now_ns) {
  core = core_number;
  drives = driver_.get();
  window = &calls_;
  can_spin_ = drives->runs_in_real_time();
}

loop::~loop() = default;

void loop::turn(std::int64_t until_ns) noexcept {
  ++turns_;
  run_ready();
  take_mail();
  fire_timers();
  exchange_operations(until_ns);
}

// 1. Microtasks first, and again after whatever else has run, as JavaScript does after each macrotask. What these tasks queue runs in
// the same turn, behind what was queued before, as far as the budget goes.
void loop::run_ready() noexcept {
  unsigned microtask_budget = microtasks_per_turn();
  run_microtasks(microtask_budget);
  unsigned budget = limits_.tasks_per_turn / 2 + microtask_budget + 1;
  std::int64_t limit = 0;  // from the first look at the clock: now_ns may be from before a long sleep
  for (unsigned ran = 1; !ready.empty() && budget; ++ran) {
    --budget;
    run_item(ready.pop());
    run_microtasks(budget);
    if (ran % 64 != 4) continue;  // a short turn does without
    const std::int64_t now = driver_->now();
    if (!limit) limit = now + limits_.run_ns;
    if (now > limit) break;
  }
}

void loop::run_microtasks(unsigned& budget) noexcept {
  while (!microtasks.empty() && budget) {
    --budget;
    run_item(microtasks.pop());
  }
}

void loop::run_item(ready_queue::item next) noexcept {
  if (limits_.debug) [[unlikely]]
    return run_item_timed(next);
  if (next.is_callback) {
    auto& callback = static_cast<ready_callback&>(*next.node);
    callback.run(callback);
  } else {
    run_task(static_cast<task_state&>(*next.node));
  }
}

// 2. Threads without a loop first; each lane as far as it holds now.
void loop::take_mail() noexcept {
  unsigned budget = microtasks_per_turn();
  for (message* sent = mail_.take_all(); sent;) {
    message* after = sent->next;
    lane* const full = sent->spilled_from;
    if (full) take_parcels(*full, budget);  // they were sent before it
    sent->receive(*sent);
    if (full) full->unspilled();
    run_microtasks(budget);
    sent = after;
  }
  for (lane* each = lanes_in_; each; each = each->next_lane) take_parcels(*each, budget);
}

void loop::take_parcels(lane& from, unsigned& budget) noexcept {
  unsigned taken = 0;
  for (parcel* first = from.first(); first && taken < lane::size; first = from.first()) {
    first->open(*first, from.from);
    from.pop();
    ++taken;
    if (!microtasks.empty()) run_microtasks(budget);
  }
  if (!taken) return;
  from.give_back();
  parcels_since_sleep_ += taken;
  if (parcels_since_sleep_ >= parcels_that_pay) [[unlikely]]
    be_busy();
}

bool loop::has_mail() const noexcept {
  if (!mail_.empty()) return true;
  for (lane* each = lanes_in_; each; each = each->next_lane)
    if (each->first()) return true;
  return false;
}

// 3. Due timers, in order of deadline; what is over the budget stays due for the next turn.
void loop::fire_timers() noexcept {
  precise_now(*this);
  unsigned budget = limits_.tasks_per_turn * 16;
  while (budget && wheel.advance(now_ns))
    for (; budget; --budget) {
      timer_node* due = wheel.pop_due();
      if (!due) break;
      due->kind->complete(*due);
    }
}

// 4 and 5. One call each to submit and to wait. Completions resume their tasks here, in this turn.
void loop::exchange_operations(std::int64_t until_ns) noexcept {
  if (!staged.empty()) driver_->submit(staged);
  operation_list completed;
  if (!ready.empty() || !microtasks.empty()) {
    wait_in_driver(completed, 0);
  } else {
    until_ns = std::min(until_ns, wheel.next_deadline());
    const bool forever = until_ns == timer_wheel::never && in_driver == 0;
    const bool worth_a_look = limits_.debug || (forever && task_count <= tasks_looked_through);
    if (task_count && worth_a_look && now_ns >= next_look_ns_) [[unlikely]]
      look_for_deadlocks();
    if (limits_.debug && !forever) until_ns = std::min(until_ns, next_look_ns_);
    idle_until(completed, until_ns);
  }
  unsigned budget = microtasks_per_turn();
  while (operation* done = completed.pop_front()) {
    done->listed = false;
    if (!done->more) --in_driver;
    done->kind->complete(*done);
    run_microtasks(budget);
  }
}

// 5. Spins while that has been paying off, then sleeps.
void loop::idle_until(operation_list& completed, std::int64_t until_ns) noexcept {
  const std::int64_t spin_ns = can_spin_ && until_ns > now_ns ? idle_.spin_ns(now_ns) : 0;
  if (!spin_ns && idle_.mode() == poll_mode::blocking) return sleep(completed, until_ns);
  idle_policy::idle_time idle = {.began_ns = now_ns};
  if (!spin_ns || !spin(completed, until_ns, spin_ns, idle)) {
    sleep(completed, until_ns);
    precise_now(*this);
  }
  idle.ended_ns = now_ns;
  idle_.ended(idle);
}

// True: there is something to do, or the deadline. With other cores there are several looks at the lanes between two at the driver
// and the clock: a message may come every hundred nanoseconds. What it makes ready runs from here, in turns that are cut short
// until something else is to be done.
bool loop::spin(operation_list& completed, std::int64_t until_ns, std::int64_t for_ns,
                idle_policy::idle_time& idle) noexcept {
  if (idle_.mode() == poll_mode::busy) be_busy();
  ++idle_times_.spins;
  const unsigned looks = cores > 1 ? 128 : 1;
  std::int64_t end_ns = deadline_after(now_ns, for_ns);
  bool done = false;
  const bool never_sleeps = for_ns == INT64_MAX;
  while (!done && now_ns < end_ns && (never_sleeps || !idle.interrupted)) {
    bool served = false;
    for (unsigned i = 0; i < looks && !done; ++i)
      if (has_mail()) {
        take_mail();
        run_ready();
        served = true;
        done = !ready.empty() || !microtasks.empty() || !staged.empty() || wheel.next_deadline() < until_ns ||
               was_told();
      }
    if (done) break;  // the turn reads the clock
    driver_->wait(completed, 0);
    const std::int64_t before_ns = now_ns;
    precise_now(*this);
    idle.interrupted = now_ns - before_ns > longest_gap_ns;
    done = !completed.empty() || now_ns >= until_ns || was_told();
    if (served && !done) {  // another idle time begins
      idle.ended_ns = now_ns;
      idle.spun_ns = now_ns - idle.began_ns;
      count_spun(idle, true);
      idle_.ended(idle);
      idle = {.began_ns = now_ns};
      end_ns = deadline_after(now_ns, for_ns);
    }
  }
  idle.spun_ns = now_ns - idle.began_ns;
  count_spun(idle, done);
  return done;
}

void loop::count_spun(const idle_policy::idle_time& idle, bool paid) noexcept {
  idle_times_.paid += paid;
  idle_times_.spun += std::chrono::nanoseconds(idle.spun_ns);
}

bool loop::was_told() noexcept {
  // acq_rel: pairs with wake(), whose reason is then seen
  return told_.load(std::memory_order_relaxed) && told_.exchange(false, std::memory_order_acq_rel);
}

void loop::be_busy() noexcept {
  parcels_since_sleep_ = 0;
  // Not stored again: the line is in every sender's cache.
  if (attention_.load(std::memory_order_relaxed) != attention::busy && has_barrier_in_all_threads())
    attention_.store(attention::busy, std::memory_order_relaxed);
}

// See sleep_protocol.hpp.
void loop::sleep(operation_list& completed, std::int64_t until_ns) noexcept {
  parcels_since_sleep_ = 0;
  if (attention_.load(std::memory_order_relaxed) == attention::busy) {
    attention_.store(attention::drowsy, std::memory_order_relaxed);
    barrier_in_all_threads();
  }
  attention_.store(attention::asleep, std::memory_order_relaxed);
  std::atomic_thread_fence(
      std::memory_order_seq_cst);  // seq_cst: say it, then look; pairs with nudge() and send()
  const bool slept = until_ns > 0 && !has_mail();
  wait_in_driver(completed, slept ? until_ns : 0);
  attention_.store(attention::drowsy, std::memory_order_relaxed);
  idle_times_.sleeps += slept;
}

// A guest sleeps in its host. What it has staged goes to the kernel before that, and a wake that was collected meanwhile must
// not be slept over.
void loop::wait_in_driver(operation_list& completed, std::int64_t until_ns) noexcept {
  if (!host_) [[likely]]
    return driver_->wait(completed, until_ns);
  driver_->wait(completed, 0);
  driver_->alarm(was_told() || !completed.empty() || !mail_.empty() ? 0 : until_ns);
  host_->leave();
  if (completed.empty()) driver_->wait(completed, 0);
}

void loop::send(message& sent) noexcept {
  mail_.push(sent);
  wake_if_asleep();
}

void loop::wake_if_asleep() noexcept {
  // seq_cst: after the push or the fence, look whether the owner sleeps; pairs with sleep()
  attention seen = attention_.load(std::memory_order_seq_cst);
  // relaxed: one of several wakes it, and what they sent is ordered by other means
  if (seen == attention::asleep &&
      attention_.compare_exchange_strong(seen, attention::drowsy, std::memory_order_relaxed))
    driver_->wake();
}

void loop::read(lane& opened) noexcept {
  opened.next_lane = lanes_in_;
  lanes_in_ = &opened;
}

void nudge(lane& posted_to) noexcept {
  std::atomic_thread_fence(
      std::memory_order_seq_cst);  // seq_cst: the parcel, then the look; pairs with sleep()
  posted_to.reader->wake_if_asleep();
}

// A late post may have spawned a task: it ends before it begins.
void loop::drop_leftovers() noexcept {
  take_mail();
  while (task_count && !ready.empty()) {
    for (task_state* each = all_tasks; each; each = each->next_task) request_cancel(*each);
    run_ready();
  }
  while (wheel.advance(timer_wheel::never))
    while (timer_node* left = wheel.pop_due()) drop_timed_call(*left);
  for (ready_queue* lane : {&microtasks, &ready})
    while (!lane->empty())
      if (const ready_queue::item left = lane->pop(); left.is_callback)
        drop_uncalled(static_cast<callback_block&>(static_cast<ready_callback&>(*left.node)));
}

void loop::report_stuck() noexcept {
  std::fprintf(stderr, "axle: core %u: %zu tasks did not end when they were cancelled:\n", core, task_count);
  for (task_state* each = all_tasks; each; each = each->next_task) {
    const std::string_view name = name_of(*each);
    const char* waits = each->waiting() ? each->waiting()->kind->what : "nothing";
    std::fprintf(stderr, "axle:   task %u \"%.*s\", waiting for: %s\n", each->id,
                 static_cast<int>(name.size()), name.data(), waits);
  }
}

void precise_now(loop_core& core) noexcept { core.now_ns = core.drives->now(); }

}  // namespace axle::detail
