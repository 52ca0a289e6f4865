"""An input that comes row by row, as the templates print it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.emit.context import row_offset
from tinyml.emit.rows import StreamedRows
from tinyml.errors import PlanError
from tinyml.memory.plan import FEED_COUNTER_BYTES, FEED_STATE, feed_state_bytes
from tinyml.planning import Plan

_MOST_ROWS = 2 ** (8 * FEED_COUNTER_BYTES) - 1


@dataclass(frozen=True, slots=True)
class FeedView:
    """How the input comes."""

    rows: int
    row_bytes: int
    row_elements: int
    place: str
    """A C expression for where row y goes."""
    op: int
    """What stands for a row of the input in the program: one more than the last op."""
    state: int
    """Offset in the arena of the counters of rows."""
    state_bytes: int
    end: int
    """First byte of the arena past the counters and the input's rows."""


def feed_view(plan: Plan, streamed: Mapping[str, StreamedRows]) -> FeedView | None:
    """The view of the plan's input; None where it lies whole in the arena.

    PlanError where the counters cannot hold the number of some map's rows.
    """
    if not plan.schedule.fed:
        return None
    (name,) = plan.graph.inputs
    nodes = plan.schedule.segments[0].nodes
    rows, at = streamed[name], plan.memory.offset_of(name)
    if max(plan.schedule.segments[0].program.count(i) for i in range(-1, len(nodes))) > _MOST_ROWS:
        raise PlanError(f"a map of model '{plan.graph.name}' has more than {_MOST_ROWS} rows")
    offset = row_offset(rows.row_bytes, rows.height, rows if rows.is_ring else None)
    state, state_bytes = plan.memory.offsets[FEED_STATE], feed_state_bytes(len(nodes))
    return FeedView(
        rows=rows.height,
        row_bytes=rows.row_bytes,
        row_elements=rows.row_bytes // plan.graph.tensors[name].dtype.itemsize,
        place=f"arena + {at}" + (f" + {offset}" if offset else ""),
        op=len(nodes),
        state=state,
        state_bytes=state_bytes,
        end=max(at + rows.bytes, state + state_bytes),
    )
