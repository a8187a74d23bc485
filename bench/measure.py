"""Running the benchmark programs and reading what they say.

A server prints `listening PORT` when ready and ends on SIGTERM; the load generator `drive` prints one JSON
object; the micro benchmarks print Google Benchmark's JSON; everything else prints a JSON object of its own.

Invariant: whatever goes wrong (missing program, crash, silence, lost requests) is raised as `Unavailable`
with the reason, so that one row can fail and the others still be measured. No process outlives the block
that started it.
"""

import contextlib
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import tempfile
import time

SERVER_CPU, GENERATOR_CPU = 0, 1


class Unavailable(Exception):
    """Why something could not be measured, in words for the scorecard."""


class Programs:
    """Finds executables in the build folder and runs them."""

    def __init__(self, folder):
        self.folder = folder

    def has(self, name):
        return os.access(os.path.join(self.folder, name), os.X_OK)

    def path(self, name):
        path = os.path.join(self.folder, name)
        if not self.has(name):
            raise Unavailable(f"no executable {name} in {self.folder}")
        return os.path.abspath(path)

    def output(self, words, timeout=120, cpu=SERVER_CPU):
        """Runs one program pinned to `cpu`, returns what it wrote to (stdout, stderr)."""
        command = [self.path(words[0])] + [str(w) for w in words[1:]]
        return run(command, timeout, cpu)

    def json(self, words, timeout=120):
        text, _ = self.output(words, timeout)
        try:
            return json.loads(text)
        except ValueError:
            raise Unavailable(f"{words[0]} printed no JSON: {last_line(text)[:80]}")

    def micro_counters(self, program, name, seconds):
        """All counters of one Google Benchmark, run once, on all processors."""
        words = [self.path(program), f"--benchmark_filter=^{re.escape(name)}(/|$)", "--benchmark_format=json",
                 f"--benchmark_min_time={seconds}"]
        text, _ = run(words, 120, None)
        found = json.loads(text)["benchmarks"] if text.startswith("{") else []
        if not found:
            raise Unavailable(f"{program} has no benchmark {name}")
        return found[0]

    def micro(self, program, name, counter, seconds):
        """One counter of one Google Benchmark, run once."""
        words = [program, f"--benchmark_filter=^{re.escape(name)}(/|$)", "--benchmark_format=json",
                 f"--benchmark_min_time={seconds}"]
        text, _ = self.output(words)
        for entry in json.loads(text)["benchmarks"] if text.startswith("{") else []:
            rest = entry["name"][len(name):].split("/")[1:]  # "/iterations:3" and the like
            if entry["name"].startswith(name) and all(":" in r or r.endswith("_time") for r in rest):
                if entry.get("error_occurred"):
                    raise Unavailable(f"{name}: {entry.get('error_message')}")
                if counter not in entry:
                    raise Unavailable(f"{name} reports no {counter}")
                return entry[counter]
        raise Unavailable(f"{program} has no benchmark {name}")


