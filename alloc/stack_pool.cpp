// Mapping stacks, and keeping those that were taken back.
#include <axle/alloc/stack_pool.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace axle::alloc {

namespace {

std::size_t page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void unmap(stack_block stack) noexcept { munmap(stack.low - page_bytes(), stack.bytes + page_bytes()); }

// A kept stack is linked through its top words, which are touched anyway.
struct kept_stack {
  kept_stack* next;
  stack_block block;
};

struct stack_pool {
  stack_pool_counts counts;
  kept_stack* kept = nullptr;

  stack_pool() = default;
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;
  ~stack_pool() {
    while (kept) {
      const stack_block block = kept->block;
      kept = kept->next;
      unmap(block);
    }
  }

  stack_block take_kept(std::size_t bytes) noexcept {
    for (kept_stack** link = &kept; *link; link = &(*link)->next) {
      const stack_block block = (*link)->block;
      if (block.bytes != bytes) continue;
      *link = (*link)->next;
      --counts.kept;
      return block;
    }
    return {};
  }
};

thread_local stack_pool pool;

stack_block map(std::size_t bytes) {
  const std::size_t guard = page_bytes();
  void* const memory = mmap(nullptr, bytes + guard, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (mprotect(memory, guard, PROT_NONE) != 0) {
    munmap(memory, bytes + guard);
    throw std::bad_alloc();
  }
  return {static_cast<std::byte*>(memory) + guard, bytes};
}

}  // namespace

stack_block stack_allocate(std::size_t bytes) {
  const std::size_t page = page_bytes();
  if (bytes > std::size_t{1} << 40) throw std::bad_alloc();
  bytes = (bytes + page - 1) / page * page;
  if (!bytes) bytes = page;
  stack_block block = pool.take_kept(bytes);
  if (!block.low) {
    block = map(bytes);
    ++pool.counts.mapped;
  }
  ++pool.counts.allocated;
  return block;
}

void stack_free(stack_block stack) noexcept {
  ++pool.counts.freed;
  if (pool.counts.kept == kept_stacks_most) return unmap(stack);
  ++pool.counts.kept;
  pool.kept = ::new (static_cast<void*>(stack.top() - sizeof(kept_stack))) kept_stack{pool.kept, stack};
}

stack_pool_counts stack_counts() noexcept { return pool.counts; }

}  // namespace axle::alloc
