// frame_pool: size classes, reuse, counts, blocks above the largest class, pools of ended threads.
#include <axle/alloc/frame_pool.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <vector>

namespace {

using axle::alloc::frame_allocate;
using axle::alloc::frame_free;
using axle::alloc::frame_pool;
using axle::alloc::this_thread_frames;

TEST(frame_pool, blocks_are_aligned_distinct_and_writable) {
  std::set<void*> seen;
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t bytes = 0; bytes <= frame_pool::largest_bytes + 64; bytes += 7) {
    void* block = frame_allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % frame_pool::granule_bytes, 0U);
    EXPECT_TRUE(seen.insert(block).second);
    std::memset(block, 0xab, bytes);
    blocks.emplace_back(block, bytes);
  }
  for (auto [block, bytes] : blocks) frame_free(block, bytes);
}

TEST(frame_pool, counts_return_to_where_they_were) {
  const std::uint64_t before = this_thread_frames().counts().live();
  void* small = frame_allocate(40);
  void* large = frame_allocate(100'000);
  EXPECT_EQ(this_thread_frames().counts().live(), before + 2);
  frame_free(small, 40);
  frame_free(large, 100'000);
  EXPECT_EQ(this_thread_frames().counts().live(), before);
}

#if !defined(AXLE_PLAIN_FRAMES)
TEST(frame_pool, a_freed_block_is_the_next_of_its_class) {
  void* first = frame_allocate(100);
  frame_free(first, 100);
  void* second = frame_allocate(97);  // the same class: 97 to 112 bytes
  EXPECT_EQ(first, second);
  frame_free(second, 97);
}

TEST(frame_pool, steady_use_takes_no_more_slabs) {
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 10'000; ++i) blocks.push_back(frame_allocate(208));
    const std::uint64_t slabs = this_thread_frames().counts().slab_bytes;
    for (void* block : blocks) frame_free(block, 208);
    for (void*& block : blocks) block = frame_allocate(208);
    EXPECT_EQ(this_thread_frames().counts().slab_bytes, slabs);
    for (void* block : blocks) frame_free(block, 208);
  }
}

TEST(frame_pool, a_thread_adopts_the_pool_of_one_that_ended) {
  void* left_behind = nullptr;
  std::thread([&] {
    left_behind = frame_allocate(304);
    frame_free(left_behind, 304);
  }).join();
  void* adopted = nullptr;
  std::thread([&] {
    adopted = frame_allocate(304);
    frame_free(adopted, 304);
  }).join();
  EXPECT_EQ(left_behind, adopted);
}
#endif

TEST(frame_pool, a_block_may_be_freed_by_another_thread) {
  void* block = frame_allocate(64);
  std::thread([&] { frame_free(block, 64); }).join();
}

TEST(frame_pool, an_allocation_can_be_made_to_fail) {
  axle::alloc::fail_frame_allocation_after(0);
  // 2,000 blocks of one class do not fit into what is free without asking the heap
  std::vector<void*> blocks;
  bool failed = false;
  for (int i = 0; i < 2'000 && !failed; ++i) {
    try {
      blocks.push_back(frame_allocate(2'048));
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  }
  axle::alloc::fail_frame_allocation_after(-1);
  for (void* block : blocks) frame_free(block, 2'048);
  EXPECT_TRUE(failed);
}

}  // namespace
