// The sleep protocol: how a loop goes to sleep and no message to it is slept over. Private to runtime/.
//
// Who plays. The sleeper: a loop that has nothing to do. The sender: a loop that has put a parcel into a lane to it. (Threads
// without a loop, and spilled messages, come through the mailbox, whose push is a locked instruction and so a full barrier: for
// them every state is as good as drowsy.) Both must not miss each other: the sleeper asleep with a parcel in its lane and no wake
// on the way. On every processor of today a store may be seen by others later than a load that comes after it; that is all the
// trouble there is.
//
//   sender                                      sleeper
//   S1  parcel full (release)                   L1  busy -> drowsy; barrier in all threads    (only from busy)
//   S2  look at attention                       L2  asleep; fence
//   S3  not busy: fence, look again             L3  look into every lane and the mailbox
//   S4  asleep -> drowsy by exchange: wake      L4  nothing there: sleep in the driver
//
// From drowsy: S1, fence, S3 and L2, fence, L3 are Dekker's: in the one order of the two fences, either the sender's comes first,
// and L3 sees the parcel; or the sleeper's does, and S3 sees asleep, and wakes.
// From busy: the sender has no fence, so S2 may read before S1 is seen. L1's barrier (Linux: membarrier) passes through the
// sender's thread at some point. S2 before that point: S1 was before it too, so the barrier has made the parcel seen, and L3 finds
// it. S2 after that point: it reads drowsy or asleep, and goes on as from drowsy.
// A sender that reads an old drowsy or asleep while the reader is busy again fences, looks again, and may wake for nothing. Two
// senders that both see asleep: the exchange lets one wake.
//
// When. The barrier costs microseconds (13, measured on two cores of which the other runs), the sender's fence nanoseconds (5 to
// 10): a loop becomes busy only after it has taken `parcels_that_pay` without a sleep, and a loop in poll mode busy is busy from
// the start. Where membarrier is missing or refused no loop ever is busy.
//
// tests/model/sleep_protocol.pml is this, with store buffers, for spin; and without L1's barrier, or without either fence, to show
// that the model would find the lost message. After the idea in M. Michael's hazard pointers with asymmetric fences, and
// Seastar's smp_poller.
#pragma once

#include <cstdint>

namespace axle::detail {

inline constexpr std::uint32_t parcels_that_pay = 2'000;

/// Whether barrier_in_all_threads() works: asks the kernel, once in the process. AXLE_TEST_MEMBARRIER=0 says no.
bool has_barrier_in_all_threads() noexcept;

/// Every thread of this process that runs has passed a full memory barrier when this returns.
void barrier_in_all_threads() noexcept;

}  // namespace axle::detail
