"""Where every buffer lies, and the proof that no two collide."""

from collections.abc import Mapping
from itertools import pairwise

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.lifetimes import lifetimes, merged
from tinyml.memory.place import WORK_LIMIT, place
from tinyml.memory.plan import MemoryPlan, live_bytes
from tinyml.schedule.schedule import Schedule

__all__ = ["plan_memory"]


def plan_memory(
    graph: Graph,
    schedule: Schedule,
    calls: Mapping[str, KernelCall],
    *,
    work_limit: int = WORK_LIMIT,
) -> MemoryPlan:
    """The smallest arena found for `graph` run as `schedule` says.

    `work_limit` is what the search may spend where greed fails (`place`). The result
    depends on the arguments alone, not on the time it takes.
    """
    found = lifetimes(graph, schedule, calls)
    placement = place(found, work_limit=work_limit)
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
    )
