// Every waiting operation of every primitive against every moment at which it may be granted, cancelled or timed out.
//
// Each case has three tasks that use a primitive which is taken; one of them, the victim, meets with the strike. Whatever
// happens: the others are served in the order in which they came, nothing is lost, nobody is left in the list, and the
// primitive works afterwards.
// This half: what is waited for, written once for every primitive. Included by sync_table_test.cpp alone.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "../support.hpp"

namespace axle::test::sync_table {

constexpr int waiters = 3;

// What the users of one case did.
struct record {
  std::vector<int> served;  // in order
  int begun = 0;
  int past = 0;  // were served, and got past the next await as well
  int inside = 0;
  int most_inside = 0;
  std::size_t cycles = 0;

  bool was_served(int id) const { return std::count(served.begin(), served.end(), id) > 0; }
};

class visit {
 public:
  visit(record& in, int id) : in_(in) {
    in_.served.push_back(id);
    in_.most_inside = std::max(in_.most_inside, ++in_.inside);
  }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
  ~visit() { --in_.inside; }

 private:
  record& in_;
};

struct does_nothing {
  void operator()(auto&...) const {}
};
inline constexpr does_nothing nothing_more;

// Waits for what make() gives, tells then(what was had), and keeps it over one more await.
template <class Make, class Then>
task<> uses(Make make, Then then, record& in, int id) {
  ++in.begun;
  using had_type = decltype(make().await_resume());
  if constexpr (std::is_void_v<had_type>) {
    co_await make();
    then();
    const visit here(in, id);
    co_await yield();
  } else {
    auto had = co_await make();
    EXPECT_TRUE(static_cast<bool>(had));
    then(had);
    const visit here(in, id);
    co_await yield();
  }
  ++in.past;
}

// Has it and gives it back, many times.
template <class Make, class Back>
task<> cycles_of(Make make, Back back, record& in, std::size_t count) {
  using had_type = decltype(make().await_resume());
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (std::is_void_v<had_type>) {
      co_await make();
      back();
    } else {
      auto had = co_await make();
      back(had);
    }
    ++in.cycles;
  }
}

// ---- the operations -------------------------------------------------------------------------------------------------

class subject {
 public:
  subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  virtual task<> block() = 0;                   // from now on a use has to wait
  virtual task<> grant(std::size_t users) = 0;  // lets so many through, in this turn if it can
  virtual task<> use(record& in, int id) = 0;
  virtual void drop() {}  // makes an awaiter and drops it
  virtual std::size_t waiting() const = 0;
  virtual std::uint64_t waits() const = 0;
  virtual void expect_whole(const record& in) = 0;  // nothing lost, nothing held

  // Of those that can be had at once.
  virtual void open() {}
  virtual task<> cycles(record&, std::size_t) { co_return; }

  bool at_once = true;    // it can be had without waiting
  bool together = true;   // grant(3) serves three in the same turn; else it is the first one's alone
  bool same_turn = true;  // grant serves in the same turn at all
  bool sees_wait = true;  // waiting() is known
  bool ends_at_once =
      true;  // what is had at once is a place to be ended at; a task that awaits nothing is not
  int limit = waiters + 9;  // users at the same time
};

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
