"""The memory plan: where every buffer of the arena lies, and when it is live. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
class Buffer:
    """A byte range of the arena, live from step `first` to step `last`, both included.

    `tensors` are the tensors that share it one after the other: aliases and
    in-place results (none in a scratch). `scratch_of` are the nodes that use it as
    their scratch, one at a time (none for tensors); `FEED_STATE` has neither. A step is a
    segment of the schedule, counted from 0; `bytes` is a multiple of `ALIGNMENT`.
    """

    name: str
    bytes: int
    first: int
    last: int
    tensors: tuple[str, ...] = ()
    scratch_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets for every buffer.

    `lower_bound` is the largest sum of live bytes at any step, with every
    in-place result in place: no plan for this schedule can be smaller, as long as
    all that a segment touches stays in its place while the segment runs. `optimal`
    says whether `arena_bytes` is proven to be the least under that rule. `peaks`
    holds, per step, the live bytes while it runs.
    """

    arena_bytes: int
    lower_bound: int
    optimal: bool
    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int] = field(repr=False)
    """Buffer name -> byte offset."""
    peaks: tuple[int, ...]

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
