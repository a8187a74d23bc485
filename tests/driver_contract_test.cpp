// The driver contract, held up to every driver that works on this machine, and to the simulator; what concerns data is in
// driver_data_test.cpp. No loop: see driver_harness.hpp. One thread owns the driver; the tests of wake() and of signals have a
// second.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <thread>

#include "driver_harness.hpp"

namespace {

using namespace axle::io::detail;
using axle::io::address;
using axle::io::socket_option;

const axle::driver_options small_ring = {.name = {}, .ring_entries = 64};

class driver_contract : public driver_test {};

// ---- once, and never a failure to submit ------------------------------------------------------------------------------

TEST_P(driver_contract, every_operation_comes_back_exactly_once) {
  const ends pair = connect();
  std::deque<recorded> ops;
  std::vector<char> room(500);
  char byte = 'x';
  for (int i = 0; i < 500; ++i) {
    stage(ops.emplace_back(opcode::nop, -1));
    stage(ops.emplace_back(opcode::send, pair.near, &byte, 1));
    stage(ops.emplace_back(opcode::receive, pair.far, &room[static_cast<std::size_t>(i)], 1));
  }
  submit();
  ASSERT_TRUE(run_until([&] { return in_driver_ == 0; }));
  run_for(20ms);
  for (const recorded& each : ops) {
    ASSERT_EQ(each.results.size(), 1U);
    EXPECT_EQ(each.last(), each.code() == opcode::nop ? 0 : 1);
  }
}

TEST_P(driver_contract, submit_cannot_fail_and_a_bad_handle_is_a_completion) {
  const std::int32_t never_opened = 9'999;
  address where("127.0.0.1", 9);
  char byte = 'x';
  for (const opcode code : {opcode::accept, opcode::connect, opcode::receive, opcode::receive_leased,
                            opcode::send, opcode::close}) {
    recorded op(code, never_opened);
    if (code == opcode::connect) op.peer = &where;
    if (code == opcode::receive || code == opcode::send) op.block = {&byte, 1};
    EXPECT_EQ(perform(op), -EBADF) << "opcode " << static_cast<int>(code);
    EXPECT_EQ(op.results.size(), 1U);
  }
}

TEST_P(driver_contract, a_handle_of_minus_one_is_a_bad_handle) {
  in_child([this] {
    char byte = 'x';
    for (const opcode code : {opcode::receive, opcode::receive_leased, opcode::send, opcode::close}) {
      recorded op(code, -1);
      if (code == opcode::receive || code == opcode::send) op.block = {&byte, 1};
      EXPECT_EQ(perform(op), -EBADF) << "opcode " << static_cast<int>(code);
    }
  });
}

TEST_P(driver_contract, more_operations_than_the_ring_has_entries) {
  make(small_ring);
  std::vector<ends> pairs;
  for (int i = 0; i < 25; ++i) pairs.push_back(connect());
  std::deque<recorded> nops, receives;
  std::vector<char> room(500);
  for (std::size_t i = 0; i < 500; ++i) {
    stage(nops.emplace_back(opcode::nop, -1));
    stage(receives.emplace_back(opcode::receive, pairs[i % pairs.size()].far, &room[i], 1));
    stage(nops.emplace_back(opcode::nop, -1));
  }
  submit();
  for (recorded& each : receives) driver().cancel(each);
  ASSERT_TRUE(run_until([&] { return in_driver_ == 0; }));
  for (const recorded& each : nops) EXPECT_EQ(each.last(), 0);
  for (const recorded& each : receives) EXPECT_EQ(each.last(), -ECANCELED);
}

TEST_P(driver_contract, hundreds_of_handles_ready_at_once_are_all_served) {
  std::vector<ends> pairs;
  std::deque<recorded> receives;
  std::vector<char> room(300);
  for (std::size_t i = 0; i < room.size(); ++i) {
    pairs.push_back(connect());
    start(receives.emplace_back(opcode::receive, pairs[i].far, &room[i], 1));
  }
  collect(0);
  char byte = 'x';
  for (const ends& each : pairs) {
    recorded op(opcode::send, each.near, &byte, 1);
    ASSERT_EQ(perform(op), 1);
  }
  ASSERT_TRUE(run_until([&] { return in_driver_ == 0; }));
  EXPECT_EQ(std::string(room.begin(), room.end()), std::string(300, 'x'));
}

// ---- cancelling -------------------------------------------------------------------------------------------------------

TEST_P(driver_contract, cancel_of_an_idle_receive_completes_once_with_canceled) {
  const ends pair = connect();
  char byte = 0;
  for (const opcode code : {opcode::receive, opcode::receive_leased}) {
    recorded op(code, pair.far);
    if (code == opcode::receive) op.block = {&byte, 1};
    start(op);
    collect(0);
    driver().cancel(op);
    driver().cancel(op);  // asking twice is asking once
    ASSERT_TRUE(run_to_end(op));
    run_for(5ms);
    EXPECT_EQ(op.results, std::vector<std::int32_t>{-ECANCELED});
  }
  send_all(pair.near, "still there");
  EXPECT_EQ(receive(pair.far, 11), "still there");
}

TEST_P(driver_contract, cancel_before_submit_completes_with_canceled) {
  const ends pair = connect();
  char byte = 0;
  send_all(pair.near, "a");
  recorded op(opcode::receive, pair.far, &byte, 1);
  stage(op);
  driver().cancel(op);
  submit();
  ASSERT_TRUE(run_to_end(op));
  EXPECT_EQ(op.results, std::vector<std::int32_t>{-ECANCELED});
  EXPECT_EQ(receive(pair.far, 1), "a");
  send_all(pair.near, "b");
  EXPECT_EQ(perform(op), 1);
}

TEST_P(driver_contract, cancel_after_completion_is_harmless) {
  recorded op(opcode::nop, -1);
  start(op);
  operation_list completed;
  while (completed.empty()) driver().wait(completed, driver().now() + 1'000'000'000);
  ASSERT_EQ(completed.pop_front(), &op);
  driver().cancel(op);  // the loop has not completed it yet
  EXPECT_FALSE(op.cancelling);
  op.listed = false;
  op.with_driver = false;
  --in_driver_;
  EXPECT_EQ(perform(op), 0);
}

// Bytes are numbered: a lost one, or one delivered twice, shows in the next that arrives.
TEST_P(driver_contract, cancel_race_gives_data_or_canceled_never_both) {
  const ends pair = connect();
  const unsigned rounds = simulated() ? 2'000 : 20'000;
  unsigned sent = 0, received = 0, cancelled = 0;
  for (unsigned i = 0; i < rounds; ++i) {
    unsigned char outgoing = static_cast<unsigned char>(sent++), incoming = 0;
    recorded receiving(opcode::receive, pair.far, &incoming, 1);
    recorded sending(opcode::send, pair.near, &outgoing, 1);
    start(receiving);
    if (i % 4 == 0) collect(0);
    start(sending);
    if (i % 3 == 0) collect(0);
    if (!receiving.ended()) driver().cancel(receiving);
    ASSERT_TRUE(run_until([&] { return receiving.ended() && sending.ended(); }));
    ASSERT_EQ(sending.last(), 1);
    ASSERT_EQ(receiving.results.size(), 1U);
    if (receiving.last() == 1) {
      ASSERT_EQ(incoming, static_cast<unsigned char>(received)) << "round " << i;
      ++received;
    } else {
      ASSERT_EQ(receiving.last(), -ECANCELED);
      ++cancelled;
    }
  }
  const std::string rest = receive(pair.far, sent - received);
  for (const char each : rest)
    ASSERT_EQ(static_cast<unsigned char>(each), static_cast<unsigned char>(received++));
  EXPECT_EQ(received, sent);
  RecordProperty("cancelled", static_cast<int>(cancelled));
}

TEST_P(driver_contract, cancel_race_of_a_leased_receive_loses_no_byte_and_no_buffer) {
  const ends pair = connect();
  const unsigned rounds = simulated() ? 2'000 : 20'000;
  std::string got;
  for (unsigned i = 0; i < rounds; ++i) {
    unsigned char outgoing = static_cast<unsigned char>(i);
    recorded receiving(opcode::receive_leased, pair.far);
    recorded sending(opcode::send, pair.near, &outgoing, 1);
    start(receiving);
    if (i % 4 == 0) collect(0);
    start(sending);
    if (i % 3 == 0) collect(0);
    if (!receiving.ended()) driver().cancel(receiving);
    ASSERT_TRUE(run_until([&] { return receiving.ended() && sending.ended(); }));
    got += take(receiving);
    ASSERT_TRUE(receiving.last() == -ECANCELED || receiving.last() > 0) << receiving.last();
  }
  got += receive(pair.far, rounds - got.size());
  ASSERT_EQ(got.size(), rounds);
  for (unsigned i = 0; i < rounds; ++i)
    ASSERT_EQ(static_cast<unsigned char>(got[i]), static_cast<unsigned char>(i));
  EXPECT_EQ(driver().buffers().counts().outstanding(), 0U);
}

TEST_P(driver_contract, a_cancelled_send_reports_what_it_sent) {
  const ends pair = connect();
  const std::string data = numbered_bytes(24 << 20);
  std::size_t sent = 0;
  for (bool stalled = false; !stalled;) {
    ASSERT_LT(sent, data.size()) << "a peer that never reads did not stall the sender";
    recorded op(opcode::send, pair.near, const_cast<char*>(data.data() + sent), data.size() - sent);
    start(op);
    stalled = !run_to_end(op, 50ms);
    if (stalled) driver().cancel(op);
    ASSERT_TRUE(run_to_end(op));
    ASSERT_TRUE(op.last() > 0 || (stalled && op.last() == -ECANCELED)) << op.last();
    sent += op.last() > 0 ? static_cast<std::size_t>(op.last()) : 0;
  }
  EXPECT_EQ(close(pair.near), 0);
  const std::string got = receive(pair.far, data.size());
  EXPECT_EQ(got.size(), sent);
  EXPECT_TRUE(got == data.substr(0, got.size()));
}

TEST_P(driver_contract, close_then_reuse_of_the_number_does_not_reach_the_new_owner) {
  unsigned reused = 0;
  for (int round = 0; round < 200; ++round) {
    const ends old = connect();
    char byte = 0;
    recorded receiving(round % 2 ? opcode::receive : opcode::receive_leased, old.far);
    if (round % 2) receiving.block = {&byte, 1};
    start(receiving);
    if (round % 3) collect(0);
    driver().cancel(receiving);
    EXPECT_EQ(close(old.far), 0);
    const ends fresh = connect();
    reused += fresh.near == old.far || fresh.far == old.far;
    send_all(fresh.near, "to the new owner");
    EXPECT_EQ(receive(fresh.far, 16), "to the new owner");
    send_all(fresh.far, "and back");
    EXPECT_EQ(receive(fresh.near, 8), "and back");
    ASSERT_TRUE(run_to_end(receiving));
    EXPECT_EQ(receiving.results, std::vector<std::int32_t>{-ECANCELED});
    for (const std::int32_t each : {old.near, fresh.near, fresh.far}) EXPECT_EQ(close(each), 0);
  }
  EXPECT_GT(reused, 0U);
}

// ---- accepting and connecting -----------------------------------------------------------------------------------------

TEST_P(driver_contract, multishot_accept_delivers_all) {
  address where;
  recorded accepting(opcode::accept, listen(&where));
  start(accepting);
  std::deque<recorded> connects;
  for (int i = 0; i < 200; ++i) {
    connects.emplace_back(opcode::connect, open()).peer = &where;
    stage(connects.back());
  }
  submit();
  ASSERT_TRUE(run_until([&] {
    if (accepting.ended()) {
      EXPECT_GE(accepting.last(), 0);
      start(accepting);
    }
    return accepting.accepted_handles.size() == 200 && in_driver_ == 1;
  }));
  for (const recorded& each : connects) EXPECT_EQ(each.last(), 0);
  owned_.insert(accepting.accepted_handles.begin(), accepting.accepted_handles.end());
  EXPECT_EQ(std::set(accepting.accepted_handles.begin(), accepting.accepted_handles.end()).size(), 200U);
  driver().cancel(accepting);
  ASSERT_TRUE(run_to_end(accepting));
  EXPECT_EQ(accepting.last(), -ECANCELED);
}

TEST_P(driver_contract, accept_at_EMFILE_ends_with_an_error_and_can_be_rearmed) {
  if (simulated()) GTEST_SKIP() << "the simulator has no limit of handles";
  in_child([this] {
    address where;
    recorded accepting(opcode::accept, listen(&where));
    std::deque<recorded> connects;
    for (int i = 0; i < 20; ++i) {
      connects.emplace_back(opcode::connect, open()).peer = &where;
      stage(connects.back());
    }
    submit();
    ASSERT_TRUE(run_until([&] { return in_driver_ == 0; }));
    rlimit before;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit tight = {static_cast<rlim_t>(connects.back().handle) + 6, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    start(accepting);
    ASSERT_TRUE(run_to_end(accepting));
    EXPECT_EQ(accepting.last(), -EMFILE);
    EXPECT_EQ(accepting.accepted_handles.size(), 5U);
    const std::uint64_t entries = driver().counts().kernel_entries;
    run_for(50ms);
    EXPECT_LE(driver().counts().kernel_entries - entries, 10U) << "the driver spins";
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    start(accepting);
    EXPECT_TRUE(run_until([&] { return accepting.accepted_handles.size() == 20; }));
  });
}

TEST_P(driver_contract, connect_to_nobody_is_refused) {
  address where;
  EXPECT_EQ(close(listen(&where)), 0);
  recorded op(opcode::connect, open());
  op.peer = &where;
  EXPECT_EQ(perform(op), -ECONNREFUSED);
}

TEST_P(driver_contract, a_port_in_use_is_the_result_of_listen) {
  address where;
  listen(&where);
  const auto second = driver().listen(where, {.reuse_port = false});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), std::errc::address_in_use);
}

// ---- waiting and waking -----------------------------------------------------------------------------------------------

TEST_P(driver_contract, wait_sleeps_until_the_deadline) {
  collect(0);
  unsigned early = 0;
  for (const auto time : {1ns, 1'000ns, 50'000ns, 999'999ns, 1'500'000ns, 20'000'000ns}) {
    const std::int64_t until_ns = driver().now() + time.count();
    for (unsigned waits = 0; driver().now() < until_ns; ++waits) {
      EXPECT_EQ(collect(until_ns), 0U);
      early += waits != 0;
    }
  }
  // The kernel may interrupt a wait for reasons of its own, such as the end of an earlier test's ring.
  EXPECT_LE(early, 2U);
}

TEST_P(driver_contract, a_deadline_that_has_passed_or_never_comes_is_no_obstacle) {
  for (const std::int64_t until_ns :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, INT64_MIN, driver().now() - 1})
    EXPECT_EQ(collect(until_ns), 0U);
  for (const std::int64_t until_ns : {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2}) {
    recorded op(opcode::nop, -1);
    start(op);
    while (!op.ended()) collect(until_ns);
    EXPECT_EQ(op.last(), 0);
  }
}

TEST_P(driver_contract, wake_before_wait_is_not_lost) {
  for (int i = 0; i < 3; ++i) {
    driver().wake();
    const std::int64_t before_ns = driver().now();
    collect(before_ns + 2'000'000'000);
    EXPECT_LT(driver().now() - before_ns, 1'000'000'000);
  }
}

TEST_P(driver_contract, wake_is_not_lost_when_submit_enters_the_kernel) {
  make(small_ring);
  const ends pair = connect();
  std::deque<recorded> receives;
  std::vector<char> room(300);
  for (char& each : room) stage(receives.emplace_back(opcode::receive, pair.far, &each, 1));
  collect(0);
  driver().wake();
  submit();
  const std::int64_t before_ns = driver().now();
  collect(before_ns + 2'000'000'000);
  EXPECT_LT(driver().now() - before_ns, 1'000'000'000);
  for (recorded& each : receives) driver().cancel(each);
  EXPECT_TRUE(run_until([&] { return in_driver_ == 0; }));
}

TEST_P(driver_contract, wake_ends_a_wait_from_another_thread) {
  constexpr unsigned rounds = 5'000;
  std::atomic<unsigned> told{0}, seen{0};
  std::thread waker([&] {
    for (unsigned i = 1; i <= rounds; ++i) {
      while (seen.load() != i - 1) std::this_thread::yield();
      told.store(i);
      driver().wake();
    }
  });
  for (unsigned i = 1; i <= rounds; ++i) {
    const std::int64_t give_up_ns = simulated() ? INT64_MAX : driver().now() + 5'000'000'000;
    while (told.load() != i && driver().now() < give_up_ns) collect(give_up_ns);
    EXPECT_EQ(told.load(), i);
    EXPECT_LT(driver().now(), give_up_ns) << "a wake was lost in round " << i;
    seen.store(i);
  }
  waker.join();
}

TEST_P(driver_contract, a_signal_during_wait_does_not_show) {
  if (simulated()) GTEST_SKIP() << "the simulator makes no system call that a signal could end";
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, &before);
  const ends pair = connect();
  char byte = 0;
  recorded op(opcode::receive, pair.far, &byte, 1);
  start(op);
  const pthread_t owner = pthread_self();
  std::thread interrupter([&] {
    for (int i = 0; i < 50; ++i) {
      std::this_thread::sleep_for(1ms);  // wall clock: the signals are to hit a sleeping thread
      pthread_kill(owner, SIGUSR1);
    }
    EXPECT_EQ(::send(pair.near, "x", 1, MSG_NOSIGNAL), 1);
  });
  EXPECT_TRUE(run_to_end(op));
  interrupter.join();
  EXPECT_EQ(op.results, std::vector<std::int32_t>{1});
  sigaction(SIGUSR1, &before, nullptr);
}

INSTANTIATE_TEST_SUITE_P(on, driver_contract, ::testing::Values("uring", "epoll", "sim"),
                         [](const auto& named) { return std::string(named.param); });

}  // namespace
