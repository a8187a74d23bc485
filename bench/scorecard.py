#!/usr/bin/env python3
"""Measures every row of the scorecard and prints it: axle beside its yardsticks, in the same run.

Contenders are measured in turn, in short slices, forwards in one round and backwards in the next; a ratio
compares slices of the same round, so that a machine whose speed drifts moves both. What is printed is the
median over the rounds and, in brackets, the lowest and highest round. Absolute times mean little on shared
machines.

Invariant: every figure printed was measured in this run. What could not be measured says why.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time

import measure
from measure import Unavailable

RING, EPOLL, AXLE = "RU", "RE", "axle"
TOKIO = "tokio"  # left out, and said so once, where it was not built: few machines have Rust


class Plan:
    """How long and how often to measure, and what is left of it."""

    def __init__(self, arguments):
        self.quick = arguments.quick
        self.rounds = arguments.rounds or (3 if arguments.quick else 7)
        self.slice = 0.4 if arguments.quick else 0.6
        self.programs = measure.Programs(arguments.build)
        self.has_tokio = self.programs.has(f"{TOKIO}_micro")
        self.row = ""
        self.left = {}
        self.speed = 1.0
        self.row_began = self.row_estimate = 0.0

    def begin(self, row, estimate):
        self.row, self.row_estimate, self.row_began = row, estimate, time.monotonic()

    def end(self):
        took = time.monotonic() - self.row_began
        if self.row_estimate > 1:
            self.speed = 0.5 * self.speed + 0.5 * took / self.row_estimate
        self.left.pop(self.row, None)

    def say(self, what):
        spent = time.monotonic() - self.row_began
        current = max(0.0, self.left.get(self.row, 0) * self.speed - spent)
        others = sum(v for k, v in self.left.items() if k != self.row) * self.speed
        print(f"[{self.row}] {what}; about {current + others:.0f} s left", file=sys.stderr, flush=True)


def measure_in_turn(plan, contenders, sample, pieces=1):
    """{name: [sample, ...]}, `pieces` a round. A contender that failed has the reason instead."""
    results, names = {name: [] for name in contenders}, list(contenders)
    for number in range(plan.rounds * pieces):
        for name in names if number % 2 == 0 else reversed(names):
            if isinstance(results[name], str):
                continue
            plan.say(f"round {number // pieces + 1} of {plan.rounds}: {name}")
            try:
                results[name].append(sample(contenders[name]))
            except Unavailable as why:
                results[name] = str(why)
    return results


def drive_in_turn(plan, contenders, slices=1, **load):
    """The same with servers, {name: command}. All are up for the whole row (asleep they cost nothing), so
    that one round can change between them several times; those that spin are up only while driven."""
    connections = load.get("connections", 1)
    pieces = 4 if connections <= 128 else 1
    slices *= 3 if connections > 5000 else 1  # there one round trip alone takes a third of a second
    options = {"warmup": 0.2 * slices / pieces, "seconds": plan.slice * slices / pieces, **load}

    def fresh(command):
        with measure.Server(plan.programs, *command) as server:
            return measure.drive(plan.programs, server, **{**options, "warmup": 0.15, "seconds": plan.slice})

    if any("--spin" in command for command in contenders.values()):
        return measure_in_turn(plan, contenders, fresh)
    with contextlib.ExitStack() as everyone:
        servers, results = {}, {}
        for name, command in contenders.items():
            try:
                servers[name] = everyone.enter_context(measure.Server(plan.programs, *command))
            except Unavailable as why:
                results[name] = str(why)
        drive = lambda server: measure.drive(plan.programs, server, **options)
        small = measure_in_turn(plan, servers, drive, pieces)
    for name, samples in small.items():
        grouped = [samples[i:i + pieces] for i in range(0, len(samples), pieces)]
        results[name] = samples if isinstance(samples, str) else [measure.merged(group) for group in grouped]
    return {name: results[name] for name in contenders}


def row(what, unit, results, metric, goal, better="lower", absolute=False, against=None):
    """One printed row. `goal` bounds axle / best yardstick, or with `absolute` axle's own figure."""
    pick = metric if callable(metric) else lambda one: one[metric]
    series = {k: [pick(one) for one in v] for k, v in results.items() if not isinstance(v, str)}
    failed = {k: v for k, v in results.items() if isinstance(v, str)}
    made = {"what": what, "unit": unit, "goal": f"{'<=' if better == 'lower' else '>='} {goal:g}" if goal is not None else "none",
            "figures": {k: statistics.median(v) for k, v in series.items()}, "failed": failed,
            "rounds": series}
    yardsticks = {k: v for k, v in made["figures"].items() if k != AXLE and (against is None or k in against)}
    if AXLE not in series:
        return {**made, "verdict": f"not measured: {failed.get(AXLE, 'no figure')}"}
    ratios = []
    if yardsticks:
        made["yardstick"] = (min if better == "lower" else max)(yardsticks, key=yardsticks.get)
        ratios = [a / b for a, b in zip(series[AXLE], series[made["yardstick"]]) if b]
    if ratios:
        made["ratio"], made["spread"] = statistics.median(ratios), [min(ratios), max(ratios)]
    if absolute:
        judged, made["spread"] = made["figures"][AXLE], [min(series[AXLE]), max(series[AXLE])]
    elif ratios:
        judged = made["ratio"]
    else:
        return {**made, "verdict": "not measured: no yardstick: " + "; ".join(failed.values())}
    made["judged"] = judged
    if goal is None:
        return {**made, "verdict": "shown"}
    met = judged <= goal if better == "lower" else judged >= goal
    return {**made, "verdict": "met" if met else "missed"}


