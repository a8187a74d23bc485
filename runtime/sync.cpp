// The waiting half of the primitives of axle/sync/: what happens at a hand-over and at a cancel. Owning core only.
#include <axle/sync/barrier.hpp>
#include <axle/sync/capacity_limiter.hpp>
#include <axle/sync/condition.hpp>
#include <axle/sync/event.hpp>
#include <axle/sync/mutex.hpp>
#include <axle/sync/queue.hpp>
#include <axle/sync/semaphore.hpp>
#include <axle/sync/shared_mutex.hpp>

#include <algorithm>

#include <axle/detail/wait_edges.hpp>

namespace axle {

namespace detail {

// A primitive may serve in several runs, one after the other; in one run it belongs to the core that used it first.
void core_bound::bind(loop_core& loop, const char* what) noexcept {
  AXLE_CHECK(!same_run(key_, loop.key),
             "%s of core %u was used on core %u; use axle::on(core, f, args...) to reach it", what,
             core_of(key_), loop.core);
  key_ = loop.key;
}

}  // namespace detail

// ---- mutex ----------------------------------------------------------------------------------------------------------

const detail::wait_kind mutex::lock_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<lock_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.give_up(mine);
        },
    .what = "mutex",
    .whom =
        [](const detail::wait_node& node, detail::wait_edges& into) {
          const auto& mine = static_cast<const lock_await&>(static_cast<const detail::list_waiter&>(node));
          mine.of_.add_holder(into);
        },
};

void mutex::add_holder(detail::wait_edges& into) const {
  if (holder_ == nobody || holder_ == somebody) {
    into.or_else = true;
  } else {
    into.tasks.push_back(holder_);
  }
}

// The next may be a condition's waiter, and may be there only to be ended.
void mutex::pass_on() noexcept {
  detail::list_waiter& next = *waiters_.pop_front();
  holder_ = next.waiter->id;
  if (next.kind->complete) {
    next.kind->complete(next);
  } else {
    detail::this_loop->make_ready(*next.waiter);
  }
}

// ---- condition ------------------------------------------------------------------------------------------------------

const detail::wait_kind condition::wait_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<wait_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.remove(mine);
          mine.want_mutex(true);
        },
    .what = "condition",
};
// It was notified, and a cancel finds that done: the task goes on with the mutex, and ends at its next await.
const detail::wait_kind condition::wait_await::relocking = {
    .complete = nullptr,
    .cancel = [](detail::wait_node&) noexcept {},
    .what = "condition: the mutex",
    .whom =
        [](const detail::wait_node& node, detail::wait_edges& into) {
          static_cast<const wait_await&>(static_cast<const detail::list_waiter&>(node))
              .lock_->add_holder(into);
        },
};
const detail::wait_kind condition::wait_await::relocking_to_end = {
    .complete = [](detail::wait_node& node) noexcept { detail::this_loop->make_ready_to_end(*node.waiter); },
    .cancel = [](detail::wait_node&) noexcept {},
    .what = "condition: the mutex",
    .whom = relocking.whom,
};

void condition::wait_await::want_mutex(bool then_end) noexcept {
  kind = then_end ? &relocking_to_end : &relocking;
  lock_->waiters_.push_back(*this);
  if (!lock_->locked()) lock_->pass_on();
}

void condition::notify(std::size_t count) noexcept {
  need_own_loop("a condition");
  for (; count && !waiters_.empty(); --count)
    static_cast<wait_await&>(*waiters_.pop_front()).want_mutex(false);
}

// ---- event ----------------------------------------------------------------------------------------------------------

const detail::wait_kind event::wait_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<wait_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.give_up(mine);
        },
    .what = "event",
};

// ---- semaphore ------------------------------------------------------------------------------------------------------

// One that asks for many may go, and those behind it ask for less.
const detail::wait_kind semaphore::acquire_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<acquire_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.give_up(mine);
          mine.of_.hand_out();
        },
    .what = "semaphore",
};

void semaphore::hand_out() noexcept {
  while (!waiters_.empty()) {
    const auto& next = static_cast<const acquire_await&>(*waiters_.front());
    if (next.count_ > available_) return;
    available_ -= next.count_;
    waiters_.wake_front();
  }
}

// ---- shared_mutex ---------------------------------------------------------------------------------------------------

// A writer that waited may go, and the readers behind it come in.
const detail::wait_kind shared_mutex::lock_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<lock_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.give_up(mine);
          mine.of_.let_in();
        },
    .what = "shared_mutex",
};

