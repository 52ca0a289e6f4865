"""An input that comes in pieces, as the templates print it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.emit.context import row_offset
from tinyml.emit.literals import call
from tinyml.emit.places import ends
from tinyml.emit.places import place as where
from tinyml.emit.rows import StreamedRows, pixel_bytes
from tinyml.emit.strips import StripTable, strip_values
from tinyml.errors import PlanError
from tinyml.memory.plan import FEED_COUNTER_BYTES, FEED_STATE, feed_state_bytes
from tinyml.planning import Plan
from tinyml.schedule.schedule import Feed, SegmentKind

_MOST_ROWS = 2 ** (8 * FEED_COUNTER_BYTES) - 1


@dataclass(frozen=True, slots=True)
class FeedView:
    """How the input comes."""

    pull: bool
    """Read through a callback where it is wanted; else handed over row by row."""
    rows: int
    columns: int
    row_bytes: int
    row_elements: int
    pixel_bytes: int
    place: str
    """A C expression for where row y goes."""
    op: int
    """What stands for a row of the input in the program: one more than the last op."""
    read: tuple[str, ...]
    """With `pull`: the call that reads it."""
    strips: StripTable | None
    """With `pull`: what differs from strip to strip in that."""
    copy: tuple[str, ...]
    """The statement that copies such a piece to `to` from the input's beginning `*array` on."""
    state: str
    """Without `pull`: where the counters of rows are; "" with it."""
    state_bytes: int
    ends: tuple[int, int]
    """First byte of the arena, and of a second one, past the counters and the input's rows."""


def feed_view(plan: Plan, streamed: Mapping[str, StreamedRows]) -> FeedView | None:
    """The view of the plan's input; None where it lies whole in the arena.

    PlanError where the counters cannot hold the number of some map's rows.
    """
    if not plan.schedule.fed:
        return None
    (name,) = plan.graph.inputs
    segment = plan.schedule.segments[0]
    pull, patch = plan.schedule.feed is Feed.PULL, segment.kind is SegmentKind.PATCH
    if patch and not pull:
        raise PlanError(f"the tiles of a patch cannot take input '{name}' row by row")
    nodes = segment.nodes
    memory = plan.memory
    rows, at = streamed[name], memory.offset_of(name)
    most = max(segment.program.count(i) for i in range(-1, len(nodes)))
    if not pull and most > _MOST_ROWS:
        raise PlanError(f"a map of model '{plan.graph.name}' has more than {_MOST_ROWS} rows")
    pixel, itemsize = pixel_bytes(plan, name), plan.graph.tensors[name].dtype.itemsize
    ring = rows if rows.is_ring else None
    place = " + ".join((where(memory, at), *row_offset(rows.row_bytes, rows.height, ring)))
    columns = rows.columns or ((0, rows.row_bytes // pixel),)
    words, strips = strip_values(
        {"x": [first for first, _ in columns], "width": [stop - first for first, stop in columns]}
    )
    if ring is None and words["x"] != "0":
        raise PlanError(f"input '{name}' comes in pieces, and is stored whole")
    state_bytes = 0 if pull else feed_state_bytes(len(nodes))
    touched = [(at, rows.bytes)]
    if not pull:
        touched.append((memory.offsets[FEED_STATE], state_bytes))
    arguments = ["user", "y", words["x"], words["width"], place]
    return FeedView(
        pull=pull,
        rows=rows.height,
        columns=rows.row_bytes // pixel,
        row_bytes=rows.row_bytes,
        row_elements=rows.row_bytes // itemsize,
        pixel_bytes=pixel,
        place=place,
        op=len(nodes),
        read=call("if (read", arguments, ") {", 12 if patch else 8) if pull else (),
        strips=strips,
        copy=call(
            "memcpy",
            (
                "to",
                f"*array + {rows.row_bytes // itemsize} * y + {pixel // itemsize} * x",
                f"{pixel} * (size_t)width",
            ),
            ";",
            2,
        ),
        state="" if pull else where(memory, memory.offsets[FEED_STATE]),
        state_bytes=state_bytes,
        ends=ends(memory, touched),
    )
