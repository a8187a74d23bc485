// expiring_map: values that vanish when their time is over, and the oldest when there are too many. For caches.
//
// Every entry lives equally long, so a list in the order in which entries began is in the order of their ends, and one timer,
// for its head, serves all: nothing is ever searched. An entry that is due is not found any more, though the timer may not
// have come round yet. A timer that was armed for an entry that has since gone or been renewed fires in vain, once.
// Single core, no atomics.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>

#include <axle/clock.hpp>
#include <axle/detail/object_timer.hpp>
#include <axle/detail/wait_list.hpp>

namespace axle {

struct expiring_map_options {
  bool find_renews =
      false;  ///< to find an entry lets its time begin anew; the oldest is then the least recently used
};

struct expiring_map_statistics {
  std::size_t size;
  std::uint64_t hits;     ///< finds that found
  std::uint64_t misses;   ///< and that did not
  std::uint64_t expired;  ///< entries whose time was over
  std::uint64_t evicted;  ///< and that went earlier, to make room
};

namespace detail {

struct expiring_entry {
  expiring_entry* next = nullptr;
  expiring_entry* prev = nullptr;
  std::int64_t deadline_ns = 0;
};

/// The list by deadline and its timer. Entries are removed by `drop`, which unlinks and destroys one.
class expiring_list : protected core_bound, protected object_timer {
 protected:
  using drop_entry = void (*)(expiring_list&, expiring_entry&) noexcept;
  AXLE_EXPORT expiring_list(std::chrono::nanoseconds ttl, std::size_t max_entries,
                            expiring_map_options options, drop_entry drop) noexcept;

  /// The precise time now. In a run after the one that the entries are from, first sees to those.
  std::int64_t enter() noexcept {
    loop_core& loop = need_own_loop("an expiring_map");
    const std::int64_t now_ns = loop.drives->now();
    if (first_ && !armed()) [[unlikely]]
      revive(now_ns);
    return now_ns;
  }
  AXLE_EXPORT void append(expiring_entry& entry, std::int64_t now_ns) noexcept;  // its time begins now
  AXLE_EXPORT void unlink(expiring_entry& entry) noexcept;
  /// Before an entry is added: the oldest goes if there are too many.
  AXLE_EXPORT void make_room(std::size_t size, std::int64_t now_ns) noexcept;

  expiring_entry* first_ = nullptr;  // the oldest
  expiring_entry* last_ = nullptr;
  std::int64_t ttl_ns_;
  std::size_t max_entries_;
  expiring_map_options options_;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::uint64_t expired_ = 0;
  std::uint64_t evicted_ = 0;

 private:
  AXLE_EXPORT void revive(std::int64_t now_ns) noexcept;
  void expire(std::int64_t now_ns) noexcept;
  static void on_first_due(object_timer& timer) noexcept;
  drop_entry drop_;
};

}  // namespace detail

template <class Key, class Value, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
class expiring_map : detail::expiring_list {
 public:
  /// Entries live for `ttl`, which must be more than nothing, as max_entries must. It may outlive a run, with its entries.
  expiring_map(std::chrono::nanoseconds ttl, std::size_t max_entries,
               expiring_map_options options = {}) noexcept
      : expiring_list(ttl, max_entries, options, drop) {}

  /// Puts a value in, or in place of the one that is there; its time begins now. True if the key was not in it. May evict the
  /// oldest entry. Amortised O(1).
  bool insert(Key key, Value value) {
    const std::int64_t now_ns = enter();
    if (const auto found = map_.find(key); found != map_.end()) {
      const bool was_over = found->second.deadline_ns <= now_ns;
      expired_ += was_over;
      found->second.value = std::move(value);
      unlink(found->second);
      append(found->second, now_ns);
      return was_over;
    }
    make_room(map_.size(), now_ns);
    const auto [added, is_new] = map_.try_emplace(std::move(key), std::move(value));
    added->second.key = &added->first;
    append(added->second, now_ns);
    return true;
  }
  /// The value, or null if there is none or its time is over. Valid until the next insert, erase, clear or await. O(1); reads
  /// the clock.
  Value* find(const Key& key) {
    const std::int64_t now_ns = enter();
    const auto found = map_.find(key);
    if (found == map_.end() || found->second.deadline_ns <= now_ns) {
      ++misses_;
      return nullptr;
    }
    ++hits_;
    if (options_.find_renews) {
      unlink(found->second);
      append(found->second, now_ns);
    }
    return &found->second.value;
  }
  /// True if it was in it, and its time was not over. O(1).
  bool erase(const Key& key) {
    const std::int64_t now_ns = enter();
    const auto found = map_.find(key);
    if (found == map_.end()) return false;
    const bool was_over = found->second.deadline_ns <= now_ns;
    expired_ += was_over;
    drop(*this, found->second);
    return !was_over;
  }
  void clear() noexcept {
    enter();
    while (first_) drop(*this, *first_);
  }

  /// May count an entry whose time is over for as long as this turn of the loop lasts.
  std::size_t size() const noexcept { return map_.size(); }
  bool empty() const noexcept { return map_.empty(); }
  expiring_map_statistics statistics() const noexcept { return {size(), hits_, misses_, expired_, evicted_}; }

 private:
  struct entry : detail::expiring_entry {
    explicit entry(Value&& given) : value(std::move(given)) {}
    Value value;
    const Key* key = nullptr;
  };

  // Out of the map before it is destroyed: a value's destructor may use the map.
  static void drop(detail::expiring_list& of, detail::expiring_entry& gone) noexcept {
    auto& mine = static_cast<expiring_map&>(of);
    mine.unlink(gone);
    const auto held = mine.map_.extract(mine.map_.find(*static_cast<entry&>(gone).key));
  }

  std::unordered_map<Key, entry, Hash, Equal> map_;
};

}  // namespace axle
