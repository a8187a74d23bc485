// Every waiting operation of every primitive against every moment at which it may be granted, cancelled or timed out.
//
// Each case has three tasks that use a primitive which is taken; one of them, the victim, meets with the strike. Whatever
// happens: the others are served in the order in which they came, nothing is lost, nobody is left in the list, and the
// primitive works afterwards.
// This part: what every operation of the table has; sync_table_{locks,signals,queues}.hpp have the operations, one class each,
// and sync_table_test.cpp the strikes.
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

// ---- an operation ---------------------------------------------------------------------------------------------------

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

}  // namespace axle::test::sync_table
