// The operations of the table of waits (sync_table_subject.hpp): what is waited for and happens.
#pragma once

#include "sync_table_subject.hpp"

namespace axle::test::sync_table {

class event_wait final : public subject {
 public:
  task<> block() override {
    of_.clear();
    co_return;
  }
  task<> grant(std::size_t) override {
    of_.set();
    co_return;
  }
  void open() override { of_.set(); }
  task<> use(record& in, int id) override {
    return uses([this] { return of_.wait(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_.wait(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_.wait()); }
  std::size_t waiting() const override { return of_.statistics().now; }
  std::uint64_t waits() const override { return of_.statistics().total; }
  void expect_whole(const record&) override { EXPECT_EQ(of_.statistics().now, 0U); }

 private:
  event of_;
};

class latch_wait final : public subject {
 public:
  task<> block() override {
    if (of_->left() == 0) of_.emplace(2);
    co_return;
  }
  task<> grant(std::size_t) override {
    of_->count_down(of_->left());
    co_return;
  }
  void open() override { of_->count_down(2); }
  task<> use(record& in, int id) override {
    return uses([this] { return of_->wait(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_->wait(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_->wait()); }
  std::size_t waiting() const override { return of_->statistics().now; }
  std::uint64_t waits() const override { return of_->statistics().total; }
  void expect_whole(const record&) override { EXPECT_EQ(of_->statistics().now, 0U); }

 private:
  std::optional<latch> of_{std::in_place, 2};
};

task<> arrives(barrier& at) { static_cast<void>(co_await at.wait()); }

// Three and the one that grants; the places of those that are missing are filled.
class barrier_wait final : public subject {
 public:
  task<> block() override {
    if (of_->parties() == 1) of_.emplace(waiters + 1);
    co_return;
  }
  task<> grant(std::size_t) override {
    std::vector<join_handle<>> helpers;
    for (std::size_t missing = of_->parties() - 1 - of_->waiting(); missing > 0; --missing)
      helpers.push_back(spawn(arrives(*of_)));
    if (!helpers.empty()) co_await yield();
    const auto mine = co_await of_->wait();
    EXPECT_TRUE(mine);
    for (auto& helper : helpers) co_await helper;
  }
  void open() override { of_.emplace(1); }
  task<> use(record& in, int id) override {
    return uses([this] { return of_->wait(); }, nothing_more, in, id);
  }
  task<> cycles(record& in, std::size_t count) override {
    return cycles_of([this] { return of_->wait(); }, nothing_more, in, count);
  }
  void drop() override { static_cast<void>(of_->wait()); }
  std::size_t waiting() const override { return of_->waiting(); }
  std::uint64_t waits() const override { return of_->statistics().total; }
  void expect_whole(const record&) override {
    EXPECT_EQ(of_->waiting(), 0U);
    EXPECT_FALSE(of_->broken());
  }

 private:
  std::optional<barrier> of_{std::in_place, waiters + 1};
};

class condition_wait final : public subject {
 public:
  condition_wait() {
    at_once = false;
    together = false;
    limit = 1;
  }
  task<> block() override { co_return; }
  task<> grant(std::size_t count) override {
    of_.notify(count);
    co_return;
  }
  task<> use(record& in, int id) override { return waits_for(*this, in, id); }
  static task<> waits_for(condition_wait& self, record& in, int id) {
    ++in.begun;
    auto held = co_await self.lock_.lock();
    co_await self.of_.wait(held);
    EXPECT_TRUE(self.lock_.locked());
    const visit here(in, id);
    co_await yield();
    ++in.past;
  }
  void drop() override {
    mutex::guard held = lock_.try_lock();
    static_cast<void>(of_.wait(held));
  }
  std::size_t waiting() const override { return of_.statistics().now; }
  std::uint64_t waits() const override { return of_.statistics().total; }
  void expect_whole(const record&) override {
    EXPECT_FALSE(lock_.locked());
    EXPECT_EQ(lock_.statistics().waiting.now, 0U);
  }

 private:
  mutex lock_;
  condition of_;
};

// With a predicate: each takes a ticket.
class condition_predicate final : public subject {
 public:
  condition_predicate() {
    ends_at_once = false;
    together = false;
    limit = 1;
  }
  task<> block() override {
    tickets_ = 0;
    issued_ = 0;
    taken_ = 0;
    co_return;
  }
  task<> grant(std::size_t count) override {
    tickets_ += count;
    issued_ += count;
    of_.notify_all();
    co_return;
  }
  void open() override { issued_ = tickets_ = waiters; }
  task<> use(record& in, int id) override { return waits_for(*this, in, id); }
  static task<> waits_for(condition_predicate& self, record& in, int id) {
    ++in.begun;
    auto held = co_await self.lock_.lock();
    const auto has_ticket = [&self] { return self.tickets_ > 0; };
    co_await self.of_.wait(held, has_ticket);
    --self.tickets_;
    ++self.taken_;
    const visit here(in, id);
    co_await yield();
    ++in.past;
  }
  static task<> takes(condition_predicate& self, record& in, std::size_t count) {
    auto held = co_await self.lock_.lock();
    const auto has_ticket = [&self] { return self.tickets_ > 0; };
    for (std::size_t i = 0; i < count; ++i) {
      co_await self.of_.wait(held, has_ticket);
      ++in.cycles;
    }
  }
  task<> cycles(record& in, std::size_t count) override { return takes(*this, in, count); }
  std::size_t waiting() const override { return of_.statistics().now; }
  std::uint64_t waits() const override { return of_.statistics().total; }
  void expect_whole(const record&) override {
    EXPECT_FALSE(lock_.locked());
    EXPECT_EQ(tickets_ + taken_, issued_);
  }

 private:
  mutex lock_;
  condition of_;
  std::size_t tickets_ = 0, issued_ = 0, taken_ = 0;
};

// The first is at it until the gate opens; the users come behind.
template <bool Value>
class once_call final : public subject {
 public:
  once_call() {
    ends_at_once = false;
    together = false;
    same_turn = false;
    sees_wait = false;
  }
  static task<> work(event& gate) { co_await gate.wait(); }
  static task<int> makes(event& gate) {
    co_await gate.wait();
    co_return 7;
  }
  task<> block() override {
    if (is_done()) renew();
    gate_.clear();
    spawn(first(*this)).detach();
    co_await yield();
  }
  task<> grant(std::size_t) override {
    gate_.set();
    co_return;
  }
  void open() override { gate_.set(); }
  static task<> first(once_call& self) {
    if constexpr (Value) {
      const int& made = co_await self.value_->get(makes, std::ref(self.gate_));
      EXPECT_EQ(made, 7);
    } else {
      co_await self.plain_->call(work, std::ref(self.gate_));
    }
  }
  task<> use(record& in, int id) override { return waits_for(*this, in, id); }
  static task<> waits_for(once_call& self, record& in, int id) {
    ++in.begun;
    co_await first(self);
    EXPECT_TRUE(self.is_done());
    const visit here(in, id);
    co_await yield();
    ++in.past;
  }
  task<> cycles(record& in, std::size_t count) override { return calls(*this, in, count); }
  static task<> calls(once_call& self, record& in, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      co_await first(self);
      ++in.cycles;
    }
  }
  std::size_t waiting() const override { return 0; }
  std::uint64_t waits() const override { return 0; }
  void expect_whole(const record&) override { EXPECT_EQ(gate_.statistics().now, 0U); }

 private:
  bool is_done() { return Value ? value_->peek() != nullptr : plain_->done(); }
  void renew() {
    plain_.emplace();
    value_.emplace();
  }
  event gate_;
  std::optional<once> plain_{std::in_place};
  std::optional<once_value<int>> value_{std::in_place};
};

}  // namespace axle::test::sync_table
