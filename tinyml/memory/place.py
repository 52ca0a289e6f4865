"""Offsets: every buffer gets a byte range that nothing else has while it is live.

This is dynamic storage allocation, which is NP-hard in general and easy on most
networks: a few greedy orders usually meet the lower bound, the largest sum of
live bytes at any tick. Where they do not, there are two searches, each within a fixed
amount of work, not of time, so that results are reproducible: `tinyml.memory.exact` finds the
optimum and proves it where every buffer is live as a whole, `tinyml.memory.stairs` looks for
something better where some die row by row.
"""

from dataclasses import dataclass, replace

import numpy as np

from tinyml.memory.exact import search
from tinyml.memory.lifetimes import Lifetimes, merged
from tinyml.memory.plan import ALIGNMENT, Block, live_bytes
from tinyml.memory.stairs import greedy, height, improved, orders

WORK_LIMIT = 4_000_000
"""Search nodes times (buffers + ticks) that `place` spends where greed fails (a few seconds)."""

TRIALS = 40
"""Orders that `stairs.improved` tries, per buffer, at most."""

MOST_TRIALS = 3_000
"""And in all: about a second where there are a hundred buffers."""

DIVE_NODES = 1_000
"""Nodes of one dive: luck strikes early or not at all, so many short searches beat a long one."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One offset per buffer of the `Lifetimes`; see `MemoryPlan` for the other fields."""

    offsets: tuple[int, ...]
    lower_bound: int
    optimal: bool


def place(found: Lifetimes, *, work_limit: int = WORK_LIMIT) -> Placement:
    """The least arena over all offsets and all choices of results in place.

    `optimal` is False where the search ended with a gap, at `work_limit` or because some
    buffers do not live and die as a whole.
    """
    bound = least_bytes(found)
    best = greedy(found, bound)
    if best.height == bound:
        return Placement(best.placed, bound, True)
    blocks, all_of_it = rectangular(found)
    if all_of_it:
        return _proven(blocks, best.placed, bound, work_limit)
    offsets = best.placed
    if least_bytes(blocks) < best.height:
        simple = place(blocks, work_limit=work_limit).offsets
        offsets = min(offsets, simple, key=lambda each: height(found.buffers, each))
    trials = min(TRIALS * len(best.order), MOST_TRIALS, work_limit // (len(best.order) + 1))
    better = improved(found, bound, trials)
    if better.height < height(found.buffers, offsets):
        offsets = better.placed
    return Placement(offsets, bound, height(found.buffers, offsets) == bound)


def least_bytes(found: Lifetimes) -> int:
    """The most bytes that are live at any tick, with every result in place."""
    everything, _ = merged(found, found.overlays)
    return int(live_bytes(everything, found.ticks).max())


def rectangular(found: Lifetimes) -> tuple[Lifetimes, bool]:
    """Every buffer live as a whole from its first tick to its last, and whether that is no more.

    Ticks between which nothing begins or ends are one, and so are those from the first in
    which a result may be in place to the last that needs its operand: to lie on it or beside
    it is all that is left to choose.
    """
    joined = np.zeros(found.ticks, np.bool_)
    """Per tick, whether it is one with the tick before."""
    all_of_it = True
    for overlay in found.overlays:
        begin, end = found.buffers[overlay.new].first, found.buffers[overlay.old].last
        joined[begin + 1 : end + 1] = True
        all_of_it = all_of_it and begin == end
    time = np.cumsum(~joined) - 1
    events = sorted({int(time[t]) for b in found.buffers for t in (b.first, b.last)})
    when = {tick: position for position, tick in enumerate(events)}
    buffers = []
    for buffer in found.buffers:
        whole = Block(0, buffer.bytes, buffer.first, buffer.last)
        all_of_it = all_of_it and buffer.blocks == (whole,)
        first, last = when[int(time[buffer.first])], when[int(time[buffer.last])]
        buffers.append(replace(buffer, blocks=(Block(0, buffer.bytes, first, last),)))
    starts = tuple(range(max(len(events), 1) + 1))
    return Lifetimes(starts, tuple(buffers), found.overlays), all_of_it


def _proven(found: Lifetimes, offsets: tuple[int, ...], bound: int, work_limit: int) -> Placement:
    """A better or a proven placement than `offsets`, of buffers that live as a whole.

    Dives first try the bound, which is the likeliest optimum, then halve the gap
    again and again; what is left goes into the proof. Heights are multiples of
    ALIGNMENT, as all sizes are.
    """
    nodes = work_limit // (len(found.buffers) + found.ticks)
    reached = height(found.buffers, offsets)
    tried = list(orders(found.buffers, found.ticks))
    proven = low = goal = bound
    while low < reached and nodes > 0:
        complete = False
        for order in tried:
            result = search(found, order, goal, min(DIVE_NODES, nodes))
            nodes -= result.nodes
            complete = result.complete
            if result.offsets is not None:
                offsets, reached = result.offsets, height(found.buffers, result.offsets)
                break
            if complete:
                break
        if goal < reached:
            low = goal + ALIGNMENT
            proven = low if complete else proven
        goal = (low + reached - ALIGNMENT) // (2 * ALIGNMENT) * ALIGNMENT
    while proven < reached and nodes > 0:
        result = search(found, tried[0], reached - ALIGNMENT, nodes)
        nodes -= result.nodes
        if result.offsets is not None:
            offsets, reached = result.offsets, height(found.buffers, result.offsets)
        elif result.complete:
            proven = reached
    return Placement(offsets, bound, proven >= reached)
