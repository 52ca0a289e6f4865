"""The schedule: what runs when. Pure data between the planner and the emitter."""

from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

FEED = -1
"""In a program: the next row of the graph's input comes, or the next part of one in a patch."""


class Feed(Enum):
    """How the graph's inputs come."""

    WHOLE = "whole"
    """They lie in the arena."""
    ROWS = "rows"
    """The only one is handed over by the application row by row, each once."""
    PULL = "pull"
    """Of the only one, rows or parts of them are read through a callback, in any order."""


class SegmentKind(Enum):
    """How a segment executes."""

    LAYER = "layer"
    """One node, whole tensors in and out."""
    STREAM = "stream"
    """Nodes that hand each other rows through ring buffers; nothing is computed twice."""
    PATCH = "patch"
    """A stream for one tile of the maps after the other; what tiles share is computed again."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A tensor of which only some rows are held at a time: row r lies in slot r % `rows`.

    In a patch a slot has room for `columns` pixels, and its first pixel is the first column
    that the strip at hand computes; elsewhere it holds a whole row, and `columns` is 0.
    """

    tensor: str
    rows: int
    columns: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """The tiles of a patch segment that lie beside each other."""

    steps: int
    """How many entries of the segment's program are this band's: what one of its tiles runs."""
    first_rows: tuple[int, ...]
    """Per node of the segment, and at last for an input that comes: the row of its first step."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The tiles of a patch segment that lie below each other."""

    columns: tuple[tuple[int, int], ...]
    """Per node of the segment, and at last for an input that comes: the columns [first, stop)
    of its output that a tile computes."""


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

    A patch segment is a stream that runs for one tile after the other, band by band and in
    each from strip to strip; `program` has the programs of all bands, one after the other.
    Every kernel in it has a `RowLoop` that can compute parts of a row
    (`RowAccess.columns`). Tensors that are no rings lie whole in the arena, and the tiles
    together write all of them.

    The graph's only input may come in pieces, and is then never stored whole: the first
    segment is a stream or a patch that has all consumers of it and a ring for it, and its
    program has an entry `FEED` for each row: of the map, which comes once, where the
    application hands it over (then the segment is a stream); of each tile, where it is read
    through a callback.
    """

    kind: SegmentKind
    nodes: tuple[str, ...]
    rings: tuple[Ring, ...] = ()
    program: tuple[int, ...] = ()
    bands: tuple[Band, ...] = ()
    """Of a patch, as `strips`: at least one of each."""
    strips: tuple[Strip, ...] = ()

    @property
    def band_programs(self) -> tuple[tuple[int, ...], ...]:
        """Of a patch: the part of the program that each band runs."""
        starts = accumulate((band.steps for band in self.bands), initial=0)
        return tuple(
            self.program[start : start + band.steps]
            for start, band in zip(starts, self.bands, strict=False)
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Segments in execution order; every node of the graph is in exactly one."""

    segments: tuple[Segment, ...]
    feed: Feed = Feed.WHOLE

    @property
    def order(self) -> tuple[str, ...]:
        """Node names in execution order."""
        return tuple(name for segment in self.segments for name in segment.nodes)

    @property
    def fed(self) -> bool:
        """Whether the graph's input comes in pieces, and is not stored whole."""
        return self.feed is not Feed.WHOLE

    @property
    def ring_rows(self) -> dict[str, int]:
        """Rows held of each tensor that is not stored whole, by name."""
        return {ring.tensor: ring.rows for segment in self.segments for ring in segment.rings}
