"""Placing buffers that live and die in pieces.

Two buffers are in each other's way at those displacements (offset of one less that of the
other) at which blocks of theirs that are live at the same tick overlap: a union of open
intervals. A map that dies row by row while another is born leaves displacements free at which
they overlap, and so does a result that may lie exactly on its operand.

Buffers are placed one after the other, each at the lowest offset that all that are placed
allow, or at the one with the least play. Which order is good is found by trial: some
that are good on most networks, then small changes to the best, with a fixed amount of work.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from tinyml.memory.lifetimes import Lifetimes, Overlay, merged
from tinyml.memory.plan import Buffer, live_bytes

Intervals = tuple[tuple[int, int], ...]
"""Open intervals, sorted and apart."""


def height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Bytes from the start of the arena to the end of the last buffer."""
    return max((o + b.bytes for o, b in zip(offsets, buffers, strict=True)), default=0)


@dataclass(frozen=True, slots=True)
class Packing:
    """Buffers in an order of placement, and where that puts them."""

    problem: "Problem"
    order: tuple[int, ...]
    best_fit: bool
    offsets: tuple[int, ...]
    """By buffer of the problem."""
    height: int

    @property
    def placed(self) -> tuple[int, ...]:
        """An offset for each buffer of the `Lifetimes`."""
        return tuple(self.offsets[i] for i in self.problem.home)


@dataclass(frozen=True, slots=True)
class Problem:
    """Buffers with some results in place, and which displacements are forbidden."""

    buffers: tuple[Buffer, ...]
    home: tuple[int, ...]
    """Which of them holds each buffer of the `Lifetimes`."""
    ticks: int
    apart: tuple[tuple[tuple[int, Intervals], ...], ...]
    """Per buffer, for each other that it meets, what its offset less the other's must not be."""

    def pack(self, order: Sequence[int], best_fit: bool) -> Packing:
        """The buffers placed in `order`."""
        offsets = [-1] * len(self.buffers)
        for i in order:
            offsets[i] = self.lowest(i, offsets, best_fit)
        reached = height(self.buffers, offsets)
        return Packing(self, tuple(order), best_fit, tuple(offsets), reached)

    def lowest(self, i: int, offsets: Sequence[int], best_fit: bool = False) -> int:
        """The lowest offset of buffer `i`, or that with the least play, that those of others
        allow; they are negative where a buffer is not placed yet."""
        taken = [
            (offsets[j] + low, offsets[j] + high)
            for j, intervals in self.apart[i]
            if offsets[j] >= 0
            for low, high in intervals
        ]
        taken.sort()
        return _gap(taken, best_fit)


def problems(found: Lifetimes) -> Iterator[Problem]:
    """Every result in place over its first operand that it may overlay; over its last; and
    only where that turns out well."""
    yield _problem(found, found.overlays)
    if len({overlay.new for overlay in found.overlays}) < len(found.overlays):
        yield _problem(found, found.overlays[::-1])
    if found.overlays:
        yield _problem(found, ())


def greedy(found: Lifetimes, bound: int) -> Packing:
    """The best packing in a few orders; stops at a height of `bound`."""
    best: Packing | None = None
    for problem in problems(found):
        for order in orders(problem.buffers, problem.ticks):
            for best_fit in (False, True):
                packing = problem.pack(order, best_fit)
                if best is None or packing.height < best.height:
                    best = packing
                if packing.height <= bound:
                    return packing
    assert best is not None
    return best


