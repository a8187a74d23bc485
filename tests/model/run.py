#!/usr/bin/env python3
"""Checks the models of concurrent protocols with spin: that each holds, and that each of its planted mistakes is found.

A model names its mistakes in its opening comment, as -DNAME words: a model that cannot fail shows nothing.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools" / "lint"))

from cases import Cases  # noqa: E402


def errors_found(model, defines):
    """How many errors spin reports for the whole state space, or a text that says what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["spin", *defines, "-run", "-O2", str(model)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    found = re.search(r"errors: (\d+)", done.stdout)
    if not found:
        return f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    if "max search depth too small" in done.stdout:
        return "the search was not complete: max search depth too small"
    return int(found.group(1))


def main():
    cases = Cases()
    for model in sorted(HERE.glob("*.pml")):
        opening = model.read_text().split("*/")[0]
        mistakes = re.findall(r"-D(NO_\w+)", opening)
        found = errors_found(model, [])
        cases.add(f"{model.stem} holds", None if found == 0 else str(found))
        cases.add(f"{model.stem} has planted mistakes", None if mistakes else "none is named")
        for mistake in mistakes:
            found = errors_found(model, [f"-D{mistake}"])
            problem = found if isinstance(found, str) else "not found" if found == 0 else None
            cases.add(f"{model.stem} without {mistake[3:].lower()}", problem)
    cases.finish()


if __name__ == "__main__":
    main()
