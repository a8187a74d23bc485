// expiring_map's list and timer. Owning core only.
#include <axle/sync/expiring_map.hpp>

#include <algorithm>

namespace axle::detail {

expiring_list::expiring_list(std::chrono::nanoseconds ttl, std::size_t max_entries,
                             expiring_map_options options, drop_entry drop) noexcept
    : object_timer(on_first_due, "an expiring_map"),
      ttl_ns_(ttl.count()),
      max_entries_(max_entries),
      options_(options),
      drop_(drop) {
  AXLE_CHECK(ttl.count() > 0, "an expiring_map whose entries live for %lld ns would hold nothing",
             static_cast<long long>(ttl.count()));
  AXLE_CHECK(max_entries > 0, "an expiring_map with room for nothing");
}

void expiring_list::append(expiring_entry& entry, std::int64_t now_ns) noexcept {
  entry.deadline_ns = deadline_after(now_ns, ttl_ns_);
  entry.next = nullptr;
  entry.prev = last_;
  (last_ ? last_->next : first_) = &entry;
  last_ = &entry;
  if (!armed()) start(first_->deadline_ns);
}

// An armed timer is never too late: the head's deadline only grows.
void expiring_list::unlink(expiring_entry& entry) noexcept {
  (entry.prev ? entry.prev->next : first_) = entry.next;
  (entry.next ? entry.next->prev : last_) = entry.prev;
  if (!first_) stop();
}

void expiring_list::make_room(std::size_t size, std::int64_t now_ns) noexcept {
  if (size < max_entries_) return;
  ++(first_->deadline_ns <= now_ns ? expired_ : evicted_);
  drop_(*this, *first_);
}

void expiring_list::expire(std::int64_t now_ns) noexcept {
  while (first_ && first_->deadline_ns <= now_ns) {
    ++expired_;
    drop_(*this, *first_);
  }
  if (first_) start(first_->deadline_ns);
}

void expiring_list::on_first_due(object_timer& timer) noexcept {
  static_cast<expiring_list&>(timer).expire(this_loop->now_ns);
}

// The loop that the timer was armed at has ended. The clock goes on, but the simulator's begins anew: nobody then lives
// longer than from now on.
void expiring_list::revive(std::int64_t now_ns) noexcept {
  const std::int64_t latest_ns = deadline_after(now_ns, ttl_ns_);
  for (expiring_entry* each = last_; each && each->deadline_ns > latest_ns; each = each->prev)
    each->deadline_ns = latest_ns;
  expire(now_ns);
}

}  // namespace axle::detail
