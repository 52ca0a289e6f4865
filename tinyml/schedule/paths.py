"""Paths through the cuts of an order of the nodes: which layers and streams need the least.

Segments cut an order of the operators, and what one needs depends on where it begins
and ends alone (`costs`). So the best cuts are a path from the first operator to the
last whose largest segment is least. The layers are segments too, and cost what they
cost in a schedule of layers: none that is found here is worse.

What a stream needs is known only once its rows have been put in order. It enters the
search with a bound, and is worked out when nothing cheaper is left. Among the paths with
the least peak, the one with the fewest operators in streams is taken: a layer is simpler,
and may compute many rows in one call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.schedule.costs import Costs, Cut, segment_costs
from tinyml.schedule.feed import fed_input
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Feed, Schedule

_STREAMS = 6_000
"""Streams of an order that are tried (a few seconds): in long networks, the shorter ones."""


def orders(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed,
) -> Iterator[Costs]:
    """The costs in the best order for layers, and in the graph's own where it is another."""
    source = None if feed is Feed.WHOLE else fed_input(graph, row_calls)
    order = layer_schedule(graph, layer_calls)
    yield segment_costs(reordered(graph, order), layer_calls, row_calls, feed=feed, fed=source)
    if order.order != tuple(node.name for node in graph.nodes):
        yield segment_costs(graph, layer_calls, row_calls, feed=feed, fed=source)


def shortest(costs: Costs) -> Cut | None:
    """The shortest first segment; one of no nodes in a graph of none, None if none can be."""
    return next(costs.cuts(0), None) if costs.count else Cut(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths through the cuts of one order."""

    costs: Costs
    cuts: tuple[tuple[Cut, ...], ...]
    """Per node, the segments that begin there and may be no worse than layers throughout."""
    limit: int
    """What layers throughout need, after the shortest first segment."""

    @staticmethod
    def of(costs: Costs) -> "Paths | None":
        """None if there is no path."""
        first = shortest(costs)
        if first is None:
            return None
        layers = (costs.peak(Cut(i, i + 1, 0)) for i in range(first.stop, costs.count))
        limit = max((costs.peak(first), *layers))
        longest = _STREAMS // max(costs.count, 1) + 1
        cuts = tuple(tuple(costs.cuts(i, limit, longest)) for i in range(costs.count))
        return Paths(costs, cuts, limit)

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
                        following.is_stream,
                        -following.stop,
                        following,
                    )
                    heappush(heap, entry)

    def least_peaks(self, limit: int | None = None) -> tuple[int, ...]:
        """Per node, the least peak of the paths from there to the end; at last of none.

        Peaks of `limit` or more are not told apart, and given as `limit`.
        """
        limit = self.limit if limit is None else min(limit, self.limit)
        found = [0]
        for start in range(self.costs.count - 1, -1, -1):
            least = limit
            bounds = [(max(c.bound, found[self.costs.count - c.stop]), c) for c in self.cuts[start]]
            for bound, cut in sorted(bounds):
                if bound >= least:
                    break
                least = min(least, max(bound, self.costs.peak(cut)))
            found.append(least)
        return tuple(found[::-1])

    def schedule(self, limit: int) -> Schedule:
        """With a peak of at most `limit`, the one that has the fewest nodes in streams."""
        return self.costs.schedule(self.fewest_in_streams(limit))

    def fewest_in_streams(self, limit: int, start: int = 0) -> list[Cut]:
        """The path from `start` within a peak of `limit` that has the fewest nodes in streams."""
        # What cannot be a layer has to be in a stream: that much is yet to come.
        to_come = [0]
        for i in range(self.costs.count - 1, -1, -1):
            to_come.append(to_come[-1] + (self.costs.peak(Cut(i, i + 1, 0)) > limit))
        to_come.reverse()
        before: dict[int, Cut] = {}
        heap: list[tuple[int, int, int, Cut]] = [(to_come[start], 0, 0, Cut(start, start, 0))]
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
        while at > start:
            path.append(before[at])
            at = before[at].start
        return path[::-1]

    def _floor(self) -> int:
        """A peak that no path avoids: each node is in one of the segments that hold it."""
        count = self.costs.count
        least = np.full((count, count), self.limit)
        for cut in (cut for cuts in self.cuts for cut in cuts):
            at = cut.start, cut.stop - 1
            least[at] = min(least[at], cut.bound)
        least = np.minimum.accumulate(least, axis=0)
        least = np.minimum.accumulate(least[:, ::-1], axis=1)[:, ::-1]
        return int(least.diagonal().max(initial=0))
