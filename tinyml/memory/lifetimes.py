"""Buffers and when which of their bytes are live, for a graph as a schedule runs it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop
from tinyml.memory.plan import FEED_STATE, Buffer, feed_state_bytes, scratch_name
from tinyml.memory.touched import Touched, blocks_of, union_of
from tinyml.memory.touches import Run
from tinyml.memory.values import Value, aligned, values
from tinyml.schedule.schedule import Feed, Schedule, Segment, SegmentKind


@dataclass(frozen=True, slots=True)
class Overlay:
    """An in-place result: buffer `new` may lie exactly on `old`, or apart from it.

    Both are indices into `Lifetimes.buffers`, and of the same size. No byte of
    `old` is needed after the tick in which the byte of `new` in its place is
    written. A buffer is `old` in one overlay at most, and `new` in one per operand
    that may be overwritten.
    """

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """A buffer for each value, the scratches, and the overlays that are safe."""

    starts: tuple[int, ...]
    """As in `MemoryPlan`."""
    buffers: tuple[Buffer, ...]
    overlays: tuple[Overlay, ...]

    @property
    def ticks(self) -> int:
        """How long the plan runs."""
        return self.starts[-1]


def segment_ticks(segment: Segment, calls: Mapping[str, KernelCall]) -> int:
    """How many ticks a segment takes (`MemoryPlan` says what a tick is)."""
    match segment.kind:
        case SegmentKind.LAYER:
            call = calls[segment.nodes[0]]
            if isinstance(call.loop, RowLoop) and call.runs_by_rows:
                return call.loop.batches * call.loop.out_height
            return 1
        case SegmentKind.STREAM:
            return len(segment.program)
        case SegmentKind.PATCH:
            return sum(band.steps for band in segment.bands) * len(segment.strips)


def lifetimes(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> Lifetimes:
    """Which bytes of every buffer are live when.

    Graph inputs are live from tick 0, where the application has written them;
    invoke consumes them, so they may be overwritten after their last use. Graph
    outputs are live to the last tick, states from the first to the last. Every other byte is live
    from the first tick that touches it to the last. A scratch is touched whenever its node
    runs; the nodes of a stream or a patch, of which one runs at a time, share one, but sums that
    a node carries from row to row have a place of their own. So have the counters of rows that
    last from one row that the application hands over to the next.
    """
    segment_of = {
        name: index for index, segment in enumerate(schedule.segments) for name in segment.nodes
    }
    missing = [node.name for node in graph.nodes if node.name not in segment_of]
    if missing:
        raise PlanError(f"the schedule leaves out {', '.join(missing)}")
    at = [segment_of[node.name] for node in graph.nodes]
    rings = {ring.tensor: ring for segment in schedule.segments for ring in segment.rings}
    found = values(graph, calls, rings)
    for value in found:
        if not rings.keys().isdisjoint(value.tensors):
            _check_ring(value, at, fed=schedule.fed)
    starts = [0]
    for segment in schedule.segments:
        starts.append(starts[-1] + segment_ticks(segment, calls))
    starts[-1] = max(starts[-1], 1)

    touched = [Touched(value.bytes) for value in found]
    scratches: list[tuple[tuple[str, ...], Touched]] = []
    run = Run(graph, calls, {name: touched[i] for i, v in enumerate(found) for name in v.tensors})
    for value, bytes_ in zip(found, touched, strict=True):
        if value.writer is None and not schedule.fed:
            bytes_.touch_all(0)
        if value.kept:
            bytes_.touch_all(starts[-1] - 1)
    for segment, start in zip(schedule.segments, starts, strict=False):
        scratch = dict(_scratches(segment, calls))
        scratches += scratch.items()
        run.segment(segment, start, {name: s for names, s in scratch.items() for name in names})

    buffers = [
        Buffer(
            value.tensors[0],
            value.bytes,
            blocks_of(bytes_),
            value.tensors,
            accessed=bytes_.accessed,
        )
        for value, bytes_ in zip(found, touched, strict=True)
    ]
    buffers += [
        Buffer(
            scratch_name(*names),
            bytes_.size,
            blocks_of(bytes_),
            scratch_of=names,
            accessed=bytes_.accessed,
        )
        for names, bytes_ in scratches
    ]
    if schedule.feed is Feed.ROWS:
        counters = Touched(aligned(feed_state_bytes(len(schedule.segments[0].nodes))))
        counters.touch_all(0)
        counters.touch_all(starts[1] - 1)
        buffers.append(Buffer(FEED_STATE, counters.size, blocks_of(counters)))
    overlays = tuple(_overlays(graph, schedule, calls, found, at))
    return Lifetimes(tuple(starts), tuple(buffers), overlays)


def _check_ring(value: Value, at: Sequence[int], *, fed: bool) -> None:
    """PlanError where something outside the segment would need rows that are gone."""
    users = {at[node] for node in (value.writer, *value.readers) if node is not None}
    if (value.writer is None and not fed) or value.kept or len(users) > 1:
        name = value.tensors[0]
        raise PlanError(f"only some rows of '{name}' are stored, but not only one segment needs it")


def _scratches(
    segment: Segment, calls: Mapping[str, KernelCall]
) -> Iterator[tuple[tuple[str, ...], Touched]]:
    """The scratches of a segment: whose they are, and room for them."""
    shared: list[str] = []
    for name in segment.nodes:
        call = calls[name]
        if not call.scratch_bytes:
            continue
        if isinstance(call.loop, Accumulation):
            yield (name,), Touched(aligned(call.scratch_bytes))
        else:
            shared.append(name)
    if shared:
        yield tuple(shared), Touched(aligned(max(calls[name].scratch_bytes for name in shared)))


def _overlays(
    graph: Graph,
    schedule: Schedule,
    calls: Mapping[str, KernelCall],
    found: Sequence[Value],
    at: Sequence[int],
) -> Iterator[Overlay]:
    """What layers may write in place: whatever is over their operand, nothing needs any more."""
    for new, value in enumerate(found):
        if value.writer is None:
            continue
        segment, node = at[value.writer], graph.nodes[value.writer]
        if schedule.segments[segment].kind is not SegmentKind.LAYER:
            continue
        for old in value.overlays:
            last = max(at[reader] for reader in found[old].readers)
            if last == segment and _row_by_row(graph, node, calls[node.name], found[old].tensors):
                yield Overlay(old, new)


def _row_by_row(graph: Graph, node: Node, call: KernelCall, operand: Sequence[str]) -> bool:
    """Whether every row that `node` writes lies just where the only row of `operand` does that
    it is made from; true of kernels that do not work by rows, which are in place as a whole."""
    if not isinstance(call.loop, RowLoop):
        return True
    accesses = (access for access in call.loop.inputs if access.constant is None)
    pairs = zip(graph.activations(node), accesses, strict=True)
    return all(_same_row(call.loop, access) for name, access in pairs if name in operand)


def _same_row(loop: RowLoop, access: RowAccess) -> bool:
    return (
        (access.height, access.row_bytes) == (loop.out_height, loop.out_row_bytes)
        and (access.count, access.pad_top, access.table) == (1, 0, None)
        and (loop.out_height == 1 or access.stride == 1)
        and (loop.batches == 1 or access.batch_bytes == access.height * access.row_bytes)
    )


def merged(found: Lifetimes, overlays: Sequence[Overlay]) -> tuple[tuple[Buffer, ...], list[int]]:
    """The buffers that remain when `overlays` are made, and for each old buffer its new index.

    Of all overlays with the same `new`, the first counts.
    """
    old_of: dict[int, int] = {}
    for overlay in overlays:
        old_of.setdefault(overlay.new, overlay.old)
    chains: dict[int, list[int]] = {}
    for index in range(len(found.buffers)):
        head = index
        while head in old_of:
            head = old_of[head]
        chains.setdefault(head, []).append(index)
    home = [0] * len(found.buffers)
    buffers = []
    for position, (head, chain) in enumerate(chains.items()):
        parts = [found.buffers[i] for i in chain]  # in time: an operand precedes its result
        whole = found.buffers[head]
        if len(parts) > 1:
            tensors = tuple(name for part in parts for name in part.tensors)
            accessed = sum(part.accessed for part in parts)
            whole = replace(whole, blocks=union_of(parts), tensors=tensors, accessed=accessed)
        buffers.append(whole)
        for i in chain:
            home[i] = position
    return tuple(buffers), home