def raws(*options, message=64):
    """axle and both bare loops; the ring's buffers fit the message, as by hand one would have it."""
    ring = ["ring_echo", "--bytes-buffer", str(max(512, message))]
    return {AXLE: ["axle_echo", *options], RING: ring + list(options), EPOLL: ["epoll_echo", *options]}


# One function a row, each returning what `row` made (several where the row has several goals).


def n1(plan):
    seen = drive_in_turn(plan, raws(), connections=64, bytes=64)
    return [row("TCP echo, 64 B x 64 connections", "CPU-ns/request", seen, "cpu_ns_per_request", 1.03)]


def n2_cells(plan):
    connections = [1, 64, 1000] if plan.quick else [1, 10, 100, 1000, 10_000]
    sizes = [64, 16_384] if plan.quick else [16, 512, 4096, 16_384]
    return [(c, s) for c in connections for s in sizes]


def n2(plan):
    rows = []
    for connections, size in n2_cells(plan):
        seen = drive_in_turn(plan, raws(message=size), connections=connections, bytes=size)
        what = f"cell: {connections} connections x {size} B"
        rows.append(row(what, "CPU-ns/request", seen, "cpu_ns_per_request", 1.08))
    measured = [r for r in rows if "ratio" in r]
    if not measured:
        return rows
    worst = max(measured, key=lambda r: r["ratio"])
    return rows + [{**worst, "what": "worst cell, which is " + worst["what"][6:]}]


def n3(plan):
    blocking = drive_in_turn(plan, raws(), connections=1, bytes=64)
    polling = drive_in_turn(plan, spinning(), connections=1, bytes=64)
    return [row("one connection, round trip, blocking", "p50 us", blocking, "p50_us", 1.05),
            row("one connection, round trip, adaptive polling", "p50 us", polling, "p50_us", 1.10)]


def spinning():
    return {AXLE: ["axle_echo", "--poll", "adaptive"], f"{RING} spinning": ["ring_echo", "--spin"]}


def n12(plan):
    seen = drive_in_turn(plan, spinning(), slices=2, connections=64, bytes=64, open_rate=20_000)
    what = "20,000 requests/s, open loop, 64 connections, adaptive"
    return [row(what, "p50 us", seen, "p50_us", 1.2),
            row(what, "processors used", seen, "server_cpu_fraction", 0.8)]


