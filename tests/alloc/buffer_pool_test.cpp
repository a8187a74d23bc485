// buffer_pool: leases, order of reuse, dryness, counts.
#include <axle/alloc/buffer_pool.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

namespace {

using axle::alloc::buffer_id;
using axle::alloc::buffer_pool;
using axle::alloc::no_buffer;

TEST(buffer_pool, gives_every_buffer_once_and_then_none) {
  buffer_pool pool(64, 512);
  std::set<buffer_id> seen;
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(seen.insert(pool.acquire()).second);
  EXPECT_FALSE(seen.contains(no_buffer));
  EXPECT_TRUE(pool.empty());
  EXPECT_EQ(pool.acquire(), no_buffer);
  EXPECT_EQ(pool.counts().dry, 1U);
  EXPECT_EQ(pool.counts().outstanding(), 64U);
  for (const buffer_id id : seen) pool.release(id);
  EXPECT_EQ(pool.counts().outstanding(), 0U);
}

TEST(buffer_pool, the_last_one_back_is_the_first_out) {
  buffer_pool pool(8, 512);
  const buffer_id first = pool.acquire();
  const buffer_id second = pool.acquire();
  pool.release(first);
  pool.release(second);
  EXPECT_EQ(pool.acquire(), second);
  EXPECT_EQ(pool.acquire(), first);
}

TEST(buffer_pool, buffers_do_not_overlap) {
  buffer_pool pool(16, 4096);
  std::vector<buffer_id> held;
  for (int i = 0; i < 16; ++i) {
    held.push_back(pool.acquire());
    std::memset(pool.memory(held.back()), i, pool.buffer_bytes());
  }
  for (int i = 0; i < 16; ++i)
    for (std::uint32_t at = 0; at < pool.buffer_bytes(); ++at)
      ASSERT_EQ(static_cast<int>(pool.memory(held[static_cast<std::size_t>(i)])[at]), i);
}

TEST(buffer_pool, what_the_kernel_holds_is_not_outstanding) {
  buffer_pool pool(8, 512);
  for (int i = 0; i < 5; ++i) pool.acquire();
  pool.set_in_kernel(3);
  EXPECT_EQ(pool.counts().outstanding(), 2U);
}

TEST(buffer_pool, memory_that_was_never_leased_costs_nothing) {
  // A page that nobody touched reads as zero, whatever a heap that fills what it gives would have left there.
  buffer_pool pool(2048, 16384);
  for (std::uint32_t at = 0; at < pool.buffer_bytes(); ++at) ASSERT_EQ(pool.memory(2047)[at], std::byte{0});
}

}  // namespace
