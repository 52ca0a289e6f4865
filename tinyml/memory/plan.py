"""The memory plan: where every buffer of the arena lies, and when it is live. Pure data."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ALIGNMENT = 8
"""Bytes that the arena and every buffer in it are aligned to; buffer sizes are multiples of it.

Eight is the strictest alignment of any C scalar on the targets (int64_t,
double, pointers of a 64-bit host), so a buffer can hold whatever a kernel keeps
in its scratch, and it is what malloc and the AAPCS stack give. Vector loads
(LDRD, Helium) need no more than their element's. TINYML_ALIGNMENT says the same in C.
"""


FEED_STATE = "feed:rows"
"""Name of the buffer that counts rows from one push of a row to the next (no tensor's name)."""

FEED_COUNTER_BYTES = 2
"""Of each counter in it, a uint16_t."""


def feed_state_bytes(nodes: int) -> int:
    """Bytes of the counters of a stream of so many nodes, and of the input's rows."""
    return FEED_COUNTER_BYTES * (nodes + 1)


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a buffer that are live from tick `first` to tick `last`, both included.

    They begin `offset` bytes into the buffer; both figures are multiples of `ALIGNMENT`.
    """

    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """A byte range of the arena. What of it is live when, its `blocks` say, by offset.

    A map that is written and read row by row is a stair of blocks: each is live from
    the tick in which something first touches it to the last such tick. Bytes in no block
    are never touched.

    `tensors` are the tensors that share the buffer one after the other: aliases and
    in-place results (none in a scratch). `scratch_of` are the nodes that use it as
    their scratch, one at a time (none for tensors); `FEED_STATE` has neither.
    `bytes` is a multiple of `ALIGNMENT`.
    """

    name: str
    bytes: int
    blocks: tuple[Block, ...]
    tensors: tuple[str, ...] = ()
    scratch_of: tuple[str, ...] = ()
    accessed: int = field(default=0, compare=False)
    """Bytes that one inference reads and writes, each as often as it does (whole kernels: once)."""

    @property
    def first(self) -> int:
        """The first tick at which any of it is live."""
        return min((block.first for block in self.blocks), default=0)

    @property
    def last(self) -> int:
        """The last tick at which any of it is live."""
        return max((block.last for block in self.blocks), default=0)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets for every buffer.

    Time is counted in ticks: a layer whose kernel computes rows (`RowLoop`) takes one for
    each, batch by batch, any other layer takes one, a stream one for each entry of its
    program, a patch one for each entry of each tile. `lower_bound` is the largest sum of
    live bytes at any tick, with every in-place result in place: no plan for this schedule
    can be smaller. `optimal` says whether `arena_bytes` is proven to be the least.
    """

    arena_bytes: int
    lower_bound: int
    optimal: bool
    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int] = field(repr=False)
    """Buffer name -> byte offset."""
    peaks: tuple[int, ...]
    """Per segment, the most bytes that are live at any of its ticks; one without segments."""
    starts: tuple[int, ...]
    """Per segment, its first tick; and at last the number of ticks, at least 1."""
    split: int | None = None
    """The arena may be two stretches of memory, a fast one and, from this offset on, another (all
    of it, if 0); no buffer lies in both. None: it is one, the fast one."""

    @property
    def banks(self) -> tuple[int, int]:
        """Bytes of the two stretches."""
        first = self.arena_bytes if self.split is None else self.split
        return first, self.arena_bytes - first

    def place(self, offset: int) -> tuple[int, int]:
        """Which stretch has the byte at `offset` (0 or 1), and where it is in that."""
        if self.split is None or offset < self.split:
            return 0, offset
        return 1, offset - self.split

    def segment_at(self, tick: int) -> int:
        """The position of the segment that runs at `tick`; 0 without segments."""
        return max(bisect_right(self.starts[:-1], tick) - 1, 0)

    def offset_of(self, tensor: str) -> int:
        """Offset of the buffer that holds `tensor`, or its ring of rows."""
        for buffer in self.buffers:
            if tensor in buffer.tensors:
                return self.offsets[buffer.name]
        raise KeyError(tensor)

    def scratch_offset(self, node: str) -> int:
        """Offset of the scratch of `node`."""
        for buffer in self.buffers:
            if node in buffer.scratch_of:
                return self.offsets[buffer.name]
        raise KeyError(node)


def scratch_name(first: str, *others: str) -> str:
    """Name of the buffer that is the scratch of these nodes (no tensor can have this name)."""
    return f"scratch:{first}" + (f" and {len(others)} more" if others else "")


def live_bytes(buffers: Sequence[Buffer], ticks: int) -> npt.NDArray[np.int64]:
    """Per tick, the sum of the sizes of the blocks that are live."""
    blocks = [block for buffer in buffers for block in buffer.blocks]
    change = np.zeros(ticks + 1, np.int64)
    sizes = np.array([block.bytes for block in blocks], np.int64)
    np.add.at(change, [block.first for block in blocks], sizes)
    np.subtract.at(change, [block.last + 1 for block in blocks], sizes)
    return np.cumsum(change[:-1])
