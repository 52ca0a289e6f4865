"""Streams played row by row, from the definition: which row lies in which slot."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from tests.memory.streams import Maps, input_rows, needs, steps
from tinyml.ir.graph import Graph
from tinyml.kernels.call import Accumulation, KernelCall, RowLoop
from tinyml.memory.lifetimes import lifetimes, merged
from tinyml.memory.plan import live_bytes
from tinyml.schedule.costs import Costs, Cut
from tinyml.schedule.schedule import FEED, Ring, Schedule, Segment, SegmentKind
from tinyml.schedule.stream import RowNode, stream_segment


def stored_whole(graph: Graph, names: Sequence[str]) -> frozenset[str]:
    """What these nodes write and something else reads: other nodes, or the application."""
    written = {out for node in graph.nodes if node.name in names for out in node.outputs}
    read = {x for node in graph.nodes if node.name not in names for x in graph.activations(node)}
    return frozenset(written & (read | set(graph.outputs)))


def play(graph: Graph, calls: Mapping[str, KernelCall], segment: Segment) -> str:
    """Run the program of `segment`; what went wrong, "" if nothing."""
    node_of = {node.name: node for node in graph.nodes}
    nodes = [node_of[name] for name in segment.nodes]
    inside = {node.output for node in nodes}
    rings = {ring.tensor: ring.rows for ring in segment.rings}
    slots: dict[tuple[str, int], int] = {}
    taken = [0] * len(nodes)
    height = fed = 0
    if FEED in segment.program:
        inside.add(graph.inputs[0])
        height, _ = input_rows(graph, calls)
    for entry in segment.program:
        if entry == FEED:
            slots[graph.inputs[0], fed % rings[graph.inputs[0]]] = fed
            fed += 1
            continue
        node, call, number = nodes[entry], calls[nodes[entry].name], taken[entry]
        if number == steps(call):
            return f"{node.name} takes a step too many"
        for tensor, row in needs(graph, node, call, number):
            slot = row % rings[tensor] if tensor in rings else row
            if tensor in inside and slots.get((tensor, slot)) != row:
                return f"{node.name} misses row {row} of {tensor} at step {number}"
        taken[entry] += 1
        if isinstance(call.loop, Accumulation):
            if taken[entry] == call.loop.in_height:
                slots[node.output, 0] = 0
        else:
            slot = number % rings[node.output] if node.output in rings else number
            slots[node.output, slot] = number
    if taken != [steps(calls[node.name]) for node in nodes]:
        return "steps are missing"
    if fed != height:
        return f"{fed} of {height} rows are fed"
    return ""


def most_live(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> int:
    """The most bytes live at any tick, as the memory plan counts them; nothing is placed."""
    found = lifetimes(graph, schedule, calls)
    buffers, _ = merged(found, found.overlays)
    return int(live_bytes(buffers, found.ticks).max())


Segments = list[tuple[int, int, bool]]
"""First node, the one after the last, whether it is a stream."""


def segments_of(
    graph: Graph, calls: Mapping[str, KernelCall], fed: RowNode | None = None
) -> Segments:
    """Every segment of an order that can be: layers, and streams of any nodes in a row."""
    names = [node.name for node in graph.nodes]
    readers = {node.name for node in graph.consumers()[fed.name]} if fed else set()
    found: Segments = []
    for start in range(len(names)):
        source = None if start else fed
        if source is None:
            found.append((start, start + 1, False))
        for stop in range(start + 1, len(names) + 1):
            part = names[start:stop]
            kept = stored_whole(graph, part)
            stream = stream_segment(graph, calls, part, kept=kept, fed=source)
            if stream is not None and (source is None or readers <= set(part)):
                found.append((start, stop, True))
    return found


def every_way(costs: Costs, segments: Segments, start: int = 0) -> list[tuple[int, int]]:
    """The peak of every path through `segments`, and how many nodes are in streams."""
    if start == costs.count:
        return [(0, 0)]
    return [
        (max(costs.peak(Cut(start, stop, 0, streamed)), peak), (stop - start) * streamed + more)
        for first, stop, streamed in segments
        if first == start
        for peak, more in set(every_way(costs, segments, stop))
    ]


def smaller_rings(segment: Segment) -> Iterator[Segment]:
    """The same program with one ring a row shorter, for each ring."""
    for ring in segment.rings:
        if ring.rows > 1:
            shorter = tuple(Ring(r.tensor, r.rows - (r is ring)) for r in segment.rings)
            yield Segment(SegmentKind.STREAM, segment.nodes, shorter, segment.program)


def row_bytes(calls: Mapping[str, KernelCall], graph: Graph) -> dict[str, int]:
    """Bytes of a row of what each node writes, for nodes that can stream."""
    found = {}
    for node in graph.nodes:
        loop = calls[node.name].loop
        if isinstance(loop, RowLoop):
            found[node.output] = loop.out_row_bytes
        elif isinstance(loop, Accumulation):
            found[node.output] = loop.out_bytes
    return found


def random_maps(rng: Random, nodes: int, *, height: int = 9) -> tuple[Graph, dict[str, KernelCall]]:
    """A random network of maps: windows, strides, residuals, broadcasts, resizes, means."""
    net = Maps()
    names = [net.map("x0", rng.randint(2, height), rng.choice((4, 8, 24)))]
    if rng.random() < 0.15:
        names.append(net.map("x1", net.shape["x0"][0], 8))
    names.append(net.conv("stem", names[-1], 16, taps=1))
    for i in range(nodes):
        source = names[-1] if rng.random() < 0.6 else rng.choice(names)
        rows, width = net.shape[source]
        wide = rng.choice((4, 8, 16, 40))
        kind = rng.random()
        if kind < 0.25:
            names.append(_block(net, rng, f"t{i}", source, wide))
            continue
        kind = rng.random()
        like = [n for n in names if net.shape[n][0] in (rows, 1)]
        if kind < 0.4 and len(like) > 1:
            unread = [n for n in like if not any(n in node.inputs for node in net.nodes)]
            operands = [source, *rng.choices(unread or like, k=rng.randint(1, 2))]
            names.append(net.merge(f"t{i}", operands, wide))
        elif kind < 0.47:
            table: list[tuple[int, ...]] = [
                (y // 2, min(y // 2 + 1, rows - 1)) for y in range(2 * rows)
            ]
            if rng.random() < 0.4:  # what a PAD of whole images and more may do
                table = [(rng.randint(-1, rows - 1),) for _ in range(rng.randint(1, 2 * rows))]
            names.append(net.pick(f"t{i}", source, table))
        elif kind < 0.52:
            names.append(net.mean(f"t{i}", source, width))
        else:
            taps, stride, dilation = rng.randint(1, min(4, rows)), rng.choice((1, 1, 1, 1, 2, 3)), 1
            if (taps - 1) * 2 < rows and rng.random() < 0.3:
                dilation = 2
            same = (taps - 1) * dilation
            pad, bottom = rng.choice(((same // 2, same - same // 2), (0, 0), (same, 0), (0, same)))
            names.append(
                net.conv(
                    f"t{i}",
                    source,
                    wide,
                    taps=taps,
                    stride=stride,
                    pad=pad,
                    bottom=bottom,
                    dilation=dilation,
                    scratch=rng.choice((0, 0, 16)),
                )
            )
    read = {name for node in net.nodes for name in node.inputs}
    outputs = [n for n in names if n not in read and n not in net.inputs and rng.random() < 0.9]
    outputs += [n for n in names if n in read and n not in net.inputs and rng.random() < 0.08]
    return net.graph(*(outputs or names[-1:])), net.calls


def _block(net: Maps, rng: Random, name: str, source: str, wide: int) -> str:
    """Two paths from `source`, one of which may be `source` itself, joined."""
    stride = rng.choice((1, 1, 2))
    ends = []
    for path in range(2):
        x = source
        least = int(path == 0 or stride > 1)
        for k in range(rng.randint(least, 3)):
            step = stride if k == 0 else 1
            taps = rng.choice((1, 3, 3, 5))
            rows = net.shape[x][0]
            above = min(taps // 2, rows - 1)
            below = max((-(-rows // step) - 1) * step + taps - rows - above, 0)
            bytes_ = rng.choice((4, 8, 16, 40))
            x = net.conv(
                f"{name}_{path}{k}", x, bytes_, taps=taps, stride=step, pad=above, bottom=below
            )
        ends.append(x)
    return net.merge(name, ends, wide)
