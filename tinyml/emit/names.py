"""Names of the model, of its ops and of its tensors as C identifiers."""

import re
from collections.abc import Iterable

from tinyml.ir.graph import Node

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

_LONGEST_TITLE = 60

_LONGEST_MODEL, _LONGEST_PART = 28, 24
"""Characters; a table's name holds both, and its declaration fits the page."""


def model_name(name: str) -> str:
    """The prefix of everything public in the generated code, e.g. "kws" from "KWS".

    It never clashes with the C library's types and headers or with the runtime
    (whose prefix is `tinyml`), nor with the names that Arduino keeps for its own libraries,
    and never starts with a digit or an underscore.
    """
    found = _words(name) or "model"
    clash = (
        found in _TAKEN_MODEL_NAMES or found.startswith(("tinyml", "arduino")) or found[0].isdigit()
    )
    return (f"model_{found}" if clash else found)[:_LONGEST_MODEL].strip("_")


def short(name: str) -> str:
    """A readable identifier for a tensor's or node's name.

    Converters name things by path, several joined by ";", such as
    "net/conv_1/Relu;net/conv_1/bias": the first path's last two parts say most.
    """
    path = [part for part in re.split(r"[/:]", name.split(";")[0]) if _words(part)]
    found = _words("_".join(path[-2:]))[:_LONGEST_PART].strip("_")
    if not found:
        return "unnamed"
    return f"n{found}" if found[0].isdigit() else found


def title(tensor: str, producer: Node | None) -> str:
    """What comments call a tensor: as the op that makes it, or the first path of its own name.

    Converters give fused ops the joined names of all their parts, which say less.
    """
    if producer is not None and len(producer.outputs) == 1:
        return producer.name
    first = tensor.split(";")[0]
    return first if len(first) <= _LONGEST_TITLE else f"{first[: _LONGEST_TITLE - 3]}..."


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
