// The way home of what a foreign_ptr owned.
//
// Each loop that is a home has a foreign_home: a lock-free stack of dropped blocks, and one message. Whoever drops the first one on
// the empty stack sends the message; the home takes the whole stack when it receives it. So the message is under way while the stack
// is not empty, it is one however many are dropped meanwhile, and it is free again when it is received.
//
// A message may only be sent to a loop that will still receive it. Loops are destroyed after all of them have passed the end of
// their drain, and each receives what came before that. So a core that sees its own run still running sends without more ado.
// Everybody else (a core that drains, a core of another run, a thread without a loop) asks under a lock whether the home is open;
// it closes, under that lock, at the end of its drain. When it has closed, whoever drops a block destroys it: no task is left then.
//
// The end of the drain is told by a callback that is due never: a loop that ends destroys the callbacks it has not run.
// A foreign_home lives until it has closed and its last block is gone, wherever that is.
#include <axle/foreign_ptr.hpp>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include <axle/call.hpp>
#include <axle/cores.hpp>
#include <axle/detail/mailbox.hpp>
#include "engine.hpp"

namespace axle {

namespace detail {

struct foreign_home : message {
  loop_core* loop = nullptr;
  std::uint64_t key = 0;
  std::atomic<foreign_block*> dropped{nullptr};
  std::atomic<std::size_t> holders{1};  // blocks, and one for the loop
  std::mutex lock;
  bool open = true;  // under the lock
  // The home's:
  foreign_home* next_of_thread = nullptr;
  std::uint64_t dropped_elsewhere = 0;
  std::uint64_t batches = 0;
};

namespace {

// A thread has one, but for guests: several loops may take turns on it.
thread_local constinit foreign_home* homes_of_thread = nullptr;

foreign_home* home_of(const loop_core& loop) noexcept {
  foreign_home* each = homes_of_thread;
  while (each && each->key != loop.key) each = each->next_of_thread;
  return each;
}

struct closes_home {
  void operator()(foreign_home* home) const noexcept {
    foreign_home** link = &homes_of_thread;
    while (*link != home) link = &(*link)->next_of_thread;
    *link = home->next_of_thread;
    {
      const std::lock_guard guard(home->lock);
      home->open = false;
    }
    leave_home(*home);
  }
};

void destroy(foreign_block& last) noexcept {
  foreign_home& home = *last.home;
  last.destroy(last);
  leave_home(home);
}

// In the order in which they were dropped, as far as there is one.
void receive_dropped(message& sent) noexcept {
  auto& home = static_cast<foreign_home&>(sent);
  foreign_block* newest =
      home.dropped.exchange(nullptr, std::memory_order_acquire);  // acquire: pairs with push
  foreign_block* oldest = nullptr;
  while (newest) {
    foreign_block* const older = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = older;
  }
  ++home.batches;
  while (oldest) {
    foreign_block* const after = oldest->next;
    ++home.dropped_elsewhere;  // before: the last one may take the home with it
    destroy(*oldest);
    oldest = after;
  }
}

void push(foreign_home& home, foreign_block& dropped) noexcept {
  foreign_block* head = home.dropped.load(std::memory_order_relaxed);
  do {
    dropped.next = head;
    // release: pairs with receive_dropped, which reads the block
  } while (!home.dropped.compare_exchange_weak(head, &dropped, std::memory_order_release,
                                               std::memory_order_relaxed));
  if (!head) send_to_loop(*home.loop, home);
}

}  // namespace

void settle_at_home(foreign_block& fresh) {
  loop_core& loop = need_loop("foreign_ptr");
  foreign_home* home = home_of(loop);
  if (!home) {
    home = new foreign_home;
    home->loop = &loop;
    home->key = loop.key;
    home->receive = receive_dropped;
    home->next_of_thread = std::exchange(homes_of_thread, home);
    std::unique_ptr<foreign_home, closes_home> until_the_end(home);
    call_at(clock::time_point::max(), [](const auto&) {}, std::move(until_the_end));
  }
  home->holders.fetch_add(1, std::memory_order_relaxed);
  fresh.home = home;
  fresh.home_key = loop.key;
}

void leave_home(foreign_home& home) noexcept {
  // acq_rel: whoever is last has seen all that the others did here
  if (home.holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete &home;
}

void send_home(foreign_block& dropped) noexcept {
  if (this_loop && this_loop->key == dropped.home_key) return destroy(dropped);
  foreign_home& home = *dropped.home;
  if (this_loop && same_run(this_loop->key, dropped.home_key) && current_engine()->accepts_posts())
    return push(home, dropped);
  {
    const std::lock_guard guard(home.lock);
    if (home.open) return push(home, dropped);
  }
  destroy(dropped);
}

void not_at_home(std::uint64_t home_key) noexcept {
  const unsigned home = core_of(home_key);
  AXLE_CHECK(this_loop, "a foreign_ptr of core %u was looked into on a thread that runs no loop", home);
  AXLE_CHECK(same_run(this_loop->key, home_key),
             "a foreign_ptr of core %u of another run was looked into on core %u", home, this_loop->core);
  AXLE_CHECK(this_loop->core == home,
             "a foreign_ptr of core %u was looked into on core %u; use axle::on(p.home(), f, std::move(p)) "
             "to go there",
             home, this_loop->core);
  std::abort();
}

}  // namespace detail

foreign_statistics foreign_ptr_statistics() noexcept {
  const detail::foreign_home* const home = detail::home_of(detail::need_loop("foreign_ptr_statistics"));
  if (!home) return {};
  return {.alive = home->holders.load(std::memory_order_relaxed) - 1,
          .dropped_elsewhere = home->dropped_elsewhere,
          .batches = home->batches};
}

}  // namespace axle
