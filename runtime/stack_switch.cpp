// Switching stacks, and telling the sanitizers.
#include "stack_switch.hpp"

#include <cxxabi.h>
#include <boost/context/preallocated.hpp>
#include <boost/context/stack_context.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include <axle/check.hpp>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AXLE_STACKS_ASAN 1
#include <sanitizer/asan_interface.h>
#endif
#if __has_feature(thread_sanitizer)
#define AXLE_STACKS_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#endif

namespace axle::detail {

namespace {

constexpr std::size_t smallest_stack = 16 * 1024;

struct keeps_stack {
  void deallocate(boost::context::stack_context&) const noexcept {}  // destroy() does
};

}  // namespace

stack_switch::stack_switch(alloc::stack_block stack, function run, void* argument) noexcept
    : stack_(stack), run_(run), argument_(argument) {
#if defined(AXLE_STACKS_TSAN)
  fake_inside_ = __tsan_create_fiber(0);
#endif
}

stack_switch& stack_switch::make(std::size_t stack_bytes, function run, void* argument) {
  const alloc::stack_block stack = alloc::stack_allocate(std::max(stack_bytes, smallest_stack));
#if defined(AXLE_STACKS_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(stack.low, stack.bytes);
#endif
  constexpr std::size_t own = (sizeof(stack_switch) + 63) / 64 * 64;
  std::byte* const place = stack.top() - own;
  auto& made = *::new (static_cast<void*>(place)) stack_switch(stack, run, argument);
  boost::context::stack_context rest;
  rest.size = stack.bytes - own;
  rest.sp = place;
  made.inside_ =
      boost::context::fiber(std::allocator_arg, boost::context::preallocated(rest.sp, rest.size, rest),
                            keeps_stack{}, [&made](boost::context::fiber&& outside) {
                              made.outside_ = std::move(outside);
                              made.has_entered();
                              made.run_(made.argument_);
                              made.ended_ = true;
                              made.about_to_leave(true);
                              return std::move(made.outside_);
                            });
  return made;
}

void stack_switch::destroy() noexcept {
  AXLE_CHECK(ended_, "the function on a stack of its own has not ended");
#if defined(AXLE_STACKS_TSAN)
  __tsan_destroy_fiber(fake_inside_);
#endif
  const alloc::stack_block stack = stack_;
  this->~stack_switch();
  alloc::stack_free(stack);
}

void stack_switch::enter() noexcept {
  handled_ = swap_handled(handled_);
  about_to_enter();
  inside_ = std::move(inside_).resume();
  is_back();
  handled_ = swap_handled(handled_);
}

void stack_switch::leave() noexcept {
  about_to_leave(false);
  outside_ = std::move(outside_).resume();
  has_entered();
}

stack_switch::handled_exceptions stack_switch::swap_handled(const handled_exceptions& next) noexcept {
  void* const globals = abi::__cxa_get_globals();
  handled_exceptions before;
  std::memcpy(&before.caught, globals, sizeof before.caught);
  std::memcpy(&before.in_flight, static_cast<char*>(globals) + sizeof(void*), sizeof before.in_flight);
  std::memcpy(globals, &next.caught, sizeof next.caught);
  std::memcpy(static_cast<char*>(globals) + sizeof(void*), &next.in_flight, sizeof next.in_flight);
  return before;
}

#if defined(AXLE_STACKS_ASAN)
void stack_switch::about_to_enter() noexcept {
  __sanitizer_start_switch_fiber(&fake_outside_, stack_.low, stack_.bytes);
}
void stack_switch::is_back() noexcept { __sanitizer_finish_switch_fiber(fake_outside_, nullptr, nullptr); }
void stack_switch::has_entered() noexcept {
  __sanitizer_finish_switch_fiber(fake_inside_, &outside_low_, &outside_bytes_);
}
void stack_switch::about_to_leave(bool for_good) noexcept {
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_inside_, outside_low_, outside_bytes_);
}
#elif defined(AXLE_STACKS_TSAN)
void stack_switch::about_to_enter() noexcept {
  fake_outside_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fake_inside_, 0);
}
void stack_switch::is_back() noexcept {}
void stack_switch::has_entered() noexcept {}
void stack_switch::about_to_leave(bool) noexcept { __tsan_switch_to_fiber(fake_outside_, 0); }
#else
void stack_switch::about_to_enter() noexcept {}
void stack_switch::is_back() noexcept {}
void stack_switch::has_entered() noexcept {}
void stack_switch::about_to_leave(bool) noexcept {}
#endif

}  // namespace axle::detail
