// Setting a future, and waiting for it on a core or on a thread without one.
#include <axle/future.hpp>

#include <axle/debug.hpp>

namespace axle {

const char* broken_promise::what() const noexcept {
  return "axle: the promise of this future was dropped unset";
}

namespace detail {

bool future_state::ready_or_join(far_waiter& waiter) noexcept {
  const std::lock_guard guard(lock_);
  if (ready()) return true;
  waiters_.push_back(waiter);
  return false;
}

void future_state::finish() noexcept {
  far_wakes woken;
  const std::lock_guard guard(lock_);
  ready_.store(true, std::memory_order_release);  // release: the value is written
  waiters_.take_all(woken);
  finished_.notify_all();
}

void future_state::report_unread(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const broken_promise&) {
    return;  // nobody set it, and nobody asked
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
