// mesh: items from each core to each core, through a ring for every pair, without a lock. (Glommio's channel mesh.)
//
//     axle::mesh<request> between(axle::core_count(), 256);           // made once, reached by all cores
//     co_await between.send(owner_of(key), request{...});             // on any core, by any task
//     while (auto got = co_await between.receive()) handle(got->from, std::move(got->item));
//
// Between one core and another items keep their order; a receiver takes from the others in turn, so that a busy one starves
// nobody. Each ring is bounded: a core that does not receive slows those who send to it, and no one else. Tasks that wait for
// room in one ring are served in the order in which they came. One task receives on each core (a second is a CHECK); it hands
// work on through a queue. Takes cores x cores x bound items of memory from the beginning.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <axle/cores.hpp>
#include <axle/sync/mutex.hpp>
#include <axle/sync/spsc_channel.hpp>

namespace axle {

struct mesh_statistics {
  std::size_t size;          ///< items that wait to be received on this core
  std::uint64_t received;    ///< put by all cores for this one, those that wait included
  std::uint64_t sent;        ///< put by this core for all
  std::uint64_t get_waits;   ///< times that this core's receiver had to wait
  std::uint64_t room_waits;  ///< times that senders of this core had to wait for room
};

namespace detail {

inline constexpr wait_kind mesh_receive_kind = {
    .complete = nullptr, .cancel = far_place::leave, .what = "mesh: receive"};
inline constexpr wait_kind mesh_room_kind = {
    .complete = nullptr, .cancel = far_place::leave, .what = "mesh: room to send"};

}  // namespace detail

template <class T>
class mesh {
  using answer = detail::answer;

  // From one core to another; the sender's but for the slots.
  struct pair {
    explicit pair(std::size_t bound) : slots(bound) {}
    detail::spsc_slots<T> slots;
    detail::far_place room{"mesh"};
    mutex line;  // of the senders that wait
  };
  struct alignas(128) receiver {
    detail::far_place place{"mesh"};
    unsigned next = 0;  // core to take from first
  };

 public:
  struct received {
    unsigned from;  ///< the sender's core
    T item;
  };

  class [[nodiscard]] receive_await : detail::place_waiter {
   public:
    receive_await(mesh& of, unsigned core) noexcept : place_waiter(is_answered), of_(of), core_(core) {
      this->kind = &detail::mesh_receive_kind;
    }
    receive_await(const receive_await&) = delete;
    receive_await& operator=(const receive_await&) = delete;

    bool await_ready() noexcept {
      return detail::may_complete_now(this->kind->what) && of_.take(core_, got_) != answer::wait;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      detail::suspend_at(h, *this, of_.receivers_[core_].place);
    }
    result<received> await_resume() {
      detail::throw_if_cut();
      if (!got_ && of_.take(core_, got_) == answer::closed) return fail(errc::broken_pipe);
      AXLE_CHECK(got_,
                 "two tasks of core %u receive from one mesh; one may, and hand work on through a queue",
                 core_);
      return std::move(*got_);
    }

   private:
    static bool is_answered(detail::place_waiter& self) noexcept {
      auto& mine = static_cast<receive_await&>(self);
      return mine.of_.has_answer_for_receiver(mine.core_);
    }
    mesh& of_;
    unsigned core_;
    std::optional<received> got_;
  };

  /// Between the cores 0 to cores - 1, with room for `bound` items in each of the rings. Throws std::bad_alloc.
  mesh(unsigned cores, std::size_t bound) : cores_(cores), receivers_(cores) {
    AXLE_CHECK(cores > 0 && bound > 0, "a mesh needs a core and room for an item, at least");
    pairs_.reserve(std::size_t{cores} * cores);
    for (std::size_t i = 0; i < std::size_t{cores} * cores; ++i)
      pairs_.push_back(std::make_unique<pair>(bound));
  }
  mesh(const mesh&) = delete;
  mesh& operator=(const mesh&) = delete;
  /// Only when no task uses it: join them first. Items that are left are destroyed.
  ~mesh() = default;

  unsigned cores() const noexcept { return cores_; }

  /// Sends to a core, itself included, when there is room; errc::broken_pipe when the mesh is closed. Cancelled, nothing was
  /// sent. O(1).
  task<result<void>> send(unsigned to, T item) {
    pair& way = way_to(to);
    if (!way.line.locked())
      if (const answer had = enter(way, to, item); had != answer::wait) co_return said(had);
    const auto turn = co_await way.line.lock();
    co_return co_await room_await(*this, way, to, item);
  }
  /// errc::operation_would_block if there is no room or others wait for it, errc::broken_pipe if the mesh is closed; `item` is
  /// then as it was.
  result<void> try_send(unsigned to, T&& item) noexcept {
    pair& way = way_to(to);
    return said(way.line.locked() ? closed() ? answer::closed : answer::wait : enter(way, to, item));
  }
  result<void> try_send(unsigned to, const T& item) { return try_send(to, T(item)); }

