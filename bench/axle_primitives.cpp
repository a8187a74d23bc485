// Every primitive with axle: when nobody is in the way, and between two tasks that take turns. The counterparts of
// peers/asyncio_micro.py and peers/tokio where these have the thing. (mutex, semaphore and queue: axle_micro.cpp, row C5.)
//
// Invariant: every figure is taken inside one loop; one operation is what the name says, there and back.
#include <chrono>

#include <axle/fiber.hpp>
#include <axle/gather.hpp>
#include <axle/sleep.hpp>
#include <axle/sync.hpp>

#include "in_a_loop.hpp"

namespace {

axle::task<> wait_for_a_set_event(std::int64_t count) {
  axle::event event;
  event.set();
  for (std::int64_t i = 0; i < count; ++i) co_await event.wait();
}

// Two tasks that wake each other in turn.
axle::task<> ping(axle::event& mine, axle::event& other, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    co_await mine.wait();
    mine.clear();
    other.set();
  }
}
axle::task<> wake_by_event(std::int64_t count) {
  axle::event one, two;
  one.set();
  co_await axle::gather(ping(one, two, count / 2), ping(two, one, count / 2));
}

axle::task<> lock_shared_mutex(std::int64_t count) {
  axle::shared_mutex mutex;
  for (std::int64_t i = 0; i < count; ++i) const auto held = co_await mutex.lock_shared();
}

axle::task<> lock_and_yield(axle::shared_mutex& mutex, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto held = co_await mutex.lock();
    co_await axle::yield();
  }
}
axle::task<> contend_for_shared_mutex(std::int64_t count) {
  axle::shared_mutex mutex;
  co_await axle::gather(lock_and_yield(mutex, count / 2), lock_and_yield(mutex, count / 2));
}

axle::task<> acquire_limiter(std::int64_t count) {
  axle::capacity_limiter limiter(2);
  for (std::int64_t i = 0; i < count; ++i) const auto token = co_await limiter.acquire();
}

axle::task<> waits_for_condition(axle::mutex& mutex, axle::condition& changed, bool& mine,
                                 std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    auto held = co_await mutex.lock();
    while (!mine) co_await changed.wait(held);
    mine = false;
    changed.notify_all();
  }
}
axle::task<> gives_turns(axle::mutex& mutex, axle::condition& changed, bool& theirs, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    auto held = co_await mutex.lock();
    while (theirs) co_await changed.wait(held);
    theirs = true;
    changed.notify_all();
  }
}
axle::task<> wake_by_condition(std::int64_t count) {
  axle::mutex mutex;
  axle::condition changed;
  bool turn = false;
  co_await axle::gather(waits_for_condition(mutex, changed, turn, count / 2),
                        gives_turns(mutex, changed, turn, count / 2));
}

axle::task<> meets(axle::barrier& barrier, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await barrier.wait());
}
axle::task<> meet_at_barrier(std::int64_t count) {
  axle::barrier barrier(2);
  co_await axle::gather(meets(barrier, count / 2), meets(barrier, count / 2));
}

axle::task<> put_and_get_by_channel(std::int64_t count) {
  axle::channel<std::int64_t> channel(16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await channel.put(i));
    benchmark::DoNotOptimize(co_await channel.get());
  }
}
template <class Channel>
axle::task<> put_all(Channel& channel, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await channel.put(i));
  channel.close();
}
template <class Channel>
axle::task<> get_all(Channel& channel) {
  while (auto item = co_await channel.get()) benchmark::DoNotOptimize(item);
}
axle::task<> hand_through_channel(std::int64_t count) {
  axle::channel<std::int64_t> channel(16);
  co_await axle::gather(put_all(channel, count), get_all(channel));
}

axle::task<> acquire_tokens(std::int64_t count) {
  axle::token_bucket bucket({.per_second = 1e9, .burst = 1'000'000});
  for (std::int64_t i = 0; i < count; ++i) co_await bucket.acquire();
}

