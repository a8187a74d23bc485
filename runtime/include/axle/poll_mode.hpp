// poll_mode: what a loop does when it has nothing to do; and what that has cost and brought.
#pragma once

#include <chrono>
#include <cstdint>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle {

/// What a loop does before it sleeps.
enum class poll_mode : std::uint8_t {
  adaptive,  ///< spins for as long as spinning has been paying off, then sleeps; an idle loop does not spin
  busy,      ///< spins, and never sleeps; the least latency, a whole processor
  blocking,  ///< sleeps at once; the least processor time
};

/// Of one loop, since it began.
struct idle_statistics {
  std::uint64_t spins = 0;          ///< times it began to spin
  std::uint64_t paid = 0;           ///< of them, ended by something to do
  std::uint64_t sleeps = 0;         ///< times it went to sleep in the driver
  std::chrono::nanoseconds spun{};  ///< in all
};

/// How the calling loop waits from its next turn on. O(1). Has no effect on the simulator and on guests, which do not spin.
AXLE_EXPORT void set_poll_mode(poll_mode mode) noexcept;
/// Of the calling loop.
AXLE_EXPORT poll_mode current_poll_mode() noexcept;
AXLE_EXPORT idle_statistics idle_times() noexcept;

}  // namespace axle
