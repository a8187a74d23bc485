// A future's waiters: a list under a lock, because any thread may set it while any core joins or leaves.
#include <axle/future.hpp>

#include <utility>

#include <axle/cores.hpp>
#include <axle/debug.hpp>

namespace axle {

const char* broken_promise::what() const noexcept {
  return "axle: the promise of this future was dropped unset";
}

namespace detail {

const wait_kind future_state::kind_of = {.complete = nullptr, .cancel = leave, .what = "future"};

bool future_state::enlist(far_waiter& waiter) noexcept {
  waiter.receive = [](message& sent) noexcept {
    this_loop->make_ready(*static_cast<far_waiter&>(sent).waiter);
  };
  const std::lock_guard guard(lock_);
  if (ready()) return false;
  waiter.of = this;
  waiter.listed = true;
  waiter.next_waiter = nullptr;
  waiter.prev_waiter = last_;
  (last_ ? last_->next_waiter : first_) = &waiter;
  last_ = &waiter;
  return true;
}

// Too late if the waiter has been taken from the list: what it waited for is on its way and will be delivered.
void future_state::leave(wait_node& node) noexcept {
  auto& waiter = static_cast<far_waiter&>(node);
  future_state& mine = *waiter.of;
  {
    const std::lock_guard guard(mine.lock_);
    if (!waiter.listed) return;
    (waiter.prev_waiter ? waiter.prev_waiter->next_waiter : mine.first_) = waiter.next_waiter;
    (waiter.next_waiter ? waiter.next_waiter->prev_waiter : mine.last_) = waiter.prev_waiter;
    waiter.listed = false;
  }
  this_loop->make_ready_to_end(*waiter.waiter);
}

void future_state::finish() noexcept {
  far_waiter* waiting;
  {
    const std::lock_guard guard(lock_);
    ready_.store(true, std::memory_order_release);  // release: the value is written
    waiting = std::exchange(first_, nullptr);
    last_ = nullptr;
    for (far_waiter* each = waiting; each; each = each->next_waiter) each->listed = false;
    finished_.notify_all();
  }
  while (waiting) {
    far_waiter& woken = *waiting;
    waiting = woken.next_waiter;  // before it is woken: then it is gone
    if (woken.home == this_loop) {
      this_loop->make_ready(*woken.waiter);
    } else {
      send_to_loop(*woken.home, woken);
    }
  }
}

void future_state::report_unread(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const broken_promise&) {  // nobody set it, and nobody asked
  } catch (const std::exception& known) {
    warn("a future failed and nobody looked at it: %s", known.what());
  } catch (...) {
    warn("a future failed and nobody looked at it: an exception that is no std::exception");
  }
}

void future_state::wait() noexcept {
  std::unique_lock guard(lock_);
  finished_.wait(guard, [this] { return ready(); });
}

}  // namespace detail
}  // namespace axle
