#!/usr/bin/env python3
"""Drives the http_hello and echo examples with clients that axle's authors did not write.

    run.py EXAMPLES [CASE...]      the directory with the built examples; only the cases whose name contains CASE

curl, wrk and ab must get every answer; 10,000 connections are held at once; a server that is stopped and started again gets
its port; what cannot be served is refused with the cause. Each case runs on both drivers.
"""

import collections
import contextlib
import pathlib
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"))

from cases import Cases  # noqa: E402

WANTED = 10_000  # connections held at once
DRIVERS = ["uring", "epoll"]
ANSWER = "Hello, world!\n"


class Problem(Exception):
    """Why a case failed."""


def expect(condition, problem):
    if not condition:
        raise Problem(problem)


def run(command, seconds=60):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout + done.stderr


class Server:
    """One of the examples, running; on a free port unless told otherwise."""

    def __init__(self, program, driver, port=0, cores="all"):
        self.log = tempfile.TemporaryFile("w+")
        command = [program, "--port", str(port), "--cores", cores, "--driver", driver]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"listening on 127\.0\.0\.1:(\d+) \((\d+) cores?, (\w+)\)", line)
        if not found:
            self.process.kill()
            raise Problem(f"did not start: {line}{self.said()}")
        self.port = int(found[1])
        expect(found[3] == driver, f"asked for {driver}: {line}")
        self.url = f"http://127.0.0.1:{self.port}/"

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def answers(self):
        status, body = run(["curl", "--noproxy", "*", "-sS", "--max-time", "10", self.url])
        expect((status, body) == (0, ANSWER), f"curl: status {status}: {body}")

    def stop(self, with_signal=signal.SIGTERM):
        self.process.send_signal(with_signal)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            raise Problem("did not end within 10 s of the signal") from None
        expect(status == 0, f"ended with status {status}: {self.said()}")
        expect(self.said() == "", f"said: {self.said()}")


@contextlib.contextmanager
def serving(examples, driver, name="http_hello", **options):
    server = Server(str(examples / name), driver, **options)
    try:
        yield server
        server.stop()
    finally:
        server.process.kill()
        server.process.wait()


# ---- the cases -------------------------------------------------------------------------------------------------------


def curl_in_every_way(examples, driver):
    ways = {
        "plain": ([], ANSWER),
        "kept alive": (["--next-url"], ANSWER * 2),
        "HTTP/1.0": (["--http1.0"], ANSWER),
        "HEAD": (["--head"], None),
        "a body with a length": (["--data", "x" * 60_000], "Method not allowed\n"),
        "a chunked body": (["--data", "x" * 60_000, "-H", "Transfer-Encoding: chunked"], "Method not allowed\n"),
        "a body that waits for 100 Continue": (["--data", "x", "-H", "Expect: 100-continue"], "Method not allowed\n"),
    }
    with serving(examples, driver) as server:
        for way, (options, expected) in ways.items():
            urls = [server.url] * 2 if options == ["--next-url"] else [server.url]
            options = [] if options == ["--next-url"] else options
            command = ["curl", "--noproxy", "*", "-sS", "--max-time", "20", *options, *urls]
            status, body = run(command)
            expect(status == 0, f"{way}: curl ended with status {status}: {body}")
            expect(expected is None or body == expected, f"{way}: got {body!r}")


def wrk_with_256_connections_loses_nothing(examples, driver):
    with serving(examples, driver) as server:
        _, report = run(["wrk", "-t2", "-c256", "-d10s", server.url])
        rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
        # wrk has lines about errors only if there were any.
        expect(rate and float(rate[1]) > 0, report)
        expect("Socket errors" not in report and "Non-2xx" not in report, report)


def ab_gets_every_answer(examples, driver):
    with serving(examples, driver) as server:
        for options in [["-k"], []]:
            _, report = run(["ab", "-q", "-n", "20000", "-c", "64", *options, server.url])
            complete = re.search(r"Complete requests:\s+(\d+)", report)
            failed = re.search(r"Failed requests:\s+(\d+)", report)
            expect(complete and failed and (complete[1], failed[1]) == ("20000", "0"), report)
            expect("Non-2xx" not in report, report)


