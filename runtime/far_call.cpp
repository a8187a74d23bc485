// What travels between cores: messages, calls and their replies, posts. Each function says on which core it runs.
#include <axle/call_window.hpp>
#include <axle/cores.hpp>
#include <axle/detail/far_call.hpp>

#include <mutex>
#include <new>
#include <utility>

#include "engine.hpp"

namespace axle {

namespace detail {

// ---- messages -------------------------------------------------------------------------------------------------------

// Told of through the mailbox, ahead of what it will carry.
lane* open_lane(loop_core& here, unsigned core) noexcept {
  lane* const opened = current_engine()->make_lane(here, core);
  if (!opened) return nullptr;
  opened->receive = [](message& sent) noexcept {
    static_cast<loop*>(this_loop)->read(static_cast<lane&>(sent));
  };
  opened->reader->send(*opened);
  return opened;
}

void send_to_core(unsigned core, message& sent) noexcept {
  loop_core& here = *this_loop;
  sent.spilled_from = nullptr;
  lane* const way = core == here.core ? nullptr : lane_to(here, core);
  if (!way) return current_engine()->at(core).send(sent);
  if (parcel* const free = way->claim()) {
    free->about = &sent;
    free->open = [](parcel& full, unsigned from) noexcept {
      auto& arrived = *static_cast<message*>(full.about);
      if (from != parcel::nobody) arrived.receive(arrived);
    };
    post(*way);
  } else {
    spill(*way, sent);
  }
}

void spill(lane& full, message& sent) noexcept {
  full.spilled();
  sent.spilled_from = &full;
  full.reader->send(sent);
}

void send_to_loop(loop_core& to, message& sent) noexcept {
  if (this_loop && same_run(this_loop->key, to.key)) return send_to_core(to.core, sent);
  sent.spilled_from = nullptr;
  const std::lock_guard guard(engine_registry::instance().lock);
  static_cast<loop&>(to).send(sent);
}

// ---- posts ----------------------------------------------------------------------------------------------------------

result<void> post_message(unsigned core, message& sent) noexcept {
  constexpr std::uint32_t most = 65'536;
  const auto count_in = [core](engine& to) -> result<void> {
    AXLE_CHECK(core < to.size(), "core %u does not exist: this run has %u, counted from 0", core, to.size());
    if (to.posted.fetch_add(1, std::memory_order_relaxed) < most) return {};
    to.posted.fetch_sub(1, std::memory_order_relaxed);
    return fail(errc::resource_unavailable_try_again);
  };
  if (engine* const mine = current_engine()) {
    auto counted = count_in(*mine);
    if (counted) send_to_core(core, sent);
    return counted;
  }
  engine_registry& registry = engine_registry::instance();
  const std::lock_guard guard(registry.lock);  // the engine cannot end while a stranger posts
  engine* const active = registry.active.load();
  if (!active || !active->accepts_posts()) return fail(errc::not_connected);
  auto counted = count_in(*active);
  if (counted) active->at(core).send(sent);
  return counted;
}

void run_posted(void (*run)(void*), void* call) noexcept {
  current_engine()->posted.fetch_sub(1, std::memory_order_relaxed);
  run_unjoined(run, call);
}

void run_unjoined(void (*run)(void*), void* call) noexcept {
  try {
    run(call);
  } catch (...) {
    report_failed_callback(std::current_exception());
  }
}

// ---- calls ----------------------------------------------------------------------------------------------------------

const wait_kind far_call::under_way = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& call = static_cast<far_call&>(static_cast<list_waiter&>(node));
          if (call.cancel_) call.cancel_(call);
        },
    .what = "call on another core",
};

const wait_kind far_call::waiting_to_depart = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& call = static_cast<far_call&>(static_cast<list_waiter&>(node));
          call.window_->ways_[call.core_].waiting.give_up(call);
        },
    .what = "room for a call to another core",
};

// Here.
void far_call::wait_to_depart() noexcept {
  kind = &waiting_to_depart;
  window_->ways_[core_].waiting.push_back(*this);
}

// Here. Its place goes to the call that has waited longest.
void far_call::came_home(bool has_value) noexcept {
  call_window::way& way = window_->ways_[core_];
  if (list_waiter* const waited = way.waiting.pop_front()) {
    waited->kind = &under_way;
    auto& next = static_cast<far_call&>(*waited);
    next.depart_(next);
  } else {
    --way.under_way;
  }
  if (waiter->must_end() && !has_value) return this_loop->make_ready_to_end(*waiter);
  this_loop->make_ready(*waiter);
}

task_call::task_call(unsigned core, call_window* window) noexcept : far_call(core, window) {
  depart_ = [](far_call& base) noexcept { static_cast<task_call&>(base).depart(); };
  cancel_ = [](far_call& base) noexcept { static_cast<task_call&>(base).follow(); };
}

// Here.
void task_call::depart() noexcept {
  far_.call = cancel_message_.call = this;
  receive = [](message& sent) noexcept { static_cast<task_call&>(sent).arrived(); };
  send_to_core(core_, *this);
}

// There.
void task_call::arrived() noexcept {
  receive = [](message& sent) noexcept { static_cast<task_call&>(sent).one_is_home(); };
  if (!call_there_(*this)) return go_home();
  far_.observed = true;
  far_.owned = true;
  far_.on_end = &far_;
  far_.ended = [](end_hook& hook, task_state&) noexcept {
    task_call& call = *static_cast<far_task&>(hook).call;
    call.take_there_(call);
    free_label(call.far_);
    call.go_home();
  };
  begin_task(far_, *this_loop);
  this_loop->ready.push(far_, false);
}

// Here: a cancel. There it cancels what runs, then comes home: to be counted, so that the frame outlives it.
void task_call::follow() noexcept {
  if (to_come_ == 2) return;  // sent already
  to_come_ = 2;
  cancel_message_.receive = [](message& sent) noexcept {
    auto& following = static_cast<follower&>(sent);
    task_call& call = *following.call;
    if (call.far_.loop == this_loop && call.far_.now != phase::finished) request_cancel(call.far_);
    following.receive = [](message& home) noexcept { static_cast<follower&>(home).call->one_is_home(); };
    send_to_core(call.home_, following);
  };
  send_to_core(core_, cancel_message_);
}

// Here.
void task_call::one_is_home() noexcept {
  if (++at_home_ == to_come_) came_home(has_value_);
}

}  // namespace detail

// ---- call_window ----------------------------------------------------------------------------------------------------

call_window::~call_window() {
  for (unsigned core = 0; core < cores_; ++core)
    AXLE_CHECK(ways_[core].under_way == 0,
               "a call_window was destroyed while %u calls are under way to core %u", ways_[core].under_way,
               core);
}

void call_window::make_ways(unsigned cores) {
  ways_ = std::make_unique<way[]>(cores);
  cores_ = cores;
}

unsigned call_window::under_way(unsigned core) const noexcept {
  return core < cores_ ? ways_[core].under_way : 0;
}

waiting_statistics call_window::statistics(unsigned core) const noexcept {
  return core < cores_ ? ways_[core].waiting.statistics() : waiting_statistics{};
}

}  // namespace axle
