"""Names of the model, of its ops and of its tensors as C identifiers."""

import re
from collections.abc import Iterable

_TAKEN_MODEL_NAMES = frozenset(
    """
    assert clock complex ctype div double errno fenv float fpos int int8 int16 int32 int64 intmax
    intptr inttypes iso646 ldiv limits lldiv locale main math max_align mbstate off pid ptrdiff
    setjmp sig_atomic signal size ssize stdalign stdarg stdatomic stdbool stddef stdint stdio
    stdlib stdnoreturn string strings tgmath threads time uchar uint uint8 uint16 uint32 uint64
    uintmax uintptr va wchar wctype wint
    """.split()  # noqa: SIM905
)
"""Names whose `<name>_t` or `<name>.h` the C library has already."""

_LONGEST = 40


def model_name(name: str) -> str:
    """The prefix of everything public in the generated code, e.g. "kws" from "KWS".

    It never clashes with the C library's types and headers or with the runtime
    (whose prefix is `tinyml`), and never starts with a digit or an underscore.
    """
    found = _words(name)[:_LONGEST].strip("_") or "model"
    clash = found in _TAKEN_MODEL_NAMES or found.startswith("tinyml")
    return f"model_{found}" if clash or found[0].isdigit() else found


def short(name: str) -> str:
    """A readable identifier for a tensor's or node's name.

    Converters name things by path, several joined by ";", such as
    "net/conv_1/Relu;net/conv_1/bias": the first path's last two parts say most.
    """
    path = [part for part in re.split(r"[/:]", name.split(";")[0]) if _words(part)]
    found = _words("_".join(path[-2:]))[:_LONGEST].strip("_")
    if not found:
        return "unnamed"
    return f"n{found}" if found[0].isdigit() else found


def _words(name: str) -> str:
    """Lower case ASCII letters and digits, anything else as single underscores between them."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class Namer:
    """Hands out identifiers, each once, and never those given as `taken`.

    Nothing here can be a keyword: every identifier has a prefix with a digit or an underscore.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __call__(self, wanted: str) -> str:
        """`wanted`, or with the least number appended that makes it new."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name
