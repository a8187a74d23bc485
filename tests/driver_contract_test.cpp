// The driver contract, held up to every driver that works on this machine, and to the simulator. No loop: see
// driver_harness.hpp. One thread owns the driver; the tests of wake() and of signals have a second.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <random>
#include <thread>

#include "driver_harness.hpp"

namespace {

using namespace axle::io::detail;
using axle::io::address;
using axle::io::socket_option;

const axle::driver_options small_ring = {.name = {}, .ring_entries = 64};
const axle::driver_options four_buffers = {.name = {}, .buffers = 4, .buffer_bytes = 512};

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

// ---- data -------------------------------------------------------------------------------------------------------------

TEST_P(driver_contract, a_stream_of_random_pieces_arrives_whole) {
  const ends pair = connect();
  std::mt19937 random(7);
  const std::string data = numbered_bytes(400'000);
  for (std::size_t from = 0; from < data.size();) {
    const std::size_t piece = std::min<std::size_t>(data.size() - from, 1 + random() % 20'000);
    send_all(pair.near, std::string_view(data).substr(from, piece));
    const std::string got = random() % 2 ? receive(pair.far, piece) : receive_leased(pair.far, piece);
    ASSERT_TRUE(got == data.substr(from, piece)) << "at " << from;
    from += piece;
  }
  EXPECT_EQ(driver().buffers().counts().outstanding(), 0U);
}

TEST_P(driver_contract, sends_queued_on_one_handle_arrive_in_order) {
  const ends pair = connect();
  std::string bytes = numbered_bytes(200);
  std::deque<recorded> sends;
  for (char& each : bytes) stage(sends.emplace_back(opcode::send, pair.near, &each, 1));
  submit();
  EXPECT_EQ(receive(pair.far, bytes.size()), bytes);
}

TEST_P(driver_contract, receives_queued_on_one_handle_are_served_in_order) {
  if (std::string_view(GetParam()) == "uring")
    GTEST_SKIP() << "io_uring gives no order to several receives: see io/README.md";
  const ends pair = connect();
  std::string room(50, '\0');
  std::deque<recorded> receives;
  for (char& each : room) stage(receives.emplace_back(opcode::receive, pair.far, &each, 1));
  submit();
  collect(0);
  const std::string bytes = numbered_bytes(room.size());
  send_all(pair.near, bytes);
  ASSERT_TRUE(run_until([&] { return in_driver_ == 0; }));
  EXPECT_EQ(room, bytes);
}

TEST_P(driver_contract, a_vectored_send_arrives_as_one) {
  const ends pair = connect();
  std::string head = "head,", body = numbered_bytes(10'000), tail = ",tail";
  const std::string whole = head + body + tail;
  iovec parts[] = {
      {head.data(), head.size()}, {nullptr, 0}, {body.data(), body.size()}, {tail.data(), tail.size()}};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = std::size(parts);
  recorded op(opcode::send_message, pair.near);
  op.message.header = &header;
  const std::int32_t sent = perform(op);
  ASSERT_GT(sent, 0);
  EXPECT_EQ(receive(pair.far, static_cast<std::size_t>(sent)),
            whole.substr(0, static_cast<std::size_t>(sent)));
  if (!simulated()) {
    EXPECT_EQ(static_cast<std::size_t>(sent), whole.size());
  }
}

TEST_P(driver_contract, received_buffers_return_to_the_pool) {
  const ends pair = connect();
  const std::string data = numbered_bytes(40'000);
  send_all(pair.near, data);
  EXPECT_TRUE(receive_leased(pair.far, data.size()) == data);
  EXPECT_EQ(driver().buffers().counts().outstanding(), 0U);
}

TEST_P(driver_contract, a_dry_pool_starves_receives_and_they_resume_when_buffers_come_back) {
  make(four_buffers);
  const ends pair = connect();
  const std::string data = numbered_bytes(30'000);
  send_all(pair.near, data);
  recorded op(opcode::receive_leased, pair.far);
  std::string got;
  start(op);
  while (got.size() < data.size()) {
    run_until([&] { return op.ended() || op.chain.count == 4; }, 30ms);
    if (op.ended()) {
      ASSERT_GT(op.last(), 0);
      start(op);
      continue;
    }
    if (got.empty()) {
      const std::uint64_t entries = driver().counts().kernel_entries;
      run_until(
          [&] {
            if (op.ended()) start(op);
            return false;
          },
          50ms);
      EXPECT_LE(driver().counts().kernel_entries - entries, 10U) << "the driver spins";
      EXPECT_EQ(op.chain.count, 4U);
      EXPECT_GE(driver().counts().dry_buffers, 1U);
    }
    ASSERT_TRUE(op.chain.count) << "the receive was not resumed after " << got.size() << " bytes";
    got += take(op);
  }
  EXPECT_TRUE(got == data);
  driver().cancel(op);
  ASSERT_TRUE(run_to_end(op));
}

TEST_P(driver_contract, a_starved_receive_can_be_cancelled) {
  make(four_buffers);
  const ends hungry = connect(), greedy = connect();
  send_all(greedy.near, numbered_bytes(10'000));
  recorded hoarding(opcode::receive_leased, greedy.far);
  start(hoarding);
  ASSERT_TRUE(run_until([&] {
    if (hoarding.ended()) start(hoarding);
    return hoarding.chain.count == 4;
  }));
  send_all(hungry.near, "x");
  for (const bool at_once : {true, false}) {
    recorded op(opcode::receive_leased, hungry.far);
    start(op);
    if (!at_once) run_for(5ms);
    driver().cancel(op);
    ASSERT_TRUE(run_to_end(op));
    EXPECT_EQ(op.results, std::vector<std::int32_t>{-ECANCELED}) << "at once: " << at_once;
  }
  if (!hoarding.ended()) driver().cancel(hoarding);
  ASSERT_TRUE(run_to_end(hoarding));
  take(hoarding);
  EXPECT_EQ(receive_leased(hungry.far, 1), "x");
}

// ---- ends of streams --------------------------------------------------------------------------------------------------

TEST_P(driver_contract, end_of_stream_is_zero_without_more) {
  for (const opcode code : {opcode::receive, opcode::receive_leased}) {
    const ends pair = connect();
    const std::string data = numbered_bytes(20'000);
    send_all(pair.near, data);
    EXPECT_EQ(close(pair.near), 0);
    EXPECT_TRUE(
        (code == opcode::receive ? receive(pair.far, SIZE_MAX) : receive_leased(pair.far, SIZE_MAX)) == data);
    char byte;
    recorded op(code, pair.far);
    if (code == opcode::receive) op.block = {&byte, 1};
    EXPECT_EQ(perform(op), 0);
    EXPECT_FALSE(op.more);
  }
}

TEST_P(driver_contract, half_close_ends_one_direction_only) {
  const ends pair = connect();
  send_all(pair.near, "question");
  ASSERT_TRUE(driver().shutdown_write(pair.near));
  EXPECT_EQ(receive(pair.far, SIZE_MAX), "question");
  const std::string answer = numbered_bytes(20'000);
  send_all(pair.far, answer);
  EXPECT_EQ(close(pair.far), 0);
  EXPECT_TRUE(receive_leased(pair.near, SIZE_MAX) == answer);
}

TEST_P(driver_contract, a_reset_is_an_error) {
  for (const opcode code : {opcode::receive, opcode::receive_leased}) {
    const ends pair = connect();
    char byte;
    recorded op(code, pair.far);
    if (code == opcode::receive) op.block = {&byte, 1};
    start(op);
    collect(0);
    ASSERT_TRUE(driver().set_option(pair.near, socket_option::linger_seconds, 0));
    EXPECT_EQ(close(pair.near), 0);
    ASSERT_TRUE(run_to_end(op));
    EXPECT_EQ(op.last(), -ECONNRESET);
    EXPECT_FALSE(op.more);
  }
}

TEST_P(driver_contract, a_send_to_a_reset_socket_is_an_error_and_not_SIGPIPE) {
  in_child([this] {
    signal(SIGPIPE, SIG_DFL);
    const ends pair = connect();
    ASSERT_TRUE(driver().set_option(pair.near, socket_option::linger_seconds, 0));
    EXPECT_EQ(close(pair.near), 0);
    run_for(5ms);
    char byte = 'x';
    iovec part = {&byte, 1};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    for (int i = 0; i < 3; ++i) {
      recorded plain(opcode::send, pair.far, &byte, 1), vectored(opcode::send_message, pair.far);
      vectored.message.header = &header;
      for (recorded* each : {&plain, &vectored}) {
        const std::int32_t got = perform(*each);
        EXPECT_TRUE(got == -EPIPE || got == -ECONNRESET) << got;
      }
    }
  });
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
