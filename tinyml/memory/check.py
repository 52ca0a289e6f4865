"""An independent proof that a memory plan is sound.

The plan is replayed tick by tick, row by row where kernels compute rows, on a model of
the arena in which every byte knows which byte of which tensor it holds (`replay`,
`replay_rows`). Nothing is taken from the planner but its result: the checker shares
no code with the search for schedules, lifetimes and offsets, so a mistake there
does not repeat itself here.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall, RowLoop
from tinyml.memory.check_segment import check_segment
from tinyml.memory.plan import ALIGNMENT, MemoryPlan
from tinyml.memory.replay import Replay, label
from tinyml.memory.replay_rows import fed_rows, run_layer, run_rows
from tinyml.schedule.schedule import FEED, Schedule, SegmentKind


def check_plan(
    graph: Graph,
    schedule: Schedule,
    calls: Mapping[str, KernelCall],
    plan: MemoryPlan,
    rooms: tuple[int, int] | None = None,
) -> None:
    """Raise PlanError, naming the op and the tensors, unless `plan` is sound.

    Sound means: every node runs once, after its producers, and in a stream
    takes exactly its steps; the tiles of a patch together write all that is stored whole; an
    input that comes row by row does so once, before all that is not in its stream; every byte
    that a node reads still holds what its producer wrote, and so do the graph outputs at the
    end; what a node reads, writes and uses as scratch at the same time lies apart, but for
    the overlays that its kernel allows; everything is aligned and inside the arena; the arena
    is no larger than its buffers need; no buffer lies across the split, which there is only where
    `rooms`, the bytes of two banks, allow one, and no more below it than the first has; and the
    live ranges, peaks and times that the plan reports are true.
    """
    _check_schedule(graph, schedule)
    for step, segment in enumerate(schedule.segments):
        check_segment(graph, segment, calls, first=step == 0)
    comes = bool(schedule.segments) and FEED in schedule.segments[0].program
    if comes != schedule.fed:
        how = "comes row by row" if comes else "does not come"
        raise PlanError(f"the input {how}, but the feed of the schedule is {schedule.feed.value}")
    _check_buffers(graph, plan, _stored(graph, schedule, calls))
    _check_split(plan, rooms)
    replay = Replay(graph, calls, plan)
    if not schedule.fed:
        replay.load_inputs()
    node_of = {node.name: node for node in graph.nodes}
    starts = []
    for segment in schedule.segments:
        starts.append(replay.tick)
        if segment.kind is not SegmentKind.LAYER:
            run_rows(replay, segment, schedule.feed)
            continue
        node = node_of[segment.nodes[0]]
        loop = calls[node.name].loop
        if isinstance(loop, RowLoop) and calls[node.name].workers == 1:
            run_layer(replay, node, loop)
        else:
            replay.run(node)
    ticks = max(replay.tick, 1)
    replay.tick = ticks - 1
    replay.read_outputs()
    replay.check_lives()
    if plan.starts != (*starts, ticks):
        raise PlanError(f"the plan's times are not those of the schedule, {ticks} ticks")
    _check_figures(plan)


def _check_schedule(graph: Graph, schedule: Schedule) -> None:
    """Every node exactly once, after the nodes that it reads from."""
    expected = sorted(node.name for node in graph.nodes)
    if sorted(schedule.order) != expected:
        wrong = set(expected) ^ set(schedule.order)
        what = f"misses or invents {', '.join(sorted(wrong))}" if wrong else "repeats a node"
        raise PlanError(f"the schedule {what}")
    node_of = {node.name: node for node in graph.nodes}
    known = set(graph.sources)
    for name in schedule.order:
        node = node_of[name]
        for operand in graph.activations(node):
            if operand not in known:
                raise PlanError(f"{label(node)} runs before its input '{operand}' is there")
        known.update(node.outputs)


def _stored(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> dict[str, int]:
    """Bytes of every tensor, of a ring's those of its rows."""
    found = {name: tensor.nbytes for name, tensor in graph.tensors.items()}
    producer = graph.producers()
    for segment in schedule.segments:
        for ring in segment.rings:
            if ring.tensor in graph.inputs:
                _, row_bytes, pixel = fed_rows(graph, calls)
            else:
                loop = calls[producer[ring.tensor].name].loop
                if not isinstance(loop, RowLoop):
                    continue  # its only row is all of it
                row_bytes = loop.out_row_bytes
                pixel = row_bytes // max(loop.span.out_width, 1)
            found[ring.tensor] = ring.rows * (ring.columns * pixel or row_bytes)
    return found


