// What the tests share: running a task on the simulator with every frame counted, traces, and scaling under sanitizers.
//
// axle::test lies inside axle, so that tests read as programs do. A test that uses a thread or the real clock says why.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <axle/axle.hpp>

namespace axle::test {

using namespace std::chrono_literals;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define AXLE_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define AXLE_TEST_SANITIZED 1
#endif
#if defined(AXLE_TEST_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// `n`, or a part of it where a sanitizer makes everything ten times slower.
constexpr std::size_t scaled(std::size_t n, std::size_t part = 10) { return sanitized ? n / part : n; }

/// The seed of a random test: AXLE_TEST_SEED, or the one given. Printed, so that a failure can be repeated.
inline std::uint64_t test_seed(std::uint64_t otherwise) {
  const char* given = std::getenv("AXLE_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : otherwise;
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  std::printf("seed: AXLE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

inline std::uint64_t live_frames() { return alloc::this_thread_frames().counts().live(); }

/// Fails the test if a frame, callback or control block of this thread is left over at its end.
class frames_return {
 public:
  explicit frames_return(const char* of = "the test") : before_(live_frames()), of_(of) {}
  frames_return(const frames_return&) = delete;
  frames_return& operator=(const frames_return&) = delete;
  ~frames_return() { EXPECT_EQ(live_frames(), before_) << "blocks of the frame pool were leaked by " << of_; }

 private:
  std::uint64_t before_;
  const char* of_;
};

/// Runs f() on one loop over the simulator: its clock jumps, so that an hour's sleep takes no time.
template <class F>
auto on_sim(F f, run_options options = {}) {
  const frames_return guard;
  options.driver = "sim";
  return run(options, std::move(f));
}

/// What happened, in order.
using trace = std::vector<std::string>;

/// `expected`, or so little more as the simulator's clock moves while tasks run.
inline bool took(std::chrono::nanoseconds d, std::chrono::nanoseconds expected) {
  return d >= expected && d < expected + 1ms;
}

/// Writes a line into a trace when its scope ends, however it ends.
class noted {
 public:
  noted(trace& into, std::string text) : into_(&into), text_(std::move(text)) {}
  noted(const noted&) = delete;
  noted& operator=(const noted&) = delete;
  ~noted() { into_->push_back(text_); }

 private:
  trace* into_;
  std::string text_;
};

/// Counts the objects of a scope that are alive.
class counted {
 public:
  explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
  counted(counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
  counted& operator=(const counted&) = delete;
  ~counted() { --*alive_; }

 private:
  int* alive_;
};

struct wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Ends a coroutine with a failure if the condition does not hold; ASSERT_* would `return`.
#define REQUIRE_IN_TASK(condition)            \
  if (!(condition)) {                         \
    ADD_FAILURE() << "required: " #condition; \
    co_return;                                \
  }                                           \
  static_cast<void>(0)

inline task<> sleeps(std::chrono::nanoseconds d) { co_await sleep(d); }
inline task<int> value_after(std::chrono::nanoseconds d, int value) {
  co_await sleep(d);
  co_return value;
}
inline task<int> fails_after(std::chrono::nanoseconds d, std::string why) {
  co_await sleep(d);
  throw wrong(why);
}
inline task<int> ready_value(int value) { co_return value; }
inline task<> nothing() { co_return; }

/// How a task ended: "value", "cancelled", or the exception's text.
template <class T>
std::string ending_of(outcome<T> became) {
  if (became.is_cancelled()) return "cancelled";
  if (became.has_value()) return "value";
  try {
    std::rethrow_exception(became.error());
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Collects what would be reported as an unjoined failure, while it lives. One at a time.
class unjoined_failures {
 public:
  unjoined_failures() : before_(set_unjoined_failure_handler(collect)) { seen().clear(); }
  unjoined_failures(const unjoined_failures&) = delete;
  unjoined_failures& operator=(const unjoined_failures&) = delete;
  ~unjoined_failures() { set_unjoined_failure_handler(before_); }

  static trace& seen() {
    static trace all;
    return all;
  }

 private:
  static void collect(std::string_view name, std::source_location, const std::exception_ptr& error) noexcept {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      seen().push_back(std::string(name) + ": " + known.what());
    } catch (...) {
      seen().push_back(std::string(name) + ": not a std::exception");
    }
  }
  unjoined_failure_handler before_;
};

/// What became of a child process that ran `body`: its exit status, 128 + its signal, or -1 if it was still running
/// after `limit` and was killed.
inline int in_child(const std::function<int()>& body, unsigned limit_seconds = 60,
                    std::string* said = nullptr) {
  std::fflush(nullptr);
  int out[2] = {-1, -1};
  if (said && pipe(out) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    if (said) dup2(out[1], STDERR_FILENO);
    alarm(limit_seconds);
    signal(SIGALRM, SIG_DFL);
    const int status = body();
    std::fflush(nullptr);
    _exit(status);
  }
  if (said) {
    close(out[1]);
    char part[4096];
    for (ssize_t got; (got = read(out[0], part, sizeof part)) > 0;)
      said->append(part, static_cast<std::size_t>(got));
    close(out[0]);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return WTERMSIG(status) == SIGALRM ? -1 : 128 + WTERMSIG(status);
}

inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace axle::test
