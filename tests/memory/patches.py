"""Graphs of maps of pixels, and patches over them, worked out naively from what tiles read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from tests.memory.streams import Maps, _holds, needs
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import ColumnAccess, KernelCall, RowLoop, Span
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
"""Rows or columns [first, stop)."""


class Pixels(Maps):
    """Collects nodes that can compute parts of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.width: dict[str, int] = {}

    def pixels(self, name: str, height: int, width: int, pixel: int) -> str:
        """A graph input."""
        self.width[name] = width
        return self.map(name, height, width * pixel)

    def window(
        self,
        output: str,
        source: str,
        pixel: int,
        *,
        taps: int = 3,
        stride: int = 1,
        pad: int = 0,
        dilation: int = 1,
        scratch: int = 0,
    ) -> str:
        """A window of `taps` x `taps`, and `pad` of padding on all sides."""
        width = self.width[source]
        columns = (width + 2 * pad - (taps - 1) * dilation - 1) // stride + 1
        self.conv(
            output, source, columns * pixel,
            taps=taps, stride=stride, pad=pad, dilation=dilation, scratch=scratch,
        )  # fmt: skip
        each = self.shape[source][1] // width
        access = ColumnAccess(width, each, taps, stride, pad, dilation)
        return self._along(output, columns, [access])

    def join(
        self, output: str, sources: Sequence[str], pixel: int, *, in_place: tuple[int, ...] = ()
    ) -> str:
        """An addition, a concatenation, ...: operands of one row or column are repeated."""
        columns = max(self.width[name] for name in sources)
        self.merge(output, sources, columns * pixel, in_place=in_place)
        widths = [self.width[name] for name in sources]
        sizes = [self.shape[name][1] for name in sources]
        accesses = [
            ColumnAccess(width, size // width, stride=int(width == columns))
            for width, size in zip(widths, sizes, strict=True)
        ]
        return self._along(output, columns, accesses)

    def _along(self, output: str, columns: int, accesses: Sequence[ColumnAccess]) -> str:
        self.width[output] = columns
        call = self.calls[f"n_{output}"]
        loop = call.loop
        assert isinstance(loop, RowLoop)
        inputs = tuple(
            replace(rows, columns=access)
            for rows, access in zip(loop.inputs, accesses, strict=True)
        )
        loop = replace(loop, inputs=inputs, span=Span(1, columns, 0))
        self.calls[f"n_{output}"] = replace(call, loop=loop)
        return output


def random_pixels(rng: Random, nodes: int) -> tuple[Graph, dict[str, KernelCall]]:
    """A random DAG of maps with branches, strides, paddings, dilations and broadcasts."""
    net = Pixels()
    names = [net.pixels("x", rng.randint(2, 12), rng.randint(2, 12), rng.randint(1, 4))]
    for i in range(nodes):
        source, output = rng.choice(names[-3:]), f"t{i}"
        height, width = net.shape[source][0], net.width[source]
        if rng.random() < 0.7:
            taps, dilation, pad = rng.randint(1, 3), rng.randint(1, 2), rng.randint(0, 2)
            if min(height, width) + 2 * pad <= (taps - 1) * dilation:
                taps = 1
            net.window(
                output, source, rng.randint(1, 5),
                taps=taps, stride=rng.randint(1, 3), pad=pad, dilation=dilation,
                scratch=rng.choice((0, 0, 5, 24)),
            )  # fmt: skip
        else:
            others = [
                name
                for name in names
                if net.shape[name][0] in (1, height) and net.width[name] in (1, width)
            ]
            allowed = (0,) if rng.random() < 0.5 else ()
            chosen = [source, *rng.choices(others, k=rng.randint(0, 2))]
            net.join(output, chosen, net.shape[source][1] // width, in_place=allowed)
        names.append(output)
    read = {name for node in net.nodes for name in node.inputs}
    outputs = [n for n in names[1:] if n not in read]
    outputs += [n for n in names[1:] if n in read and rng.random() < 0.1]
    return net.graph(*outputs), net.calls


def patch(
    graph: Graph,
    calls: Mapping[str, KernelCall],
    count: int,
    grid: tuple[int, int],
    feed: Feed = Feed.WHOLE,
    rng: Random | None = None,
) -> Schedule:
    """The first `count` nodes as a patch of so many bands and strips, the rest as layers.

    With `rng`, what can run runs in any order, otherwise the last node that can.
    """
    nodes = graph.nodes[:count]
    position = {node.output: i for i, node in enumerate(nodes)}
    consumers = graph.consumers()
    whole = {
        node.output
        for node in nodes
        if node.output in graph.outputs
        or not consumers[node.output]
        or any(reader not in nodes for reader in consumers[node.output])
    }
    fed = feed is Feed.PULL
    if fed:
        position[graph.inputs[0]] = count
    heights, widths = [], []
    for node in nodes:
        loop = calls[node.name].loop
        assert isinstance(loop, RowLoop)
        heights.append(loop.out_height)
        widths.append(loop.span.out_width)

    def tile(sizes: Sequence[int], at: int, of: int, along: bool) -> list[Range]:
        """What each node, and the input, computes of its rows or columns."""
        found: list[set[int]] = [set() for _ in range(count + fed)]
        for i in range(count - 1, -1, -1):
            if nodes[i].output in whole:
                found[i] |= set(range(sizes[i] * at // of, sizes[i] * (at + 1) // of))
            if along and not found[i]:
                found[i] = {0}  # it may still run, for a reader of padding only
            if found[i]:
                found[i] = set(range(min(found[i]), max(found[i]) + 1))
            for tensor, place in _reads(graph, nodes[i], calls, found[i], along):
                if tensor in position:
                    found[position[tensor]].add(place)
        for seen in found[count:]:
            seen |= set() if seen else {0}  # the input comes, even if only padding is read
        return [(min(f), max(f) + 1) if f else (0, 0) for f in found]

    strips = [tile(widths, s, grid[1], True) for s in range(grid[1])]
    bands, program = [], []
    held = {name: 1 for name in position if name not in whole}
    for b in range(grid[0]):
        rows = tile(heights, b, grid[0], False)
        steps = _band(graph, nodes, calls, rows, position, held, rng)
        bands.append(Band(len(steps), tuple(first for first, _ in rows)))
        program += steps
    rings = tuple(
        Ring(
            name, rows, max(strip[position[name]][1] - strip[position[name]][0] for strip in strips)
        )
        for name, rows in held.items()
    )
    segment = Segment(
        SegmentKind.PATCH,
        tuple(node.name for node in nodes),
        rings,
        tuple(program),
        tuple(bands),
        tuple(Strip(tuple(strip)) for strip in strips),
    )
    layers = (Segment(SegmentKind.LAYER, (node.name,)) for node in graph.nodes[count:])
    return Schedule((segment, *layers), feed)


def _reads(
    graph: Graph, node: Node, calls: Mapping[str, KernelCall], places: set[int], along: bool
) -> list[tuple[str, int]]:
    """The rows or columns, as (tensor, number), that `node` reads to compute `places`."""
    if not along:
        return [pair for y in places for pair in needs(graph, node, calls[node.name], y)]
    loop = calls[node.name].loop
    assert isinstance(loop, RowLoop)
    found = []
    for name, rows in zip(graph.activations(node), loop.inputs, strict=True):
        access = rows.columns
        assert access is not None
        taps = range(access.count)
        columns = [
            x * access.stride - access.pad_left + tap * access.dilation
            for x in places
            for tap in taps
        ]
        # Pointers are to the first column that is there, so all up to the last are meant.
        first, stop = max(min(columns, default=0), 0), max(columns, default=-1) + 1
        found += [(name, x) for x in range(first, min(stop, access.width))]
    return found


def _band(
    graph: Graph,
    nodes: Sequence[Node],
    calls: Mapping[str, KernelCall],
    rows: Sequence[Range],
    position: Mapping[str, int],
    held: dict[str, int],
    rng: Random | None,
) -> list[int]:
    """The program of a band; `held` grows to the rows that rings must have for it."""
    there = [first for first, _ in rows]
    events: dict[str, list[tuple[bool, int]]] = {name: [] for name in held}
    name_of = {at: name for name, at in position.items()}

    def reads(i: int) -> list[tuple[str, int]]:
        if i == len(nodes):
            return []
        return needs(graph, nodes[i], calls[nodes[i].name], there[i])

    def ready(i: int) -> bool:
        return there[i] < rows[i][1] and all(
            row < there[position[tensor]] for tensor, row in reads(i) if tensor in position
        )

    program = []
    while any(place < stop for place, (_, stop) in zip(there, rows, strict=True)):
        choices = [i for i in range(len(rows)) if ready(i)]
        inner = [i for i in choices if i < len(nodes)] or choices
        i = inner[-1] if rng is None else rng.choice(choices)
        for tensor, row in reads(i):
            if tensor in events:
                events[tensor].append((False, row))
        if name_of[i] in events:
            events[name_of[i]].append((True, there[i]))
        there[i] += 1
        program.append(FEED if i == len(nodes) else i)
    for name, seen in events.items():
        while not _holds(seen, held[name]):
            held[name] += 1
    return program