def i1(plan):
    def sample(command):
        with measure.Server(plan.programs, *command) as server:
            return measure.idle_cost(plan.programs, server, 2_000 if plan.quick else 10_000, 4 * plan.slice)

    contenders = {AXLE: ["axle_echo", "--poll", "adaptive"], f"{AXLE} blocking": ["axle_echo"]}
    seen = measure_in_turn(plan, contenders, sample)
    what = "idle connections, each with a 60 s timeout, adaptive"
    return [row(what, "wake-ups/s", seen, "wakes_per_second", 2, absolute=True, against=[]),
            row(what, "% of a processor", seen, "cpu_percent", 0.05, absolute=True, against=[])]


def i2(plan):
    seen = drive_in_turn(plan, raws(), slices=4, connections=16, bytes=64, open_rate=1_000)
    return [row("1,000 requests/s, open loop, blocking", "CPU-ns/request", seen, "cpu_ns_per_request", 1.05,
                against=[EPOLL])]


def g1(plan):
    """growth of the cost of a request from 10 connections to 10,000"""
    sizes = (10, 1_000 if plan.quick else 10_000)
    few, many = (drive_in_turn(plan, raws(), connections=count, bytes=64) for count in sizes)
    growth = {}
    for name in few:
        if isinstance(few[name], str) or isinstance(many[name], str):
            growth[name] = next(why for why in (few[name], many[name]) if isinstance(why, str))
        else:
            growth[name] = [b["cpu_ns_per_request"] / a["cpu_ns_per_request"] for a, b in zip(few[name], many[name])]
    return [row(f"cost of a request, {sizes[1]:,} connections against {sizes[0]}", "growth", growth, float, 1.03)]


def beside_raw(plan, name, what, goal, raw, absolute):
    """A row between two cores whose program takes axle's figure and the yardstick's in turn, a millisecond each."""
    seconds = 0.3 if plan.quick else 1
    both = []
    for number in range(plan.rounds):
        plan.say(f"round {number + 1} of {plan.rounds}")
        both.append(plan.programs.micro_counters("axle_cores", f"{name}/axle", seconds))
    seen = {AXLE: [one["ns_per_op"] for one in both], raw: [one["raw_ns"] for one in both]}
    return [row(what, "ns", seen, float, goal, absolute=absolute)]


def x1(plan):
    return beside_raw(plan, "X1", "call on another core and its reply, both awake", 1.35, "two transfers", False)


def x2(plan):
    return beside_raw(plan, "X2", "calls side by side, with reply, each", 20, "ring each way", True)


def x3(plan):
    alone = lambda name, program: lambda _: plan.programs.micro_counters(program, name, 0.3)["ns_per_op"]
    post = measure_in_turn(plan, {AXLE: None}, alone("X3.post/axle", "axle_cores"))
    wakes = {AXLE: "axle_cores", "eventfd": "cores_raw", "futex": "cores_raw"}
    wake = measure_in_turn(plan, {k: (f"X3.wake/{k}", v) for k, v in wakes.items()}, lambda pair: alone(*pair)(None))
    return [row("message to a core that is awake, its sender's cost", "ns", post, float, 4, absolute=True, against=[]),
            row("call to a core that sleeps, from one that then sleeps: two wakes", "ns", wake, float, 1.10)]


def n5(plan):
    rows = []
    for connections in (64,) if plan.quick else (64, 1000):

        def sample(command):
            with measure.Server(plan.programs, *command) as server:
                load = {"connections": connections, "bytes": 64}
                return measure.kernel_entries(plan.programs, server, plan.slice, **load)

        seen = measure_in_turn(plan, raws(), sample)
        what = f"kernel entries, {connections} connections"
        rows.append(row(what, "entries/request", seen, float, 0.05, absolute=True))
    return rows


