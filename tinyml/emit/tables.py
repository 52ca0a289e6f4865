"""The constants of a model: every distinct table once, under a name that says where it is from."""

from dataclasses import dataclass, field

from tinyml.emit.literals import array, comment
from tinyml.emit.names import Namer
from tinyml.kernels.call import ConstArray

_INDENT = 4


@dataclass(frozen=True, slots=True)
class TableView:
    """A table in flash."""

    name: str
    ctype: str
    count: int
    bytes: int
    comment: tuple[str, ...]
    lines: tuple[str, ...]
    """The elements."""


@dataclass(slots=True)
class _Entry:
    name: str
    table: ConstArray
    origins: list[str]


@dataclass(slots=True)
class TablePool:
    """Collects tables; equal ones (type and bytes) share one definition."""

    prefix: str
    _namer: Namer = field(default_factory=Namer)
    _entries: dict[tuple[str, str, bytes], _Entry] = field(default_factory=dict)

    def add(self, table: ConstArray, name: str, origin: str) -> str:
        """The C name of `table`; `name` is what to call it if it is new."""
        key = (table.ctype, table.data.dtype.str, table.data.tobytes())
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(self._namer(f"{self.prefix}_{name}"), table, [])
            self._entries[key] = entry
        entry.origins.append(origin)
        return entry.name

    def views(self) -> tuple[TableView, ...]:
        """All tables in the order in which they were first added."""
        return tuple(
            TableView(
                name=entry.name,
                ctype=entry.table.ctype,
                count=entry.table.data.size,
                bytes=entry.table.data.nbytes,
                comment=comment("; ".join(dict.fromkeys(entry.origins)), indent=6),
                lines=array(entry.table.data, _INDENT),
            )
            for entry in self._entries.values()
        )