axle::task<std::int64_t> made() { co_return 1; }
axle::task<> get_what_was_made(std::int64_t count) {
  axle::once_value<std::int64_t> once;
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await once.get(made));
}

axle::task<> send_and_get_oneshot(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    auto ends = axle::oneshot<std::int64_t>();
    benchmark::DoNotOptimize(ends.sender.send(i));
    benchmark::DoNotOptimize(co_await ends.receiver.get());
  }
}

// A question through a channel, the answer through a oneshot.
using question = axle::oneshot_sender<std::int64_t>;
axle::task<> asks(axle::channel<question>& questions, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    auto ends = axle::oneshot<std::int64_t>();
    benchmark::DoNotOptimize(co_await questions.put(std::move(ends.sender)));
    benchmark::DoNotOptimize(co_await ends.receiver.get());
  }
  questions.close();
}
axle::task<> answers(axle::channel<question>& questions) {
  while (auto asked = co_await questions.get()) benchmark::DoNotOptimize(asked->send(1));
}
axle::task<> ask_and_answer(std::int64_t count) {
  axle::channel<question> questions(16);
  co_await axle::gather(asks(questions, count), answers(questions));
}

axle::task<> send_and_get_broadcast(std::int64_t count) {
  axle::broadcast<std::int64_t> values(16);
  auto subscription = values.subscribe();
  for (std::int64_t i = 0; i < count; ++i) {
    values.send(i);
    benchmark::DoNotOptimize(co_await subscription.get());
  }
}
axle::task<> ping_by_broadcast(axle::subscription<std::int64_t>& mine, axle::broadcast<std::int64_t>& other,
                               std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto item = co_await mine.get();
    other.send(*item);
  }
}
axle::task<> wake_by_broadcast(std::int64_t count) {
  axle::broadcast<std::int64_t> to_one(16), to_two(16);
  auto one = to_one.subscribe();
  auto two = to_two.subscribe();
  to_one.send(1);
  co_await axle::gather(ping_by_broadcast(one, to_two, count / 2), ping_by_broadcast(two, to_one, count / 2));
}

axle::task<> set_and_see_watch(std::int64_t count) {
  axle::watch<std::int64_t> value;
  auto watcher = value.watcher();
  for (std::int64_t i = 0; i < count; ++i) {
    value.set(i);
    benchmark::DoNotOptimize(co_await watcher.changed());
  }
}
axle::task<> ping_by_watch(axle::watcher<std::int64_t>& mine, axle::watch<std::int64_t>& other,
                           std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto item = co_await mine.changed();
    other.set(*item);
  }
}
axle::task<> wake_by_watch(std::int64_t count) {
  axle::watch<std::int64_t> to_one, to_two;
  auto one = to_one.watcher();
  auto two = to_two.watcher();
  to_one.set(1);
  co_await axle::gather(ping_by_watch(one, to_two, count / 2), ping_by_watch(two, to_one, count / 2));
}

axle::task<> put_and_get_by_ring(std::int64_t count) {
  axle::spsc_channel<std::int64_t> ring(16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await ring.put(i));
    benchmark::DoNotOptimize(co_await ring.get());
  }
}
axle::task<> hand_through_ring(std::int64_t count) {
  axle::spsc_channel<std::int64_t> ring(16);
  co_await axle::gather(put_all(ring, count), get_all(ring));
}

axle::task<> send_and_receive_by_mesh(std::int64_t count) {
  axle::mesh<std::int64_t> mesh(1, 16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(mesh.try_send(0, i));
    benchmark::DoNotOptimize(co_await mesh.receive());
  }
}

axle::task<> put_and_get_by_priority(std::int64_t count) {
  axle::priority_queue<std::int64_t> queue(16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await queue.put(i));
    benchmark::DoNotOptimize(co_await queue.get());
  }
}

axle::task<> put_and_get_delayed(std::int64_t count) {
  axle::delay_queue<std::int64_t> queue(16);
  for (std::int64_t i = 0; i < count; ++i) {
    benchmark::DoNotOptimize(co_await queue.put(i, std::chrono::nanoseconds(0)));
    benchmark::DoNotOptimize(co_await queue.get());
  }
}

