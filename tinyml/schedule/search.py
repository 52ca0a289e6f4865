"""Which operators run as layers and which stream rows to each other: the least peak memory.

Segments cut an order of the operators, and what one needs depends on where it begins
and ends alone (`costs`). So the best cuts are a path from the first operator to the
last whose largest segment is least. The layers are segments too, and cost what they
cost in a schedule of layers: none that is found here is worse.

What a stream needs is known only once its rows have been put in order. It enters the
search with a bound, the rows that its widest windows need, and is worked out when
nothing cheaper is left. Among the paths with the least peak, the one with the fewest
operators in streams is taken: a layer is simpler, and may compute many rows in one call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.schedule.costs import Costs, Cut, segment_costs
from tinyml.schedule.feed import cannot_feed, fed_input
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Schedule, SegmentKind


def best_schedule(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    fed: bool = False,
) -> Schedule:
    """The layers and streams with the least peak, in the least-peak order of layers or its own.

    `layer_calls` are made with flattening, `row_calls` without it. With `fed` the graph's
    input comes row by row; PlanError where it cannot.
    """
    found = []
    for costs in _orders(graph, layer_calls, row_calls, fed=fed):
        search = _Search.of(costs)
        if search is not None:
            found.append((search.least_peak(), search))
    if not found:
        raise cannot_feed(graph, row_calls)
    peak, search = min(found, key=lambda each: each[0])
    return search.costs.schedule(search.fewest_in_streams(peak))


def stream_schedule(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    fed: bool = False,
) -> Schedule:
    """Streams as long as can be, in whichever of the same orders needs less memory.

    With `fed` as in `best_schedule`.
    """
    found = []
    for costs in _orders(graph, layer_calls, row_calls, fed=fed):
        if _shortest(costs) is None:
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


def _orders(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    fed: bool,
) -> Iterator[Costs]:
    """The costs in the best order for layers, and in the graph's own where it is another."""
    source = fed_input(graph, row_calls) if fed else None
    order = layer_schedule(graph, layer_calls)
    yield segment_costs(reordered(graph, order), layer_calls, row_calls, fed=source)
    if order.order != tuple(node.name for node in graph.nodes):
        yield segment_costs(graph, layer_calls, row_calls, fed=source)


def _shortest(costs: Costs) -> Cut | None:
    """The shortest first segment; one of no nodes in a graph of none, None if none can be."""
    return next(costs.cuts(0), None) if costs.count else Cut(0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Search:
    """The paths through the cuts of one order."""

    costs: Costs
    cuts: tuple[tuple[Cut, ...], ...]
    """Per node, the segments that begin there and may be no worse than layers throughout."""
    limit: int
    """What layers throughout need, after the shortest first segment."""

    @staticmethod
    def of(costs: Costs) -> "_Search | None":
        """None if there is no path."""
        first = _shortest(costs)
        if first is None:
            return None
        limit = max((costs.peak(first), *costs.layers[first.stop :]))
        cuts = tuple(tuple(costs.cuts(i, limit)) for i in range(costs.count))
        return _Search(costs, cuts, limit)

    def least_peak(self) -> int:
        """The peak of the path on which it is least."""
        reached: set[int] = set()
        # Peaks, exact ones before bounds, and the furthest first: it may already be the end.
        heap: list[tuple[int, bool, int, Cut]] = [(self._floor(), False, 0, Cut(0, 0, 0))]
        while True:
            peak, is_bound, _, cut = heappop(heap)
            at = cut.stop
            if at in reached:
                continue
            if is_bound:
                heappush(heap, (max(peak, self.costs.peak(cut)), False, -at, cut))
                continue
            if at == self.costs.count:
                return peak
            reached.add(at)
            for following in self.cuts[at]:
                if following.stop not in reached:
                    entry = (
                        max(peak, following.bound),
                        following.streamed > 0,
                        -following.stop,
                        following,
                    )
                    heappush(heap, entry)

    def fewest_in_streams(self, limit: int) -> list[Cut]:
        """The path within a peak of `limit` that has the fewest nodes in streams."""
        # What cannot be a layer has to be in a stream: that much is yet to come.
        to_come = [0]
        for peak in reversed(self.costs.layers):
            to_come.append(to_come[-1] + (peak > limit))
        to_come.reverse()
        before: dict[int, Cut] = {}
        heap: list[tuple[int, int, int, Cut]] = [(to_come[0], 0, 0, Cut(0, 0, 0))]
        while True:
            total, _, _, cut = heappop(heap)
            at = cut.stop
            if at in before or self.costs.peak(cut) > limit:
                continue
            before[at] = cut
            if at == self.costs.count:
                break
            so_far = total - to_come[at]
            for following in self.cuts[at]:
                if following.stop not in before and following.bound <= limit:
                    entry = so_far + following.streamed + to_come[following.stop]
                    heappush(heap, (entry, -following.stop, following.streamed, following))
        path: list[Cut] = []
        while at:
            path.append(before[at])
            at = before[at].start
        return path[::-1]

    def _floor(self) -> int:
        """A peak that no path avoids: each node is in one of the segments that hold it."""
        count = self.costs.count
        least = np.full((count, count), self.limit)
        for cut in (cut for cuts in self.cuts for cut in cuts):
            least[cut.start, cut.stop - 1] = cut.bound
        least = np.minimum.accumulate(least, axis=0)
        least = np.minimum.accumulate(least[:, ::-1], axis=1)[:, ::-1]
        return int(least.diagonal().max(initial=0))
