// Native stacks: usable to the last byte, guarded below, kept for the next use.
#include <axle/alloc/stack_pool.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace axle::alloc {
namespace {

TEST(stack_pool, gives_whole_pages_that_can_be_written_from_end_to_end) {
  const stack_block stack = stack_allocate(10'000);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  EXPECT_GE(stack.bytes, 10'000U);
  EXPECT_EQ(stack.bytes % page, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stack.low) % page, 0U);
  std::memset(stack.low, 0xA5, stack.bytes);
  stack_free(stack);
}

TEST(stack_pool, keeps_a_stack_for_the_next_of_its_size) {
  const stack_pool_counts before = stack_counts();
  const stack_block first = stack_allocate(64 * 1024);
  const stack_block other = stack_allocate(128 * 1024);
  stack_free(first);
  const stack_block larger = stack_allocate(256 * 1024);
  EXPECT_NE(larger.low, first.low);
  const stack_block again = stack_allocate(64 * 1024);
  EXPECT_EQ(again.low, first.low);
  for (const stack_block& each : {other, larger, again}) stack_free(each);
  const stack_pool_counts after = stack_counts();
  EXPECT_EQ(after.allocated - before.allocated, 4U);
  EXPECT_EQ(after.live(), before.live());
}

TEST(stack_pool, keeps_no_more_than_its_bound) {
  std::vector<stack_block> all;
  for (std::size_t i = 0; i < kept_stacks_most + 10; ++i) all.push_back(stack_allocate(16 * 1024));
  for (const stack_block& each : all) stack_free(each);
  EXPECT_EQ(stack_counts().kept, kept_stacks_most);
  EXPECT_EQ(stack_counts().live(), 0U);
}

TEST(stack_pool, belongs_to_a_thread) {
  const stack_block mine = stack_allocate(32 * 1024);
  stack_block theirs;
  std::thread([&theirs] {
    theirs = stack_allocate(32 * 1024);
    EXPECT_EQ(stack_counts().mapped, 1U);
    stack_free(theirs);
  }).join();
  EXPECT_NE(theirs.low, mine.low);
  stack_free(mine);
}

TEST(stack_pool, refuses_what_cannot_be_had) {
  EXPECT_THROW((void)stack_allocate(SIZE_MAX / 2), std::bad_alloc);
}

TEST(stack_pool_death_test, a_write_below_the_stack_faults) {
  const stack_block stack = stack_allocate(16 * 1024);
  volatile std::byte* const below = stack.low - 1;
  EXPECT_DEATH(*below = std::byte{1}, "");
  stack_free(stack);
}

}  // namespace
}  // namespace axle::alloc
