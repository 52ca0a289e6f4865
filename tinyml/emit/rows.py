"""Which tensors are computed in rows or parts of them, and how many rows are there at a time."""

from dataclasses import dataclass

from tinyml.errors import PlanError
from tinyml.kernels.call import Accumulation, RowLoop
from tinyml.memory.values import read_rows
from tinyml.planning import Plan
from tinyml.schedule.schedule import Ring, Segment, SegmentKind


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """How a tensor that is computed row by row is stored."""

    height: int
    row_bytes: int
    held: int
    """Row y lies in slot y % `held`; `height` where the tensor is stored whole."""
    pitch: int
    """Bytes of a slot: `row_bytes`, or in a patch those of so many pixels as a tile has."""
    pixel_bytes: int = 0
    """Of a tensor that a patch computes, as `columns`."""
    columns: tuple[tuple[int, int], ...] = ()
    """Per strip: the columns [first, stop) of a row that a tile computes."""

    @property
    def is_ring(self) -> bool:
        """Whether rows are overwritten by later ones, or other parts of them."""
        return self.held < self.height or self.pitch < self.row_bytes

    @property
    def bytes(self) -> int:
        """Bytes of the arena that the rows take."""
        return self.held * self.pitch

    def place(self, strip: int, column: int) -> int:
        """Where a column of a strip lies in a row, in bytes."""
        first = self.columns[strip][0] if self.is_ring else 0
        return (column - first) * self.pixel_bytes


def streamed_rows(plan: Plan) -> dict[str, StreamedRows]:
    """By name, the tensors that reach the observer in pieces, and an input that comes so.

    PlanError where the schedule streams what its kernel does not compute so.
    """
    nodes = {node.name: node for node in plan.graph.nodes}
    found: dict[str, StreamedRows] = {}
    rings: set[str] = set()
    computed: set[str] = set()
    for segment in plan.schedule.segments:
        rings |= {ring.tensor for ring in segment.rings}
        if segment.kind is SegmentKind.LAYER:
            continue
        held = {ring.tensor: ring for ring in segment.rings}
        for at, name in enumerate(segment.nodes):
            tensor = nodes[name].output
            computed.add(tensor)
            rows = _written(plan, segment, at, tensor, held.get(tensor))
            if rows:
                found[tensor] = rows
    if plan.schedule.fed:
        (tensor,) = plan.graph.inputs
        computed.add(tensor)
        found[tensor] = _fed(plan, tensor)
    lost = sorted(rings - computed)
    if lost:
        raise PlanError(f"the schedule holds rows of {', '.join(lost)}, which no stream computes")
    return found


def _written(
    plan: Plan, segment: Segment, at: int, tensor: str, ring: Ring | None
) -> StreamedRows | None:
    """The rows of the tensor that a node writes; None if it gives all of it at once."""
    name = segment.nodes[at]
    loop = plan.calls[name].loop
    patch = segment.kind is SegmentKind.PATCH
    if not isinstance(loop, RowLoop | Accumulation) or loop.batches != 1:
        raise PlanError(
            f"op '{name}' is in a {segment.kind.value}, but its kernel does not take rows"
        )
    if isinstance(loop, Accumulation):
        if patch:
            raise PlanError(f"op '{name}' is in a patch, but adds rows up")
        return None
    if patch and not loop.cuts_columns:
        raise PlanError(f"op '{name}' is in a patch, but its kernel computes only whole rows")
    width = loop.span.out_width
    return _stored(segment, at, tensor, loop.out_height, loop.out_row_bytes, width, ring)


def _fed(plan: Plan, tensor: str) -> StreamedRows:
    segment = plan.schedule.segments[0]
    ring = next((ring for ring in segment.rings if ring.tensor == tensor), None)
    if ring is None:
        raise PlanError(f"input '{tensor}' comes in pieces, but the first segment holds no rows")
    reader = plan.graph.consumers()[tensor][0]
    call = plan.calls[reader.name]
    rows = read_rows(plan.graph, reader, call, tensor)
    pixel = pixel_bytes(plan, tensor)
    if rows.bytes % pixel:
        raise PlanError(f"a row of input '{tensor}' has {rows.bytes} bytes, a pixel {pixel}")
    width = rows.bytes // pixel
    return _stored(segment, -1, tensor, rows.count, rows.bytes, width, ring)


def pixel_bytes(plan: Plan, tensor: str) -> int:
    """Bytes of one pixel: of all its channels."""
    found = plan.graph.tensors[tensor]
    return found.shape[-1] * found.dtype.itemsize


def _stored(
    segment: Segment, at: int, name: str, height: int, row_bytes: int, width: int, ring: Ring | None
) -> StreamedRows:
    held = ring.rows if ring else height
    if segment.kind is not SegmentKind.PATCH:
        return StreamedRows(height, row_bytes, held, row_bytes)
    columns = tuple(strip.columns[at] for strip in segment.strips)
    pixel = row_bytes // width
    room = ring.columns if ring and ring.columns else width
    for first, stop in columns:
        if not 0 <= first <= stop <= width or stop - first > room:
            raise PlanError(
                f"a tile computes columns {first} to {stop} of '{name}', which is {width} wide "
                f"and has room for {room}"
            )
    return StreamedRows(height, row_bytes, held, room * pixel, pixel, columns)