def _check_buffers(graph: Graph, plan: MemoryPlan, stored: Mapping[str, int]) -> None:
    """Names, sizes, alignment and bounds."""
    names = [buffer.name for buffer in plan.buffers]
    if len(set(names)) != len(names) or set(names) != set(plan.offsets):
        raise PlanError("buffers and offsets do not correspond one to one")
    top = 0
    for buffer in plan.buffers:
        offset = plan.offsets[buffer.name]
        if offset < 0 or offset % ALIGNMENT or buffer.bytes % ALIGNMENT:
            raise PlanError(
                f"buffer '{buffer.name}' ({buffer.bytes} bytes at {offset})"
                f" is not aligned to {ALIGNMENT}"
            )
        top = max(top, offset + buffer.bytes)
        for name in buffer.tensors:
            if stored[name] > buffer.bytes:
                raise PlanError(f"tensor '{name}' exceeds its buffer '{buffer.name}'")
    if top != plan.arena_bytes:
        raise PlanError(f"the arena has {plan.arena_bytes} bytes, its buffers end at {top}")


def _check_split(plan: MemoryPlan, rooms: tuple[int, int] | None) -> None:
    """Every buffer is in one bank, and the first bank is large enough."""
    if plan.split is None:
        if rooms is not None and plan.arena_bytes > rooms[0]:
            raise PlanError(f"an arena of {plan.arena_bytes} bytes in a bank of {rooms[0]}")
        return
    if rooms is None:
        raise PlanError("the arena is split, and there is only one bank for it")
    if plan.split % ALIGNMENT or not 0 <= plan.split < plan.arena_bytes:
        raise PlanError(f"an arena of {plan.arena_bytes} bytes is split at {plan.split}")
    if plan.split > rooms[0]:
        raise PlanError(f"{plan.split} bytes of the arena in a bank of {rooms[0]}")
    top = 0
    for buffer in plan.buffers:
        start = plan.offsets[buffer.name]
        if start < plan.split:
            top = max(top, start + buffer.bytes)
        if top > plan.split:
            raise PlanError(f"buffer '{buffer.name}' lies across the split at {plan.split}")
    if top != plan.split:
        raise PlanError(f"the first bank is said to take {plan.split} bytes, its buffers {top}")


def _check_figures(plan: MemoryPlan) -> None:
    """Peaks are the sums of live blocks; bounds and claims agree with each other."""
    live = np.zeros(plan.starts[-1], np.int64)
    for buffer in plan.buffers:
        for block in buffer.blocks:
            live[block.first : block.last + 1] += block.bytes
    edges = plan.starts if len(plan.starts) > 1 else (0, *plan.starts)
    if plan.peaks != tuple(max(live[start:stop]) for start, stop in pairwise(edges)):
        raise PlanError("the peaks of the plan are not the sums of its live buffers")
    if plan.lower_bound > max(plan.peaks):
        raise PlanError(f"a lower bound of {plan.lower_bound} bytes, but no more is ever live")
    if plan.arena_bytes < max(plan.peaks):
        raise PlanError(f"an arena of {plan.arena_bytes} bytes is below its own lower bound")
    if plan.arena_bytes == plan.lower_bound and not plan.optimal:
        raise PlanError("an arena at the lower bound is optimal but not reported so")
