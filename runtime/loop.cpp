// The turn of a loop, in the order that is promised: read downwards from turn(). Owning thread only, but for send().
#include "loop.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <axle/call.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle::detail {

loop::loop(std::unique_ptr<driver> drives_it, unsigned core_number, loop_limits limits)
    : loop_core(drives_it->now()), driver_(std::move(drives_it)), limits_(limits) {
  core = core_number;
  drives = driver_.get();
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
  while (!ready.empty() && budget) {
    --budget;
    run_item(ready.pop());
    run_microtasks(budget);
    if (budget % 64) continue;
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

// 2.
void loop::take_mail() noexcept {
  unsigned budget = microtasks_per_turn();
  for (message* sent = mail_.take_all(); sent;) {
    message* after = sent->next;
    sent->receive(*sent);
    run_microtasks(budget);
    sent = after;
  }
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
    // seq_cst: announce sleep, then look once more; pairs with send()
    asleep_.store(true, std::memory_order_seq_cst);
    wait_in_driver(completed, mail_.empty() ? until_ns : 0);
    asleep_.store(false, std::memory_order_relaxed);
  }
  unsigned budget = microtasks_per_turn();
  while (operation* done = completed.pop_front()) {
    done->listed = false;
    if (!done->more) --in_driver;
    done->kind->complete(*done);
    run_microtasks(budget);
  }
}

// A guest sleeps in its host. What it has staged goes to the kernel before that, and a wake that was collected meanwhile must
// not be slept over.
void loop::wait_in_driver(operation_list& completed, std::int64_t until_ns) noexcept {
  if (!host_) [[likely]]
    return driver_->wait(completed, until_ns);
  driver_->wait(completed, 0);
  // acq_rel: pairs with wake(), whose wake is either told of here or still to be collected
  const bool told = told_.exchange(false, std::memory_order_acq_rel);
  driver_->alarm(told || !completed.empty() || !mail_.empty() ? 0 : until_ns);
  host_->leave();
  if (completed.empty()) driver_->wait(completed, 0);
}

void loop::send(message& sent) noexcept {
  mail_.push(sent);
  // seq_cst: after the push, look whether the owner sleeps; pairs with exchange_operations()
  if (asleep_.load(std::memory_order_seq_cst) && asleep_.exchange(false, std::memory_order_relaxed))
    driver_->wake();
}

void loop::drop_leftovers() noexcept {
  take_mail();
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
