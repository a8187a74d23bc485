// What the tests of drivers share: operations that record what became of them, and a fixture that stages operations and
// collects completions as a loop would, on one named driver.
//
// Checked on the way in every test: nothing comes back that was not given, and nothing comes back twice.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <axle/driver.hpp>
#include <axle/io/operation.hpp>

#include "../io/io_driver.hpp"

namespace axle::io::detail {

using namespace std::chrono_literals;
using axle::detail::operation_list;
using axle::detail::wait_kind;
using axle::detail::wait_node;

struct recorded : io_operation {
  static const wait_kind recording;

  std::vector<std::int32_t> results;  // one for each time it came back
  std::vector<std::int32_t> accepted_handles;
  bool with_driver = false;
  unsigned place = 0;  // among all completions of the test

  recorded() noexcept { kind = &recording; }
  recorded(opcode code, std::int32_t on) noexcept : recorded() {
    set_code(code);
    handle = on;
    if (code == opcode::receive_leased) chain = {axle::alloc::no_buffer, axle::alloc::no_buffer, 0};
    if (code == opcode::accept) accepted = &accepted_handles;
  }
  recorded(opcode code, std::int32_t on, void* data, std::size_t size) noexcept : recorded(code, on) {
    block = {data, size};
  }
  recorded(const recorded&) = delete;
  recorded& operator=(const recorded&) = delete;

  bool ended() const { return !with_driver; }
  std::int32_t last() const { return results.empty() ? INT32_MIN : results.back(); }
};

inline const wait_kind recorded::recording = {
    .complete =
        [](wait_node& node) noexcept {
          auto& op = static_cast<recorded&>(node);
          EXPECT_TRUE(op.with_driver) << "an operation came back that had ended";
          op.results.push_back(op.res);
          op.with_driver = op.more;
          EXPECT_EQ(op.more, op.submitted);
        },
    .cancel = nullptr,
    .what = "test",
};

inline std::string numbered_bytes(std::size_t count, std::size_t from = 0) {
  std::string made(count, '\0');
  for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<char>((from + i) * 31 + ((from + i) >> 8));
  return made;
}

class driver_test : public ::testing::TestWithParam<const char*> {
 protected:
  struct ends {
    std::int32_t near;
    std::int32_t far;
  };

  void SetUp() override { make({}); }
  void TearDown() override {
    if (!driver_) return;
    EXPECT_EQ(driver_->counts().submitted, driver_->counts().completed + in_driver_);
    for (const std::int32_t handle : owned_) driver_->discard(handle);
  }

