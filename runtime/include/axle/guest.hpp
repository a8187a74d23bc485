// guest: a loop that another loop hosts: axle inside a GUI's, a game's or another library's event loop. (Trio's guest mode.)
//
//     axle::guest<int> guest(amain());
//     host.watch_readable(guest.descriptor(), [&] { if (!guest.turn()) host.stop(); });
//     host.run();
//     return guest.result();
//
// descriptor() is readable when turn() has something to do: something has completed, a timer is due, another thread has sent
// something. Any poll, epoll, select or kqueue takes it, level-triggered. turn() makes one turn and does not sleep. The guest
// has one loop, on the thread that made it, which is not pinned; signals are the host's to handle: cancel() does what Ctrl-C
// would. Tasks run on a stack of the guest's own, 8 MiB, inside turn().
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <axle/run.hpp>

namespace axle {

namespace detail {

class guest_engine;

/// What does not depend on the result.
class guest_run {
 public:
  guest_run(const guest_run&) = delete;
  guest_run& operator=(const guest_run&) = delete;

  /// Readable when turn() has something to do. Stays the same until the guest is destroyed.
  AXLE_EXPORT int descriptor() const noexcept;
  /// One turn of the loop. False: main has ended, and so has all that it left. Not inside a task of any loop.
  AXLE_EXPORT bool turn() noexcept;
  AXLE_EXPORT bool ended() const noexcept;
  /// Asks main to end, as Ctrl-C does in run(). Idempotent.
  AXLE_EXPORT void cancel() noexcept;

 protected:
  /// Throws what run() throws when it cannot start.
  AXLE_EXPORT guest_run(const run_options& options, frame_handle main);
  /// If it has not ended, it is cancelled, and turns until it has.
  AXLE_EXPORT ~guest_run();
  AXLE_EXPORT main_task& main() noexcept;

 private:
  std::unique_ptr<guest_engine> engine_;
};

}  // namespace detail

/// All of it on the thread that made it.
template <class T = void>
class guest : public detail::guest_run {
 public:
  /// Starts the loop; main runs in the first turn. `cores` and `handle_signals` of the options do not apply. Throws
  /// std::invalid_argument (a driver that cannot be hosted), std::system_error or std::bad_alloc.
  guest(const run_options& options, task<T> main) : guest_run(options, main.release()) {}
  explicit guest(task<T> main) : guest(run_options{}, std::move(main)) {}

  /// After the end, once: main's value, or its exception is thrown; `cancelled` if it was cancelled.
  T result() {
    AXLE_CHECK(ended(), "a guest's result was asked for before its end; turn() says false when it has ended");
    return detail::outcome_of<T>(main()).value();
  }
};

}  // namespace axle