def n6(plan):
    contenders = {**raws(), "asio": ["asio_echo"], "uv": ["uv_echo"]}
    seen = drive_in_turn(plan, contenders, slices=3, connections=64, bytes=64)
    # The tick counters behind the division into user and kernel are coarse: one figure from all rounds
    # together.
    for name, samples in seen.items():
        if not isinstance(samples, str):
            user, requests = (sum(s[k] for s in samples) for k in ("server_user_ns", "requests"))
            seen[name] = [{"user_ns_per_request": user / requests}]
    what = "user-space time, 64 B x 64 connections"
    return [row(what, "CPU-ns/request", seen, "user_ns_per_request", 0.35, against=["asio"])]


def n7(plan):
    contenders = {AXLE: ["axle_echo"], "asio": ["asio_echo"], "uv": ["uv_echo"]}
    seen = drive_in_turn(plan, contenders, connections=64, bytes=64)
    unit, metric = "requests/CPU-s", "requests_per_cpu_second"
    return [row("echo against coroutines", unit, seen, metric, 1.10, better="higher", against=["asio"]),
            row("echo against callbacks", unit, seen, metric, 1.05, better="higher", against=["uv"])]


def n10(plan):
    seen = drive_in_turn(plan, raws("--mode", "oneshot"), connections=64, bytes=64, mode="oneshot")
    return [row("accept, one request, close", "connections/CPU-s", seen, "requests_per_cpu_second", 0.97,
                better="higher", against=[EPOLL]),
            row("the same by the clock (the generator bounds it)", "connections/s", seen,
                "requests_per_second", 0.97, better="higher", against=[EPOLL])]


def n11(plan):
    seen = drive_in_turn(plan, raws(), connections=1024, bytes=64)
    return [row("1,024 connections saturated", "p99/p50", seen, "tail", 1.5, absolute=True),
            row("1,024 connections saturated", "max/min share", seen, "share", 1.25, absolute=True)]


def micro_in_turn(plan, peers, counter="ns_per_op"):
    """peers is {name: (program, benchmark)}."""
    seconds = 0.1 if plan.quick else 0.3
    return measure_in_turn(plan, peers, lambda pair: plan.programs.micro(pair[0], pair[1], counter, seconds))


def micro(row_name, goal, what, *others, argument="", program="axle_micro"):
    """A row of nanoseconds per operation, axle's against its own goal and beside the peers'."""

    def run(plan):
        peers = {AXLE: (program, f"{row_name}/axle{argument}")}
        for other in others:
            library = other.split("_")[0]  # asio, or tokio_wake, which is another way with tokio
            if library != TOKIO or plan.has_tokio:
                peers[other] = (f"{library}_micro", f"{row_name}/{other}{argument}")
        return [row(what, "ns", micro_in_turn(plan, peers), float, goal, absolute=True)]

    return run


def primitives(plan):
    """what each other primitive costs, for which no goal is set"""
    rows = []
    for name, what, *others in [
            ("event", "event that is set, waited for", "asyncio", TOKIO),
            ("event_turns", "event, between two tasks that take turns", "asyncio", TOKIO),
            ("condition_turns", "condition, between two tasks that take turns", "asyncio", TOKIO),
            ("barrier_turns", "barrier of two", "asyncio", TOKIO),
            ("shared_mutex", "shared_mutex, for reading, nobody waits", TOKIO),
            ("shared_mutex_turns", "shared_mutex, for writing, handed between two tasks that yield with it", TOKIO),
            ("limiter", "capacity_limiter, nobody waits"),
            ("token_bucket", "token_bucket, tokens left"),
            ("once", "once_value that is made, got", TOKIO),
            ("channel", "channel, put and get on one core", TOKIO),
            ("channel_turns", "channel of 16 between two tasks of one core, an item", TOKIO),
            ("oneshot", "oneshot, made, sent and got", TOKIO),
            ("oneshot_turns", "question through a channel, answer through a oneshot", TOKIO),
            ("broadcast", "broadcast to one, send and get", TOKIO),
            ("broadcast_turns", "broadcast, between two tasks that take turns", TOKIO),
            ("watch", "watch, set and seen", TOKIO),
            ("watch_turns", "watch, between two tasks that take turns", TOKIO),
            ("spsc", "spsc_channel, put and get"),
            ("spsc_turns", "spsc_channel of 16 between two tasks, an item"),
            ("mesh", "mesh, sent and received on one core"),
            ("priority_queue", "priority_queue, put and get"),
            ("delay_queue", "delay_queue, put and got at once"),
            ("singleflight", "singleflight, alone"),
            ("fiber", "fiber, begun and ended"),
            ("fiber_yield", "yield in a fiber")]:
        rows += micro(f"C6.{name}", None, what, *others, program="axle_primitives")(plan)
    return rows


