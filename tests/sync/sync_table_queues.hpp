// The operations of the table of waits (sync_table_subject.hpp): what is put and got.
#pragma once

#include "sync_table_subject.hpp"

namespace axle::test::sync_table {

template <class Queue>
class queue_get final : public subject {
 public:
  task<> block() override {
    while (const auto left = of_.try_get()) ++got_;
    co_return;
  }
  task<> grant(std::size_t count) override {
    for (std::size_t i = 0; i < count; ++i) put();
    co_return;
  }
  void open() override {
    for (int i = 0; i < waiters; ++i) put();
  }
  task<> use(record& in, int id) override {
    const auto note = [this](auto& item) {
      ++got_;
      items_.push_back(*item);
    };
    return uses([this] { return of_.get(); }, note, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    const auto back = [this](auto& item) { EXPECT_TRUE(of_.try_put(std::move(*item))); };
    return cycles_of([this] { return of_.get(); }, back, in, count);
  }
  void drop() override { static_cast<void>(of_.get()); }
  std::size_t waiting() const override { return of_.statistics().getters.now; }
  std::uint64_t waits() const override { return of_.statistics().getters.total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(got_ + of_.size(), static_cast<std::size_t>(put_)) << "items were lost, or made";
    std::vector<int> sorted = items_;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_TRUE(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) << "an item was got twice";
    EXPECT_EQ(of_.statistics().putters.now, 0U);
  }

 private:
  void put() {
    EXPECT_TRUE(of_.try_put(put_));
    ++put_;
  }
  Queue of_{5};
  int put_ = 0;
  std::size_t got_ = 0;
  std::vector<int> items_;
};

template <class Queue>
class queue_put final : public subject {
 public:
  task<> block() override {
    while (!of_.full()) put_now();
    co_return;
  }
  task<> grant(std::size_t count) override {
    for (; count > 0; --count) take();
    co_return;
  }
  task<> use(record& in, int id) override {
    const auto note = [this](auto&) { ++put_; };
    return uses([this] { return of_.put(next_++); }, note, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    const auto back = [this](auto&) { EXPECT_TRUE(of_.try_get()); };
    return cycles_of([this] { return of_.put(next_++); }, back, in, count);
  }
  void drop() override { static_cast<void>(of_.put(0)); }
  std::size_t waiting() const override { return of_.statistics().putters.now; }
  std::uint64_t waits() const override { return of_.statistics().putters.total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(taken_ + of_.size(), put_) << "items were lost, or made";
    EXPECT_EQ(of_.statistics().getters.now, 0U);
  }

 private:
  void put_now() {
    EXPECT_TRUE(of_.try_put(next_++));
    ++put_;
  }
  void take() {
    if (of_.try_get()) ++taken_;
  }
  Queue of_{3};
  int next_ = 0;
  std::size_t put_ = 0, taken_ = 0;
};

// The waiting of a delay_queue is a queue's when everything is due at once.
struct delay_queue_at_once : delay_queue<int> {
  using delay_queue::delay_queue;
  auto put(int item) { return delay_queue::put(item, 0s); }
  auto try_put(int item) { return delay_queue::try_put(item, 0s); }
};

class queue_join final : public subject {
 public:
  task<> block() override {
    if (of_.unfinished() == 0) EXPECT_TRUE(of_.try_put(1));
    co_return;
  }
  task<> grant(std::size_t) override {
    EXPECT_TRUE(of_.try_get());
    of_.task_done();
    co_return;
  }
  task<> use(record& in, int id) override {
    return uses([this] { return of_.join(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.join(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.join()); }
  std::size_t waiting() const override { return 0; }
  std::uint64_t waits() const override { return 0; }
  void expect_whole(const record&) override { EXPECT_EQ(of_.unfinished(), 0U); }
  queue_join() { sees_wait = false; }

 private:
  queue<int> of_{unbounded};
};

}  // namespace axle::test::sync_table
