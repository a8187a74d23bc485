"""C++ as text: enough of the grammar to ask where comments, strings, lambdas and full expressions are.

Not a parser. It masks what is not code, matches brackets, and tells the braces of a block from those of a lambda's
body or of an initializer. Offsets never change: masked text is as long as the text, line for line.
"""

import bisect
import re

_SKIPPED = re.compile(
    r"""
      (?P<comment> //(?:[^\n\\]|\\.|\\\n)* | /\*.*?(?:\*/|\Z) )
    | (?P<raw> \b(?:u8|[uUL])?R"(?P<tag>[^()\\\s]{0,16})\(.*?(?:\)(?P=tag)"|\Z) )
    | (?P<string> "(?:[^"\\\n]|\\.|\\\n)*" )
    | (?P<char> (?<![0-9a-zA-Z_])(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+' )
    """,
    re.VERBOSE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*\#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)
_WORD_BEFORE = re.compile(r"([A-Za-z_]\w*)\s*\Z")

# A `[` or a `{` after one of these words begins an expression; after any other word it is a subscript or an initializer.
_EXPRESSION_KEYWORDS = {"return", "co_return", "co_yield", "co_await", "throw", "case", "else", "do", "and", "or", "not"}
_BLOCK_KEYWORDS = {"else", "do", "try", "const", "override", "final", "mutable", "noexcept", "constexpr", "consteval", "requires"}
_CONTROL = re.compile(r"\b(?:if|for|while|switch)(?:\s+constexpr)?\s*\Z")
_NAMED_SCOPE = re.compile(r"\b(?:struct|class|union|enum|namespace|concept|extern)\b")
_TRAILING_RETURN = re.compile(r"\)[^;{}=]*->[^;{}=]*\Z")
_AWAIT = re.compile(r"\bco_(?:await|yield)\b")


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def mask(text):
    """The text with comments and the insides of literals blanked, and the numbers of the lines that hold a comment."""
    comment_lines = set()

    def replace(found):
        whole = found.group()
        if found.lastgroup == "comment":
            first = text.count("\n", 0, found.start()) + 1
            comment_lines.update(first + i for i, line in enumerate(whole.split("\n")) if line.strip("/*! \t"))
            return _blank(whole)
        return whole[0] + _blank(whole[1:-1]) + whole[-1] if len(whole) > 1 else whole

    return _SKIPPED.sub(replace, text), comment_lines


class Code:
    """One file's masked text with its brackets matched and its braces classified."""

    def __init__(self, masked):
        self.text = _DIRECTIVE.sub(lambda found: _blank(found.group()), masked)
        self._line_starts = [0] + [i + 1 for i, c in enumerate(self.text) if c == "\n"]
        self.partner = self._match_brackets()
        self.lambdas = {}  # offset of the introducer's `[` -> (offset of the body's `{`, text of the capture)
        self._kind = {}  # offset of `{` -> "lambda", "block" or "list"
        self._find_lambdas()
        for offset, char in enumerate(self.text):
            if char == "{" and offset not in self._kind:
                self._kind[offset] = "block" if self._opens_block(offset) else "list"

    def line_of(self, offset):
        return bisect.bisect_right(self._line_starts, offset)

    def capturing_lambdas_beside_await(self):
        """Offsets of lambdas that capture and share a full expression with a co_await outside every lambda's body."""
        for introducer, (_, capture) in sorted(self.lambdas.items()):
            if capture.strip() and _AWAIT.search(self._full_expression(introducer)):
                yield introducer

    def _match_brackets(self):
        partner, open_ones = {}, []
        closing = {")": "(", "]": "[", "}": "{"}
        for offset, char in enumerate(self.text):
            if char in "([{":
                open_ones.append(offset)
            elif char in closing:
                # An #if with two heads and one tail leaves brackets over; forget those that cannot match.
                while open_ones and self.text[open_ones[-1]] != closing[char]:
                    open_ones.pop()
                if open_ones:
                    start = open_ones.pop()
                    partner[start], partner[offset] = offset, start
        return partner

    def _find_lambdas(self):
        for offset, char in enumerate(self.text):
            if char != "[" or offset not in self.partner or not self._may_introduce_lambda(offset):
                continue
            end = self.partner[offset]
            body = self._lambda_body(end + 1)
            if body is not None:
                self.lambdas[offset] = (body, self.text[offset + 1 : end])
                self._kind[body] = "lambda"

    def _may_introduce_lambda(self, offset):
        before = self.text[:offset].rstrip()
        if self.text[offset + 1 : offset + 2] == "[" or before.endswith("["):  # an attribute
            return False
        if re.search(r"\bauto\s*&{0,2}\Z", before[-16:]):  # a structured binding
            return False
        word = _WORD_BEFORE.search(before[-64:])
        if word:
            return word.group(1) in _EXPRESSION_KEYWORDS
        return not before or before[-1] not in ")]\"'>"

    def _lambda_body(self, offset):
        """The body's `{` when what follows an introducer reads like a lambda's declarator."""
        text = self.text
        while offset < len(text):
            char = text[offset]
            if char == "{":
                return offset if offset in self.partner else None
            if char in "([":
                offset = self.partner.get(offset, len(text))
            elif not (char.isalnum() or char.isspace() or char in "_<>:*&-,"):
                return None
            offset += 1
        return None

    def _opens_block(self, offset):
        before = self.text[:offset].rstrip()
        if not before:
            return True
        last = before[-1]
        if last in ");}\":":
            return True
        if last == "{":
            return self._kind.get(len(before) - 1) != "list"
        if last == "]":
            opened = self.partner.get(len(before) - 1)
            return opened is not None and self.text[opened + 1 : opened + 2] == "["  # an attribute's end
        word = _WORD_BEFORE.search(before[-64:])
        if word and word.group(1) in _BLOCK_KEYWORDS:
            return True
        if word and word.group(1) in _EXPRESSION_KEYWORDS:
            return False
        if not word and last not in ">&*":
            return False
        head = self.text[self._expression_start(offset) : offset]
        return bool(_NAMED_SCOPE.search(head) or _TRAILING_RETURN.search(head) or re.search(r"\)\s*&{1,2}\s*\Z", head))

    def _is_control(self, open_paren):
        return self.text[open_paren] == "(" and bool(_CONTROL.search(self.text, max(0, open_paren - 32), open_paren))

    def _expression_start(self, offset):
        """Where the full expression (or the declaration) that holds `offset` begins."""
        at = offset - 1
        while at >= 0:
            char = self.text[at]
            if char == ";":
                break
            if char in ")]}":
                opened = self.partner.get(at)
                if opened is None or self._is_control(opened) or (char == "}" and self._kind.get(opened) == "block"):
                    break
                at = opened
            elif char == "(" and self._is_control(at):
                break
            elif char == "{" and self._kind.get(at, "block") != "list":
                break
            at -= 1
        return at + 1

    def _expression_end(self, offset):
        """Where the full expression that holds `offset` ends."""
        at = offset
        while at < len(self.text):
            char = self.text[at]
            if char == ";":
                break
            if char in "([{":
                closed = self.partner.get(at)
                if closed is None or (char == "{" and self._kind.get(at) == "block"):
                    break
                at = closed
            elif char in ")]}":
                opened = self.partner.get(at)
                if opened is None or self._is_control(opened) or (char == "}" and self._kind.get(opened) != "list"):
                    break
            at += 1
        return at

    def _full_expression(self, introducer):
        """The text of the full expression around a lambda, the bodies of its lambdas blanked: those are run elsewhere."""
        start = self._expression_start(introducer)
        end = self._expression_end(introducer)
        text = self.text[start:end]
        for body, _ in self.lambdas.values():
            if start <= body < end:
                first, last = body - start, self.partner[body] - start
                text = text[:first] + _blank(text[first:last]) + text[last:]
        return text
