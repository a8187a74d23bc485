// far_place: one task that waits for what other threads may do at any moment; without a lock.
//
// Who may meet: the waiter, on its core, stands at the place and then looks again; the other makes true what is waited for and
// then looks at the place. Both stores come before both looks in one order that all agree on (seq_cst), so at least one of the
// two sees the other: no wake is lost. Whoever takes the waiter from the place, by one exchange, owns it: another thread,
// which wakes it by a message to its loop; or the waiter, because it need not wait, or is cancelled. After the wake the waiter
// must not be touched.
// A wake may be late: of something that the waiter had, without waiting, before it stood here for the next. So the message asks
// on the waiter's core whether it holds now, and if not the waiter stands again.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>

#include <axle/check.hpp>
#include <axle/detail/far_list.hpp>

namespace axle::detail {

class far_place;

struct place_waiter : far_waiter {
  /// `holds`: whether what it waits for is there, or never will be. Asked on the waiter's core.
  explicit place_waiter(bool (*answered)(place_waiter&) noexcept) noexcept : holds(answered) {
    receive = woken;
  }
  AXLE_EXPORT static void woken(message& sent) noexcept;

  far_place* at = nullptr;
  bool (*holds)(place_waiter&) noexcept;
};

class far_place {
 public:
  explicit far_place(const char* what) noexcept : what_(what) {}
  far_place(const far_place&) = delete;
  far_place& operator=(const far_place&) = delete;
  ~far_place() {
    // relaxed: whoever destroys it has been told by other means that nobody uses it
    AXLE_CHECK(!waiting_.load(std::memory_order_relaxed), "a %s was destroyed while a task waits for it",
               what_);
  }

  /// On the waiter's core. Look again afterwards, and step_back() if there is no need to wait.
  void stand(place_waiter& waiter) noexcept {
    waiter.at = this;
    // relaxed: only for statistics
    waits_.store(waits_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // seq_cst: stand, then look; pairs with wake()
    far_waiter* const before = waiting_.exchange(&waiter, std::memory_order_seq_cst);
    AXLE_CHECK(!before, "two tasks wait at the same end of a %s; one task may, others use channel", what_);
  }
  /// On the waiter's core. False: it has been taken, and a wake is on its way.
  bool step_back(place_waiter& waiter) noexcept {
    far_waiter* expected = &waiter;
    // relaxed: what was read or is to be read is ordered by the condition that was looked at
    return waiting_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
  }

  /// From another thread, or this one, after a seq_cst store that makes true what is waited for.
  void wake() noexcept {
    // seq_cst: make true, then look; pairs with stand()
    if (waiting_.load(std::memory_order_seq_cst)) [[unlikely]]
      wake_waiter();
  }

  /// Waits so far.
  std::uint64_t waits() const noexcept { return waits_.load(std::memory_order_relaxed); }

  /// The cancel of every kind that waits at such a place.
  static void leave(wait_node& node) noexcept {
    auto& waiter = static_cast<place_waiter&>(node);
    if (waiter.at->step_back(waiter)) this_loop->make_ready_to_end(*waiter.waiter);
  }

 private:
  AXLE_EXPORT void wake_waiter() noexcept;

  std::atomic<far_waiter*> waiting_{nullptr};
  std::atomic<std::uint64_t> waits_{0};
  const char* what_;
};

/// Suspends the task, which then stands at `place`, unless what it waits for holds already.
template <class P>
void suspend_at(std::coroutine_handle<P> h, place_waiter& waiter, far_place& place) noexcept {
  suspend_unless(h, waiter, [&] {
    place.stand(waiter);
    return waiter.holds(waiter) && place.step_back(waiter);
  });
}

}  // namespace axle::detail
