"""Values as C text, exact and in lines that fit the page."""

import textwrap
from collections.abc import Iterable

import numpy as np

from tinyml.ir.graph import Array

WIDTH = 100
"""Columns of generated C."""

_SMALLEST = {-(2**31): "INT32_MIN", -(2**63): "INT64_MIN"}
"""In C the minus is an operator on a literal that would not fit."""


def number(value: float) -> str:
    """An int (a truth value is 0 or 1) or a float as a C constant that has exactly this value.

    A float that float32 holds is printed as one, with the fewest digits that
    read back as the same; others as double.
    """
    if isinstance(value, int):
        return _SMALLEST.get(value, str(int(value)))
    if not np.isfinite(value):
        raise ValueError(f"{value} has no literal in C")
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if float(single) == value:
        return f"{_point(str(single))}f"
    return _point(repr(value))


def smallest_int(values: Iterable[int]) -> str:
    """The smallest C integer type that holds all of `values`, unsigned where none is negative."""
    found = list(values)
    least, most = min(found), max(found)
    if least >= 0:
        return next(f"uint{bits}_t" for bits in (8, 16, 32) if most < 1 << bits)
    reach = max(most, -1 - least)
    return next(f"int{bits}_t" for bits in (8, 16, 32) if reach < 1 << (bits - 1))


def _point(digits: str) -> str:
    return digits if any(c in digits for c in ".e") else f"{digits}.0"


def array(data: Array, indent: int) -> tuple[str, ...]:
    """The elements of a one-dimensional array as filled lines, with a comma after each."""
    if data.dtype.kind == "f":
        words: Iterable[str] = (number(float(v)) for v in data)
    else:
        words = map(number, data.tolist())
    return wrap(words, indent)


def wrap(words: Iterable[str], indent: int) -> tuple[str, ...]:
    """Words with a comma after each, filled into lines (without the indent) of the page's width."""
    text = " ".join(f"{word}," for word in words)
    room = WIDTH - indent
    lines = []
    start = 0
    while start < len(text):
        end = start + room
        if end < len(text):
            end = text.rindex(" ", start, end + 1)
        lines.append(text[start:end])
        start = end + 1
    return tuple(lines)


def rows(groups: Iterable[Iterable[object]], indent: int) -> tuple[str, ...]:
    """Initialisers of structs or arrays in one, each on a line of its own (or more if need be)."""
    words = ("{" + ", ".join(map(str, group)) + "}" for group in groups)
    return tuple(line for word in words for line in wrap([word], indent))


def comment(text: str, indent: int, *, lead: str = "") -> tuple[str, ...]:
    """Text as the lines of a block comment, safe for any name a model may contain."""
    safe = text.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
    plain = "".join(c if " " <= c <= "~" else "?" for c in safe)
    return tuple(textwrap.wrap(plain, WIDTH - indent, subsequent_indent=lead) or [""])


def string(text: str, indent: int) -> tuple[str, ...]:
    """A C string literal, in several parts where it is longer than a line."""
    lines, line = [], '"'
    for byte in text.encode():
        char = chr(byte)
        plain = " " <= char <= "~" and char not in '"\\?'
        part = char if plain else f"\\{byte:03o}"
        if indent + len(line) + len(part) + 2 > WIDTH:
            lines.append(line + '"')
            line = '"'
        line += part
    return (*lines, line + '"')


def braces(values: Iterable[int]) -> str:
    """An initialiser list, e.g. "{1, 49, 10, 1}"; an empty one is "{1}", a scalar's shape."""
    return "{" + (", ".join(map(str, values)) or "1") + "}"


def call(head: str, arguments: Iterable[str], tail: str, indent: int) -> tuple[str, ...]:
    """`head(arguments)tail` as lines, those after the first aligned with the parenthesis."""
    margin = len(head) + 1
    lines, line = [], f"{head}("
    words = list(arguments)
    for i, word in enumerate(words):
        part = word + ("," if i + 1 < len(words) else f"){tail}")
        if len(line) > margin and indent + len(line) + len(part) >= WIDTH:
            lines.append(line.rstrip())
            line = " " * margin
        line += part + " "
    lines.append(line.rstrip())
    return tuple(lines)
