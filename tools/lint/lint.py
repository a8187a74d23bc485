#!/usr/bin/env python3
"""axle's repository rules, checked as text.

    lint.py [--root DIR] [FILE...]     without files: everything git knows or would add

Each rule below says what it demands and why. A line is excused from a rule by a comment on it or right above it that
names the rule and gives a reason:  // lint: allow lambda-beside-await: the canary holds exactly this shape
Exit status: 0 when no error was found (warnings are printed only), 1 otherwise.
"""

import argparse
import functools
import pathlib
import re
import subprocess
import sys

import cpp_text

COMPONENTS = ["alloc", "runtime", "io"]  # each may use itself and those to its left
USERS = ["tests", "bench", "examples"]
# A third-party header, and the components it is for. Tests, benchmarks and examples are free.
THIRD_PARTY = {
    r"mimalloc": ["alloc"],
    r"hwloc(/|\.h)": ["alloc", "runtime"],
    r"toml\+\+/": ["runtime"],
    r"liburing(/|\.h)": ["io"],
    r"(http_parser|llhttp)\.h": ["io"],
}
WARN_LINES, MAX_LINES = 500, 700

CPP_SUFFIXES = {".hpp", ".cpp"}
CODE_SUFFIXES = CPP_SUFFIXES | {".py", ".rs", ".sh", ".build", ""}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".txt", ".yml", ".yaml", ".toml", ".json"}


