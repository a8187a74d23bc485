#!/usr/bin/env python3
"""Uses axle as its users do: builds main.cpp against an installed axle, found by pkg-config, and runs it.

    run.py PREFIX      where axle was installed, with its libraries in PREFIX/lib

Shared and static, with both compilers, from a directory outside the tree, so that nothing of the tree can be found. And
the programs of README.md, not optimised: nothing is inlined then, so that whatever the library does not export is missed.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"))

from cases import Cases  # noqa: E402
from compilers import COMPILERS, run  # noqa: E402

PROGRAM = pathlib.Path(__file__).resolve().parent / "main.cpp"
README = PROGRAM.parents[2] / "README.md"


def readme_problem(compiler, program, prefix, directory):
    """Why a program of README.md does not compile and link, or None."""
    environment = os.environ | {"PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig"}
    status, flags = run(["pkg-config", "--cflags", "--libs", "axle"], env=environment)
    if status:
        return flags
    pathlib.Path(directory, "readme.cpp").write_text(program)
    status, output = run([compiler, "-O0", "readme.cpp", *flags.split(), "-o", "readme"], cwd=directory)
    return output if status else None


def problem_with(compiler, linkage, prefix, directory):
    """Why a program built with this compiler and linkage does not work, or None."""
    environment = os.environ | {"PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig", "LD_LIBRARY_PATH": f"{prefix}/lib"}
    static = ["--static"] if linkage == "static" else []
    status, flags = run(["pkg-config", "--cflags", "--libs", *static, "axle"], env=environment)
    if status:
        return flags
    # With both libraries installed the linker prefers the shared one, unless the archive is named.
    words = [f"-l:libaxle.{'a' if static else 'so'}" if word == "-laxle" else word for word in flags.split()]
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "main.cpp", *words, "-o", "consumer"]
    status, output = run(command, cwd=directory, env=environment)
    if status:
        return f"{' '.join(command)}\n{output}"
    _, libraries = run(["ldd", "./consumer"], cwd=directory, env=environment)
    if ("libaxle.so" in libraries) == bool(static):
        return f"linked the wrong way:\n{libraries}"
    status, output = run(["./consumer"], cwd=directory, env=environment)
    return f"exit status {status}\n{output}" if status else None


def main(prefix):
    cases = Cases()
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(PROGRAM, directory)
        for compiler in COMPILERS:
            for linkage in ["shared", "static"]:
                cases.add(f"{linkage} with {compiler}", problem_with(compiler, linkage, prefix, directory))
            for number, program in enumerate(re.findall(r"```cpp\n(.*?)```", README.read_text(), re.DOTALL), 1):
                cases.add(f"program {number} of README.md with {compiler}",
                          readme_problem(compiler, program, prefix, directory))
    cases.finish()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
