// Joining, leaving and waking of tasks that wait for something another core or thread may give them.
#include <axle/detail/far_list.hpp>

#include <axle/cores.hpp>
#include <axle/detail/far_place.hpp>

namespace axle::detail {

void far_wakes::wake() noexcept {
  while (first_) {
    far_waiter& woken = *first_;
    first_ = woken.next_waiter;  // before it is woken: then it is gone
    if (woken.home == this_loop) {
      this_loop->make_ready(*woken.waiter);
    } else {
      send_to_loop(*woken.home, woken);
    }
  }
}

void far_list::push_back(far_waiter& waiter) noexcept {
  waiter.in = this;
  waiter.listed = true;
  waiter.next_waiter = nullptr;
  waiter.prev_waiter = last_;
  (last_ ? last_->next_waiter : first_) = &waiter;
  last_ = &waiter;
  ++statistics_.total;
  if (++statistics_.now > statistics_.most) statistics_.most = statistics_.now;
}

far_waiter* far_list::take_front() noexcept {
  far_waiter* const oldest = first_;
  if (oldest) remove(*oldest);
  return oldest;
}

void far_list::remove(far_waiter& waiter) noexcept {
  (waiter.prev_waiter ? waiter.prev_waiter->next_waiter : first_) = waiter.next_waiter;
  (waiter.next_waiter ? waiter.next_waiter->prev_waiter : last_) = waiter.prev_waiter;
  waiter.listed = false;
  --statistics_.now;
}

void far_list::leave(wait_node& node) noexcept {
  auto& waiter = static_cast<far_waiter&>(node);
  {
    const std::lock_guard guard(waiter.in->lock_);
    if (!waiter.listed) return;  // what it waited for is on its way
    waiter.in->remove(waiter);
  }
  this_loop->make_ready_to_end(*waiter.waiter);
}

void place_waiter::woken(message& sent) noexcept {
  auto& mine = static_cast<place_waiter&>(static_cast<far_waiter&>(sent));
  task_state& task = *mine.waiter;
  if (mine.holds(mine)) return this_loop->make_ready(task);
  if (task.must_end()) return this_loop->make_ready_to_end(task);
  mine.at->stand(mine);
  if (mine.holds(mine) && mine.at->step_back(mine)) this_loop->make_ready(task);
}

void far_place::wake_waiter() noexcept {
  // acquire: what the waiter wrote before it stood
  far_waiter* const taken = waiting_.exchange(nullptr, std::memory_order_acquire);
  if (!taken) return;  // it has stepped back, or another close has woken it
  far_wakes woken;
  woken.add(*taken);
}

}  // namespace axle::detail