  void make(axle::driver_options options) {
    options.name = GetParam();
    options.seed = static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
    std::string why_not;
    driver_.reset();
    try {
      driver_.reset(static_cast<io_driver*>(axle::make_driver(options, why_not).release()));
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
  }

  bool simulated() const { return GetParam() == std::string_view("sim"); }
  io_driver& driver() { return *driver_; }

  void stage(recorded& op) {
    op.with_driver = true;
    ++in_driver_;
    staged_.push_back(op);
  }
  void submit() { driver_->submit(staged_); }
  void start(recorded& op) {
    stage(op);
    submit();
  }

  // One wait; gives back how many completions it had.
  std::size_t collect(std::int64_t until_ns) {
    operation_list completed;
    driver_->wait(completed, until_ns);
    std::size_t count = 0;
    while (axle::detail::operation* done = completed.pop_front()) {
      ++count;
      done->listed = false;
      if (!done->more) --in_driver_;
      static_cast<recorded*>(done)->place = ++places_;
      done->kind->complete(*done);
    }
    return count;
  }

  template <class P>
  bool run_until(P done, std::chrono::nanoseconds patience = 10s) {
    const std::int64_t give_up_ns = driver_->now() + patience.count();
    while (!done()) {
      if (driver_->now() >= give_up_ns) return false;
      collect(give_up_ns);
    }
    return true;
  }
  bool run_to_end(recorded& op, std::chrono::nanoseconds patience = 10s) {
    return run_until([&] { return op.ended(); }, patience);
  }
  void run_for(std::chrono::nanoseconds time) {
    run_until([] { return false; }, time);
  }
  std::int32_t perform(recorded& op) {
    start(op);
    EXPECT_TRUE(run_to_end(op)) << "an operation did not come back";
    return op.last();
  }

  std::int32_t listen(address* where) {
    const std::int32_t listener = driver_->listen(address("127.0.0.1", 0), {}).value();
    owned_.insert(listener);
    *where = driver_->local_address(listener).value();
    return listener;
  }
  std::int32_t open() {
    const std::int32_t opened = driver_->open(address::family::v4, nullptr).value();
    owned_.insert(opened);
    return opened;
  }
  std::int32_t close(std::int32_t handle) {
    owned_.erase(handle);
    recorded op(opcode::close, handle);
    return perform(op);
  }
  ends connect() {
    address where;
    const std::int32_t listener = listen(&where);
    recorded accepting(opcode::accept, listener);
    stage(accepting);
    const std::int32_t near = open();
    recorded connecting(opcode::connect, near);
    connecting.peer = &where;
    EXPECT_EQ(perform(connecting), 0);
    EXPECT_TRUE(run_until([&] { return !accepting.accepted_handles.empty(); }));
    if (!accepting.ended()) driver_->cancel(accepting);
    EXPECT_TRUE(run_to_end(accepting));
    EXPECT_EQ(close(listener), 0);
    const std::int32_t far = accepting.accepted_handles.at(0);
    owned_.insert(far);
    return {near, far};
  }

  void send_all(std::int32_t handle, std::string_view data) {
    while (!data.empty()) {
      recorded op(opcode::send, handle, const_cast<char*>(data.data()), data.size());
      const std::int32_t sent = perform(op);
      ASSERT_GT(sent, 0);
      data.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // At least `bytes`, or up to the end of the stream.
  std::string receive(std::int32_t handle, std::size_t bytes) {
    std::string all;
    std::vector<char> part(8'192);
    while (all.size() < bytes) {
      recorded op(opcode::receive, handle, part.data(), std::min(part.size(), bytes - all.size()));
      const std::int32_t got = perform(op);
      EXPECT_GE(got, 0);
      if (got <= 0) break;
      all.append(part.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  // Takes what a receive has brought; gives the buffers back.
  std::string take(recorded& op) {
    std::string all;
    axle::alloc::buffer_pool& pool = driver_->buffers();
    for (; op.chain.count; --op.chain.count) {
      const axle::alloc::buffer_id id = op.chain.head;
      op.chain.head = pool.next(id);
      all.append(reinterpret_cast<const char*>(pool.memory(id)), pool.filled(id));
      pool.release(id);
    }
    return all;
  }
  // By multishot receives, armed again as often as they end.
  std::string receive_leased(std::int32_t handle, std::size_t bytes) {
    recorded op(opcode::receive_leased, handle);
    std::string all;
    start(op);
    while (run_until([&] { return op.chain.count || op.ended(); })) {
      all += take(op);
      if (op.ended() && (op.last() <= 0 || all.size() >= bytes)) return all;
      if (all.size() >= bytes) break;
      if (op.ended()) start(op);
    }
    if (!op.ended()) driver_->cancel(op);
    EXPECT_TRUE(run_to_end(op));
    return all + take(op);
  }

  // Runs f in a child process: what it breaks (limits, signals) stays there.
  template <class F>
  void in_child(F f) {
    driver_.reset();
    owned_.clear();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(60);
      make({});
      if (driver_) f();
      driver_.reset();
      fflush(nullptr);
      _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

  std::unique_ptr<io_driver> driver_;
  operation_list staged_;
  std::set<std::int32_t> owned_;
  std::uint64_t in_driver_ = 0;
  unsigned places_ = 0;
};

}  // namespace axle::io::detail
