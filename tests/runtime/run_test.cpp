// run: its value, its errors, what it does with leftovers, and signals.
#include <axle/axle.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;

struct noting {
  bool& gone;
  ~noting() { gone = true; }
};

axle::task<int> give(int value) { co_return value; }
axle::task<> fail_with(const char* what) {
  co_await axle::yield();
  throw std::runtime_error(what);
}

TEST(run, gives_the_value_of_main) {
  EXPECT_EQ(axle::run(give(7)), 7);
  EXPECT_EQ(axle::run({.driver = "sim"}, [] { return give(8); }), 8);
}

TEST(run, throws_the_exception_of_main) { EXPECT_THROW(axle::run(fail_with("main")), std::runtime_error); }

axle::task<> hold(bool& gone) {
  const noting note{gone};
  co_await axle::sleep(1h);
}
axle::task<> leave_one_behind(bool& gone) {
  axle::spawn(hold(gone)).detach();
  co_await axle::yield();
}
TEST(run, cancels_and_awaits_what_is_left) {
  bool gone = false;
  const auto live = axle::alloc::this_thread_frames().counts().live();
  axle::run({.driver = "sim"}, leave_one_behind(gone));
  EXPECT_TRUE(gone);
  EXPECT_EQ(axle::alloc::this_thread_frames().counts().live(), live);
}

axle::task<> call_much_later(int& calls) {
  axle::call_later(1h, [&calls] { ++calls; });
  axle::call_soon([&calls] { ++calls; });
  co_return;
}
TEST(run, frees_timed_calls_that_never_came_due) {
  int calls = 0;
  const auto live = axle::alloc::this_thread_frames().counts().live();
  axle::run({.driver = "sim"}, call_much_later(calls));
  EXPECT_LE(calls, 1);
  EXPECT_EQ(axle::alloc::this_thread_frames().counts().live(), live);
}

TEST(run, can_be_called_again_and_again) {
  for (int i = 0; i < 30; ++i) EXPECT_EQ(axle::run(give(i)), i);
}

axle::task<> run_inside() {
  axle::run(give(1));
  co_return;
}
TEST(run, inside_a_loop_is_a_check) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(axle::run({.driver = "sim"}, run_inside()), "run\\(\\) was called inside a loop");
}

TEST(run, an_unknown_driver_is_refused_by_name) {
  try {
    axle::run({.driver = "kqueue"}, give(1));
    FAIL() << "no exception";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("\"kqueue\""), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("\"epoll\""), std::string::npos);
  }
}

TEST(run, a_core_that_does_not_exist_is_refused) {
  try {
    axle::run({.cores = "0,4000"}, give(1));
    FAIL() << "no exception";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("processor 4000"), std::string::npos);
  }
}

TEST(run, the_calling_thread_gets_its_affinity_back) {
  cpu_set_t before, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  axle::run({.cores = "0"}, give(1));
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

// ---- signals --------------------------------------------------------------------------------------------------------

axle::task<> clean_up(bool& cleaned) {
  co_await axle::sleep(1ms);
  cleaned = true;
}
axle::task<> wait_for_signal(int number, bool& cleaned) {
  bool gone = false;
  raise(number);
  co_await axle::finally(hold(gone), [](bool* c) { return clean_up(*c); }, &cleaned);
  ADD_FAILURE() << "went on after the signal";
}
TEST(run, a_stop_signal_cancels_main_and_lets_it_clean_up) {
  for (const int number : {SIGTERM, SIGINT}) {
    bool cleaned = false;
    axle::run(wait_for_signal(number, cleaned));
    EXPECT_TRUE(cleaned);
  }
}

axle::task<int> hold_int() {
  raise(SIGTERM);
  co_await axle::sleep(1h);
  co_return 3;
}
TEST(run, a_stopped_main_of_int_gives_zero) { EXPECT_EQ(axle::run(hold_int()), 0); }

axle::task<> stop_many() {
  const auto each = []() -> axle::task<> { co_await axle::sleep(1h); };
  if (axle::this_core() == 0) raise(SIGTERM);
  co_await axle::for_each_core(each);
}
TEST(run, a_stop_signal_reaches_every_core) { axle::run({.cores = 4}, stop_many()); }

axle::task<> never_end() {
  for (;;) co_await axle::sleep(1h);
}
axle::task<> stubborn() {
  raise(SIGTERM);
  co_await axle::shield(never_end());
}
TEST(run, shields_are_pierced_when_the_time_to_drain_is_over) {
  axle::run({.driver = "sim", .drain = 1s}, stubborn());
}

// What is left behind may clean up with tasks of its own: they stand under the same shield.
axle::task<> clean_up_in_parts(int& cleaned) {
  bool parts[2] = {};
  co_await axle::gather(clean_up(parts[0]), clean_up(parts[1]));
  const auto in_time = co_await axle::with_timeout(1s, clean_up(parts[0]));
  cleaned += parts[0] && parts[1] && in_time;
}
axle::task<> leave_behind(int& cleaned) {
  axle::spawn(axle::finally(never_end(), clean_up_in_parts, std::ref(cleaned))).detach();
  axle::spawn(axle::shield(clean_up_in_parts(cleaned))).detach();
  co_await axle::sleep(500us);
}
TEST(run, what_is_left_behind_cleans_up_with_children_before_it_is_cut) {
  int cleaned = 0;
  axle::run({.driver = "sim"}, leave_behind(cleaned));
  EXPECT_EQ(cleaned, 2);
}

axle::task<> stubborn_twice() {
  raise(SIGTERM);
  raise(SIGTERM);
  co_await axle::shield(never_end());
}
TEST(run, a_second_stop_signal_ends_the_process) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    axle::run(stubborn_twice());
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

void mark(int) {}
TEST(run, signal_handlers_are_put_back) {
  const auto before = signal(SIGTERM, mark);
  axle::run(give(1));
  EXPECT_EQ(signal(SIGTERM, before), mark);
}

}  // namespace
