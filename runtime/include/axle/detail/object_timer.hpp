// object_timer: the timer of an object, not of a task that waits: what a rate limiter or a map with expiry is woken by.
//
// It may be armed when its loop ends; the loop then disarms it without firing it. An object that outlives the run finds
// its timer unarmed in the next one, and must not rely on it until it has armed it again. Owning core only.
#pragma once

#include <algorithm>
#include <cstdint>

#include <axle/detail/loop_core.hpp>

namespace axle::detail {

class object_timer : public timer_node {
 public:
  using on_due = void (*)(object_timer&) noexcept;

  object_timer(on_due due, const char* what) noexcept : due_(due), what_(what) { kind = &kind_of; }
  object_timer(const object_timer&) = delete;
  object_timer& operator=(const object_timer&) = delete;
  ~object_timer() { stop(); }

  /// Arms it at a deadline, in place of the one it may have.
  void start(std::int64_t when_ns) noexcept {
    when_ns = std::min(when_ns, timer_wheel::never - 1);
    if (armed()) {
      if (deadline_ns == when_ns) return;
      stop();
    }
    deadline_ns = when_ns;
    home_ = this_loop;
    home_->wheel.arm(*this);
  }
  void stop() noexcept {
    if (!armed()) return;
    check_core(home_, what_);
    home_->wheel.disarm(*this);
  }

  void fire() noexcept { due_(*this); }

  AXLE_EXPORT static const wait_kind kind_of;

 private:
  on_due due_;
  const char* what_;
  loop_core* home_ = nullptr;  // alive while the timer is armed
};

}  // namespace axle::detail