def ten_thousand_connections_are_held(examples, driver):
    with serving(examples, driver) as server, contextlib.ExitStack() as held:
        before = server.descriptors()
        connections = []
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(HELD):
            connections.append(held.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)))
            connections[-1].sendall(request)
        waiting = {each.fileno(): each for each in connections}
        poll = select.epoll()
        for number in waiting:
            poll.register(number, select.EPOLLIN)
        answers = collections.Counter()
        deadline = time.monotonic() + 60
        while waiting and time.monotonic() < deadline:
            for number, _ in poll.poll(1):
                poll.unregister(number)
                answers[waiting.pop(number).recv(4096)[:15]] += 1
        expect(answers == {b"HTTP/1.1 200 OK": HELD}, f"answers: {dict(answers)}, none from {len(waiting)}")
        holds = server.descriptors() - before
        expect(holds == HELD, f"the server holds {holds} of {HELD} connections")
        server.answers()
        connections[HELD // 2].sendall(request)  # those that were idle still are served
        expect(connections[HELD // 2].recv(4096).startswith(b"HTTP/1.1 200 OK"), "a held connection was not answered")
        held.close()
        deadline = time.monotonic() + 20
        while server.descriptors() != before and time.monotonic() < deadline:
            time.sleep(0.1)  # wall clock: another program's closing is waited for
        expect(server.descriptors() == before, f"{server.descriptors() - before} descriptors are left")


def thirty_restarts_get_the_port(examples, driver):
    with serving(examples, driver) as first:
        port = first.port
    for _ in range(30):
        with serving(examples, driver, port=port) as server:
            server.answers()


def interrupt_ends_it_in_the_middle_of_the_load(examples, driver):
    with serving(examples, driver) as server:
        load = subprocess.Popen(["wrk", "-t1", "-c64", "-d3s", server.url], stdout=subprocess.DEVNULL)
        time.sleep(1)  # wall clock: wrk is to be in the middle of its work
        server.stop(signal.SIGINT)
        load.wait(30)


def echo_gives_back_what_it_gets(examples, driver):
    with serving(examples, driver, name="echo") as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            for size in [1, 16, 4096, 100_000]:
                sent = bytes(i % 251 for i in range(size))
                connection.sendall(sent)
                got = b""
                while len(got) < size and (piece := connection.recv(65536)):
                    got += piece
                expect(got == sent, f"{size} bytes came back as {len(got)}")


def what_cannot_be_served_is_refused(examples, driver):
    program = str(examples / "http_hello")
    with serving(examples, driver) as server:
        wrong = {
            f"--port {server.port}": (1, r"cannot listen on 127\.0\.0\.1:\d+ \(another program has this port"),
            "--port 70000": (2, "--port wants a number from 0 to 65535"),
            "--port": (2, "--port wants a value"),
            "--cores 4096-4097": (2, r"processor 4096 does not exist .* may use 0"),
            "--cores none": (2, "cores"),
            "--driver windows": (2, "windows"),
            "--colour red": (2, "unknown argument"),
        }
        for arguments, (expected, message) in wrong.items():
            status, output = run([program, *arguments.split()], 10)
            expect(status == expected and re.search(message, output), f"{arguments}: status {status}: {output}")


CASES = [
    curl_in_every_way,
    wrk_with_256_connections_loses_nothing,
    ab_gets_every_answer,
    ten_thousand_connections_are_held,
    thirty_restarts_get_the_port,
    interrupt_ends_it_in_the_middle_of_the_load,
    echo_gives_back_what_it_gets,
    what_cannot_be_served_is_refused,
]


def problem_with(case, examples, driver):
    try:
        case(examples, driver)
    except (Problem, OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return None


def connections_that_can_be_held():
    """As many as wanted, if this user may have the descriptors for them (root may)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = WANTED + 1000
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, max(enough, hard)))
        return WANTED
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"only {hard - 1000} connections are held, not {WANTED}: the limit of descriptors is {hard} (ulimit -Hn)")
    return hard - 1000


def main(examples, names):
    global HELD
    HELD = connections_that_can_be_held()
    cases = Cases()
    for case in CASES:
        if names and not any(name in case.__name__ for name in names):
            continue
        for driver in DRIVERS:
            cases.add(f"{case.__name__}/{driver}", problem_with(case, examples, driver))
    cases.finish()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:])
