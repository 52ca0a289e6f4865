"""When the bytes of a buffer are first and last touched, granule by granule.

A granule is `ALIGNMENT` bytes: where rows are no multiple of it, one that two rows share
is live for both.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tinyml.memory.plan import ALIGNMENT, Block, Buffer

Ticks = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max


class Touched:
    """Per granule of a buffer of `size` bytes, the first and the last tick that touch it; and
    how many bytes are read and written, each as often as something does."""

    __slots__ = ("accessed", "first", "last", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.first = np.full(size // ALIGNMENT, _NEVER, np.int64)
        self.last = np.full(size // ALIGNMENT, -1, np.int64)
        self.accessed = 0

    def touch_all(self, tick: int) -> None:
        """All of it is touched at `tick`."""
        self.accessed += self.size
        np.minimum(self.first, tick, out=self.first)
        np.maximum(self.last, tick, out=self.last)

    def touch(self, starts: Ticks, size: int, ticks: Ticks) -> None:
        """At `ticks[i]`, the bytes from `starts[i]` on are touched, `size` of them."""
        if not size or not starts.size:
            return
        self.accessed += starts.size * size
        pieces, which = np.unique(starts, return_inverse=True)
        first = np.full(pieces.size, _NEVER, np.int64)
        last = np.full(pieces.size, -1, np.int64)
        np.minimum.at(first, which, ticks)
        np.maximum.at(last, which, ticks)
        begins = pieces // ALIGNMENT
        ends = -(-(pieces + size) // ALIGNMENT)
        for begin, end, low, high in zip(
            begins.tolist(), ends.tolist(), first.tolist(), last.tolist(), strict=True
        ):
            part = self.first[begin:end]
            np.minimum(part, low, out=part)
            part = self.last[begin:end]
            np.maximum(part, high, out=part)


def blocks_of(touched: Touched) -> tuple[Block, ...]:
    """The blocks of what is ever touched, those as long as can be that live equally long."""
    first, last = touched.first, touched.last
    if not first.size:
        return ()
    changes = np.flatnonzero((np.diff(first) != 0) | (np.diff(last) != 0)) + 1
    edges = np.concatenate(([0], changes, [first.size]))
    starts = edges[:-1]
    there = last[starts] >= 0
    return tuple(
        Block(*figures)
        for figures in zip(
            (starts[there] * ALIGNMENT).tolist(),
            (np.diff(edges)[there] * ALIGNMENT).tolist(),
            first[starts[there]].tolist(),
            last[starts[there]].tolist(),
            strict=True,
        )
    )


def union_of(parts: Sequence[Buffer]) -> tuple[Block, ...]:
    """The blocks of buffers of one size that lie exactly on each other, one after the other."""
    both = Touched(parts[0].bytes)
    for block in (block for part in parts for block in part.blocks):
        where = slice(block.offset // ALIGNMENT, (block.offset + block.bytes) // ALIGNMENT)
        np.minimum(both.first[where], block.first, out=both.first[where])
        np.maximum(both.last[where], block.last, out=both.last[where])
    return blocks_of(both)
