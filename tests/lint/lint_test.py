"""The lint, tested: each rule finds what is planted for it, and leaves clean code alone."""

import pathlib
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "lint"))

import lint  # noqa: E402


def findings(files):
    """What the lint says of a tree holding `files` (path -> text): a list of (path, line, rule)."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for path, text in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())
        known = lint.tree_files(root)
        return [
            (str(path), line, rule)
            for path in sorted(known)
            for line, rule, _ in lint.findings_in(lint.Source(root, path, known))
        ]


def rules_in(text, path="runtime/x.cpp"):
    """The rules that a C++ text breaks; it is given an opening comment, so its own lines count from 2."""
    return [(line, rule) for _, line, rule in findings({path: "// A file.\n" + text})]


class lambda_beside_await(unittest.TestCase):
    def assert_found(self, text, line=2):
        self.assertEqual(rules_in(text), [(line, "lambda-beside-await")], text)

    def assert_clean(self, text):
        self.assertEqual(rules_in(text), [], text)

    def test_an_argument_of_the_awaited_call(self):
        self.assert_found("task<> f() { co_await on(1, [x] { use(x); }); }\n")
        self.assert_found("task<> f() { co_await on(1, [=]() mutable noexcept -> int { return x; }); }\n")
        self.assert_found("task<> f() { int n = co_await map(v, [&](auto&& e) { return e; }); }\n")
        self.assert_found("task<> f() { co_await g([this] { h(); }, [] {}); }\n")

    def test_spread_over_lines(self):
        self.assert_found("task<> f() {\n  co_await on(\n      1,\n      [x = std::move(y)] {\n        use(x);\n      });\n}\n", 5)

    def test_before_and_after_the_await(self):
        self.assert_found("task<> f() { g([x] { return x; }, co_await h()); }\n")
        self.assert_found("task<> f() { g(co_await h(), [x] { return x; }); }\n")
        self.assert_found("task<> f() { co_return g([x] { return x; }, co_await h()); }\n")
        self.assert_found("task<> f() { auto r = [x] { return x; }() + co_await h(); }\n")

    def test_inside_an_initializer(self):
        self.assert_found("task<> f() { co_await spawn(g(), {.name = n, .done = [x] { use(x); }}); }\n")
        self.assert_found("task<> f() { co_await g(options{.done = [x] { use(x); }}); }\n")

    def test_inside_a_condition(self):
        self.assert_found("task<> f() { if (co_await g([x] { return x; })) h(); }\n")
        self.assert_found("task<> f() { for (auto& e : co_await g([x] { return x; })) h(e); }\n")

    def test_inside_another_lambda_that_is_a_coroutine(self):
        self.assert_found("auto f() {\n  return [] () -> task<> {\n    co_await g([x] { use(x); });\n  };\n}\n", 4)

    def test_a_template_and_a_macro_around_it(self):
        self.assert_found("task<> f() { EXPECT_EQ(co_await g([x]<class T>(T t) { return x + t; }), 3); }\n")

    def test_no_capture(self):
        self.assert_clean("task<> f() { co_await on(1, [] { use(); }); }\n")
        self.assert_clean("task<> f() { co_await on(1, [ ](int n) -> int { return n; }, 2); }\n")

    def test_subscripts_attributes_and_bindings(self):
        self.assert_clean("task<> f() { co_await tasks[i]; a[b(i)].c = co_await g(x)[n]; }\n")
        self.assert_clean("task<> f() { [[maybe_unused]] auto r = co_await g(); if (r) [[likely]] { h(); } }\n")
        self.assert_clean("task<> f() { auto [a, b] = co_await gather(g(), h()); auto&& [c, d] = co_await k(); }\n")
        self.assert_clean("task<> f() { int n[3] = {co_await g(), 1, 2}; delete[] p; co_await h(new int[n]{}); }\n")

    def test_named_first(self):
        self.assert_clean("task<> f() {\n  auto work = [x] { use(x); };\n  co_await on(1, work);\n}\n")
        self.assert_clean("task<> f() { auto work = [x] { use(x); }; co_await on(1, work); }\n")

    def test_an_await_in_the_body_is_not_beside_the_lambda(self):
        self.assert_clean("auto f() { return [x]() -> task<> { co_await g(x); }; }\n")
        self.assert_clean("void f() { spawn(call([&]() -> task<> { co_await g(x); })); }\n")
        self.assert_clean("void f() { run([x] { return x; }, []() -> task<> { co_await g(); }); }\n")

    def test_neighbouring_statements(self):
        self.assert_clean("task<> f() { while (co_await g()) run([x] { use(x); }); }\n")
        self.assert_clean("task<> f() { if (co_await g()) { h(); } run([x] { use(x); }); }\n")
        self.assert_clean("task<> f() { try { co_await g(); } catch (...) {} run([x] { use(x); }); }\n")
        self.assert_clean("task<int> f() { co_await g(); }\nauto h = [x] { return x; };\n")
        self.assert_clean("struct s { task<> f() const { co_await g(); } std::function<void()> h = [this] { k(); }; };\n")

    def test_comments_strings_and_macros(self):
        self.assert_clean('task<> f() { co_await g("[x] { }", \'[\', R"([y] { })"); }  // co_await g([x] {})\n')
        self.assert_clean("#define AWAIT(x) co_await x\nauto h = [x] { return 1\'000; };\n")

    def test_excused_with_a_reason_only(self):
        planted = "task<> f() { co_await on(1, [x] { use(x); }); }"
        self.assert_clean(planted + "  // lint: allow lambda-beside-await: the canary\n")
        self.assert_clean("// lint: allow lambda-beside-await: the canary\n" + planted + "\n")
        self.assert_found(planted + "  // lint: allow lambda-beside-await:\n")
        self.assert_found(planted + "  // lint: allow wall-clock: another rule\n")


class include_direction(unittest.TestCase):
    def problems(self, path, line, others=()):
        opening = "// A file.\n" + ("#pragma once\n" if path.endswith(".hpp") else "")
        files = {other: "// Another.\n#pragma once\n" for other in others}
        return [rule for place, _, rule in findings(files | {path: opening + line + "\n"}) if place == path]

    def assert_found(self, *arguments):
        self.assertEqual(self.problems(*arguments), ["include-direction"], arguments)

    def assert_clean(self, *arguments):
        self.assertEqual(self.problems(*arguments), [], arguments)

    def test_a_component_knows_only_those_to_its_left(self):
        self.assert_found("alloc/x.cpp", "#include <axle/task.hpp>")
        self.assert_found("alloc/x.cpp", "#include <axle/io/address.hpp>")
        self.assert_found("runtime/x.cpp", "#include <axle/io/address.hpp>")
        self.assert_clean("alloc/x.cpp", "#include <axle/alloc/frame_pool.hpp>")
        self.assert_clean("runtime/x.cpp", "#include <axle/alloc/frame_pool.hpp>")
        self.assert_clean("io/x.cpp", "#include <axle/task.hpp>")
        self.assert_clean("io/x.cpp", "#  include <axle/io/address.hpp>")

    def test_the_component_is_where_the_header_really_is(self):
        self.assert_found("runtime/x.cpp", "#include <axle/axle.hpp>", ["io/include/axle/axle.hpp"])
        self.assert_clean("io/x.cpp", "#include <axle/axle.hpp>", ["io/include/axle/axle.hpp"])

    def test_private_headers_stay_inside_their_component(self):
        self.assert_found("runtime/x.cpp", '#include "../io/backend/uring.hpp"', ["io/backend/uring.hpp"])
        self.assert_found("bench/x.cpp", '#include "../runtime/mailbox.hpp"', ["runtime/mailbox.hpp"])
        self.assert_found("examples/x.cpp", '#include "backend/uring.hpp"', ["io/backend/uring.hpp"])
        self.assert_clean("io/backend/uring.cpp", '#include "uring.hpp"', ["io/backend/uring.hpp"])
        self.assert_clean("io/http/server.cpp", '#include "../backend/uring.hpp"', ["io/backend/uring.hpp"])
        self.assert_clean("bench/raw/x.cpp", '#include "server.hpp"', ["bench/server.hpp"])
        self.assert_clean("tests/io/x.cpp", '#include "backend/uring.hpp"', ["io/backend/uring.hpp"])

    def test_public_headers_are_free_of_the_system(self):
        header = "io/include/axle/io/x.hpp"
        for included in ["<sys/socket.h>", "<unistd.h>", "<liburing.h>", "<hwloc.h>", "<linux/io_uring.h>", "<pthread.h>"]:
            self.assert_found(header, f"#include {included}")
        self.assert_found(header, '#include "detail.hpp"')
        self.assert_clean(header, "#include <string_view>")
        self.assert_clean(header, "// #include <unistd.h>")

    def test_public_headers_are_named_in_angles(self):
        self.assert_found("runtime/x.cpp", '#include "axle/task.hpp"')

    def test_third_party_headers_stay_where_they_belong(self):
        self.assert_found("runtime/x.cpp", "#include <liburing.h>")
        self.assert_found("io/x.cpp", "#include <hwloc.h>")
        self.assert_found("runtime/x.cpp", "#include <mimalloc.h>")
        self.assert_clean("io/x.cpp", "#include <liburing.h>")
        self.assert_clean("bench/x.cpp", "#include <liburing.h>")


class atomics(unittest.TestCase):
    def test_a_strong_order_without_a_comment(self):
        for order in ["acquire", "release", "acq_rel", "seq_cst"]:
            self.assertEqual(rules_in(f"\nint n = a.load(std::memory_order_{order});\n"), [(3, "atomic-comment")])
        self.assertEqual(rules_in("\nint n = a.load(std::memory_order::acquire);\n"), [(3, "atomic-comment")])

    def test_a_strong_order_with_a_comment(self):
        self.assertEqual(rules_in("int n = a.load(std::memory_order_acquire);  // pairs with push\n"), [])
        self.assertEqual(rules_in("// Pairs with push.\nint n = a.load(std::memory_order_acquire);\n"), [])
        exchange = "a.compare_exchange_weak(x, y, std::memory_order_release,\n    std::memory_order_acquire);\n"
        self.assertEqual(rules_in("// Pairs with pop.\n" + exchange), [])
        self.assertEqual(rules_in("int n;\n" + exchange), [(3, "atomic-comment"), (4, "atomic-comment")])

    def test_relaxed_needs_none(self):
        self.assertEqual(rules_in("\nint n = a.load(std::memory_order_relaxed);\n"), [])

    def test_an_order_left_out_in_the_library_is_a_strong_one(self):
        self.assertEqual(rules_in("\nint n = a.load();\n"), [(3, "atomic-comment")])
        self.assertEqual(rules_in("\na->fetch_add(f(1));\n"), [(3, "atomic-comment")])
        self.assertEqual(rules_in("\na.fetch_add(f(1), std::memory_order_relaxed);\n"), [])
        self.assertEqual(rules_in("\nint n = a.load();  // pairs with push\n"), [])
        self.assertEqual(rules_in("\nint n = a.load();\n", "tests/x.cpp"), [])

    def test_a_file_may_say_once_that_all_its_orders_are_left_out(self):
        opening = "// Every atomic here is sequentially consistent: start and stop only.\n"
        call = "\nint n = a.load();\n"
        self.assertEqual(findings({"runtime/x.cpp": opening + call}), [])
        self.assertEqual(findings({"runtime/x.cpp": opening + "int k;\n" * 12 + call}), [])
        late = "// A file.\n" + "int k;\n" * 12 + opening + "int k;\n" + call
        self.assertEqual([rule for _, _, rule in findings({"runtime/x.cpp": late})], ["atomic-comment"])
        strong = "\nint n = a.load(std::memory_order_acquire);\n"
        self.assertEqual([rule for _, _, rule in findings({"runtime/x.cpp": opening + strong})], ["atomic-comment"])


class files(unittest.TestCase):
    def test_size(self):
        for lines, expected in [(500, []), (501, ["file-size"]), (701, ["file-size"])]:
            found = findings({"runtime/x.cpp": "// A file.\n" + "int n;\n" * (lines - 1)})
            self.assertEqual([rule for _, _, rule in found], expected, lines)

    def test_size_is_first_a_warning_then_an_error(self):
        for lines, status in [(501, 0), (700, 0), (701, 1)]:
            with tempfile.TemporaryDirectory() as directory:
                pathlib.Path(directory, "x.cpp").write_text("// A file.\n" + "int n;\n" * (lines - 1))
                with open("/dev/null", "w") as sink:
                    before, sys.stdout = sys.stdout, sink
                    try:
                        self.assertEqual(lint.main(["--root", directory]), status, lines)
                    finally:
                        sys.stdout = before

    def test_pragma_once(self):
        self.assertEqual(rules_in("int f();\n", "runtime/x.hpp"), [(1, "pragma-once")])
        self.assertEqual(rules_in("// #pragma once\n", "runtime/x.hpp"), [(1, "pragma-once")])
        self.assertEqual(rules_in("#pragma once\n", "runtime/x.hpp"), [])

    def test_opening_comment(self):
        self.assertEqual(findings({"runtime/x.cpp": "int n;\n"}), [("runtime/x.cpp", 1, "opening-comment")])
        self.assertEqual(findings({"runtime/x.cpp": "//\nint n;\n"}), [("runtime/x.cpp", 1, "opening-comment")])
        self.assertEqual(findings({"runtime/x.cpp": "/* What it is. */\n"}), [])

    def test_leftovers(self):
        for word in ["TO" "DO", "FIX" "ME", "X" "XX"]:
            self.assertEqual(rules_in(f"int n;  // {word}: later\n"), [(2, "leftover")])
            self.assertEqual(findings({"README.md": f"{word}\n"}), [("README.md", 1, "leftover")])
        self.assertEqual(rules_in('auto t = "/tmp/x.XX' 'XXXX";\n'), [])

    def test_white_space(self):
        self.assertEqual(rules_in("\tint n;\n"), [(2, "whitespace")])
        self.assertEqual(rules_in("int n; \n"), [(2, "whitespace")])
        self.assertEqual(rules_in("int n;"), [(2, "whitespace")])
        self.assertEqual(rules_in("int n;\n\n"), [(4, "whitespace")])


class wall_clock(unittest.TestCase):
    def test_a_test_that_sleeps(self):
        for call in ["std::this_thread::sleep_for(1ms)", "usleep(10)", "sleep(1)", "::sleep(1)", "nanosleep(&t, nullptr)"]:
            self.assertEqual(rules_in(f"  {call};\n", "tests/x.cpp"), [(2, "wall-clock")], call)
        self.assertEqual(findings({"tests/x.py": "time." "sleep(1)\n"}), [("tests/x.py", 1, "wall-clock")])

    def test_a_stated_reason(self):
        self.assertEqual(rules_in("usleep(10);  // wall clock: the kernel frees rings late\n", "tests/x.cpp"), [])
        self.assertEqual(rules_in("usleep(10);  // wall clock:\n", "tests/x.cpp"), [(2, "wall-clock")])

    def test_other_sleeps(self):
        self.assertEqual(rules_in("task<> f() { co_await axle::sleep(1ms); co_await sleep(2s); }\n", "tests/x.cpp"), [])
        self.assertEqual(rules_in("usleep(10);\n", "bench/x.cpp"), [])
        self.assertEqual(rules_in("// usleep(10)\n", "tests/x.cpp"), [])


class the_tree(unittest.TestCase):
    def test_breaks_no_rule(self):
        self.assertEqual(lint.main([]), 0, "the errors are listed above")
