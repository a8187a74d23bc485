// What the tests of sharded<T> share: a service that knows its core, and a trace that all cores write.
#pragma once

#include <axle/sharded.hpp>

#include <atomic>
#include <mutex>
#include <string>

#include "../support.hpp"

namespace axle::test {

/// What happened on all cores, in the order in which they told.
class far_trace {
 public:
  void add(const std::string& what) {
    const std::lock_guard guard(lock_);
    all_.push_back(what);
  }
  void add_here(const std::string& what) { add(what + std::to_string(this_core())); }
  trace seen() const {
    const std::lock_guard guard(lock_);
    return all_;
  }

 private:
  mutable std::mutex lock_;
  trace all_;
};

/// A service that cannot be moved or copied.
class plain {
 public:
  explicit plain(std::atomic<int>& alive, int base = 0)
      : value(base + static_cast<int>(this_core())), alive_(&alive) {
    ++*alive_;
  }
  plain(const plain&) = delete;
  plain& operator=(const plain&) = delete;
  ~plain() {
    EXPECT_EQ(this_core(), made_on_) << "it is destroyed on its core";
    --*alive_;
  }
  int get() const { return value; }
  int add(int n) { return value += n; }
  int value;

 private:
  unsigned made_on_ = this_core();
  std::atomic<int>* alive_;
};

/// On one core, and on more than the machine may have.
class shards : public testing::TestWithParam<int> {
 protected:
  template <class F>
  void run_here(F f) {
    run({.cores = GetParam()}, f);
  }
};

}  // namespace axle::test
