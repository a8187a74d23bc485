// lane: messages from one loop to another: one writer, one reader, no lock and, while the reader is awake and busy, no
// locked instruction and no fence.
//
// A parcel is one cache line and says itself whether it is full, so that a message costs one transfer of a line, and its reply
// one. (FastForward's idea; J. Giacomoni et al., 2008. Rejected: an index beside the slots, a second line a message.) The reader
// tells what it has taken once a batch; the writer looks at that only when the lane seems full.
//
// A full lane spills: the message itself, which is a node, goes through the reader's mailbox, and so do all that follow until
// the reader has taken the last that was spilled. The reader, before a spilled message, takes what is in the lane: so the order
// holds. What may be under way is bounded by the senders: see call_window.
//
// Waking the reader: `attention` is the reader's. The story of each state, with all interleavings, is told in sleep_protocol.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT
#include <axle/detail/mailbox.hpp>

namespace axle::detail {

class loop;

/// How a loop is to be told of a message. Written by its owner, and from asleep to drowsy by whoever wakes it.
enum class attention : std::uint8_t {
  busy,    // it will look, and before it sleeps every thread passes a barrier: nothing to do
  drowsy,  // it looks, but may be about to sleep: a fence, then a second look
  asleep,  // it must be woken
};

/// What travels in a lane. `open` runs on the reader's loop, once; `from` is the writer's core.
struct parcel {
  static constexpr std::size_t room = 40;
  static constexpr unsigned nobody =
      ~0U;  // for `from`: the run is over, and the parcel is only to be emptied

  std::atomic<std::uint64_t> number{
      0};  // how many parcels the lane has carried, with this one, when it is full
  void (*open)(parcel&, unsigned from) noexcept = nullptr;
  void* about = nullptr;
  alignas(8) std::byte inside[room];
};
static_assert(sizeof(parcel) == 64, "a parcel is one cache line");

/// Whether a T can travel inside a parcel.
template <class T>
inline constexpr bool fits_parcel =
    sizeof(T) <= parcel::room && alignof(T) <= 8 && std::is_nothrow_move_constructible_v<T> &&
    std::is_nothrow_destructible_v<T>;

class lane : public message {
 public:
  static constexpr std::uint64_t size = 256;

  lane(unsigned from_core, loop& reads, std::atomic<attention>& of_reader) noexcept
      : from(from_core), reader(&reads), readers_attention_(&of_reader) {}
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;
  ~lane() {
    for (parcel* left = first(); left; pop(), left = first()) left->open(*left, parcel::nobody);
  }

  const unsigned from;
  loop* const reader;

  // ---- the writer's ----

  /// A parcel to fill, or null: the message must be spilled.
  parcel* claim() noexcept {
    if (next_ == limit_ && !has_room()) [[unlikely]]
      return nullptr;
    // The next ones but a few: taking their lines from the reader is what a burst of messages costs.
    fetch_for_writing(slots_[(next_ + 6) % size]);
    return &slots_[next_ % size];
  }
  /// The claimed parcel is full. True: the reader may have to be woken, see nudge().
  bool post() noexcept {
    // release: pairs with first()
    slots_[next_ % size].number.store(next_ + 1, std::memory_order_release);
    ++next_;
    // The reader's barrier (sleep_protocol.hpp) makes this order that of the processor.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return readers_attention_->load(std::memory_order_relaxed) != attention::busy;
  }
  /// One more goes through the mailbox.
  void spilled() noexcept { ++spilled_; }

  // ---- the reader's ----

  /// The oldest parcel, or null.
  parcel* first() noexcept {
    parcel& oldest = slots_[at_ % size];
    // acquire: pairs with post()
    return oldest.number.load(std::memory_order_acquire) == at_ + 1 ? &oldest : nullptr;
  }
  /// The first has been opened.
  void pop() noexcept { ++at_; }
  /// Tells the writer, once a batch, that their places are free.
  void give_back() noexcept {
    // release: pairs with has_room()
    taken_.store(at_, std::memory_order_release);
  }
  /// A spilled message has been received.
  void unspilled() noexcept {
    // release: pairs with has_room()
    unspilled_.store(unspilled_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  lane* next_lane = nullptr;  // of those that the reader looks at

 private:
  static void fetch_for_writing([[maybe_unused]] parcel& soon) noexcept {
#if defined(__x86_64__)
    // The builtin asks for it only where the compiler is told of the processor.
    asm volatile("prefetchw %0" : : "m"(soon));
#else
    __builtin_prefetch(&soon, 1);
#endif
  }
  bool has_room() noexcept {
    // acquire: pairs with unspilled() and give_back(), the reader is done with the places
    if (spilled_ != unspilled_.load(std::memory_order_acquire)) return false;
    limit_ = taken_.load(std::memory_order_acquire) + size;  // acquire: the same
    return next_ != limit_;
  }

  alignas(128) std::uint64_t next_ = 0;
  std::uint64_t limit_ = size;  // next_ may get so far
  std::uint64_t spilled_ = 0;
  std::atomic<attention>* const readers_attention_;
  alignas(128) std::uint64_t at_ = 0;
  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> unspilled_{0};
  alignas(128) parcel slots_[size];
};

}  // namespace axle::detail
