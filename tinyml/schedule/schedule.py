"""The schedule: what runs when. Pure data between the planner and the emitter."""

from dataclasses import dataclass
from enum import Enum

FEED = -1
"""In a program: the application hands over the next row of the graph's input."""


class SegmentKind(Enum):
    """How a segment executes."""

    LAYER = "layer"
    """One node, whole tensors in and out."""
    STREAM = "stream"
    """Nodes that hand each other rows through ring buffers; nothing is computed twice."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A tensor of which only some rows are held at a time: row r lies in slot r % `rows`."""

    tensor: str
    rows: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes that execute together, in a valid execution order.

    A layer segment holds exactly one node, and no rings and no program.

    In a stream segment, `program` says row by row what runs: entry p means that
    node `nodes[p]` takes its next step. A node whose kernel has a `RowLoop` takes
    one step per output row, and computes that row; one with an `Accumulation`
    takes one step per input row, and has its result after the last. `rings` are
    the tensors that are produced and consumed within the segment and are not
    stored whole; every other activation that the segment touches lies whole in
    the arena.

    The graph's only input may come row by row, and is then never stored whole: the first
    segment is a stream that has all consumers of it and a ring for it, and its program
    has an entry `FEED` for each of its rows.
    """

    kind: SegmentKind
    nodes: tuple[str, ...]
    rings: tuple[Ring, ...] = ()
    program: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Segments in execution order; every node of the graph is in exactly one."""

    segments: tuple[Segment, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """Node names in execution order."""
        return tuple(name for segment in self.segments for name in segment.nodes)

    @property
    def fed(self) -> bool:
        """Whether the graph's input comes row by row."""
        return bool(self.segments) and FEED in self.segments[0].program

    @property
    def ring_rows(self) -> dict[str, int]:
        """Rows held of each tensor that is not stored whole, by name."""
        return {ring.tensor: ring.rows for segment in self.segments for ring in segment.rings}
