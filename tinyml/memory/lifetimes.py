"""Buffers and when they are live, for a graph in the order of a schedule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import Accumulation, KernelCall
from tinyml.memory.plan import FEED_STATE, Buffer, feed_state_bytes, scratch_name
from tinyml.memory.values import Value, aligned, values
from tinyml.schedule.schedule import Schedule, SegmentKind


@dataclass(frozen=True, slots=True)
class Overlay:
    """An in-place result: buffer `new` may lie exactly on `old`, or apart from it.

    Both are indices into `Lifetimes.buffers`. `old` ends at the step at which
    `new` begins, and both have the same size. A buffer is `old` in one overlay
    at most, and `new` in one per operand that may be overwritten.
    """

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """A buffer for each value, the scratches, and the overlays that are safe."""

    steps: int
    buffers: tuple[Buffer, ...]
    overlays: tuple[Overlay, ...]


def lifetimes(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> Lifetimes:
    """The live range of every buffer.

    Graph inputs are live from step 0, where the application has written them;
    invoke consumes them, so they may be overwritten after their last use. Graph
    outputs are live to the last step. A scratch lives in its node's step only.

    Time has no finer grain than a segment: what a stream segment touches is live
    for all of it. So nothing is in place there, and its nodes, of which one runs at
    a time, share one scratch; but sums that a node carries from row to row have
    a place of their own. So have the counters of rows that last from one row that the
    application hands over to the next.
    """
    step_of = {
        name: step for step, segment in enumerate(schedule.segments) for name in segment.nodes
    }
    missing = [node.name for node in graph.nodes if node.name not in step_of]
    if missing:
        raise PlanError(f"the schedule leaves out {', '.join(missing)}")
    steps = len(schedule.segments)
    at = [step_of[node.name] for node in graph.nodes]

    rings = schedule.ring_rows
    found = values(graph, calls, rings)
    buffers: list[Buffer] = []
    overlays: list[Overlay] = []
    for index, value in enumerate(found):
        first = 0 if value.writer is None else at[value.writer]
        last = max((at[reader] for reader in value.readers), default=first)
        if value.kept:
            last = max(steps - 1, 0)
        if not rings.keys().isdisjoint(value.tensors):
            _check_ring(value, first, last, fed=schedule.fed)
        buffers.append(Buffer(value.tensors[0], value.bytes, first, last, value.tensors))
        if value.writer is not None and schedule.segments[first].kind is SegmentKind.LAYER:
            overlays.extend(
                Overlay(old, index) for old in value.overlays if buffers[old].last == first
            )
    buffers.extend(_scratches(schedule, calls))
    if schedule.fed:
        size = aligned(feed_state_bytes(len(schedule.segments[0].nodes)))
        buffers.append(Buffer(FEED_STATE, size, 0, 0))
    return Lifetimes(max(steps, 1), tuple(buffers), tuple(overlays))


def _check_ring(value: Value, first: int, last: int, *, fed: bool) -> None:
    """PlanError where something outside the segment would need rows that are gone."""
    name = value.tensors[0]
    if (value.writer is None and not fed) or value.kept or first != last:
        raise PlanError(f"only some rows of '{name}' are stored, but not only one segment needs it")


def _scratches(schedule: Schedule, calls: Mapping[str, KernelCall]) -> Iterator[Buffer]:
    for step, segment in enumerate(schedule.segments):
        shared: list[str] = []
        for name in segment.nodes:
            call = calls[name]
            if not call.scratch_bytes:
                continue
            if isinstance(call.loop, Accumulation):
                size = aligned(call.scratch_bytes)
                yield Buffer(scratch_name(name), size, step, step, scratch_of=(name,))
            else:
                shared.append(name)
        if shared:
            size = aligned(max(calls[name].scratch_bytes for name in shared))
            yield Buffer(scratch_name(*shared), size, step, step, scratch_of=tuple(shared))


def live_bytes(buffers: Sequence[Buffer], steps: int) -> tuple[int, ...]:
    """Per step, the sum of the sizes of the buffers that are live."""
    total = [0] * steps
    for buffer in buffers:
        for step in range(buffer.first, buffer.last + 1):
            total[step] += buffer.bytes
    return tuple(total)


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
        tensors = tuple(name for part in parts for name in part.tensors)
        buffers.append(replace(found.buffers[head], last=parts[-1].last, tensors=tensors))
        for i in chain:
            home[i] = position
    return tuple(buffers), home
