// What the tests of the primitives share.
#pragma once

#include <vector>

#include "../support.hpp"

namespace axle::test {

inline bool is(std::error_code error, errc expected) { return error == std::make_error_condition(expected); }

template <class Queue>
task<> gets_one(Queue& from, std::vector<int>& into) {
  auto item = co_await from.get();
  if (item) into.push_back(*item);
}
template <class Queue>
task<> puts_one(Queue& to, int item, std::vector<int>& in) {
  const auto had = co_await to.put(item);
  if (had) in.push_back(item);
}

/// Lets everything that is ready run, so often.
inline task<> rounds(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

/// When the timer fired that let this task go on: a turn over the simulator takes some time of its own, up to a microsecond.
inline clock::time_point woken_at() { return clock::time_point(clock::duration(detail::this_loop->now_ns)); }
/// The same time, but for the time that a few turns take.
inline bool about(std::chrono::nanoseconds is, std::chrono::nanoseconds expected) {
  return is > expected - 20us && is < expected + 20us;
}

// Takes `count` permits, says so, and keeps them for `d`.
inline task<> holds(semaphore& of, std::size_t count, std::chrono::nanoseconds d, trace& log,
                    std::string name) {
  const auto permit = co_await of.acquire(count);
  EXPECT_TRUE(permit);
  log.push_back(std::move(name));
  co_await sleep(d);
}

inline task<> holds(mutex& of, std::chrono::nanoseconds d, trace& log, std::string name) {
  const auto held = co_await of.lock();
  EXPECT_TRUE(held);
  log.push_back(std::move(name));
  co_await sleep(d);
}

inline task<> produces(queue<int>& q, int count, std::size_t& most) {
  for (int i = 0; i < count; ++i) {
    const auto had = co_await q.put(i);
    EXPECT_TRUE(had);
    most = std::max(most, q.size());
  }
  q.close();
}

inline task<> consumes(queue<int>& q, std::vector<int>& into) {
  for (;;) {
    const auto item = co_await q.get();
    if (!item) co_return;
    into.push_back(*item);
    if (*item % 3 == 0) co_await yield();
  }
}

inline task<> joins(queue<int>& q, int& joined) {
  co_await q.join();
  ++joined;
}

inline task<> waits(event& of, trace& log, std::string name) {
  co_await of.wait();
  log.push_back(std::move(name));
}

struct arrivals {
  std::vector<std::size_t> places;
  int turned_away = 0;
};

inline task<> arrives(barrier& at, arrivals& log) {
  const auto place = co_await at.wait();
  if (place) {
    log.places.push_back(*place);
  } else {
    EXPECT_EQ(place.error(), std::make_error_condition(errc::operation_canceled));
    ++log.turned_away;
  }
}

inline task<> waits(latch& of, int& passed) {
  co_await of.wait();
  ++passed;
}

struct monitor {
  mutex lock;
  condition changed;
  int value = 0;
  trace log;
};

inline task<> waits(monitor& in, std::string name) {
  auto held = co_await in.lock.lock();
  co_await in.changed.wait(held);
  EXPECT_TRUE(held);
  EXPECT_EQ(in.lock.statistics().holder, current_task().id);
  in.log.push_back(name);
}

}  // namespace axle::test
