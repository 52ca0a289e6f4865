"""What runs when: operators as layers, in streams of rows, in tiles; memory against work.

`best_schedule` needs the least memory without computing anything twice (`paths`); `front`
is the whole trade-off, with patches (`front`). All try the order of the operators that is
best for layers, and the graph's own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.schedule.costs import Cut
from tinyml.schedule.feed import cannot_feed
from tinyml.schedule.front import Front, Option
from tinyml.schedule.paths import Paths, orders, shortest
from tinyml.schedule.schedule import Feed, Schedule, SegmentKind
from tinyml.schedule.work import executed_macs

ROWS, COLUMNS = 4, 8
"""The finest patches that are tried."""

_GAIN = 100
"""Patches that need less must do so by one part in so many."""

_LOOSER = (103, 106, 110, 115)
"""Peaks of a candidate's other schedules, in per cent of the least."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule, and what it costs."""

    schedule: Schedule
    macs: int
    """Multiply-accumulates that are executed, those of parts computed again included."""
    peak: int
    """The most bytes that are live at any time."""
    others: tuple[Schedule, ...] = ()
    """Schedules with as many multiply-accumulates and a little more live at some time: rows
    that overlay each other in every segment can be hard to place, so one of these may need a
    smaller arena."""


def best_schedule(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed = Feed.WHOLE,
) -> Schedule:
    """The layers and streams with the least peak, in the least-peak order of layers or its own.

    `layer_calls` are made with flattening, `row_calls` without it. PlanError where the
    graph's input cannot come as `feed` says.
    """
    every = _paths(graph, layer_calls, row_calls, feed)
    found = [(paths.least_peak(), paths) for paths in every]
    if not found:
        raise cannot_feed(graph, row_calls)
    peak, paths = min(found, key=lambda each: each[0])
    return paths.schedule(peak)


def stream_schedule(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed = Feed.WHOLE,
) -> Schedule:
    """Streams as long as can be, in whichever of the same orders needs less memory.

    `feed` as in `best_schedule`.
    """
    found = []
    for costs in orders(graph, layer_calls, row_calls, feed=feed):
        if shortest(costs) is None:
            continue
        cuts: list[Cut] = []
        start = 0
        while start < costs.count:
            cuts.append(max(costs.cuts(start), key=lambda cut: cut.stop))
            start = cuts[-1].stop
        found.append((max(map(costs.peak, cuts), default=0), costs.schedule(cuts)))
    if not found:
        raise cannot_feed(graph, row_calls)
    return min(found, key=lambda each: each[0])[1]


def calls_of(
    schedule: Schedule, layer_calls: Mapping[str, KernelCall], row_calls: Mapping[str, KernelCall]
) -> dict[str, KernelCall]:
    """The call that each node really uses under `schedule`."""
    return {
        name: (layer_calls if segment.kind is SegmentKind.LAYER else row_calls)[name]
        for segment in schedule.segments
        for name in segment.nodes
    }


def front(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed = Feed.WHOLE,
    macs_limit: int | None = None,
) -> tuple[Candidate, ...]:
    """The trade-off of executed multiply-accumulates and peak bytes, fewest of the former first.

    The first is as `best_schedule`; each other one has patches, of up to `ROWS` x `COLUMNS`
    tiles, and needs clearly less than those before it. With `macs_limit`, only those that
    execute no more; the first always.
    """
    best: Candidate | None = None
    patches: list[tuple[Option, Front]] = []
    rows, columns = range(1, ROWS + 1), range(1, COLUMNS + 1)
    for paths in _paths(graph, layer_calls, row_calls, feed):
        peak = paths.least_peak()
        if best is None or peak < best.peak:
            found = _loosened(peak, paths.schedule)
            best = Candidate(found[0], executed_macs(graph, found[0], row_calls), peak, found[1:])
        if feed is not Feed.ROWS:
            tiles = Front.of(paths, row_calls, best.peak)
            if tiles is not None:
                patches += ((option, tiles) for option in tiles.options(rows, columns))
    if best is None:
        raise cannot_feed(graph, row_calls)
    candidates, limit = [best], best.peak - best.peak // _GAIN
    for option, tiles in sorted(patches, key=lambda each: each[0]):
        if option.bound >= limit or (macs_limit is not None and option.macs > macs_limit):
            continue
        if tiles.finest(option.stop) >= limit:
            continue
        peak = tiles.peak(option)
        if peak < limit:
            limit = peak - peak // _GAIN
            found = _loosened(peak, partial(tiles.schedule, option))
            candidates.append(Candidate(found[0], option.macs, peak, found[1:]))
    return tuple(candidates)


def patch_schedule(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed = Feed.WHOLE,
    patches: tuple[int, int],
    ops: int | None = None,
) -> Schedule:
    """The first `ops` operators in so many rows and columns of tiles, the rest as cheap as can be.

    Without `ops`, as many as need the least memory. PlanError where they cannot be cut so.
    """
    if min(patches) < 1 or (ops is not None and ops < 1):
        raise PlanError(f"there are no {patches[0]}x{patches[1]} patches of {ops} ops")
    if feed is Feed.ROWS:
        raise PlanError(
            "patches read parts of the input more than once, so rows cannot come once each",
            hint="--feed pull or whole goes with patches",
        )
    found: list[tuple[Option, Front]] = []
    most = 0
    for paths in _paths(graph, layer_calls, row_calls, feed):
        front = Front.of(paths, row_calls)
        if front is None:
            continue
        most = max(most, len(front.nodes))
        options = front.options(patches[:1], patches[1:])
        found += ((option, front) for option in options if ops in (None, option.stop))
    best: tuple[int, Option, Front] | None = None
    for option, front in sorted(found, key=lambda each: (each[0].bound, each[0])):
        if best is not None and option.bound >= best[0]:
            break
        peak = front.peak(option)
        if best is None or peak < best[0]:
            best = peak, option, front
    if best is None:
        which = "any of its first ops" if ops is None else f"its first {ops} ops"
        raise PlanError(
            f"model '{graph.name}' cannot run {which} in {patches[0]}x{patches[1]} patches: "
            f"tiles are possible for at most the first {most}",
            hint="give fewer patches or other ops, or leave the choice to --schedule auto",
        )
    peak, option, front = best
    return front.schedule(option, peak)


def _loosened(peak: int, schedule: Callable[[int], Schedule]) -> tuple[Schedule, ...]:
    """Different schedules, the first with this peak, the others with more and more."""
    found = [schedule(peak)]
    for percent in _LOOSER:
        other = schedule(peak * percent // 100)
        if other not in found:
            found.append(other)
    return tuple(found)


def _paths(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    feed: Feed,
) -> Iterator[Paths]:
    for costs in orders(graph, layer_calls, row_calls, feed=feed):
        paths = Paths.of(costs)
        if paths is not None:
            yield paths
