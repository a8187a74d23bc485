"""Counting what a check tried: one line a failure, and `N passed, N failed` as the last line of its output."""

import sys
import threading


class Cases:
    """The outcomes of one check's cases. Safe to use from several threads."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self._lock = threading.Lock()

    def add(self, name, problem=None):
        """Counts one case; a problem (any non-empty text) makes it a failure and is shown."""
        with self._lock:
            if problem:
                self.failed += 1
                print(f"FAILED {name}\n{problem.rstrip()}\n", flush=True)
            else:
                self.passed += 1

    def finish(self):
        """Prints the count and ends the program; a check that tried nothing has failed."""
        if self.passed + self.failed == 0:
            print("nothing was checked")
            self.failed = 1
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