void shared_mutex::let_in() noexcept {
  while (!waiters_.empty()) {
    const bool writes = static_cast<const lock_await&>(*waiters_.front()).writes_;
    if (!is_free_for(writes)) return;
    enter(writes);
    waiters_.wake_front();
  }
}

// ---- barrier, latch -------------------------------------------------------------------------------------------------

// Who came later moves up a place.
const detail::wait_kind barrier::wait_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<wait_await&>(static_cast<detail::list_waiter&>(node));
          for (detail::list_waiter* later = mine.next; later; later = later->next)
            --static_cast<wait_await&>(*later).place_;
          mine.of_.waiters_.give_up(mine);
        },
    .what = "barrier",
};

void barrier::turn_away() noexcept {
  while (!waiters_.empty()) {
    static_cast<wait_await&>(*waiters_.front()).broken_ = true;
    waiters_.wake_front();
  }
}

const detail::wait_kind latch::wait_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<wait_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiters_.give_up(mine);
        },
    .what = "latch",
};

// ---- capacity_limiter -----------------------------------------------------------------------------------------------

const detail::wait_kind capacity_limiter::acquire_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<acquire_await&>(static_cast<detail::list_waiter&>(node));
          mine.of_.waiting_for_others_ -= mine.is_other_;
          mine.of_.waiters_.give_up(mine);
        },
    .what = "capacity_limiter",
    .whom =
        [](const detail::wait_node& node, detail::wait_edges& into) {
          const auto& mine = static_cast<const acquire_await&>(static_cast<const detail::list_waiter&>(node));
          into.any_will_do = true;
          into.or_else = mine.of_.lent_to_others_;
          for (const borrower each : mine.of_.borrowers_)
            into.tasks.push_back(static_cast<std::uint32_t>(each));
        },
};

// There is room for everyone that waits, too: a token is handed over where nothing may fail.
void capacity_limiter::prepare(borrower by, bool is_other) {
  AXLE_CHECK(std::find(borrowers_.begin(), borrowers_.end(), by) == borrowers_.end(),
             "this borrower has a token of this capacity_limiter already: it could wait for itself for ever");
  // A task cannot wait twice, so with nobody else in the game there is nothing to look for.
  const bool look = is_other || waiting_for_others_ > 0;
  for (const detail::list_waiter* each = look ? waiters_.front() : nullptr; each; each = each->next)
    AXLE_CHECK(static_cast<const acquire_await&>(*each).for_ != by,
               "this borrower waits for a token of this capacity_limiter already: it may have one");
  const std::size_t all = borrowers_.size() + waiters_.statistics().now + 1;
  if (borrowers_.capacity() < all) borrowers_.reserve(std::max(all, borrowers_.capacity() * 2));
}

capacity_limiter::token capacity_limiter::try_acquire() {
  need_own_loop("a capacity_limiter");
  prepare(this_task(), false);
  if (!can_lend()) return {};
  borrowers_.push_back(this_task());
  return {*this, this_task()};
}

void capacity_limiter::set_total(std::size_t tokens) noexcept {
  need_own_loop("a capacity_limiter");
  total_ = tokens;
  lend();
}

void capacity_limiter::release(borrower by) noexcept {
  need_own_loop("a capacity_limiter");
  const auto found = std::find(borrowers_.begin(), borrowers_.end(), by);
  *found = borrowers_.back();
  borrowers_.pop_back();
  lend();
}

void capacity_limiter::lend() noexcept {
  while (!waiters_.empty() && borrowers_.size() < total_) {
    const auto& next = static_cast<const acquire_await&>(*waiters_.front());
    borrowers_.push_back(next.for_);
    waiting_for_others_ -= next.is_other_;
    waiters_.wake_front();
  }
}

// ---- queues ---------------------------------------------------------------------------------------------------------

namespace detail {

const wait_kind queue_base::getter_kind = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<waiter&>(static_cast<list_waiter&>(node));
          mine.in->give_up(mine);
        },
    .what = "queue: get",
};
const wait_kind queue_base::putter_kind = {
    .complete = nullptr,
    .cancel = getter_kind.cancel,
    .what = "queue: put",
};
const wait_kind queue_base::join_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<join_await&>(static_cast<list_waiter&>(node));
          mine.of_.joiners_.give_up(mine);
        },
    .what = "queue: join",
};

}  // namespace detail

}  // namespace axle
