"""How many bytes are live while a segment runs, tick by tick, without placing anything.

What a tick is, and that a granule of `ALIGNMENT` bytes is live from the first tick that
touches it to the last, is the memory plan's definition; here it is taken segment by
segment. Which node of an order is the last to touch a granule does not depend on how the
order is cut into segments. So what is live during one follows from where it begins and
ends, and from what its own ticks touch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, ColumnAccess, KernelCall, RowLoop
from tinyml.memory.plan import ALIGNMENT

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Access:
    """What a node touches of one tensor: in step k it reads rows, or it writes row k."""

    tensor: str
    row_bytes: int
    height: int
    steps: int
    rows: Ints | None = None
    """Per step, the rows that it reads, outside the tensor for padding; None: row k, by step k."""
    columns: ColumnAccess | None = None
    batches: int = 1
    batch_bytes: int = 0

    def last_steps(self, first: int, stop: int) -> tuple[Ints, Ints]:
        """The rows that these steps touch, ascending, and the last step that does so, of each."""
        if self.rows is None:
            rows = np.arange(first, stop)
            return rows, rows
        last = np.full(self.height, -1, np.int64)
        read = self.rows[first:stop]
        there = (read >= 0) & (read < self.height)
        steps = np.broadcast_to(np.arange(first, stop)[:, None], read.shape)
        np.maximum.at(last, read[there], steps[there])
        rows = np.flatnonzero(last >= 0)
        return rows, last[rows]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Byte ranges [begin, end) of a tensor, and a tick (or a step) that touches each."""

    begins: Ints
    ends: Ints
    ticks: Ints
    grain: int
    """Bytes of which all edges are multiples."""

    @staticmethod
    def of(begins: Ints, ends: Ints, ticks: Ints) -> "Pieces":
        """These pieces."""
        grain = gcd(int(np.gcd.reduce(begins, initial=0)), int(np.gcd.reduce(ends, initial=0)))
        return Pieces(begins, ends, ticks, grain)

    def at(self, ticks: Ints) -> "Pieces":
        """The pieces of which only the steps were known, with the tick of each step."""
        return Pieces(self.begins, self.ends, ticks[self.ticks], self.grain)


def whole(tensor: str, size: int) -> Access:
    """All of a tensor in one step."""
    return Access(tensor, size, 1, 1)


def accesses(
    graph: Graph, node: Node, call: KernelCall, *, streamed: bool
) -> tuple[list[Access], list[Access]]:
    """What `node` reads and what it writes, in its steps; in a stream or patch if `streamed`."""
    loop, sizes = call.loop, graph.tensors
    names = graph.activations(node)
    if isinstance(loop, RowLoop) and call.runs_by_rows:
        read = []
        steps = loop.out_height
        accesses = (access for access in loop.inputs if access.constant is None)
        for name, access in zip(names, accesses, strict=True):
            rows = access.rows_read(np.arange(steps))
            read.append(
                Access(
                    name,
                    access.row_bytes,
                    access.height,
                    steps,
                    rows,
                    access.columns,
                    loop.batches,
                    access.batch_bytes,
                )
            )
        batch = steps * loop.out_row_bytes
        wrote = Access(
            node.output, loop.out_row_bytes, steps, steps, None, None, loop.batches, batch
        )
        return read, [wrote]
    if streamed and isinstance(loop, Accumulation):
        rows = np.full((loop.in_height, 1), -1, np.int64)
        rows[-1] = 0
        read = [Access(names[0], loop.in_row_bytes, loop.in_height, loop.in_height)]
        return read, [Access(node.output, loop.out_bytes, 1, loop.in_height, rows)]
    return (
        [whole(name, sizes[name].nbytes) for name in names],
        [whole(name, sizes[name].nbytes) for name in node.outputs],
    )


def rows_touched(access: Access) -> Pieces:
    """Whole rows, and the last step that touches each, batch after batch."""
    rows, steps = access.last_steps(0, access.steps)
    begins = rows * access.row_bytes
    if access.batches > 1:
        batch = np.arange(access.batches)[:, None]
        begins = (begins + batch * access.batch_bytes).ravel()
        steps = (steps + batch * access.steps).ravel()
    return Pieces.of(begins, begins + access.row_bytes, steps)


def in_ring(pieces: Pieces, row_bytes: int, rows: int) -> Pieces:
    """Where whole rows lie in a ring of so many."""
    begins = pieces.begins // row_bytes % rows * row_bytes
    return Pieces(begins, begins + row_bytes, pieces.ticks, row_bytes)


def unit_of(pieces: Iterable[Pieces], size: int) -> int:
    """The largest number of bytes, a multiple of `ALIGNMENT`, whose multiples all edges are.

    `ALIGNMENT` where there is none, or `size` for no pieces; `size` is a multiple of it.
    """
    unit = gcd(size, *(piece.grain for piece in pieces))
    return unit if unit and unit % ALIGNMENT == 0 else ALIGNMENT


def spread(pieces: Pieces, unit: int) -> tuple[Ints, Ints]:
    """The units of so many bytes that the pieces touch, and when."""
    low = pieces.begins // unit
    counts = -(-pieces.ends // unit) - low
    if (counts == 1).all():
        return low, pieces.ticks
    skipped = low - (np.cumsum(counts) - counts)
    return (
        np.repeat(skipped, counts) + np.arange(int(counts.sum())),
        np.repeat(pieces.ticks, counts),
    )


class Timeline:
    """Bytes that are live at each of `ticks` ticks."""

    __slots__ = ("change", "constant", "ticks")

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks
        self.change = np.zeros(ticks + 1, np.int64)
        self.constant = 0

    def add(self, first: Ints, last: Ints, size: int) -> None:
        """Units of `size` bytes that are live from `first` to `last`, both included."""
        self.change += size * np.bincount(first, minlength=self.ticks + 1)
        self.change -= size * np.bincount(last + 1, minlength=self.ticks + 1)

    def lives(self, pieces: Sequence[Pieces], unit: int, count: int) -> tuple[Ints, Ints]:
        """The first and the last tick that touch each of `count` units; the last is -1 for none."""
        first = np.full(count, self.ticks, np.int64)
        last = np.full(count, -1, np.int64)
        for piece in pieces:
            where, when = spread(piece, unit)
            np.minimum.at(first, where, when)
            np.maximum.at(last, where, when)
        return first, last

    def touched(self, pieces: Sequence[Pieces], size: int) -> None:
        """A buffer of `size` bytes that nothing else touches."""
        unit = unit_of(pieces, size)
        first, last = self.lives(pieces, unit, size // unit)
        there = last >= 0
        self.add(first[there], last[there], unit)

    def peak(self) -> int:
        """The most bytes that are live at any tick."""
        return self.constant + int(np.cumsum(self.change[:-1]).max(initial=0))