def t2(plan):
    """timer insert + cancel: growth of instructions from 1e2 pending"""
    counts = {}
    for power in range(2, 6 if plan.quick else 8):
        plan.say(f"callgrind with 1e{power} pending")
        words = ["timer_growth", 10**power]
        counts[power] = measure.instructions(plan.programs, words, "measured_region") / 100_000
    growth = {f"1e{power}": [count / counts[2]] for power, count in counts.items()}
    worst = {AXLE: [max(counts.values()) / counts[2]], **growth}
    what = f"timer insert + cancel, {counts[2]:.0f} instructions at 1e2 pending"
    return [row(what, "growth from there", worst, float, 1.02, absolute=True, against=[])]


def t4(plan):
    contenders = {AXLE: ("axle_micro", "T4/axle"), "clock_nanosleep": ("micro_raw", "T4/raw")}
    seen = micro_in_turn(plan, contenders, "p99_ns")
    return [row("sleep(1 ms), lateness p99", "ns", seen, float, 1.10)]


def c3(plan):
    """heap allocations in steady state"""
    plan.say("counting allocations")
    seen = plan.programs.json(["axle_allocations"])
    what = f"heap allocations in {seen['operations']:,} operations"
    return [row(what, "allocations", {AXLE: [seen["allocations"]]}, float, 0, absolute=True)]


def c4(plan):
    contenders = {AXLE: ("axle_micro", "C4.cancel/axle"), "throw": ("micro_raw", "C4.throw/raw")}
    seen = micro_in_turn(plan, contenders)
    return [row("cancel and unwind four frames", "ns", seen, float, 0.02)]


def m1(plan):
    def sample(which):
        if which == AXLE:
            return plan.programs.json(["axle_sleepers"])["bytes_per_task"]
        return plan.programs.micro("asio_micro", "M1/asio", "bytes_per_task", 0.1)

    seen = measure_in_turn(plan, {AXLE: AXLE, "asio": "asio"}, sample)
    return [row("memory of a sleeping task, one of a million", "bytes", seen, float, 160, absolute=True)]


def m2(plan):
    connections = 2000 if plan.quick else 9000
    rows = []
    contenders = {AXLE: ["axle_echo"], "asio": ["asio_echo"], "uv": ["uv_echo"]}
    kinds = {"idle connection, never used": False, "idle connection, after one request": True}
    for what, touched in kinds.items():

        def sample(command):
            with measure.Server(plan.programs, *command) as server:
                return measure.idle_growth(plan.programs, server, connections, touched)

        seen = measure_in_turn(plan, contenders, sample)
        rows.append(row(what, "bytes of user memory", seen, float, 400, absolute=True))
    return rows


