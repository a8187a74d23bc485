// stack_switch: a function on a stack of its own, entered and left at will. Private to runtime/; what fibers and guests are
// made of. The switch itself is Boost.Context's; what else belongs to a stack switches with it: the exceptions that are being
// handled there, and what the sanitizers know of it. One thread.
#pragma once

#include <cstddef>

#include <boost/context/fiber.hpp>

#include <axle/alloc/stack_pool.hpp>

namespace axle::detail {

class stack_switch {
 public:
  using function = void (*)(void*) noexcept;

  /// Lies at the top of its stack, so that it takes no other memory. Throws std::bad_alloc.
  static stack_switch& make(std::size_t stack_bytes, function run, void* argument);
  /// Only after run() has ended.
  void destroy() noexcept;
  stack_switch(const stack_switch&) = delete;
  stack_switch& operator=(const stack_switch&) = delete;

  /// From outside: runs the function until it leaves or ends.
  void enter() noexcept;
  /// From inside: goes back to whoever entered; returns when it is entered again.
  void leave() noexcept;
  bool ended() const noexcept { return ended_; }

 private:
  // The Itanium ABI keeps the exceptions being handled, and the count of those in flight, in these words of each thread; a
  // function may leave in a catch block.
  struct handled_exceptions {
    void* caught = nullptr;
    unsigned in_flight = 0;
  };
  static handled_exceptions swap_handled(const handled_exceptions& next) noexcept;

  stack_switch(alloc::stack_block stack, function run, void* argument) noexcept;
  ~stack_switch() = default;
  void about_to_enter() noexcept;
  void is_back() noexcept;
  void has_entered() noexcept;
  void about_to_leave(bool for_good) noexcept;

  alloc::stack_block stack_;
  function run_;
  void* argument_;
  boost::context::fiber inside_;   // while it is left
  boost::context::fiber outside_;  // while it is entered
  handled_exceptions handled_;     // of the side that is not running
  bool ended_ = false;

  // For the sanitizers.
  [[maybe_unused]] void* fake_inside_ = nullptr;
  [[maybe_unused]] void* fake_outside_ = nullptr;
  [[maybe_unused]] const void* outside_low_ = nullptr;
  [[maybe_unused]] std::size_t outside_bytes_ = 0;
};

}  // namespace axle::detail
