#!/usr/bin/env python3
"""Runs the tests of the repository's own tools (tests/lint/*_test.py), one of which is that the tree breaks no rule."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools" / "lint"))

from cases import Cases  # noqa: E402


class Counted(unittest.TestResult):
    """Tells each outcome to the count that ends the output."""

    cases = Cases()

    def addSuccess(self, test):
        self.cases.add(test.id())

    def addFailure(self, test, error):
        self.cases.add(test.id(), self._exc_info_to_string(error, test))

    addError = addFailure


if __name__ == "__main__":
    unittest.defaultTestLoader.discover(str(HERE), "*_test.py").run(Counted())
    Counted.cases.finish()
