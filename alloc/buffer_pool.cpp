// buffer_pool's mapping: one aligned block, numbered from the bottom, so that the first leases are neighbours.
#include <axle/alloc/buffer_pool.hpp>

#include <new>

namespace axle::alloc {

namespace {
constexpr std::align_val_t page{4096};
}

buffer_pool::buffer_pool(std::uint32_t count, std::uint32_t bytes)
    : about_(std::make_unique<about[]>(count)),
      base_(static_cast<std::byte*>(::operator new(std::size_t{count} * bytes, page))),
      bytes_(bytes) {
  for (std::uint32_t id = count; id-- > 0;) release(static_cast<buffer_id>(id));
  counts_.total = count;
}

buffer_pool::~buffer_pool() { ::operator delete(base_, page); }

}  // namespace axle::alloc
