// AXLE_CHECK: what the caller got wrong ends the program with the reason, always; AXLE_DCHECK: invariants
// over whole structures, in builds with -Ddcheck=true. Neither is ever handed to the optimizer as a fact.
#pragma once

#include <source_location>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle::detail {

/// Prints "file:line: check failed: EXPRESSION: message" (printf-formatted) to stderr and aborts.
[[noreturn, gnu::cold]] AXLE_EXPORT void check_failed(const char* expression, const char* file, int line,
                                                      const char* format, ...) noexcept
    __attribute__((format(printf, 4, 5)));

}  // namespace axle::detail

/// AXLE_CHECK(condition, "what is wrong and what to do, %d", value)
#define AXLE_CHECK(condition, ...)                                               \
  do {                                                                           \
    if (!(condition)) [[unlikely]]                                               \
      ::axle::detail::check_failed(#condition, __FILE__, __LINE__, __VA_ARGS__); \
  } while (false)

#if defined(AXLE_DCHECK_ON)
#define AXLE_DCHECK(condition, ...) AXLE_CHECK(condition, __VA_ARGS__)
#else
#define AXLE_DCHECK(condition, ...) static_cast<void>(0)
#endif
