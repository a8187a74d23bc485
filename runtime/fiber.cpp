// A fiber between its task and its stack.
#include <axle/fiber.hpp>

#include <utility>

#include "loop.hpp"
#include "stack_switch.hpp"

namespace axle::detail {

namespace {
thread_local constinit fiber_stack* running_fiber = nullptr;
}

fiber_stack::fiber_stack(std::size_t stack_bytes, void (*run)(void*), void* argument)
    : run_(run), argument_(argument) {
  stack_ = &stack_switch::make(
      stack_bytes, [](void* of) noexcept { static_cast<fiber_stack*>(of)->body(); }, this);
}

fiber_stack::~fiber_stack() {
  unwinding_ = true;
  if (!ended()) resume();
  AXLE_CHECK(ended(), "a fiber did not end when it was cancelled");
  if (failure_) report_failed_callback(failure_);
  stack_->destroy();
}

bool fiber_stack::ended() const noexcept { return stack_->ended(); }

void fiber_stack::body() noexcept {
  try {
    if (!unwinding_) run_(argument_);
  } catch (const cancelled&) {
    if (!unwinding_) failure_ = std::current_exception();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

fiber_stack& fiber_stack::running() noexcept {
  AXLE_CHECK(
      running_fiber != nullptr,
      "axle::await was called outside a fiber; write co_await in a coroutine, or start one: axle::fiber(f, "
      "args...)");
  AXLE_CHECK(running_fiber->depth_ == this_loop->depth,
             "axle::await was called in a coroutine that a fiber awaits; write co_await there");
  return *running_fiber;
}

void fiber_stack::resume() noexcept {
  loop_core& loop = *this_loop;
  const unsigned depth = loop.depth;
  fiber_stack* const outer = std::exchange(running_fiber, this);
  depth_ = depth;
  stack_->enter();
  running_fiber = outer;
  loop.depth = depth;
}

void fiber_stack::leave() noexcept { stack_->leave(); }

}  // namespace axle::detail
