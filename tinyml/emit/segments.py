"""The segments of a schedule as the templates print them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.emit.feed import FeedView
from tinyml.emit.literals import comment, wrap
from tinyml.emit.loops import AccumulationStepView, RowStepView
from tinyml.emit.names import Namer
from tinyml.emit.opview import OpView
from tinyml.errors import PlanError
from tinyml.memory.plan import FEED_COUNTER_BYTES
from tinyml.schedule.schedule import FEED, Segment

_INDENT = 6


@dataclass(frozen=True, slots=True)
class StreamView:
    """A function that runs several ops row by row."""

    function: str
    comment: tuple[str, ...]
    op: str
    """Index of op `op` of the program among all ops."""
    op_ctype: str
    """Smallest type that numbers its ops; the next two hold a row's index and its bytes."""
    row_ctype: str
    bytes_ctype: str
    program: tuple[str, ...]
    """Which op takes its next step, counted from the segment's first, in lines."""
    row_bytes: tuple[str, ...]
    """What the observer is told of in a step, per op, in lines."""
    feed: FeedView | None
    """The model's input where it comes into this stream, row by row."""


@dataclass(frozen=True, slots=True)
class SegmentView:
    """Ops that run together; without `stream` it is one op, on whole tensors."""

    ops: tuple[OpView, ...]
    stream: StreamView | None

    @property
    def first(self) -> int:
        """Index of its first op."""
        return self.ops[0].index


def stream_view(
    segment: Segment, ops: Sequence[OpView], functions: Namer, feed: FeedView | None
) -> StreamView:
    """The view of a stream segment; PlanError when its program does not run every op to its end.

    `feed` is the model's input if it comes into this very segment.
    """
    steps, sizes = [], []
    for op in ops:
        assert isinstance(op.loop, RowStepView | AccumulationStepView)
        steps.append(op.loop.height)
        sizes.append(op.loop.row_bytes)
    counted = [segment.program.count(position) for position in range(len(ops))]
    fed = feed.rows if feed else 0
    if counted != steps or len(segment.program) != sum(steps) + fed:
        raise PlanError(
            f"the program of ops {', '.join(segment.nodes)} takes {counted} steps, not {steps}"
        )
    first, last = ops[0].index, ops[-1].index
    result = "non-zero: the observer wants to stop."
    if feed:
        result = "to where the next row of the input is wanted. `fed` is such a row."
    return StreamView(
        function=functions(f"ops{first}_to_{last}"),
        comment=comment(
            f"Ops {first} to {last}, row by row, in {len(segment.program)} steps; {result}",
            6,
        ),
        op=f"(uint16_t)({first} + op)" if first else "op",
        op_ctype=_unsigned(len(ops) - (feed is None)),
        row_ctype=_unsigned(max(steps)) if feed is None else f"uint{8 * FEED_COUNTER_BYTES}_t",
        bytes_ctype=_unsigned(max(sizes)),
        program=wrap((str(len(ops) if i == FEED else i) for i in segment.program), _INDENT),
        row_bytes=wrap(map(str, sizes), _INDENT),
        feed=feed,
    )


def _unsigned(most: int) -> str:
    """The smallest unsigned type that holds `most`."""
    return next(f"uint{bits}_t" for bits in (8, 16, 32) if most < 2**bits)
