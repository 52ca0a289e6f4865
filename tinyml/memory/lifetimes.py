"""Buffers and when they are live, for a graph in the order of a schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.plan import Buffer, scratch_name
from tinyml.memory.values import aligned, values
from tinyml.schedule.schedule import Schedule


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
    """One buffer for each value and each scratch, and the overlays that are safe."""

    steps: int
    buffers: tuple[Buffer, ...]
    overlays: tuple[Overlay, ...]


def lifetimes(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> Lifetimes:
    """The live range of every buffer.

    Graph inputs are live from step 0, where the application has written them;
    invoke consumes them, so they may be overwritten after their last use. Graph
    outputs are live to the last step. A scratch lives in its node's step only.
    """
    step_of = {
        name: step for step, segment in enumerate(schedule.segments) for name in segment.nodes
    }
    missing = [node.name for node in graph.nodes if node.name not in step_of]
    if missing:
        raise PlanError(f"the schedule leaves out {', '.join(missing)}")
    steps = len(schedule.segments)
    at = [step_of[node.name] for node in graph.nodes]

    found = values(graph, calls)
    buffers: list[Buffer] = []
    overlays: list[Overlay] = []
    for index, value in enumerate(found):
        first = 0 if value.writer is None else at[value.writer]
        last = max((at[reader] for reader in value.readers), default=first)
        if value.kept:
            last = max(steps - 1, 0)
        buffers.append(Buffer(value.tensors[0], value.bytes, first, last, value.tensors))
        overlays.extend(Overlay(old, index) for old in value.overlays if buffers[old].last == first)
    buffers.extend(
        Buffer(scratch_name(node.name), aligned(calls[node.name].scratch_bytes), step, step)
        for node, step in zip(graph.nodes, at, strict=True)
        if calls[node.name].scratch_bytes
    )
    return Lifetimes(max(steps, 1), tuple(buffers), tuple(overlays))


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
        buffers.append(
            Buffer(
                found.buffers[head].name,
                parts[0].bytes,
                parts[0].first,
                parts[-1].last,
                tuple(name for part in parts for name in part.tensors),
            )
        )
        for i in chain:
            home[i] = position
    return tuple(buffers), home
