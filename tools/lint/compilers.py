"""Compiling single translation units as the library is compiled, with both compilers, for the checks under tests/."""

import concurrent.futures
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILERS = ["clang++-19", "g++"]
COMPONENTS = ["alloc", "runtime", "io"]
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]

os.environ["LC_ALL"] = "C"  # messages in English, with ASCII quotes


def include_path(component):
    """What a component's sources may see: its own public headers and those of the components to its left."""
    return [f"-I{ROOT / part / 'include'}" for part in COMPONENTS[: COMPONENTS.index(component) + 1]]


def run(command, **options):
    """The exit status of a command, and what it wrote to both outputs. One that takes over two minutes is ended."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, **options)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return -1, f"{(late.output or b'').decode(errors='replace')}{command[0]} did not end within {late.timeout} s"


def in_parallel(function, arguments):
    """Calls function(*each) for every element of arguments, on all processors; an exception ends the program."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in [pool.submit(function, *each) for each in arguments]:
            outcome.result()
