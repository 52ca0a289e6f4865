"""What differs from strip to strip of a patch, as the templates print it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tinyml.emit.literals import rows, smallest_int

_INDENT = 6


@dataclass(frozen=True, slots=True)
class StripTable:
    """A table of structs, one per strip, with what is not the same in all of them."""

    members: tuple[str, ...]
    """Their declarations."""
    values: tuple[str, ...]
    """The initialisers, in lines."""


def strip_values(
    values: Mapping[str, Sequence[int]],
) -> tuple[dict[str, str], StripTable | None]:
    """Each value as a C expression, and the table that these need, if any.

    `values` has those of all strips, by name. Members take the smallest types that hold them,
    larger ones first, so that nothing lies between them.
    """
    ctypes = {name: smallest_int(v) for name, v in values.items() if len(set(v)) > 1}
    # By size, and signed after unsigned: "int16_t" is after "uint16_t".
    order = sorted(ctypes, key=lambda name: (-int(ctypes[name].strip("uint_")), ctypes[name]))
    found = {
        name: f"strips[strip].{name}" if name in ctypes else str(v[0]) for name, v in values.items()
    }
    if not order:
        return found, None
    return found, StripTable(
        members=tuple(
            f"{ctype} {', '.join(names)};" for ctype, names in groupby(order, ctypes.__getitem__)
        ),
        values=rows(zip(*(values[name] for name in order), strict=True), _INDENT),
    )