  /// The next item for the calling core; errc::broken_pipe when the mesh is closed and nothing is left for this core. O(1), or
  /// O(cores) when most send nothing.
  receive_await receive() noexcept { return receive_await(*this, own_core()); }
  /// errc::operation_would_block if there is none, errc::broken_pipe if the mesh is closed as well.
  result<received> try_receive() noexcept {
    std::optional<received> got;
    const answer had = take(own_core(), got);
    if (got) return std::move(*got);
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }

  /// Nothing more goes in; what was sent can still be received. When every core has done its sending: what is sent at the same
  /// moment may be left, and end with the mesh. Idempotent. Any thread.
  void close() noexcept {
    closed_.store(true,
                  std::memory_order_seq_cst);  // seq_cst: pairs with the looks after standing, see far_place
    for (receiver& each : receivers_) each.place.wake();
    for (const auto& each : pairs_) each->room.wake();
  }
  bool closed() const noexcept {
    return closed_.load(
        std::memory_order_acquire);  // acquire: pairs with close(); what was put before it is seen
  }

  /// Of the calling core.
  mesh_statistics statistics() noexcept {
    const unsigned mine = own_core();
    mesh_statistics all = {
        .size = 0, .received = 0, .sent = 0, .get_waits = receivers_[mine].place.waits(), .room_waits = 0};
    for (unsigned other = 0; other < cores_; ++other) {
      const pair& from = way(other, mine);
      const pair& to = way(mine, other);
      all.size += from.slots.size();
      all.received += from.slots.total();
      all.sent += to.slots.total();
      all.room_waits += to.room.waits();
    }
    return all;
  }

 private:
  class [[nodiscard]] room_await : detail::place_waiter {
   public:
    room_await(mesh& of, pair& way, unsigned to, T& item) noexcept
        : place_waiter(is_answered), of_(of), way_(way), to_(to), item_(item) {
      this->kind = &detail::mesh_room_kind;
    }
    room_await(const room_await&) = delete;
    room_await& operator=(const room_await&) = delete;

    bool await_ready() noexcept {
      if (!detail::may_complete_now(this->kind->what)) return false;
      had_ = of_.enter(way_, to_, item_);
      return had_ != answer::wait;
    }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      had_ = answer::wait;
      detail::suspend_at(h, *this, way_.room);
    }
    result<void> await_resume() {
      detail::throw_if_cut();
      if (had_ == answer::wait) had_ = of_.enter(way_, to_, item_);
      return said(had_);
    }

   private:
    static bool is_answered(detail::place_waiter& self) noexcept {
      auto& mine = static_cast<room_await&>(self);
      return mine.of_.is_closed() || mine.way_.slots.has_room();
    }
    mesh& of_;
    pair& way_;
    unsigned to_;
    T& item_;
    answer had_ = answer::unasked;
  };

  static result<void> said(answer had) noexcept {
    if (had == answer::yes) return {};
    return fail(had == answer::closed ? errc::broken_pipe : errc::operation_would_block);
  }

  pair& way(unsigned from, unsigned to) const noexcept { return *pairs_[std::size_t{from} * cores_ + to]; }
  unsigned own_core() const noexcept {
    const unsigned mine = this_core();
    AXLE_CHECK(mine < cores_, "core %u used a mesh that was made for %u cores", mine, cores_);
    return mine;
  }
  pair& way_to(unsigned to) const noexcept {
    AXLE_CHECK(to < cores_, "there is no core %u in a mesh that was made for %u cores", to, cores_);
    return way(own_core(), to);
  }
  bool is_closed() const noexcept {
    return closed_.load(std::memory_order_seq_cst);  // seq_cst: pairs with close()
  }

  bool has_answer_for_receiver(unsigned core) noexcept {
    if (is_closed()) return true;
    for (unsigned from = 0; from < cores_; ++from)
      if (way(from, core).slots.has_item()) return true;
    return false;
  }

  answer take(unsigned core, std::optional<received>& into) noexcept {
    const bool was_closed = closed();  // before the look, so that what was sent earlier is seen
    unsigned from = receivers_[core].next;
    for (unsigned i = 0; i < cores_; ++i) {
      pair& each = way(from, core);
      const unsigned taken_from = from;
      from = from + 1 == cores_ ? 0 : from + 1;
      if (!each.slots.has_item()) continue;
      into.emplace(received{taken_from, each.slots.pop()});
      receivers_[core].next = from;
      each.room.wake();
      return answer::yes;
    }
    return was_closed ? answer::closed : answer::wait;
  }
  answer enter(pair& by, unsigned to, T& item) noexcept {
    if (closed()) return answer::closed;
    if (!by.slots.has_room()) return answer::wait;
    by.slots.push(std::move(item));
    receivers_[to].place.wake();
    return answer::yes;
  }

  const unsigned cores_;
  std::vector<std::unique_ptr<pair>> pairs_;
  std::vector<receiver> receivers_;
  alignas(128) std::atomic<bool> closed_{false};
};

}  // namespace axle
