"""Which tensors a stream computes row by row, and how many of their rows are there at a time."""

from dataclasses import dataclass

from tinyml.errors import PlanError
from tinyml.kernels.call import Accumulation, RowLoop
from tinyml.memory.values import read_rows
from tinyml.planning import Plan
from tinyml.schedule.schedule import SegmentKind


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """How a tensor that is computed row by row is stored."""

    height: int
    row_bytes: int
    held: int
    """Row y lies in slot y % `held`; `height` where the tensor is stored whole."""

    @property
    def is_ring(self) -> bool:
        """Whether rows are overwritten by later ones."""
        return self.held < self.height

    @property
    def bytes(self) -> int:
        """Bytes of the arena that the rows take."""
        return self.held * self.row_bytes


def streamed_rows(plan: Plan) -> dict[str, StreamedRows]:
    """By name, the tensors that reach the observer row by row, and an input that comes so.

    PlanError where the schedule streams what its kernel does not compute so.
    """
    nodes = {node.name: node for node in plan.graph.nodes}
    held = plan.schedule.ring_rows
    found: dict[str, StreamedRows] = {}
    computed: set[str] = set()
    for segment in plan.schedule.segments:
        if segment.kind is not SegmentKind.STREAM:
            continue
        for name in segment.nodes:
            loop = plan.calls[name].loop
            if not isinstance(loop, RowLoop | Accumulation) or loop.batches != 1:
                raise PlanError(f"op '{name}' is in a stream, but its kernel does not take rows")
            tensor = nodes[name].output
            computed.add(tensor)
            if isinstance(loop, RowLoop):
                height = loop.out_height
                rows = held.get(tensor, height)
                found[tensor] = StreamedRows(height, loop.out_row_bytes, rows)
    if plan.schedule.fed:
        (tensor,) = plan.graph.inputs
        reader = plan.graph.consumers()[tensor][0]
        fed = read_rows(plan.graph, reader, plan.calls[reader.name], tensor)
        computed.add(tensor)
        found[tensor] = StreamedRows(fed.count, fed.bytes, held[tensor])
    lost = sorted(held.keys() - computed)
    if lost:
        raise PlanError(f"the schedule holds rows of {', '.join(lost)}, which no stream computes")
    return found
