// timer_wheel's slow half: advancing, re-filing, and putting a slot's nodes in order. Runs on the owning loop.
#include <axle/timer_wheel.hpp>

#include <algorithm>

namespace axle {

// The slot is found from its sentinel's address: slots lie in one array.
void timer_wheel::emptied(node* head) noexcept {
  auto* home = reinterpret_cast<slot*>(head);
  if (home == &due_) return;
  const auto number = static_cast<unsigned>(home - slots_[0].data());
  home->earliest_ns = never;
  clear_bit(number >> slot_bits, number & (slots_per_level - 1));
}

bool timer_wheel::advance(std::int64_t now_ns) noexcept {
  const std::uint64_t target = tick_of(now_ns);
  while (levels_) {
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    const unsigned index = first_slot(level);
    if (slots_[level][index].earliest_ns > now_ns)
      break;  // the first slot of the lowest level is the earliest
    const unsigned shift = level * slot_bits;
    const std::uint64_t above = position_ >> shift >> slot_bits << slot_bits << shift;
    position_ = std::max(position_, above | (std::uint64_t{index} << shift));
    take_slot(level, index, now_ns);
  }
  // Nothing is filed at or before `target` except in the slot of `target` itself, unless a slot's earliest is later
  // than now while its start is not: then the position may only go up to that slot's start.
  if (target > position_) {
    if (!levels_) {
      position_ = target;
    } else {
      const auto level = static_cast<unsigned>(std::countr_zero(levels_));
      const unsigned shift = level * slot_bits;
      const std::uint64_t above = position_ >> shift >> slot_bits << slot_bits << shift;
      const std::uint64_t start = above | (std::uint64_t{first_slot(level)} << shift);
      if (start > target) position_ = target;
      // else: the slot is entered, and split, when its earliest node is due
    }
  }
  return !due_.empty();
}

// Empties a slot: what is due goes, sorted, to the due list; the rest is filed again, which puts it at a lower level.
void timer_wheel::take_slot(unsigned level, unsigned index, std::int64_t now_ns) noexcept {
  slot& home = slots_[level][index];
  slot ready;
  ready.clear();
  node* timer = home.head.next;
  node* const end = &home.head;
  home.clear();
  clear_bit(level, index);
  // Nodes of a wide slot that all are due need not pass through the levels below: sorting finds their order.
  while (timer != end) {
    node* after = timer->next;
    __builtin_prefetch(after->next);
    if (timer->deadline_ns <= now_ns && level == 0) {
      link_last(ready, *timer);
    } else {
      file(*timer);
    }
    timer = after;
  }
  if (ready.empty()) return;
  sort_by_deadline(ready);
  node* first = ready.head.next;
  node* last = ready.head.prev;
  first->prev = due_.head.prev;
  due_.head.prev->next = first;
  last->next = &due_.head;
  due_.head.prev = last;
}

// Stable. A level-0 slot is a microsecond wide, so it rarely holds more than one node that is out of order:
// insertion from the back; a long list out of order is merged bottom-up.
void timer_wheel::sort_by_deadline(slot& list) noexcept {
  unsigned out_of_order = 0;
  for (node* timer = list.head.next; timer->next != &list.head; timer = timer->next)
    out_of_order += timer->next->deadline_ns < timer->deadline_ns;
  if (!out_of_order) return;

  // Bottom-up merge over singly linked runs; `bins[i]` holds a run of 2^i nodes, older runs in higher bins.
  constexpr unsigned bin_count = 40;
  std::array<node*, bin_count> bins = {};
  const auto merge = [](node* older, node* newer) {
    node* head = nullptr;
    node** link = &head;
    while (older && newer) {
      node*& least = newer->deadline_ns < older->deadline_ns ? newer : older;
      *link = least;
      link = &least->next;
      least = least->next;
    }
    *link = older ? older : newer;
    return head;
  };
  list.head.prev->next = nullptr;
  for (node* timer = list.head.next; timer;) {
    node* run = timer;
    timer = timer->next;
    run->next = nullptr;
    unsigned bin = 0;
    for (; bins[bin]; ++bin) {
      run = merge(bins[bin], run);
      bins[bin] = nullptr;
    }
    bins[bin] = run;
  }
  node* sorted = nullptr;
  for (node* run : bins)
    if (run) sorted = sorted ? merge(run, sorted) : run;
  list.clear();
  while (sorted) {
    node* after = sorted->next;
    link_last(list, *sorted);
    sorted = after;
  }
}

}  // namespace axle