axle::task<std::int64_t> of_a_flight(std::int64_t value) { co_return value; }
axle::task<> fly(std::int64_t count) {
  axle::singleflight<std::int64_t, std::int64_t> flights;
  for (std::int64_t i = 0; i < count; ++i) benchmark::DoNotOptimize(co_await flights.run(i, of_a_flight, i));
}

void does_nothing() {}
axle::task<> run_fibers(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) co_await axle::fiber(does_nothing);
}
void yields_in_a_fiber(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) axle::await(axle::yield());
}
axle::task<> yield_in_a_fiber(std::int64_t count) { co_await axle::fiber(yields_in_a_fiber, count); }

BENCHMARK(bench::in_a_loop<wait_for_a_set_event, 10'000>)->Name("C6.event/axle");
BENCHMARK(bench::in_a_loop<wake_by_event, 10'000>)->Name("C6.event_turns/axle");
BENCHMARK(bench::in_a_loop<lock_shared_mutex, 10'000>)->Name("C6.shared_mutex/axle");
BENCHMARK(bench::in_a_loop<contend_for_shared_mutex, 10'000>)->Name("C6.shared_mutex_turns/axle");
BENCHMARK(bench::in_a_loop<acquire_limiter, 10'000>)->Name("C6.limiter/axle");
BENCHMARK(bench::in_a_loop<wake_by_condition, 10'000>)->Name("C6.condition_turns/axle");
BENCHMARK(bench::in_a_loop<meet_at_barrier, 10'000>)->Name("C6.barrier_turns/axle");
BENCHMARK(bench::in_a_loop<put_and_get_by_channel, 10'000>)->Name("C6.channel/axle");
BENCHMARK(bench::in_a_loop<hand_through_channel, 10'000>)->Name("C6.channel_turns/axle");
BENCHMARK(bench::in_a_loop<acquire_tokens, 10'000>)->Name("C6.token_bucket/axle");
BENCHMARK(bench::in_a_loop<get_what_was_made, 10'000>)->Name("C6.once/axle");
BENCHMARK(bench::in_a_loop<send_and_get_oneshot, 10'000>)->Name("C6.oneshot/axle");
BENCHMARK(bench::in_a_loop<ask_and_answer, 10'000>)->Name("C6.oneshot_turns/axle");
BENCHMARK(bench::in_a_loop<send_and_get_broadcast, 10'000>)->Name("C6.broadcast/axle");
BENCHMARK(bench::in_a_loop<wake_by_broadcast, 10'000>)->Name("C6.broadcast_turns/axle");
BENCHMARK(bench::in_a_loop<set_and_see_watch, 10'000>)->Name("C6.watch/axle");
BENCHMARK(bench::in_a_loop<wake_by_watch, 10'000>)->Name("C6.watch_turns/axle");
BENCHMARK(bench::in_a_loop<put_and_get_by_ring, 10'000>)->Name("C6.spsc/axle");
BENCHMARK(bench::in_a_loop<hand_through_ring, 10'000>)->Name("C6.spsc_turns/axle");
BENCHMARK(bench::in_a_loop<send_and_receive_by_mesh, 10'000>)->Name("C6.mesh/axle");
BENCHMARK(bench::in_a_loop<put_and_get_by_priority, 10'000>)->Name("C6.priority_queue/axle");
BENCHMARK(bench::in_a_loop<put_and_get_delayed, 10'000>)->Name("C6.delay_queue/axle");
BENCHMARK(bench::in_a_loop<fly, 10'000>)->Name("C6.singleflight/axle");
BENCHMARK(bench::in_a_loop<run_fibers, 10'000>)->Name("C6.fiber/axle");
BENCHMARK(bench::in_a_loop<yield_in_a_fiber, 10'000>)->Name("C6.fiber_yield/axle");

}  // namespace

BENCHMARK_MAIN();
