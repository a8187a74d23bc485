#!/usr/bin/env python3
"""Runs the article's programs and compares what they print with tests/examples/NAME.txt.

    run.py EXAMPLES [--write]      the directory with the built examples; --write takes what they print as the expectation
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"))

from cases import Cases  # noqa: E402
from compilers import run  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "examples"
ARGUMENTS = {"article_concurrency": ["0.2"]}  # a fifth of the article's seconds


def problem_with(name, examples, write):
    expected = HERE / f"{name}.txt"
    status, output = run([str(examples / name), *ARGUMENTS.get(name, [])])
    output = re.sub(r"took (\d+)\.\d s", r"took \1.x s", output)  # never early; a busy machine may be late
    if write:
        expected.write_text(output)
    if status:
        return f"exit status {status}\n{output}"
    if not expected.exists():
        return f"{expected} does not exist; run.py EXAMPLES --write makes it"
    wanted = expected.read_text()
    return None if output == wanted else f"printed:\n{output}\nand not:\n{wanted}"


def main(examples, write):
    cases = Cases()
    for source in sorted(SOURCES.glob("article_*.cpp")):
        cases.add(source.stem, problem_with(source.stem, examples, write))
    cases.finish()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), "--write" in sys.argv[2:])