class Server:
    """An echo server, pinned, up while the block runs."""

    def __init__(self, programs, *words):
        self.command = [programs.path(words[0])] + list(words[1:]) + ["--cpu", str(SERVER_CPU)]
        self.name = words[0]

    def __enter__(self):
        self.complaints = tempfile.TemporaryFile("w+")
        pipes = {"stdout": subprocess.PIPE, "stderr": self.complaints}
        self.process = subprocess.Popen(self.command, text=True, **pipes)
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        line = self.process.stdout.readline().split() if ready else []
        if len(line) != 2 or line[0] != "listening":
            self.__exit__()
            raise Unavailable(f"{self.name} did not start: {self.complaint or 'it said nothing'}")
        self.pid, self.port = self.process.pid, int(line[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.complaints.seek(0)
        self.complaint = last_line(self.complaints.read())
        self.complaints.close()
        self.process.stdout.close()

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def drive_command(programs, server, options):
    words = [programs.path("drive"), "--cpu", GENERATOR_CPU, "--port", server.port, "--pid", server.pid]
    for name, value in options.items():
        words += ["--" + name.replace("_", "-"), value]
    return [str(w) for w in words]


def drive(programs, server, **options):
    """Loads the server; returns the generator's JSON with cost per request added."""
    text, complaint = run(drive_command(programs, server, options), 60, None, check=False)
    return read_drive(server, text, complaint)


def read_drive(server, text, complaint):
    try:
        seen = json.loads(text)
    except ValueError:
        raise Unavailable(f"driving {server.name} failed: {last_line(complaint) or 'no figures'}")
    if seen["errors"] or not seen["requests"]:
        why = last_line(complaint) or "no answers"
        raise Unavailable(f"{server.name}: {seen['errors']} errors in {seen['requests']} requests ({why})")
    return derived(seen)


def merged(slices):
    """Several slices of one server as one: what adds up is added, of latencies the median slice is taken."""
    whole = dict(slices[0])
    for key in ("requests", "seconds", "errors", "server_cpu_ns", "server_user_ns", "server_sys_ns",
                "connection_min", "connection_max"):
        whole[key] = sum(one[key] for one in slices)
    for key in ("p50_us", "p99_us", "p999_us", "max_us", "server_cpu_fraction", "generator_cpu_fraction"):
        whole[key] = statistics.median(one[key] for one in slices)
    whole["requests_per_second"] = whole["requests"] / whole["seconds"]
    return derived(whole)


def derived(seen):
    seen["cpu_ns_per_request"] = seen["server_cpu_ns"] / seen["requests"]
    seen["user_ns_per_request"] = seen["server_user_ns"] / seen["requests"]
    seen["requests_per_cpu_second"] = seen["requests"] / max(1.0, seen["server_cpu_ns"]) * 1e9
    seen["tail"] = seen["p99_us"] / seen["p50_us"]
    seen["share"] = seen["connection_max"] / max(1, seen["connection_min"])
    return seen


def kernel_entries(programs, server, seconds, **options):
    """System calls the server makes per request, counted while the generator runs."""
    options.update(warmup=0.4, seconds=seconds + 0.6)
    command = drive_command(programs, server, options)
    generator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(0.6)
        calls, counted = count_system_calls(server.pid, seconds)
        text, complaint = generator.communicate(timeout=30)
    finally:
        generator.kill()
    return calls / counted / read_drive(server, text, complaint)["requests_per_second"]


def count_system_calls(pid, seconds):
    """(calls, seconds counted) by the raw_syscalls tracepoint, or by strace where that is not allowed."""
    if shutil.which("perf"):
        counting = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", str(pid)]
        _, text = run(counting + ["--", "sleep", str(seconds)], 30, None, check=False)
        for line in text.splitlines():
            fields = line.split(",")
            if "raw_syscalls:sys_enter" in fields and fields[0].isdigit():
                return int(fields[0]), seconds
    if shutil.which("strace"):
        counting = ["timeout", "-s", "INT", str(seconds), "strace", "-c", "-f", "-p", str(pid)]
        _, text = run(counting, 30, None, check=False)
        for line in text.splitlines():
            if line.strip().endswith("total"):
                return int(line.split()[3 if len(line.split()) > 4 else 2]), seconds
    raise Unavailable("neither perf (raw_syscalls:sys_enter) nor strace can count system calls here")


def instructions(programs, words, function):
    """Instructions executed inside `function`, by callgrind."""
    if not shutil.which("valgrind"):
        raise Unavailable("valgrind is not installed")
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [f"--toggle-collect={function}", programs.path(words[0])] + [str(w) for w in words[1:]]
    _, text = run(command, 600, None)
    found = re.search(r"Collected\s*:\s*(\d+)", text)
    if not found or int(found.group(1)) == 0:
        raise Unavailable(f"callgrind saw no call of {function} in {words[0]}")
    return int(found.group(1))


def idle_cost(programs, server, connections, seconds):
    """What a server costs that holds connections on which nothing happens."""

    def spent():
        wakes = cpu_ns = 0
        for task in os.listdir(f"/proc/{server.pid}/task"):
            with open(f"/proc/{server.pid}/task/{task}/schedstat") as file:
                cpu_ns += int(file.read().split()[0])
            with open(f"/proc/{server.pid}/task/{task}/status") as file:
                wakes += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M).group(1))
        return wakes, cpu_ns

    with idle_connections(programs, server, connections, touched=True):
        time.sleep(1)
        before, began = spent(), time.monotonic()
        time.sleep(seconds)
        after, took = spent(), time.monotonic() - began
    return {"wakes_per_second": (after[0] - before[0]) / took,
            "cpu_percent": (after[1] - before[1]) / took / 1e7}


def idle_growth(programs, server, connections, touched):
    """Resident bytes the server gains per idle connection. Its buffers are warmed first and do not count."""
    drive(programs, server, connections=64, bytes=64, warmup=0.1, seconds=0.5)
    time.sleep(0.2)
    before = server.resident_bytes()
    with idle_connections(programs, server, connections, touched):
        time.sleep(0.5)
        return (server.resident_bytes() - before) / connections


@contextlib.contextmanager
def idle_connections(programs, server, connections, touched):
    """So many connections to a server are open while the block runs; touched: each after one request."""
    command = [programs.path("drive"), "--port", str(server.port), "--idle", str(connections), "--hold"]
    command += ["--touch"] if touched else []
    pipe = subprocess.PIPE
    holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        ready, _, _ = select.select([holder.stdout], [], [], 60)
        if not ready or not holder.stdout.readline():
            raise Unavailable(f"{server.name}: idle connections could not be opened")
        yield
    finally:
        holder.kill()
        holder.communicate()


def run(command, timeout, cpu, check=True):
    pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, preexec_fn=pin)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{os.path.basename(command[0])} took longer than {timeout} s")
    if check and done.returncode != 0:
        name = os.path.basename(command[0])
        raise Unavailable(f"{name} ended with {done.returncode}: {last_line(done.stderr)}")
    return done.stdout, done.stderr


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
