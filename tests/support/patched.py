"""Schedules that begin with a patch, made naively: any tiles, rings larger than needed."""

from collections.abc import Mapping
from itertools import pairwise
from random import Random

from tests.support.streamed import Calls, Scheduler
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall, RowAccess, RowLoop
from tinyml.schedule.schedule import (
    FEED,
    Band,
    Feed,
    Ring,
    Schedule,
    Segment,
    SegmentKind,
    Strip,
)

Range = tuple[int, int]


def drawn_patch(seed: int, *, pull: bool) -> Scheduler:
    """A patch over some of the first ops, then layers.

    PlanError where the first op takes no patch, or the input cannot be pulled.
    """

    def schedule(graph: Graph, layers: Calls, rows: Calls) -> Schedule:
        del layers
        rng, able = Random(seed), 0
        while able < len(graph.nodes) and takes_patch(rows[graph.nodes[able].name]):
            able += 1
        for count in sorted(range(1, able + 1), key=lambda n: (n < able, rng.random())):
            try:
                patch = _Patch(graph, rows, count, pull=pull)
            except PlanError:
                continue
            return _tiled(graph, patch, rng, pull=pull)
        raise PlanError("no op takes a patch")

    return schedule


def takes_patch(call: KernelCall) -> bool:
    """Whether the op can compute parts of rows."""
    loop = call.loop
    return isinstance(loop, RowLoop) and loop.batches == 1 and loop.cuts_columns


class _Patch:
    """The first `count` nodes of a graph, tiled; node -1 is the pulled input."""

    def __init__(self, graph: Graph, calls: Calls, count: int, *, pull: bool) -> None:
        self.nodes = graph.nodes[:count]
        self.loops = [calls[node.name].loop for node in self.nodes]
        self.made = {node.output: at for at, node in enumerate(self.nodes)}
        outside = {n for node in graph.nodes[count:] for n in graph.activations(node)}
        outside |= set(graph.outputs)
        if pull:
            if len(graph.inputs) != 1 or set(graph.inputs) & outside:
                raise PlanError("the input cannot be pulled")
            self.made[graph.inputs[0]] = FEED
        self.kept = [at for at, node in enumerate(self.nodes) if node.output in outside]
        self.sources: list[list[tuple[int, RowAccess]]] = []
        for node, loop in zip(self.nodes, self.loops, strict=True):
            assert isinstance(loop, RowLoop)
            accesses = [a for a in loop.inputs if a.constant is None]
            found = zip(graph.activations(node), accesses, strict=True)
            self.sources.append([(self.made[t], a) for t, a in found if t in self.made])

    def shape(self, at: int) -> Range:
        """Rows and columns of what node `at` makes."""
        if at == FEED:
            access = next(a for of in self.sources for s, a in of if s == FEED)
            assert access.columns is not None
            return access.height, access.columns.width
        loop = self.loops[at]
        assert isinstance(loop, RowLoop)
        return loop.out_height, loop.span.out_width

    def needed(self, share: float, until: float, *, rows: bool) -> dict[int, Range]:
        """What each node computes for that share of the rows or columns of what is kept."""
        found: dict[int, Range] = {}

        def want(at: int, part: Range) -> None:
            old = found.get(at, part)
            found[at] = (min(old[0], part[0]), max(old[1], part[1]))

        for at in reversed(range(len(self.nodes))):
            size = self.shape(at)[0 if rows else 1]
            if at in self.kept:
                want(at, (round(share * size), round(until * size)))
            if at not in found:  # What it makes is read as padding only.
                if rows:
                    continue
                want(at, (0, 1))
            first, stop = found[at]
            for source, access in self.sources[at]:
                if rows:
                    each = [row_window(access, y, y + 1) for y in range(first, stop)]
                    some = [window for window in each if window[0] < window[1]] or [(0, 0)]
                    read = min(w[0] for w in some), max(w[1] for w in some)
                else:
                    assert access.columns is not None
                    read = access.columns.read(first, stop)
                if read[0] < read[1]:
                    want(source, read)
        return found

    def program(self, rows: Mapping[int, Range]) -> tuple[list[int], dict[int, int]]:
        """Steps of a tile, each op as late as it can be, and the rows that rings must hold."""
        following = {at: first for at, (first, _) in rows.items()}
        steps: list[int] = []
        held = dict.fromkeys(rows, 1)

        def advance(at: int, last: int) -> None:
            while following[at] <= last:
                y = following[at]
                for source, access in self.sources[at] if at != FEED else ():
                    first, stop = row_window(access, y, y + 1)
                    if first < stop:
                        advance(source, stop - 1)
                for source, access in self.sources[at] if at != FEED else ():
                    first, stop = row_window(access, y, y + 1)
                    if first < stop:
                        held[source] = max(held[source], following[source] - first)
                steps.append(at)
                following[at] += 1

        for y in range(max(stop - first for first, stop in rows.values())):
            for at in self.kept:
                advance(at, min(rows[at][0] + y, rows[at][1] - 1))
        for at, (_, stop) in rows.items():
            assert following[at] == stop
        return steps, held


def row_window(access: RowAccess, first: int, stop: int) -> Range:
    """The rows that are there of those that output rows [first, stop) read."""
    assert access.table is None
    begin = first * access.stride - access.pad_top
    end = (stop - 1) * access.stride - access.pad_top + (access.count - 1) * access.dilation + 1
    begin = min(max(begin, 0), access.height)
    return begin, max(begin, min(end, access.height))


def _cuts(rng: Random, most: int) -> list[float]:
    parts = rng.randint(1, min(most, 4))
    return [i / parts for i in range(parts + 1)]


def _tiled(graph: Graph, patch: _Patch, rng: Random, *, pull: bool) -> Schedule:
    shapes = [patch.shape(at) for at in patch.kept]
    down, right = (_cuts(rng, min(s[i] for s in shapes)) for i in (0, 1))
    everything = (*range(len(patch.nodes)), *((FEED,) if pull else ()))
    program: list[int] = []
    bands, strips = [], []
    held = dict.fromkeys(everything, 1)
    for share, until in pairwise(down):
        rows = patch.needed(share, until, rows=True)
        steps, ring = patch.program(rows)
        held = {at: max(held[at], ring.get(at, 1)) for at in everything}
        bands.append(Band(len(steps), tuple(rows.get(at, (0, 0))[0] for at in everything)))
        program += steps
    for share, until in pairwise(right):
        columns = patch.needed(share, until, rows=False)
        strips.append(Strip(tuple(columns.get(at, (0, 1)) for at in everything)))
    rings = []
    for at, column in zip(everything, range(len(everything)), strict=True):
        if at in patch.kept:
            continue
        height, width = patch.shape(at)
        tensor = graph.inputs[0] if at == FEED else patch.nodes[at].output
        widest = max(s.columns[column][1] - s.columns[column][0] for s in strips)
        more = rng.choice((0, 0, 1))
        rings.append(Ring(tensor, min(held[at] + more, height), min(widest + more, width)))
    names = tuple(node.name for node in patch.nodes)
    first = Segment(
        SegmentKind.PATCH, names, tuple(rings), tuple(program), tuple(bands), tuple(strips)
    )
    rest = (Segment(SegmentKind.LAYER, (n.name,)) for n in graph.nodes[len(names) :])
    return Schedule((first, *rest), Feed.PULL if pull else Feed.WHOLE)
