// delay_queue's waiting half and its heap. Owning core only.
#include <axle/sync/delay_queue.hpp>

namespace axle::detail {

namespace {

bool is_before(const delayed& a, const delayed& b) noexcept {
  return a.deadline_ns != b.deadline_ns ? a.deadline_ns < b.deadline_ns : a.order < b.order;
}

}  // namespace

// ---- heap -----------------------------------------------------------------------------------------------------------

void delay_heap::put_at(std::size_t place, delayed& entry) noexcept {
  heap_[place] = &entry;
  entry.place = place;
}

// The entry at `place` goes up or down to where it belongs.
void delay_heap::settle(std::size_t place) noexcept {
  delayed& entry = *heap_[place];
  while (place > 0 && is_before(entry, *heap_[(place - 1) / 2])) {
    put_at(place, *heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  for (std::size_t child = place * 2 + 1; child < heap_.size(); child = place * 2 + 1) {
    if (child + 1 < heap_.size() && is_before(*heap_[child + 1], *heap_[child])) ++child;
    if (!is_before(*heap_[child], entry)) break;
    put_at(place, *heap_[child]);
    place = child;
  }
  put_at(place, entry);
}

void delay_heap::push(delayed& added) noexcept {
  heap_.push_back(&added);
  settle(heap_.size() - 1);
}

void delay_heap::remove(delayed& removed) noexcept {
  delayed& last = *heap_.back();
  heap_.pop_back();
  if (&last == &removed) return;
  heap_[removed.place] = &last;
  settle(removed.place);
}

void delay_heap::moved(delayed& changed) noexcept { settle(changed.place); }

// ---- queue ----------------------------------------------------------------------------------------------------------

const wait_kind delay_queue_base::getter_kind = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<waiter&>(static_cast<list_waiter&>(node));
          mine.queue.getters_.give_up(mine);
          mine.queue.set_timer();
        },
    .what = "delay_queue: get",
};
const wait_kind delay_queue_base::putter_kind = {
    .complete = nullptr,
    .cancel =
        [](wait_node& node) noexcept {
          auto& mine = static_cast<waiter&>(static_cast<list_waiter&>(node));
          mine.queue.putters_.give_up(mine);
        },
    .what = "delay_queue: put",
};

delay_queue_base::delay_queue_base(std::size_t bound, on_due due) noexcept
    : object_timer(due, "a delay_queue"), bound_(bound) {
  AXLE_CHECK(bound > 0, "a delay_queue with room for nothing; for one without a bound say axle::unbounded");
}

void delay_queue_base::note_pushed(delayed& entry) noexcept {
  entry.order = next_order_++;
  entry.number = entry.order;
  heap_.push(entry);
  most_ = std::max(most_, heap_.size());
  ++total_;
}

void delay_queue_base::set_timer() noexcept {
  if (is_over()) getters_.wake_all();
  if (getters_.empty() || heap_.empty()) {
    stop();
  } else {
    start(heap_.first().deadline_ns);
  }
}

}  // namespace axle::detail
