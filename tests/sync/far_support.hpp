// What the tests of the primitives between cores share.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "sync_support.hpp"

namespace axle::test {

/// f(args...) on another core, as a task of its own.
template <class F, class... Args>
task<> runs_on(unsigned core, F f, Args... args) {
  co_await on(core, f, args...);
}

/// Runs f() on several loops at once.
template <class F>
void on_cores(int cores, F f) {
  auto main = [&f]() -> task<> { co_await for_each_core(f); };
  run({.cores = cores}, main);
}

/// Runs the task that f() makes, on the simulator: for death tests.
template <class F>
void in_a_task(F f) {
  auto main = [&]() -> task<> { co_await f(); };
  on_sim(main);
}

/// What a result was: "value", "closed", "nothing", or "?".
template <class T>
std::string said(const result<T>& r) {
  if (r) return "value";
  if (is(r.error(), errc::broken_pipe)) return "closed";
  return is(r.error(), errc::operation_would_block) ? "nothing" : "?";
}

/// An item that cannot be copied, and says when one is leaked or destroyed twice.
class moved_item {
 public:
  explicit moved_item(std::atomic<int>& alive, int n = 0) : number(n), alive_(&alive) { ++*alive_; }
  moved_item(moved_item&& other) noexcept : number(other.number), alive_(other.alive_) { ++*alive_; }
  moved_item& operator=(moved_item&&) = delete;
  ~moved_item() { --*alive_; }
  int number;

 private:
  std::atomic<int>* alive_;
};

}  // namespace axle::test
