"""The segments of a schedule as the templates print them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.emit.feed import FeedView
from tinyml.emit.literals import braces, comment, rows, smallest_int, wrap
from tinyml.emit.loops import AccumulationStepView, RowStepView
from tinyml.emit.names import Namer
from tinyml.emit.opview import OpView, OpViews
from tinyml.emit.tiles import tiles
from tinyml.errors import PlanError
from tinyml.memory.plan import FEED_COUNTER_BYTES
from tinyml.planning import Plan
from tinyml.schedule.schedule import FEED, Segment, SegmentKind
from tinyml.schedule.work import macs_by_node

_INDENT = 6


@dataclass(frozen=True, slots=True)
class PatchView:
    """The tiles in which a stream runs."""

    strips: int
    bands: tuple[str, ...]
    """Per band: where in the program its steps begin and stop, and the first rows, in lines."""
    step_ctype: str
    """Smallest type that numbers the program's entries."""


@dataclass(frozen=True, slots=True)
class StreamView:
    """A function that runs several ops row by row."""

    function: str
    comment: tuple[str, ...]
    op: str
    """Index of op `op` of the program among all ops."""
    counters: int
    """How many numbers of rows there are."""
    op_ctype: str
    """Smallest type that numbers its ops; the next two hold a row's index and its bytes."""
    row_ctype: str
    bytes_ctype: str
    program: tuple[str, ...]
    """Which op takes its next step, counted from the segment's first, in lines."""
    row_bytes: tuple[str, ...]
    """What the observer is told of in a step, per op (in a patch per strip and op), in lines."""
    feed: FeedView | None
    """The model's input where it comes into this stream, row by row."""
    patch: PatchView | None

    @property
    def pulled(self) -> bool:
        """Whether it reads the model's input through a callback."""
        return self.feed is not None and self.feed.pull

    @property
    def pushed(self) -> bool:
        """Whether the application hands it the rows of the model's input."""
        return self.feed is not None and not self.feed.pull


@dataclass(frozen=True, slots=True)
class SegmentView:
    """Ops that run together; without `stream` it is one op, on whole tensors."""

    ops: tuple[OpView, ...]
    stream: StreamView | None

    @property
    def first(self) -> int:
        """Index of its first op."""
        return self.ops[0].index


def segment_views(
    plan: Plan, views: OpViews, functions: Namer, feed: FeedView | None, first: int = 0
) -> tuple[SegmentView, ...]:
    """The segments of a plan, whose first op is number `first`; `feed` is the model's input if it
    comes in pieces."""
    nodes = {node.name: node for node in plan.graph.nodes}
    found: list[SegmentView] = []
    macs = macs_by_node(plan.graph, plan.schedule, plan.calls)
    index = first
    for segment in plan.schedule.segments:
        in_stream = segment.kind is not SegmentKind.LAYER
        ops = tuple(
            views.view(nodes[name], index + at, macs[name], in_stream=in_stream)
            for at, name in enumerate(segment.nodes)
        )
        fed = None if found else feed
        stream = stream_view(segment, ops, functions, fed) if in_stream else None
        found.append(SegmentView(ops, stream))
        index += len(ops)
    return tuple(found)


def stream_view(
    segment: Segment, ops: Sequence[OpView], functions: Namer, feed: FeedView | None
) -> StreamView:
    """The view of a stream or a patch; PlanError when its program does not fit its ops.

    `feed` is the model's input if it comes into this very segment.
    """
    if segment.kind is SegmentKind.PATCH:
        return _patch(segment, ops, functions, feed)
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
    pushed = feed is not None and not feed.pull
    return StreamView(
        function=_function(ops, functions),
        comment=_comment(ops, f"row by row, in {len(segment.program)} steps", feed),
        op=_op(ops),
        counters=len(ops) + (feed is not None),
        op_ctype=smallest_int([len(ops) - (feed is None)]),
        row_ctype=f"uint{8 * FEED_COUNTER_BYTES}_t" if pushed else smallest_int([*steps, fed]),
        bytes_ctype=smallest_int(sizes),
        program=_program(segment.program, ops),
        row_bytes=wrap(map(str, sizes), _INDENT),
        feed=feed,
        patch=None,
    )


def _patch(
    segment: Segment, ops: Sequence[OpView], functions: Namer, feed: FeedView | None
) -> StreamView:
    found = tiles(segment)
    counters = len(ops) + (feed is not None)
    heights, sizes = [], []
    for op in ops:
        assert isinstance(op.loop, RowStepView)
        heights.append(op.loop.height)
        sizes.append(op.loop.part_bytes)
    heights += [feed.rows] if feed else []
    if (FEED in segment.program) != (feed is not None):
        raise PlanError(f"the patch of ops {', '.join(segment.nodes)} takes rows of no input")
    for band_rows in found.rows:
        for (first, stop), height in zip(band_rows[:counters], heights, strict=True):
            if not 0 <= first <= stop <= height:
                raise PlanError(
                    f"a tile of ops {', '.join(segment.nodes)} computes rows {first} to {stop} "
                    f"of {height}"
                )
    program: list[int] = []
    bands = []
    for band, part in zip(segment.bands, segment.band_programs, strict=True):
        at = _pooled(program, part)
        bands.append((at, at + band.steps, braces(band.first_rows[:counters])))
    what = f"in {len(segment.bands)} x {len(segment.strips)} tiles"
    return StreamView(
        function=_function(ops, functions),
        comment=_comment(ops, what, feed),
        op=_op(ops),
        counters=counters,
        op_ctype=smallest_int([counters - 1]),
        row_ctype=smallest_int(stop for band in found.rows for _, stop in band),
        bytes_ctype=smallest_int(size for strip in sizes for size in strip),
        program=_program(program, ops),
        row_bytes=rows(zip(*sizes, strict=True), _INDENT),
        feed=feed,
        patch=PatchView(len(segment.strips), rows(bands, _INDENT), smallest_int([len(program)])),
    )


def _pooled(pool: list[int], steps: Sequence[int]) -> int:
    """Where `steps` lie in `pool`, appended if they were not there: most bands do the same."""
    wanted = list(steps)
    for at in range(len(pool) - len(wanted) + 1):
        if pool[at : at + len(wanted)] == wanted:
            return at
    pool += wanted
    return len(pool) - len(wanted)


def _function(ops: Sequence[OpView], functions: Namer) -> str:
    return functions(f"ops{ops[0].index}_to_{ops[-1].index}")


def _comment(ops: Sequence[OpView], how: str, feed: FeedView | None) -> tuple[str, ...]:
    result = "non-zero: the observer wants to stop."
    if feed:
        result = "to where the next row of the input is wanted. `fed` is such a row."
        if feed.pull:
            result = "with the input that `read` reads."
    return comment(f"Ops {ops[0].index} to {ops[-1].index}, {how}; {result}", 6)


def _op(ops: Sequence[OpView]) -> str:
    return f"(uint16_t)({ops[0].index} + op)" if ops[0].index else "op"


def _program(program: Sequence[int], ops: Sequence[OpView]) -> tuple[str, ...]:
    return wrap((str(len(ops) if i == FEED else i) for i in program), _INDENT)
