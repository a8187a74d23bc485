// The one barrier that the sleep protocol asks of the kernel: see sleep_protocol.hpp. Any thread.
#include "sleep_protocol.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include <axle/check.hpp>

namespace axle::detail {

namespace {

long membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

bool has_barrier_in_all_threads() noexcept {
  static const bool has = [] {
    const char* const wanted = getenv("AXLE_TEST_MEMBARRIER");
    if (wanted && std::strcmp(wanted, "0") == 0) return false;
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  }();
  return has;
}

// After a fork the registration is the child's as well.
void barrier_in_all_threads() noexcept {
  const long failed = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  AXLE_CHECK(failed == 0, "membarrier failed although the kernel had promised it");
}

}  // namespace axle::detail
