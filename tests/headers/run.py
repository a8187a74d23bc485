#!/usr/bin/env python3
"""Every header compiles alone: in a translation unit of its own, twice over, on its component's include path only.

A public header must also not lead to a third party's header, however indirectly: who uses axle needs no liburing,
hwloc, toml++, mimalloc or HTTP parser installed. (That it includes no system header itself is the lint's business.)
"""

import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint"))

from cases import Cases  # noqa: E402
from compilers import COMPILERS, COMPONENTS, FLAGS, ROOT, in_parallel, include_path, run  # noqa: E402

THIRD_PARTY = re.compile(r"\S*/(?:liburing|hwloc|toml\+\+|mimalloc|http_parser|llhttp)\S*")


def check(cases, compiler, component, header):
    public = ROOT / component / "include"
    is_public = public in header.parents
    name = f"<{header.relative_to(public)}>" if is_public else f'"{header}"'
    with tempfile.TemporaryDirectory() as directory:
        source, dependencies = pathlib.Path(directory, "alone.cpp"), pathlib.Path(directory, "alone.d")
        source.write_text(f"#include {name}\n#include {name}\n")
        status, output = run(
            [compiler, *FLAGS, *include_path(component), "-fsyntax-only", "-MD", "-MF", dependencies, source]
        )
        problem = output if status else None
        if not problem and is_public and (found := THIRD_PARTY.search(dependencies.read_text())):
            problem = f"it leads to {found.group()}"
    cases.add(f"{header.relative_to(ROOT)} with {compiler}", problem)


def main():
    cases = Cases()
    in_parallel(
        check,
        [
            (cases, compiler, component, header)
            for component in COMPONENTS
            for header in sorted((ROOT / component).rglob("*.hpp"))
            for compiler in COMPILERS
        ],
    )
    cases.finish()


if __name__ == "__main__":
    main()
