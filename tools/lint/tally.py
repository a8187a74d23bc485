#!/usr/bin/env python3
"""Counts test cases in the logs of `meson test` (meson-logs/testlog*.json) and shows what failed.

    tally.py LOG...

A GoogleTest program counts as its cases, any other test as one. A program that dies takes the case it was running with
it; one that fails outside its cases (a leak at exit, a time-out) counts as one failure more. Each failure is shown with
what it wrote. The last line is `N passed, N failed`, summed over the logs; skipped cases are named above it.
"""

import json
import pathlib
import re
import sys

GTEST = re.compile(r"^\[=+\] Running \d+ tests? from", re.MULTILINE)
CASE = re.compile(r"\[ RUN      \] (\S+)\n")
STDERR_LINES = 200


class Tally:
    def __init__(self):
        self.passed = 0
        self.skipped = []  # names
        self.failed = []  # (name, what it wrote)

    def add_program(self, run, entry):
        """One line of the log of one run: a program, its result and everything it wrote."""
        name = f"[{run}] {entry['name'].split(' / ', 1)[-1]}"
        result, stdout = entry["result"], entry.get("stdout", "")
        failures = []
        if GTEST.search(stdout):
            failures = self._add_cases(name, stdout)
        elif result == "SKIP":
            self.skipped.append(name)
        elif result in ("OK", "EXPECTEDFAIL"):
            self.passed += 1
        if not failures and result not in ("OK", "EXPECTEDFAIL", "SKIP"):
            failures = [(f"{name}: {result.lower()}, exit status {entry['returncode']}", stdout)]
        if failures:
            last, output = failures[-1]
            failures[-1] = (last, output + _last_lines(entry.get("stderr", "")))
        self.failed += failures

    def _add_cases(self, program, stdout):
        """Counts a GoogleTest program's cases by the lines that begin and end each; returns the failed ones."""
        failures = []
        _, *parts = CASE.split(stdout)
        for case, output in zip(parts[::2], parts[1::2]):
            end = re.search(rf"\[ *(OK|SKIPPED|FAILED) *\] {re.escape(case)}(?=[ ,\n])", output)
            outcome = end.group(1) if end else "DIED"
            if outcome == "OK":
                self.passed += 1
            elif outcome == "SKIPPED":
                self.skipped.append(f"{program} {case}")
            else:
                failures.append((f"{program} {case}: {outcome.lower()}", output[: end.start()] if end else output))
        return failures

    def print(self):
        for name in self.skipped:
            print(f"skipped {name}")
        for name, output in self.failed:
            print(f"\nFAILED {name}\n{output.rstrip()}")
        print(f"\n{self.passed} passed, {len(self.failed)} failed")


def _last_lines(stderr):
    if not stderr.strip():
        return ""
    lines = stderr.rstrip().split("\n")
    return "\n".join([f"stderr of the program (last {STDERR_LINES} lines at most):"] + lines[-STDERR_LINES:])


def main(logs):
    tally = Tally()
    for log in (pathlib.Path(log).resolve() for log in logs):
        if not log.exists():
            tally.failed.append((str(log), "no such log: meson ran no test"))
            continue
        # build/asan/meson-logs/testlog-epoll.json is the run "asan epoll"
        run = f"{log.parts[-3]}{log.stem.removeprefix('testlog').replace('-', ' ')}"
        for line in log.read_text(errors="replace").splitlines():
            tally.add_program(run, json.loads(line))
    if not tally.passed and not tally.failed:
        tally.failed.append(("nothing", "no test was run"))
    tally.print()
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