# name: (function, what one round costs in slices, roughly)
ROWS = {
    "N1": (n1, 3), "N2": (n2, 60), "N3": (n3, 6), "N5": (n5, 14), "N6": (n6, 13), "N7": (n7, 3),
    "N10": (n10, 3), "N11": (n11, 3),
    "T1": (micro("T1", 9, "timer insert + cancel, 1e5 pending", "asio", "uv", argument="/100000"), 3),
    "T2": (t2, 0),
    "T3": (micro("T3", 20, "expiry of a timer, 1e6 overdue", "asio", "uv"), 20),
    "T4": (t4, 3),
    "C1": (lambda plan: micro("C1.one", 20, "spawn and join a task", "asio", "asyncio", TOKIO)(plan)
           + micro("C1.thousand", 15, "spawn and join, each of 1,000", "asio", "asyncio", TOKIO)(plan), 5),
    "C2": (lambda plan: micro("C2.await", 4, "await a child that completes at once", "asio", "asyncio", TOKIO)(plan)
           + micro("C2.yield", 8, "yield through the ready queue", "asio", "asyncio", TOKIO, f"{TOKIO}_wake")(plan), 5),
    "C5": (lambda plan: micro("C5.mutex", 3, "mutex, lock and unlock, nobody waits", "asyncio", TOKIO)(plan)
           + micro("C5.semaphore", 3, "semaphore, acquire and release, nobody waits", "asyncio", TOKIO)(plan)
           + micro("C5.queue", 10, "queue, put and get, nobody waits", "asyncio", TOKIO)(plan)
           + micro("C5.contended", None, "mutex handed between two tasks that yield with it", "asyncio", TOKIO)(plan)
           + micro("C5.handed", None, "queue of 16 between two tasks, an item", "asyncio", TOKIO)(plan), 8),
    "C6": (primitives, 34),
    "N12": (n12, 8), "X1": (x1, 4), "X2": (x2, 4), "X3": (x3, 6), "I1": (i1, 12), "I2": (i2, 12), "G1": (g1, 14),
    "C3": (c3, 1), "C4": (c4, 2), "M1": (m1, 4), "M2": (m2, 12),
}


def estimate(plan, name):
    """Seconds a row will probably take."""
    slices = ROWS[name][1] if name != "N2" else 3 * len(n2_cells(plan))
    return (8 if plan.quick else 60) if name == "T2" else plan.rounds * slices * (plan.slice + 0.25)


def measure_row(plan, name):
    plan.begin(name, estimate(plan, name))
    try:
        rows = ROWS[name][0](plan)
    except Unavailable as why:
        rows = [{"what": (ROWS[name][0].__doc__ or name), "verdict": f"not measured: {why}"}]
    plan.end()
    return [{"name": name, **r} for r in rows]


def shown(value):
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def print_row(made):
    print(f"{made['name']:<4} {made['what']}" + (f" ({made['unit']})" if "unit" in made else ""))
    figures = [f"{name} {shown(value)}" for name, value in made.get("figures", {}).items()]
    parts = ["  ".join(figures)] if figures else []
    if "ratio" in made:
        parts.append(f"axle/{made['yardstick']} {made['ratio']:.3f}")
    if "spread" in made:
        parts.append(f"({shown(made['spread'][0])}..{shown(made['spread'][1])})")
    if "goal" in made:
        parts.append(f"goal {made['goal']}")
    print("     " + "   ".join(parts + [made["verdict"]]))
    for name, why in made.get("failed", {}).items():
        if name != AXLE:
            print(f"     {name} not measured: {why}")
    sys.stdout.flush()


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    folder = "build/release/bench"
    parser.add_argument("--build", default=folder, help="where the executables are (%(default)s)")
    parser.add_argument("--rows", help="only these, as N1,T3; all: " + ",".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="three short rounds, fewer cells: a first look")
    parser.add_argument("--rounds", type=int, help="rounds per row (7, or 3 with --quick)")
    parser.add_argument("--json", metavar="FILE", help="also write everything, round by round, to FILE")
    arguments = parser.parse_args()
    wanted = arguments.rows.split(",") if arguments.rows else list(ROWS)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    plan = Plan(arguments)
    plan.left = {name: estimate(plan, name) for name in wanted}
    if not plan.has_tokio and {"C1", "C2", "C5", "C6"} & set(wanted):
        print(f"{TOKIO} is left out: {TOKIO}_micro was not built (bench/README.md says how)", file=sys.stderr)
    every = []
    for name in wanted:
        for made in measure_row(plan, name):
            print_row(made)
            every.append(made)
    verdicts = [made["verdict"].split(":")[0] for made in every]
    print("  ".join(f"{verdicts.count(v)} {v}" for v in ("met", "missed", "not measured")))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"rounds": plan.rounds, "slice_seconds": plan.slice, "rows": every}, file, indent=1)


if __name__ == "__main__":
    main()