class Source:
    """One file, read once, with the views the rules need. Line numbers count from 1."""

    def __init__(self, root, path, known_files):
        self.path = path  # relative to the root, a PurePosixPath
        self.text = (root / path).read_bytes().decode("utf-8", errors="replace")
        self.lines = self.text.split("\n")
        self.known_files = known_files
        self.is_cpp = path.suffix in CPP_SUFFIXES
        self.top = path.parts[0] if len(path.parts) > 1 else ""
        self.is_public_header = self.top in COMPONENTS and "include" in path.parts and path.suffix == ".hpp"

    @functools.cached_property
    def masked(self):
        return cpp_text.mask(self.text)[0] if self.is_cpp else self.text

    @functools.cached_property
    def masked_lines(self):
        return self.masked.split("\n")

    @functools.cached_property
    def comment_lines(self):
        return cpp_text.mask(self.text)[1]

    @functools.cached_property
    def includes(self):
        """(line, "<" or '"', path) of each #include."""
        found = []
        for number, (line, masked) in enumerate(zip(self.lines, self.masked_lines), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match and masked.lstrip().startswith("#"):
                found.append((number, match.group(1), match.group(2)))
        return found


RULES = {}


def rule(name, applies):
    """Registers a generator of (line, message) as a rule for the files `applies` accepts."""

    def register(check):
        RULES[name] = (applies, check)
        return check

    return register


def is_cpp(source):
    return source.is_cpp


@rule("lambda-beside-await", is_cpp)
def lambda_beside_await(source):
    """g++ 12 destroys a capturing lambda twice when it is a temporary of a full expression with a co_await."""
    code = cpp_text.Code(source.masked)
    for offset in code.capturing_lambdas_beside_await():
        yield code.line_of(offset), "a capturing lambda beside a co_await is destroyed twice by g++ 12: name it first"


STRONG_ORDER = re.compile(r"\bmemory_order(?:_|::)(?:consume|acquire|release|acq_rel|seq_cst)\b")
ATOMIC_CALL = re.compile(r"(?:\.|->)(?:load\(\s*\)|fetch_(?:add|sub|and|or|xor)\([^()]*(?:\([^()]*\)[^()]*)*\))")


@rule("atomic-comment", is_cpp)
def atomic_comment(source):
    """Whoever reads an ordering stronger than relaxed must be told what it pairs with; one left out is seq_cst.

    A file off the hot path may say once, at its top, that all its atomics are sequentially consistent, and why."""
    opening = "\n".join(source.text.split("\n")[:12])
    said_once = "every atomic here is sequentially consistent" in opening.lower()
    for number, line in enumerate(source.masked_lines, 1):
        call = ATOMIC_CALL.search(line) if source.top in COMPONENTS else None
        if not STRONG_ORDER.search(line) and not (call and "memory_order" not in call.group()):
            continue
        if said_once and not STRONG_ORDER.search(line):
            continue
        if not _commented(source, number):
            yield number, "an ordering stronger than relaxed needs a comment, here or right above: what does it pair with?"


def _commented(source, number):
    """Is there a comment on this line, on the line above, or on the earlier lines of the same statement?"""
    while number > 0:
        if number in source.comment_lines or number - 1 in source.comment_lines:
            return True
        above = source.masked_lines[number - 2].rstrip() if number > 1 else ""
        if not above or above[-1] in ";{}":
            return False
        number -= 1
    return False


@rule("include-direction", is_cpp)
def include_direction(source):
    """alloc <- runtime <- io <- everybody else; outside the library only public headers, but tests may look inside."""
    for number, form, included in source.includes:
        problem = _include_problem(source, form, included)
        if problem:
            yield number, f"{form}{included}{'>' if form == '<' else form}: {problem}"


def _include_problem(source, form, included):
    if included.startswith("axle/"):
        if form == '"':
            return "public headers are included as <axle/...>"
        owner = _owner(included, source.known_files)
        if source.top in COMPONENTS and COMPONENTS.index(owner) > COMPONENTS.index(source.top):
            return f"{source.top} must not know {owner}"
        return None
    if source.is_public_header and (form == '"' or not re.fullmatch(r"[a-z_0-9]+", included)):
        return "a public header includes only <axle/...> and standard C++ headers"
    if form == "<":
        for pattern, owners in THIRD_PARTY.items():
            if source.top in COMPONENTS and source.top not in owners and re.match(pattern, included):
                return f"only {' and '.join(owners)} may use it"
        return None
    if source.top in COMPONENTS or source.top in ("bench", "examples"):
        if not any(place in source.known_files for place in _private_places(source, included)):
            return f"not a header of {source.top}: private headers stay inside their part"
    return None


def _owner(included, known_files):
    """The component that holds <axle/...>."""
    for component in COMPONENTS:
        if pathlib.PurePosixPath(component, "include", included) in known_files:
            return component
    second = included.split("/")[1]
    return second if second in ("alloc", "io") else "runtime"


def _private_places(source, included):
    """Where a quoted include may be found: beside the file, or from the top of its part."""
    for start in (source.path.parent, pathlib.PurePosixPath(source.top)):
        parts = []
        for part in (start / included).parts:
            if part == ".." and parts:
                parts.pop()
            elif part != ".":
                parts.append(part)
        if parts[0] == source.top:
            yield pathlib.PurePosixPath(*parts)


@rule("pragma-once", lambda source: source.path.suffix == ".hpp")
def pragma_once(source):
    if not any(line.strip() == "#pragma once" for line in source.masked_lines):
        yield 1, "a header needs #pragma once"


@rule("opening-comment", is_cpp)
def opening_comment(source):
    """Whoever opens a file learns from its first lines where they are."""
    if 1 not in source.comment_lines:
        yield 1, "a file opens with a comment that says what it is"


@rule("file-size", lambda source: source.path.suffix in CODE_SUFFIXES)
def file_size(source):
    """Files do not grow to thousands of lines by accretion."""
    count = len(source.text.splitlines())
    if count > MAX_LINES:
        yield count, f"{count} lines: more than {MAX_LINES}, split it"
    elif count > WARN_LINES:
        yield count, f"warning: {count} lines: more than {WARN_LINES}, time to split it"

LEFTOVER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")


@rule("leftover", lambda source: True)
def leftover(source):
    for number, line in enumerate(source.lines, 1):
        if LEFTOVER.search(line):
            yield number, "a note to self does not belong in the tree: do it, or open an issue"


@rule("whitespace", lambda source: True)
def whitespace(source):
    for number, line in enumerate(source.lines, 1):
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "white space at the end of the line"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "the file does not end in a newline"
    elif source.text.endswith("\n\n"):
        yield len(source.lines), "an empty line at the end of the file"


# POSIX sleep takes whole seconds and axle's takes a duration: a bare integer tells them apart.
WALL_CLOCK_CPP = re.compile(r"\bthis_thread::sleep_(?:for|until)\b|\b(?:usleep|nanosleep|clock_nanosleep)\s*\(|(?<![.\w])sleep\s*\(\s*\d+\s*\)")
WALL_CLOCK_PYTHON = re.compile(r"\btime\.sleep\s*\(")


@rule("wall-clock", lambda source: source.top == "tests" and source.path.suffix in {".hpp", ".cpp", ".py"})
def wall_clock(source):
    """A test that sleeps is slow when it passes and flaky when the machine is busy."""
    pattern = WALL_CLOCK_CPP if source.is_cpp else WALL_CLOCK_PYTHON
    for number, (line, masked) in enumerate(zip(source.lines, source.masked_lines), 1):
        if pattern.search(masked) and not re.search(r"(?://|#) wall clock: \S", line):
            yield number, "a test does not wait on the wall clock; if it must: // wall clock: <reason>"


def excused(source, name, number):
    pattern = re.compile(rf"(?://|#) lint: allow {re.escape(name)}: \S")
    return any(pattern.search(line) for line in source.lines[max(0, number - 2) : number])


def findings_in(source):
    """(line, rule, message) of everything wrong with one file, in order."""
    found = set()
    for name, (applies, check) in RULES.items():
        if applies(source):
            found.update((number, name, message) for number, message in check(source) if not excused(source, name, number))
    return sorted(found)


def tree_files(root):
    """Paths of the tree's text files: what git has or would add; every file where git does not know the tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True
    )
    if listed.returncode == 0:
        names = [pathlib.PurePosixPath(name) for name in listed.stdout.split("\0") if name]
    else:
        names = [pathlib.PurePosixPath(path.relative_to(root)) for path in root.rglob("*")]
        names = [name for name in names if name.parts[0] not in ("build", ".git") and "__pycache__" not in name.parts]
    return {name for name in names if name.suffix in TEXT_SUFFIXES and (root / name).is_file()}


def main(arguments):
    parser = argparse.ArgumentParser(description="Checks axle's repository rules.")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("files", nargs="*", type=pathlib.PurePosixPath, help="relative to the root; default: the whole tree")
    options = parser.parse_args(arguments)

    known_files = tree_files(options.root)
    wanted = options.files or sorted(known_files)
    errors = warnings = 0
    for path in wanted:
        for number, name, message in findings_in(Source(options.root, path, known_files)):
            is_warning = message.startswith("warning: ")
            warnings += is_warning
            errors += not is_warning
            print(f"{path}:{number}: {'' if is_warning else 'error: '}{message} [{name}]")
    print(f"lint: {len(wanted)} files, {errors} errors, {warnings} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
