// buffer_pool's mapping: numbered from the bottom, so that the first leases are neighbours. It comes from the system and
// not from the heap: a page costs nothing until its first lease, and no heap's debug filling touches what is not used.
#include <axle/alloc/buffer_pool.hpp>

#include <sys/mman.h>

#include <new>

namespace axle::alloc {

namespace {

std::byte* map(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

}  // namespace

buffer_pool::buffer_pool(std::uint32_t count, std::uint32_t bytes)
    : about_(std::make_unique<about[]>(count)), base_(map(std::size_t{count} * bytes)), bytes_(bytes) {
  for (std::uint32_t id = count; id-- > 0;) release(static_cast<buffer_id>(id));
  counts_.total = count;
}

buffer_pool::~buffer_pool() { munmap(base_, std::size_t{counts_.total} * bytes_); }

}  // namespace axle::alloc
