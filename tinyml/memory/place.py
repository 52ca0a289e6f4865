"""Offsets: every buffer gets a byte range that nothing else has while it is live.

This is dynamic storage allocation, which is NP-hard in general and easy on most
networks: a few greedy orders usually meet the lower bound, the largest sum of
live bytes at any step. Where they do not, `tinyml.memory.exact` searches for the
optimum, within a fixed amount of work, not of time, so that results are reproducible.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tinyml.memory.exact import search
from tinyml.memory.lifetimes import Lifetimes, Overlay, live_bytes, merged
from tinyml.memory.plan import ALIGNMENT, Buffer

WORK_LIMIT = 4_000_000
"""Search nodes times (buffers + steps) that `place` spends where greed fails (a few seconds)."""

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

    `optimal` is False where the search ended at `work_limit` with a gap.
    """
    everything, _ = merged(found, found.overlays)
    bound = max(live_bytes(everything, found.steps))
    offsets = _greedy(found, bound)
    if _height(found.buffers, offsets) == bound:
        return Placement(offsets, bound, True)
    nodes = work_limit // (len(found.buffers) + found.steps)
    return _improved(found, offsets, bound, nodes)


def _improved(found: Lifetimes, offsets: tuple[int, ...], bound: int, nodes: int) -> Placement:
    """A better or a proven placement than `offsets`, for at most `nodes` search nodes.

    Dives first try the bound, which is the likeliest optimum, then halve the gap
    again and again; what is left goes into the proof. Heights are multiples of
    ALIGNMENT, as all sizes are.
    """
    height = _height(found.buffers, offsets)
    orders = list(_orders(found.buffers, found.steps))
    proven = low = goal = bound
    while low < height and nodes > 0:
        complete = False
        for order in orders:
            result = search(found, order, goal, min(DIVE_NODES, nodes))
            nodes -= result.nodes
            complete = result.complete
            if result.offsets is not None:
                offsets, height = result.offsets, _height(found.buffers, result.offsets)
                break
            if complete:
                break
        if goal < height:
            low = goal + ALIGNMENT
            proven = low if complete else proven
        goal = (low + height - ALIGNMENT) // (2 * ALIGNMENT) * ALIGNMENT
    while proven < height and nodes > 0:
        result = search(found, orders[0], height - ALIGNMENT, nodes)
        nodes -= result.nodes
        if result.offsets is not None:
            offsets, height = result.offsets, _height(found.buffers, result.offsets)
        elif result.complete:
            proven = height
    return Placement(offsets, bound, proven >= height)


def _height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((o + b.bytes for o, b in zip(offsets, buffers, strict=True)), default=0)


_Key = Callable[[Buffer], tuple[int, ...]]

_ORDERS: tuple[_Key, ...] = (
    lambda b: (-b.bytes, b.first),
    lambda b: (b.first - b.last, -b.bytes, b.first),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
    lambda b: (b.first, -b.bytes),
    lambda b: (-b.last, -b.bytes),
)
"""Greedy orders: by size, by duration, by area, forwards and backwards in time."""


def _greedy(found: Lifetimes, bound: int) -> tuple[int, ...]:
    """The best greedy placement with every safe result in place; stops at `bound`."""
    best: tuple[int, ...] = ()
    height = -1
    for overlays in _choices(found):
        buffers, home = merged(found, overlays)
        for order in _orders(buffers, found.steps):
            for best_fit in (False, True):
                offsets = _in_order(buffers, order, best_fit)
                reached = _height(buffers, offsets)
                if height < 0 or reached < height:
                    best, height = tuple(offsets[h] for h in home), reached
                if height == bound:
                    return best
    return best


def _choices(found: Lifetimes) -> Iterator[Sequence[Overlay]]:
    """Which operand a result overlays where it may overlay either: the first, or the last."""
    yield found.overlays
    if len({overlay.new for overlay in found.overlays}) < len(found.overlays):
        yield found.overlays[::-1]


def _orders(buffers: Sequence[Buffer], steps: int) -> Iterator[list[int]]:
    for key in _ORDERS:
        yield _sorted(buffers, key)
    peaks = live_bytes(buffers, steps)
    yield _sorted(buffers, lambda b: (-max(peaks[b.first : b.last + 1]), -b.bytes, b.first))


def _sorted(buffers: Sequence[Buffer], key: _Key) -> list[int]:
    return sorted(range(len(buffers)), key=lambda i: key(buffers[i]))


def _in_order(buffers: Sequence[Buffer], order: Sequence[int], best_fit: bool) -> list[int]:
    """Each buffer in turn into the lowest gap that holds it, or into the tightest."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for i in order:
        buffer = buffers[i]
        taken = sorted(
            (offsets[j], offsets[j] + buffers[j].bytes)
            for j in placed
            if buffers[j].first <= buffer.last and buffer.first <= buffers[j].last
        )
        offsets[i] = _gap(taken, buffer.bytes, best_fit)
        placed.append(i)
    return offsets


def _gap(taken: Sequence[tuple[int, int]], size: int, best_fit: bool) -> int:
    """The offset of a gap of at least `size` between the sorted ranges `taken`, or above them."""
    end, found, least = 0, -1, -1
    for start, stop in taken:
        gap = start - end
        if gap >= size and (found < 0 or gap < least):
            found, least = end, gap
            if not best_fit:
                break
        end = max(end, stop)
    return end if found < 0 else found
