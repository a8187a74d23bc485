#!/usr/bin/env python3
"""The micro benchmarks of tasks and primitives written with Python's asyncio: what its users come from.

Prints what Google Benchmark would, as far as the scorecard reads it: --benchmark_filter=^NAME(/|$) and
--benchmark_min_time=SECONDS, JSON with ns_per_op.
"""

import asyncio
import json
import re
import sys
import time


async def child():
    return 1


async def spawn_and_join(count):
    for _ in range(count):
        await asyncio.create_task(child())


async def spawn_a_thousand(count):
    for _ in range(count // 1000):
        await asyncio.gather(*[asyncio.create_task(child()) for _ in range(1000)])


async def await_children(count):
    for _ in range(count):
        await child()


async def yield_repeatedly(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def lock_mutex(count):
    lock = asyncio.Lock()
    for _ in range(count):
        async with lock:
            pass


async def acquire_semaphore(count):
    semaphore = asyncio.Semaphore(2)
    for _ in range(count):
        async with semaphore:
            pass


async def put_and_get(count):
    queue = asyncio.Queue(16)
    for item in range(count):
        await queue.put(item)
        await queue.get()


async def lock_and_yield(lock, count):
    for _ in range(count):
        async with lock:
            await asyncio.sleep(0)


async def contend_for_mutex(count):
    lock = asyncio.Lock()
    await asyncio.gather(lock_and_yield(lock, count // 2), lock_and_yield(lock, count // 2))


async def put_all(queue, count):
    for item in range(count):
        await queue.put(item)


async def get_all(queue, count):
    for _ in range(count):
        await queue.get()


async def hand_through_queue(count):
    queue = asyncio.Queue(16)
    await asyncio.gather(put_all(queue, count), get_all(queue, count))


async def wait_for_a_set_event(count):
    event = asyncio.Event()
    event.set()
    for _ in range(count):
        await event.wait()


async def ping(mine, other, count):
    for _ in range(count):
        await mine.wait()
        mine.clear()
        other.set()


async def wake_by_event(count):
    one, two = asyncio.Event(), asyncio.Event()
    one.set()
    await asyncio.gather(ping(one, two, count // 2), ping(two, one, count // 2))


async def takes_turns(changed, turn, mine, count):
    for _ in range(count):
        async with changed:
            while turn[0] != mine:
                await changed.wait()
            turn[0] = not mine
            changed.notify_all()


async def wake_by_condition(count):
    changed, turn = asyncio.Condition(), [False]
    await asyncio.gather(takes_turns(changed, turn, True, count // 2), takes_turns(changed, turn, False, count // 2))


async def meets(barrier, count):
    for _ in range(count):
        await barrier.wait()


async def meet_at_barrier(count):
    barrier = asyncio.Barrier(2)
    await asyncio.gather(meets(barrier, count // 2), meets(barrier, count // 2))


BENCHMARKS = {
    "C1.one/asyncio": spawn_and_join,
    "C1.thousand/asyncio": spawn_a_thousand,
    "C2.await/asyncio": await_children,
    "C2.yield/asyncio": yield_repeatedly,
    "C5.mutex/asyncio": lock_mutex,
    "C5.semaphore/asyncio": acquire_semaphore,
    "C5.queue/asyncio": put_and_get,
    "C5.contended/asyncio": contend_for_mutex,
    "C5.handed/asyncio": hand_through_queue,
    "C6.event/asyncio": wait_for_a_set_event,
    "C6.event_turns/asyncio": wake_by_event,
    "C6.condition_turns/asyncio": wake_by_condition,
    "C6.barrier_turns/asyncio": meet_at_barrier,
}


def ns_per_op(body, seconds):
    count = 10_000
    while True:
        start = time.perf_counter_ns()
        asyncio.run(body(count))
        took = time.perf_counter_ns() - start
        if took >= seconds * 1e9:
            return took / count
        count = max(count * 2, int(count * seconds * 1.2e9 / took) // 1000 * 1000)


def main():
    options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
    wanted = re.compile(options.get("benchmark_filter", "."))
    seconds = float(options.get("benchmark_min_time", "0.1"))
    results = [{"name": name, "ns_per_op": ns_per_op(body, seconds)}
               for name, body in BENCHMARKS.items() if wanted.search(name)]
    print(json.dumps({"benchmarks": results}))


if __name__ == "__main__":
    main()
