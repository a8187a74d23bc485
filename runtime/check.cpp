// The end of a failed AXLE_CHECK: one line to stderr, then abort.
#include <axle/check.hpp>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace axle::detail {

void check_failed(const char* expression, const char* file, int line, const char* format, ...) noexcept {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, expression, message);
  std::fflush(stderr);
  std::abort();
}

}  // namespace axle::detail
