#!/usr/bin/env python3
"""Drives the http_hello, echo and sharded_kv examples with clients that axle's authors did not write.

    run.py EXAMPLES [CASE...]      the directory with the built examples; only the cases whose name contains CASE

curl, wrk, ab, redis-cli and redis-benchmark must get every answer; 10,000 connections are held at once; a server that is stopped and started again gets
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


def redis_clients_get_every_answer(examples, driver):
    with serving(examples, driver, name="sharded_kv", cores="4") as server:
        commands = [f"set key{i} value{i}" for i in range(20)] + [f"get key{i}" for i in range(20)]
        commands += ["ping", "get none", "del key0 key1 none", "get key0", 'set "a key" "two words"', 'get "a key"', "incr key"]
        script = "".join(each + "\n" for each in commands)
        command = ["redis-cli", "-p", str(server.port), "--no-raw"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=30)
        wanted = ["OK"] * 20 + [f'"value{i}"' for i in range(20)]
        wanted += ["PONG", "(nil)", "(integer) 2", "(nil)", "OK", '"two words"']
        lines = done.stdout.split("\n")
        expect(lines[: len(wanted)] == wanted and "(error) ERR" in lines[len(wanted)], done.stdout + done.stderr)
        for pipelined in ["1", "16"]:
            load = ["-q", "-e", "-n", "20000", "-c", "50", "-r", "1000", "-t", "ping,set,get", "-P", pipelined]
            status, report = run(["redis-benchmark", "-p", str(server.port), *load])
            finished = re.findall(r"requests per second", report)
            expect(status == 0 and len(finished) == 4 and "Error from server" not in report, report)


def redis_protocol_in_pieces_and_wrong(examples, driver):
    def string(text):
        return b"$%d\r\n%s\r\n" % (len(text), text)

    def array(*words):
        return b"*%d\r\n" % len(words) + b"".join(string(each) for each in words)

    def answers(server, pieces):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while piece := connection.recv(65536):
                got += piece
            return got

    value = bytes(range(256)) * 2_000
    whole = array(b"SET", b"k", value) + b"get k\r\nPING\n\r\n*0\r\n" + array(b"pInG", b"a\r\nb") + array(b"DEL", b"k", b"l")
    wanted = b"+OK\r\n" + string(value) + b"+PONG\r\n" + string(b"a\r\nb") + b":1\r\n"
    wrong = {
        b"*2\r\n:1\r\n": b"expected '$'",
        b"*1000000000\r\n": b"invalid multibulk length",
        b"*-1\r\n": b"invalid multibulk length",
        b"*1\r\n$-5\r\n": b"invalid bulk length",
        b"*1\r\n$99999999999999999999\r\n": b"invalid bulk length",
        b"*1\r\n$3\r\nlonger\r\n": b"a string is not as long as it says",
        b"x" * 5_000: b"too long a line",
        b"x " * 100 + b"\r\n": b"too many words",
    }
    too_large = b"*64\r\n" + string(b"x" * 600_000) * 2
    with serving(examples, driver, name="sharded_kv", cores="4") as server:
        expect(answers(server, [whole]) == wanted, "sent at once")
        expect(answers(server, [whole[i : i + 9_973] for i in range(0, len(whole), 9_973)]) == wanted, "sent in pieces")
        expect(answers(server, [whole[:9]]) == b"", "an unfinished request has no answer")
        small = array(b"SET", b"small", b"1") + array(b"GET", b"small")
        each_byte = [small[i : i + 1] for i in range(len(small))]
        expect(answers(server, each_byte) == b"+OK\r\n$1\r\n1\r\n", "sent byte by byte")
        many = array(b"GET", b"small") * 5_000
        expect(answers(server, [many]) == b"$1\r\n1\r\n" * 5_000, "5,000 in one go")
        for request, problem in wrong.items():
            got = answers(server, [b"PING\r\n" + request])
            expect(got == b"+PONG\r\n-ERR Protocol error: " + problem + b"\r\n", f"{request[:40]}: {got[:200]}")
        with contextlib.suppress(ConnectionError):  # closed while more is coming, the server's end may be a reset
            got = answers(server, [too_large])
            expect(got == b"-ERR Protocol error: too large a request\r\n", f"{got[:200]}")
        for request in [b"set k\r\n", b"get\r\n", b"nothing\r\n", array(b"a\r\nb")]:
            got = answers(server, [request])
            expect(got.startswith(b"-ERR this server knows") and got.count(b"\n") == 1, f"{request}: {got}")


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
    redis_clients_get_every_answer,
    redis_protocol_in_pieces_and_wrong,
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
