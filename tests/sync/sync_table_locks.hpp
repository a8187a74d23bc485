// The operations of the table of waits (sync_table_subject.hpp): what is held and given back.
#pragma once

#include "sync_table_subject.hpp"

namespace axle::test::sync_table {

class mutex_lock final : public subject {
 public:
  mutex_lock() {
    together = false;
    limit = 1;
  }
  task<> block() override {
    if (!held_) held_ = of_.try_lock();
    EXPECT_TRUE(held_);
    co_return;
  }
  task<> grant(std::size_t) override {
    held_.unlock();
    co_return;
  }
  task<> use(record& in, int id) override {
    return uses([this] { return of_.lock(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.lock(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.lock()); }
  std::size_t waiting() const override { return of_.statistics().waiting.now; }
  std::uint64_t waits() const override { return of_.statistics().waiting.total; }
  void expect_whole(const record&) override {
    EXPECT_FALSE(of_.locked());
    EXPECT_EQ(of_.statistics().holder, 0U);
  }

 private:
  mutex of_;
  mutex::guard held_;
};

template <bool Writes>
class shared_mutex_lock final : public subject {
 public:
  shared_mutex_lock() {
    together = !Writes;
    if (Writes) limit = 1;
  }
  task<> block() override {
    if (!held_) held_ = of_.try_lock();
    EXPECT_TRUE(held_);
    co_return;
  }
  task<> grant(std::size_t) override {
    held_.unlock();
    co_return;
  }
  auto wait() {
    if constexpr (Writes) {
      return of_.lock();
    } else {
      return of_.lock_shared();
    }
  }
  task<> use(record& in, int id) override {
    return uses([this] { return wait(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return wait(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(wait()); }
  std::size_t waiting() const override { return of_.statistics().waiting.now; }
  std::uint64_t waits() const override { return of_.statistics().waiting.total; }
  void expect_whole(const record&) override {
    EXPECT_FALSE(of_.statistics().writing);
    EXPECT_EQ(of_.statistics().readers, 0U);
  }

 private:
  shared_mutex of_;
  shared_mutex::guard held_;
};

template <class Semaphore, std::size_t Each>
class semaphore_acquire final : public subject {
 public:
  semaphore_acquire() {
    together = Each == 1;
    limit = static_cast<int>(waiters / Each);
  }
  task<> block() override {
    if (!held_) held_ = of_.try_acquire(waiters);
    EXPECT_TRUE(held_);
    co_return;
  }
  task<> grant(std::size_t) override {
    held_.release();
    co_return;
  }
  task<> use(record& in, int id) override {
    return uses([this] { return of_.acquire(Each); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.acquire(Each); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.acquire(Each)); }
  std::size_t waiting() const override { return of_.statistics().waiting.now; }
  std::uint64_t waits() const override { return of_.statistics().waiting.total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(of_.available(), static_cast<std::size_t>(waiters));
    EXPECT_EQ(of_.statistics().available, static_cast<std::size_t>(waiters));
  }

 private:
  Semaphore of_{waiters};
  semaphore::permit held_;
};

// The tokens are taken away, and given back, by set_total.
class limiter_acquire final : public subject {
 public:
  limiter_acquire() { limit = waiters; }
  task<> block() override {
    of_.set_total(0);
    co_return;
  }
  task<> grant(std::size_t) override {
    of_.set_total(waiters);
    co_return;
  }
  task<> use(record& in, int id) override {
    return uses([this] { return of_.acquire(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.acquire(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.acquire()); }
  std::size_t waiting() const override { return of_.statistics().waiting.now; }
  std::uint64_t waits() const override { return of_.statistics().waiting.total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(of_.borrowed(), 0U);
    EXPECT_EQ(of_.available(), of_.total());
    EXPECT_TRUE(of_.statistics().borrowers.empty());
  }

 private:
  capacity_limiter of_{waiters};
};

// One token, for borrowers that are not the tasks.
class limiter_on_behalf final : public subject {
 public:
  limiter_on_behalf() {
    together = false;
    limit = 1;
  }
  task<> block() override {
    if (!held_) held_ = of_.try_acquire();
    EXPECT_TRUE(held_);
    co_return;
  }
  task<> grant(std::size_t) override {
    held_.release();
    co_return;
  }
  task<> use(record& in, int id) override {
    return uses([this, id] { return of_.acquire_on_behalf_of(1'000'000 + static_cast<std::uintptr_t>(id)); },
                nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.acquire_on_behalf_of(2'000'000); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.acquire_on_behalf_of(3'000'000)); }
  std::size_t waiting() const override { return of_.statistics().waiting.now; }
  std::uint64_t waits() const override { return of_.statistics().waiting.total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(of_.borrowed(), 0U);
    EXPECT_EQ(of_.available(), 1U);
  }

 private:
  capacity_limiter of_{1};
  capacity_limiter::token held_;
};

}  // namespace axle::test::sync_table
