// far_list: tasks of any cores that wait for one thing: a list under its owner's lock, and a message to wake each.
//
// Who may meet: a hand-over, on any thread, and a cancel, on the waiter's own core. Both take the waiter from the list under
// the owner's lock, so one of them comes first. The hand-over first: from then on the waiter belongs to whoever took it, who
// writes what it waited for into it (that needs no lock) and wakes it; the cancel finds it no longer listed, does nothing,
// and takes effect at the task's next await. The cancel first: nothing is handed to it. So nothing is lost or given twice,
// as in wait_list. A waiter's frame and loop live until it is woken, because its task stays suspended.
// After the wake neither the waiter nor what it waited in may be touched: its task may have destroyed both.
#pragma once

#include <coroutine>
#include <cstdint>
#include <mutex>

#include <axle/detail/loop_core.hpp>
#include <axle/detail/mailbox.hpp>
#include <axle/detail/wait_list.hpp>
#include <axle/detail/wait_node.hpp>
#include <axle/task.hpp>

namespace axle::detail {

class far_list;

/// What came of asking for something that may have to be waited for.
enum class answer : std::uint8_t { unasked, wait, yes, closed };

/// A task that waits for something another thread may give it.
struct far_waiter : wait_node, message {
  far_waiter() noexcept {
    receive = [](message& sent) noexcept { this_loop->make_ready(*static_cast<far_waiter&>(sent).waiter); };
  }
  far_waiter(const far_waiter&) = delete;
  far_waiter& operator=(const far_waiter&) = delete;

  loop_core* home = nullptr;
  far_list* in = nullptr;
  bool listed = false;  // under the owner's lock; false once it was taken or has left
  far_waiter* next_waiter = nullptr;
  far_waiter* prev_waiter = nullptr;
};

/// Waiters that were taken under a lock; wakes them when it goes. Declare it before the guard, so that the lock is free then.
class far_wakes {
 public:
  far_wakes() = default;
  far_wakes(const far_wakes&) = delete;
  far_wakes& operator=(const far_wakes&) = delete;
  ~far_wakes() {
    if (first_) wake();
  }

  void add(far_waiter& taken) noexcept {
    taken.next_waiter = nullptr;
    (last_ ? last_->next_waiter : first_) = &taken;
    last_ = &taken;
  }

 private:
  AXLE_EXPORT void wake() noexcept;
  far_waiter* first_ = nullptr;
  far_waiter* last_ = nullptr;
};

/// First come, first served. All but leave() with the owner's lock held.
class far_list {
 public:
  far_list(std::mutex& lock, const char* what) noexcept : lock_(lock), what_(what) {}
  far_list(const far_list&) = delete;
  far_list& operator=(const far_list&) = delete;
  ~far_list() {
    AXLE_CHECK(!first_, "a %s was destroyed while %zu tasks wait for it", what_, statistics_.now);
  }

  bool empty() const noexcept { return first_ == nullptr; }
  const waiting_statistics& statistics() const noexcept { return statistics_; }

  AXLE_EXPORT void push_back(far_waiter& waiter) noexcept;
  /// The oldest, or null. Whoever takes it gives it what it waits for, and wakes it through far_wakes.
  AXLE_EXPORT far_waiter* take_front() noexcept;
  void take_all(far_wakes& into) noexcept {
    while (far_waiter* const oldest = take_front()) into.add(*oldest);
  }

  /// The cancel of every kind that waits in such a list. On the waiter's core, without the lock.
  AXLE_EXPORT static void leave(wait_node& node) noexcept;

 private:
  void remove(far_waiter& waiter) noexcept;

  std::mutex& lock_;
  far_waiter* first_ = nullptr;
  far_waiter* last_ = nullptr;
  waiting_statistics statistics_;
  const char* what_;
};

/// For await_suspend: suspends the task on `waiter`, then asks for what it wants. `answered` takes the lock and has the
/// answer, or puts the waiter into a list; after that it must not touch it, for it may be on its way already.
template <class P, class F>
void suspend_unless(std::coroutine_handle<P> h, far_waiter& waiter, F answered) noexcept {
  if (!suspend_on(h, waiter, waiter.kind->what)) return;
  waiter.home = this_loop;
  if (answered()) this_loop->make_ready(*waiter.waiter);
}

}  // namespace axle::detail
