#!/usr/bin/env python3
"""Programs that must not compile.

Each tests/reject/*.cpp begins with `// must not compile: REGEX` and holds a correct program that goes wrong where it is
compiled with -DMISUSE. Without MISUSE it must compile, so that it cannot be refused for another reason; with MISUSE it
must be refused with a message that the regular expression finds. Both compilers are asked.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"))

from cases import Cases  # noqa: E402
from compilers import COMPILERS, FLAGS, in_parallel, include_path, run  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def check(cases, compiler, source):
    cases.add(f"{source.stem} with {compiler}", problem_with(compiler, source))


def problem_with(compiler, source):
    text = source.read_text()
    promise = re.match(r"// must not compile: (.+)\n", text)
    if not promise:
        return "its first line is not `// must not compile: REGEX`"
    if not re.search(r"#\s*if(n?def| +!?defined\W*)\s*\(?MISUSE\b", text):
        return "it has no part that depends on MISUSE"
    command = [compiler, *FLAGS, *include_path("io"), "-fsyntax-only", source]
    status, output = run(command)
    if status:
        return f"without MISUSE it must compile:\n{output}"
    status, output = run([*command, "-DMISUSE"])
    if not status:
        return "with MISUSE it compiles"
    if not re.search(promise.group(1), output):
        return f"with MISUSE it is refused, but no message matches `{promise.group(1)}`:\n{output}"
    return None


def main():
    cases = Cases()
    in_parallel(check, [(cases, compiler, source) for source in sorted(HERE.glob("*.cpp")) for compiler in COMPILERS])
    cases.finish()


if __name__ == "__main__":
    main()
