"""The constants of a model: every distinct table once, under a name that says where it is from."""

from dataclasses import dataclass, field

from tinyml.emit.literals import array, comment
from tinyml.emit.names import Namer
from tinyml.kernels.call import ConstArray

_INDENT = 4
_ALIGNMENT = 8
"""Of tables, at most."""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table in flash."""

    name: str
    ctype: str
    count: int
    bytes: int
    reads: int
    """How often one inference reads each byte of it, about."""
    flash: str
    """What its type has for its address space, with a space; "" where data pointers reach it."""
    more: bool
    """Whether it goes to the second region of the constants."""
    comment: tuple[str, ...]
    lines: tuple[str, ...]
    """The elements."""


def parameters_name(prefix: str) -> str:
    """What the block of parameters that training changes is called in C."""
    return f"{prefix}_parameters"


@dataclass(slots=True)
class _Entry:
    name: str
    table: ConstArray
    operand: bool
    origins: list[str]
    reads: int = 0


@dataclass(slots=True)
class TablePool:
    """Collects tables; equal ones (type and bytes) share one definition."""

    prefix: str
    flash: str = ""
    """What the type of a table has for its address space, with a space."""
    _namer: Namer = field(default_factory=Namer)
    _entries: dict[tuple[str, str, bytes, bool], _Entry] = field(default_factory=dict)

    def add(
        self, table: ConstArray, name: str, origin: str, reads: int, *, operand: bool = False
    ) -> str:
        """The C name of `table`, of which each byte is read so often; `name` is what to call it if
        it is new. One that training changes is a member of the block of parameters.

        An `operand` is read as activations are: through data pointers, wherever those reach.
        """
        if table.parameter:
            return f"{parameters_name(self.prefix)}.{table.parameter}"
        operand = operand and bool(self.flash)
        key = (table.ctype, table.data.dtype.str, table.data.tobytes(), operand)
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(self._namer(f"{self.prefix}_{name}"), table, operand, [])
            self._entries[key] = entry
        entry.origins.append(origin)
        entry.reads += reads
        return entry.name

    def views(self, room: int | None) -> tuple[TableView, ...]:
        """All tables in the order in which they were first added.

        With `room`, the bytes of it that the first region of the constants has, those that are
        read most often go there.
        """
        more = set() if room is None else self._beyond(room)
        return tuple(
            TableView(
                name=entry.name,
                ctype=entry.table.ctype,
                count=entry.table.data.size,
                bytes=entry.table.data.nbytes,
                reads=entry.reads,
                flash="" if entry.operand else self.flash,
                more=entry.name in more,
                comment=comment("; ".join(dict.fromkeys(entry.origins)), indent=6),
                lines=array(entry.table.data, _INDENT),
            )
            for entry in self._entries.values()
        )

    def _beyond(self, room: int) -> set[str]:
        """Names of the tables for which `room` bytes are not enough."""
        found = set()
        for entry in sorted(self._entries.values(), key=lambda each: -each.reads):
            size = -(-entry.table.data.nbytes // _ALIGNMENT) * _ALIGNMENT
            if size > room:
                found.add(entry.name)
            else:
                room -= size
        return found
