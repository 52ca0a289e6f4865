"""Where every buffer lies, and the proof that no two collide."""

from collections.abc import Mapping
from itertools import pairwise

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.banks import place_in_banks
from tinyml.memory.lifetimes import Lifetimes, Overlay, lifetimes, merged
from tinyml.memory.place import Placement, least_bytes, place
from tinyml.memory.plan import MemoryPlan, live_bytes
from tinyml.memory.stairs import height
from tinyml.schedule.schedule import Schedule

__all__ = ["least_memory", "plan_memory"]


def least_memory(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> int:
    """Bytes that no arena for `graph` run as `schedule` says can do without."""
    return least_bytes(lifetimes(graph, schedule, calls))


def plan_memory(
    graph: Graph,
    schedule: Schedule,
    calls: Mapping[str, KernelCall],
    rooms: tuple[int, int] | None = None,
) -> MemoryPlan:
    """The smallest arena found for `graph` run as `schedule` says; states lie at its
    beginning, unless it is divided.

    With `rooms`, the bytes that two stretches of memory have for it, it is divided where the
    first one is too small; whether the second is large enough, the caller has to see.
    The result depends on the arguments alone, not on the time it takes.
    """
    found = lifetimes(graph, schedule, calls)
    placement = _placed(found, frozenset(state.before for state in graph.states))
    split = None
    if rooms is not None and height(found.buffers, placement.offsets) > rooms[0]:
        banked = place_in_banks(found, rooms)
        top = height(found.buffers, banked.offsets)
        split = banked.split if banked.split < top else None
        bound = placement.lower_bound
        placement = Placement(banked.offsets, bound, top == bound)
    made = [
        overlay
        for overlay in found.overlays
        if placement.offsets[overlay.old] == placement.offsets[overlay.new]
    ]
    buffers, home = merged(found, made)
    offsets = {buffers[home[i]].name: offset for i, offset in enumerate(placement.offsets)}
    buffers = tuple(sorted(buffers, key=lambda b: (b.first, offsets[b.name], b.last)))
    live = live_bytes(buffers, found.ticks)
    edges = found.starts if len(found.starts) > 1 else (0, found.ticks)
    return MemoryPlan(
        arena_bytes=max((offsets[b.name] + b.bytes for b in buffers), default=0),
        lower_bound=placement.lower_bound,
        optimal=placement.optimal,
        buffers=buffers,
        offsets=offsets,
        peaks=tuple(int(live[a:b].max(initial=0)) for a, b in pairwise(edges)),
        starts=found.starts,
        split=split,
    )


def _placed(found: Lifetimes, states: frozenset[str]) -> Placement:
    """As `place`, with the buffers that begin with one of `states` before all others.

    They are live all the time, so no placement of the others around them is smaller.
    """
    first = [i for i, buffer in enumerate(found.buffers) if buffer.name in states]
    others = [i for i in range(len(found.buffers)) if i not in first]
    at = {old: new for new, old in enumerate(others)}
    rest = Lifetimes(
        found.starts,
        tuple(found.buffers[i] for i in others),
        tuple(Overlay(at[each.old], at[each.new]) for each in found.overlays),
    )
    placement = place(rest)
    offsets = [0] * len(found.buffers)
    top = 0
    for i in first:
        offsets[i], top = top, top + found.buffers[i].bytes
    for i, offset in zip(others, placement.offsets, strict=True):
        offsets[i] = top + offset
    return Placement(tuple(offsets), top + placement.lower_bound, placement.optimal)
