"""The tally, tested: every way a test program ends is counted right, for the count is what a change is judged by."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "lint"))

import tally  # noqa: E402

BEGIN = "[==========] Running 3 tests from 1 test suite.\n"
FIRST_PASSES = "[ RUN      ] a.first\n[       OK ] a.first (0 ms)\n"
SECOND_FAILS = "[ RUN      ] a.second/0\nx.cpp:1: Failure\n[  FAILED  ] a.second/0, where GetParam() = 7 (0 ms)\n"
THIRD_SKIPS = "[ RUN      ] a.third\nno ring\n[  SKIPPED ] a.third (0 ms)\n"
SUMMARY = "[==========] 3 tests from 1 test suite ran. (0 ms total)\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] a.second/0\n"


def program(result="OK", stdout="", stderr="", returncode=0):
    return {"name": "axle:io / p", "result": result, "stdout": stdout, "stderr": stderr, "returncode": returncode}


class tallies(unittest.TestCase):
    def tally(self, *programs):
        """The exit status and the output for a log that holds these programs."""
        with tempfile.TemporaryDirectory() as directory:
            log = pathlib.Path(directory, "release", "meson-logs", "testlog-epoll.json")
            log.parent.mkdir(parents=True)
            log.write_text("".join(json.dumps(each) + "\n" for each in programs))
            with contextlib.redirect_stdout(io.StringIO()) as output:
                status = tally.main([str(log)])
        return status, output.getvalue()

    def assert_counts(self, count, *programs):
        status, output = self.tally(*programs)
        self.assertEqual(output.splitlines()[-1], count, output)
        self.assertEqual(status, 0 if count.endswith(" 0 failed") else 1)
        return output

    def test_cases_of_a_program_that_passes(self):
        self.assert_counts("1 passed, 0 failed", program(stdout=BEGIN + FIRST_PASSES))

    def test_cases_that_pass_fail_and_skip(self):
        output = self.assert_counts(
            "1 passed, 1 failed", program("FAIL", BEGIN + FIRST_PASSES + SECOND_FAILS + THIRD_SKIPS + SUMMARY, "told", 1)
        )
        for shown in ["FAILED [release epoll] p a.second/0", "x.cpp:1: Failure", "told", "skipped [release epoll] p a.third"]:
            self.assertIn(shown, output)

    def test_a_program_that_dies_takes_its_case_with_it(self):
        output = self.assert_counts(
            "1 passed, 1 failed", program("FAIL", BEGIN + FIRST_PASSES + "[ RUN      ] a.second\n", "CHECK failed", -6)
        )
        self.assertIn("p a.second: died", output)
        self.assertIn("CHECK failed", output)

    def test_a_program_that_fails_after_its_cases(self):
        leak = program("FAIL", BEGIN + FIRST_PASSES + "[  PASSED  ] 1 test.\n", "LeakSanitizer", 23)
        self.assertIn("p: fail, exit status 23", self.assert_counts("1 passed, 1 failed", leak))
        self.assertIn("p: timeout", self.assert_counts("1 passed, 1 failed", leak | {"result": "TIMEOUT"}))

    def test_a_program_that_dies_before_its_cases(self):
        self.assert_counts("0 passed, 1 failed", program("FAIL", "", "cannot start", 127))
        self.assert_counts("0 passed, 1 failed", program("FAIL", BEGIN, "", -11))

    def test_output_before_the_end_of_its_line(self):
        self.assert_counts("1 passed, 0 failed", program(stdout=BEGIN + "[ RUN      ] a.b\nhi[       OK ] a.b (0 ms)\n"))

    def test_a_case_whose_name_begins_like_another(self):
        output = BEGIN + "[ RUN      ] a.b\n[       OK ] a.bc (0 ms)\n"
        self.assert_counts("0 passed, 1 failed", program(stdout=output))

    def test_other_programs_count_as_one(self):
        self.assert_counts("2 passed, 0 failed", program(), program("EXPECTEDFAIL", returncode=1), program("SKIP", returncode=77))
        self.assert_counts("0 passed, 1 failed", program("TIMEOUT", returncode=-15))

    def test_nothing_run_is_a_failure(self):
        self.assert_counts("0 passed, 1 failed")
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(tally.main(["/nowhere/b/meson-logs/testlog.json"]), 1)
