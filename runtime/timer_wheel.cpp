// timer_wheel's slow half: advancing, re-filing, and putting what is due in order. Runs on the owning loop.
#include <axle/timer_wheel.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace axle {

namespace {
constexpr std::size_t due_kept = 64 * 1024;   // room for more is given back when what was due has been taken
constexpr std::size_t sorted_by_digits = 64;  // from so many on that is faster than by insertion
constexpr unsigned digit_bits = 12;
constexpr std::size_t digits = std::size_t{1} << digit_bits;
}  // namespace

// The slot is found from its sentinel's address: slots lie in one array.
void timer_wheel::emptied(node* head) noexcept {
  auto* home = reinterpret_cast<slot*>(head);
  const auto number = static_cast<unsigned>(home - slots_[0].data());
  home->earliest_ns = never;
  clear_bit(number >> slot_bits, number & (slots_per_level - 1));
}

bool timer_wheel::advance(std::int64_t now_ns) noexcept {
  const std::uint64_t target = tick_of(now_ns);
  while (levels_ && first_due_ == due_.size()) {
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    const unsigned index = first_slot(level);
    if (slots_[level][index].earliest_ns > now_ns)
      break;  // the first slot of the lowest level is the earliest
    const unsigned shift = level * slot_bits;
    const std::uint64_t above = position_ >> shift >> slot_bits << slot_bits << shift;
    position_ = std::max(position_, above | (std::uint64_t{index} << shift));
    take_slot(level, index, now_ns);
  }
  if (first_due_ != due_.size()) return true;
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
  return false;
}

// Empties a slot: what is due goes, sorted, to the due array; the rest is filed again, which puts it at a lower level.
// Without memory what is due is filed lower as well. At the lowest level the array then takes what it has room for, and the
// order within that microsecond is lost.
void timer_wheel::take_slot(unsigned level, unsigned index, std::int64_t now_ns) noexcept {
  slot& home = slots_[level][index];
  bool room = true;
  node* timer = home.head.next;
  node* const end = &home.head;
  node* back = home.head.prev;
  home.clear();
  clear_bit(level, index);
  while (timer != end) {
    node* after = timer->next;
    // A walk from the back brings the second half into the cache: two misses at a time.
    if (back) back = back == timer || back == after ? nullptr : back->prev;
    if (timer->deadline_ns > now_ns) {
      file(*timer);
    } else if (!room || !make_due(*timer)) {
      if (std::exchange(room, false) && level > 0) file_due_again();
      file(*timer);
    }
    timer = after;
  }
  sort_due();
}

bool timer_wheel::make_due(node& timer) noexcept {
  try {
    due_.push_back({timer.deadline_ns, &timer});
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void timer_wheel::file_due_again() noexcept {
  for (const due_entry& each : due_) file(*each.timer);
  due_.clear();
}

// Stable, so that nodes of equal deadline keep their order. Each node then learns its place, to be disarmed from it.
void timer_wheel::sort_due() noexcept {
  due_entry* const first = due_.data();
  const std::size_t count = due_.size();
  const auto earlier = [](const due_entry& a, const due_entry& b) { return a.deadline_ns < b.deadline_ns; };
  if (!std::is_sorted(first, first + count, earlier) &&
      (count < sorted_by_digits || !sort_by_digits(first, count)))
    for (due_entry* each = first + 1; each < first + count; ++each)
      std::rotate(std::upper_bound(first, each, *each, earlier), each, each + 1);
  for (std::size_t i = 0; i < count; ++i) {
    if (i + fetch_ahead < count) __builtin_prefetch(first[i + fetch_ahead].timer, 1);
    first[i].timer->prev = nullptr;
    first[i].timer->due_place = i + 1;
  }
}

// A radix sort by the bits in which the deadlines differ, lowest first. False: no memory for it.
bool timer_wheel::sort_by_digits(due_entry* from, std::size_t count) noexcept {
  std::vector<due_entry> other;
  try {
    other.resize(count);
  } catch (const std::bad_alloc&) {
    return false;
  }
  const auto [least, most] = std::minmax_element(
      from, from + count,
      [](const due_entry& a, const due_entry& b) { return a.deadline_ns < b.deadline_ns; });
  const auto base_ns = static_cast<std::uint64_t>(least->deadline_ns);
  const auto bits =
      static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(most->deadline_ns) - base_ns));
  due_entry* source = from;
  due_entry* target = other.data();
  for (unsigned shift = 0; shift < bits; shift += digit_bits) {
    const auto digit = [base_ns, shift](const due_entry& each) {
      return (static_cast<std::uint64_t>(each.deadline_ns) - base_ns) >> shift & (digits - 1);
    };
    std::array<std::uint32_t, digits> place = {};
    for (std::size_t i = 0; i < count; ++i) ++place[digit(source[i])];
    std::uint32_t before = 0;
    for (std::uint32_t& each : place) before += std::exchange(each, before);
    for (std::size_t i = 0; i < count; ++i) target[place[digit(source[i])]++] = source[i];
    std::swap(source, target);
  }
  if (source != from) std::copy(source, source + count, from);
  return true;
}

void timer_wheel::due_emptied() noexcept {
  due_.clear();
  first_due_ = 0;
  if (due_.capacity() <= due_kept) return;
  try {
    std::vector<due_entry> smaller;
    smaller.reserve(due_at_first);
    due_.swap(smaller);
  } catch (const std::bad_alloc&) {
    return;  // the large one serves as well
  }
}

}  // namespace axle