def improved(found: Lifetimes, bound: int, trials: int) -> Packing:
    """The best packing found in so many trials: half of them from each of the greedy orders
    alike, for which of them leads far shows only on the way; half from the best so far."""
    starts = [
        problem.pack(order, False)
        for problem in problems(found)
        for order in orders(problem.buffers, problem.ticks)
    ]
    rng = Random(0)
    best = starts[0]
    for start in starts:
        if best.height > bound:
            best = min(best, _climb(start, bound, trials // (2 * len(starts)), rng), key=_height)
    return _climb(best, bound, trials // 2, rng)


def _height(packing: Packing) -> int:
    return packing.height


def _climb(start: Packing, bound: int, trials: int, rng: Random) -> Packing:
    """A packing at most as high as `start`: some buffer that lies at the top, or any, is placed
    earlier, again and again. As good is good enough, which leaves plateaus."""
    best = now = start
    count = len(start.order)
    for _ in range(trials if count > 1 else 0):
        if best.height <= bound:
            break
        order = list(now.order)
        top = [
            position
            for position, i in enumerate(order)
            if position and now.offsets[i] + now.problem.buffers[i].bytes == now.height
        ]
        position = rng.choice(top) if top and rng.random() < 0.6 else rng.randrange(1, count)
        order.insert(rng.randrange(position), order.pop(position))
        packing = now.problem.pack(order, now.best_fit != (rng.random() < 0.1))
        if packing.height <= now.height:
            now = packing
        if now.height < best.height:
            best = now
    return best


def _problem(found: Lifetimes, overlays: Sequence[Overlay]) -> Problem:
    buffers, home = merged(found, overlays)
    pieces = [_Pieces.of(buffer) for buffer in buffers]
    exact = set()
    if not overlays:
        exact = {pair for o in found.overlays for pair in ((o.old, o.new), (o.new, o.old))}
    apart: list[list[tuple[int, Intervals]]] = [[] for _ in buffers]
    for i, a in enumerate(buffers):
        for j in range(i):
            b = buffers[j]
            if a.last < b.first or b.last < a.first:
                continue
            intervals = pieces[i].forbidden(pieces[j])
            if (i, j) in exact:
                intervals = _without_zero(intervals)
            if intervals:
                apart[i].append((j, intervals))
                apart[j].append((i, tuple((-high, -low) for low, high in reversed(intervals))))
    return Problem(buffers, tuple(home), found.ticks, tuple(map(tuple, apart)))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The blocks of a buffer as columns of figures."""

    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    @staticmethod
    def of(buffer: Buffer) -> "_Pieces":
        rows = [(b.offset, b.offset + b.bytes, b.first, b.last) for b in buffer.blocks]
        return _Pieces(*np.array(rows, np.int64).reshape(-1, 4).T)

    def forbidden(self, other: "_Pieces") -> Intervals:
        """What the offset of this buffer less that of the other must not be."""
        meet = (self.first[:, None] <= other.last) & (other.first <= self.last[:, None])
        if not meet.any():
            return ()
        low = (other.start - self.stop[:, None])[meet]
        high = (other.stop - self.start[:, None])[meet]
        order = np.argsort(low)
        low, high = low[order], np.maximum.accumulate(high[order])
        # Where one interval ends and the next begins, just that displacement is free.
        breaks = np.flatnonzero(low[1:] >= high[:-1])
        lows = low[np.concatenate(([0], breaks + 1))]
        highs = high[np.concatenate((breaks, [high.size - 1]))]
        return tuple(zip(lows.tolist(), highs.tolist(), strict=True))


def _without_zero(intervals: Intervals) -> Intervals:
    found: list[tuple[int, int]] = []
    for low, high in intervals:
        found += [(low, 0), (0, high)] if low < 0 < high else [(low, high)]
    return tuple(found)


def _gap(taken: Sequence[tuple[int, int]], best_fit: bool) -> int:
    """The lowest offset in none of the sorted intervals, or that in the tightest gap."""
    end, found, least = 0, -1, -1
    for low, high in taken:
        if low >= end and (found < 0 or low - end < least):
            found, least = end, low - end
            if not best_fit:
                break
        end = max(end, high)
    return end if found < 0 else found


_Key = Callable[[Buffer], tuple[int, ...]]

_ORDERS: tuple[_Key, ...] = (
    lambda b: (-b.bytes, b.first),
    lambda b: (b.first - b.last, -b.bytes, b.first),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
    lambda b: (b.first, -b.bytes),
    lambda b: (-b.last, -b.bytes),
)
"""By size, by duration, by area, forwards and backwards in time."""


def orders(buffers: Sequence[Buffer], ticks: int) -> Iterator[list[int]]:
    """Orders of placement that are good on most networks."""
    for key in _ORDERS:
        yield _sorted(buffers, key)
    live = live_bytes(buffers, ticks)
    yield _sorted(buffers, lambda b: (-int(live[b.first : b.last + 1].max()), -b.bytes, b.first))


def _sorted(buffers: Sequence[Buffer], key: _Key) -> list[int]:
    return sorted(range(len(buffers)), key=lambda i: key(buffers[i]))
