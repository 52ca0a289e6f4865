"""Graphs that stream: maps as rows of bytes, calls made by hand, and a naive way to run them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from tests.memory.nets import Net
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop, Span
from tinyml.schedule.schedule import FEED, Feed, Ring, Schedule, Segment, SegmentKind


class Maps(Net):
    """Collects nodes that give their map row by row; the ops are of no interest here."""

    def __init__(self) -> None:
        super().__init__()
        self.shape: dict[str, tuple[int, int]] = {}
        """Tensor -> rows, bytes of a row."""

    def map(self, name: str, height: int, row_bytes: int) -> str:
        """A graph input."""
        self.shape[name] = (height, row_bytes)
        return self.input(name, height * row_bytes)

    def conv(
        self,
        output: str,
        source: str,
        row_bytes: int,
        *,
        taps: int = 3,
        stride: int = 1,
        pad: int = 0,
        bottom: int | None = None,
        dilation: int = 1,
        scratch: int = 0,
    ) -> str:
        """A window of `taps` rows; `pad` rows of padding above and `bottom` (or as many) below."""
        height, width = self.shape[source]
        padded = height + pad + (pad if bottom is None else bottom)
        rows = (padded - (taps - 1) * dilation - 1) // stride + 1
        access = RowAccess(taps, height, width, stride, pad, dilation)
        return self._rows(output, [source], [access], rows, row_bytes, scratch=scratch)

    def merge(
        self, output: str, sources: Sequence[str], row_bytes: int, *, in_place: tuple[int, ...] = ()
    ) -> str:
        """An addition, a concatenation, ...: row by row, operands of one row broadcast."""
        rows = max(self.shape[name][0] for name in sources)
        accesses = [
            RowAccess(1, height, width, stride=int(height == rows))
            for height, width in (self.shape[name] for name in sources)
        ]
        return self._rows(output, sources, accesses, rows, row_bytes, in_place=in_place)

    def pick(self, output: str, source: str, table: Sequence[tuple[int, ...]]) -> str:
        """A resize: a table says which rows."""
        height, width = self.shape[source]
        access = RowAccess(len(table[0]), height, width, table=tuple(table))
        return self._rows(output, [source], [access], len(table), width)

    def mean(self, output: str, source: str, out_bytes: int) -> str:
        """All rows into one."""
        height, width = self.shape[source]
        self.shape[output] = (1, out_bytes)
        self._tensor(output, out_bytes)
        node = Node(f"n_{output}", ops.Mean((1, 2), True), (source,), (output,))
        loop = Accumulation(1, height, width, out_bytes)
        self._add(node, KernelCall("mean_hw_s8", None, loop, 4 * out_bytes, "SUMS"))
        return output

    def _rows(
        self,
        output: str,
        sources: Sequence[str],
        accesses: Sequence[RowAccess],
        height: int,
        row_bytes: int,
        *,
        scratch: int = 0,
        in_place: tuple[int, ...] = (),
    ) -> str:
        self.shape[output] = (height, row_bytes)
        self._tensor(output, height * row_bytes)
        loop = RowLoop(1, height, row_bytes, tuple(accesses), Span(1, 1, 0))
        node = Node(f"n_{output}", ops.Relu(), tuple(sources), (output,))
        self._add(node, KernelCall("rows", None, loop, scratch, "", in_place))
        return output


def needs(graph: Graph, node: Node, call: KernelCall, number: int) -> list[tuple[str, int]]:
    """The rows, as (tensor, row), that a step of `node` reads."""
    sources = graph.activations(node)
    if isinstance(call.loop, Accumulation):
        return [(sources[0], number)]
    assert isinstance(call.loop, RowLoop)
    found = []
    accesses = [access for access in call.loop.inputs if access.constant is None]
    for source, a in zip(sources, accesses, strict=True):
        rows = [number * a.stride - a.pad_top + i * a.dilation for i in range(a.count)]
        rows = list(a.table[number]) if a.table is not None else rows
        found += [(source, row) for row in rows if 0 <= row < a.height]
    return found


def steps(call: KernelCall) -> int:
    """How many steps a node takes in a stream."""
    if isinstance(call.loop, Accumulation):
        return call.loop.in_height
    assert isinstance(call.loop, RowLoop)
    return call.loop.out_height


def streams(call: KernelCall) -> bool:
    """Whether the contract lets it into a stream segment."""
    return isinstance(call.loop, RowLoop | Accumulation) and call.loop.batches == 1


def stream(
    graph: Graph, calls: Mapping[str, KernelCall], names: Sequence[str], rng: Random | None = None
) -> Segment:
    """A stream segment: always the last node that can run (or any, drawn by `rng`); least rings."""
    node_of = {node.name: node for node in graph.nodes}
    nodes = [node_of[name] for name in names]
    inside = {node.output: i for i, node in enumerate(nodes)}
    plan = [[needs(graph, n, calls[n.name], k) for k in range(steps(calls[n.name]))] for n in nodes]
    taken = [0] * len(nodes)

    def there(tensor: str, row: int) -> bool:
        i = inside.get(tensor)
        if i is None:
            return True
        if isinstance(calls[names[i]].loop, Accumulation):
            return taken[i] == len(plan[i])
        return taken[i] > row

    def ready(i: int) -> bool:
        return taken[i] < len(plan[i]) and all(there(*need) for need in plan[i][taken[i]])

    program = []
    while any(taken[i] < len(plan[i]) for i in range(len(nodes))):
        choices = [i for i in range(len(nodes)) if ready(i)]
        program.append(choices[-1] if rng is None else rng.choice(choices))
        taken[program[-1]] += 1

    return Segment(
        SegmentKind.STREAM,
        tuple(names),
        tuple(_least_rings(graph, calls, nodes, program, plan)),
        tuple(program),
    )


def _least_rings(
    graph: Graph,
    calls: Mapping[str, KernelCall],
    nodes: Sequence[Node],
    program: Sequence[int],
    plan: Sequence[Sequence[Sequence[tuple[str, int]]]],
) -> Iterator[Ring]:
    """A ring for every tensor that may have one; `plan` has what each step of each node reads."""
    consumers = graph.consumers()
    inner = [
        node
        for node in nodes
        if consumers[node.output]
        and node.output not in graph.outputs
        and all(c in nodes and _agree(graph, calls, node, c) for c in consumers[node.output])
    ]
    events: dict[str, list[tuple[bool, int]]] = {node.output: [] for node in inner}
    taken = [0] * len(nodes)
    for entry in program:
        for tensor, row in plan[entry][taken[entry]]:
            if tensor in events:
                events[tensor].append((False, row))
        taken[entry] += 1
        node = nodes[entry]
        if node.output in events and not isinstance(calls[node.name].loop, Accumulation):
            events[node.output].append((True, taken[entry] - 1))
        elif node.output in events and taken[entry] == len(plan[entry]):
            events[node.output].append((True, 0))
    for node in inner:
        rows = 1
        while not _holds(events[node.output], rows):
            rows += 1
        yield Ring(node.output, rows)


def _holds(events: Sequence[tuple[bool, int]], rows: int) -> bool:
    """Whether a ring of `rows` rows survives these writes (True) and reads (False)."""
    slots: dict[int, int] = {}
    for written, row in events:
        if written:
            slots[row % rows] = row
        elif slots.get(row % rows) != row:
            return False
    return True


def _agree(graph: Graph, calls: Mapping[str, KernelCall], writer: Node, reader: Node) -> bool:
    """Whether both see the same rows in the tensor between them."""
    loop, other = calls[writer.name].loop, calls[reader.name].loop
    seen = {(1, loop.out_bytes)} if isinstance(loop, Accumulation) else set()
    if isinstance(loop, RowLoop):
        seen = {(loop.out_height, loop.out_row_bytes)}
    if isinstance(other, Accumulation):
        return seen == {(other.in_height, other.in_row_bytes)}
    assert isinstance(other, RowLoop)
    accesses = [access for access in other.inputs if access.constant is None]
    pairs = zip(graph.activations(reader), accesses, strict=True)
    return seen == {(a.height, a.row_bytes) for name, a in pairs if name == writer.output}


def naive_schedule(
    graph: Graph, calls: Mapping[str, KernelCall], rng: Random | None = None
) -> Schedule:
    """Runs of nodes that stream as segments, the rest layer by layer, in the graph's order.

    Whole tensors that a reader sees in other rows than the writer begin a new segment.
    `rng` also ends runs early, and leaves single nodes to be layers.
    """
    writer = graph.producers()
    segments: list[Segment] = []
    run: list[str] = []

    def close() -> None:
        if len(run) > 1 or (run and rng is not None and rng.random() < 0.5):
            segments.append(stream(graph, calls, run, rng))
        else:
            segments.extend(Segment(SegmentKind.LAYER, (name,)) for name in run)
        run.clear()

    for node in graph.nodes:
        sources = [writer[name] for name in graph.activations(node) if name in writer]
        strange = streams(calls[node.name]) and any(
            s.name in run and not _agree(graph, calls, s, node) for s in sources
        )
        if strange or not streams(calls[node.name]) or (rng is not None and rng.random() < 0.15):
            close()
        if streams(calls[node.name]):
            run.append(node.name)
        else:
            segments.append(Segment(SegmentKind.LAYER, (node.name,)))
    close()
    return Schedule(tuple(segments))


def input_rows(graph: Graph, calls: Mapping[str, KernelCall]) -> tuple[int, int]:
    """Rows of the only input, and bytes of a row, as the first node that reads it sees them."""
    (x,) = graph.inputs
    node = graph.consumers()[x][0]
    loop = calls[node.name].loop
    if isinstance(loop, Accumulation):
        return loop.in_height, loop.in_row_bytes
    assert isinstance(loop, RowLoop)
    accesses = [access for access in loop.inputs if access.constant is None]
    access = accesses[graph.activations(node).index(x)]
    return access.height, access.row_bytes


def fed_schedule(
    graph: Graph, calls: Mapping[str, KernelCall], rng: Random | None = None
) -> Schedule | None:
    """A stream into which the input comes row by row, then layers; None where that cannot be.

    A row comes when it is needed (with `rng` sometimes earlier), and has the least ring.
    """
    if len(graph.inputs) != 1 or not graph.consumers()[graph.inputs[0]]:
        return None
    (x,) = graph.inputs
    readers = [i for i, node in enumerate(graph.nodes) if x in node.inputs]
    stop = max(readers) + 1
    if rng is not None:
        stop = rng.randint(stop, len(graph.nodes))
    nodes = graph.nodes[:stop]
    writer = {node.output: node for node in nodes}
    if x in graph.outputs or not all(streams(calls[node.name]) for node in nodes):
        return None
    for node in nodes:
        for name in node.inputs:
            if name in writer and not _agree(graph, calls, writer[name], node):
                return None
    segment = stream(graph, calls, [node.name for node in nodes], rng)
    height, _ = input_rows(graph, calls)
    program: list[int] = []
    events: list[tuple[bool, int]] = []
    taken = [0] * len(nodes)
    fed = 0
    for entry in (*segment.program, None):
        need = [height - 1]
        if entry is not None:
            node = nodes[entry]
            reads = needs(graph, node, calls[node.name], taken[entry])
            need = [row for tensor, row in reads if tensor == x]
        early = rng is not None and rng.random() < 0.2
        while fed <= max(need, default=-1) or (early and fed < height):
            early = early and fed <= max(need, default=-1)
            program.append(FEED)
            events.append((True, fed))
            fed += 1
        if entry is not None:
            events += [(False, row) for row in need]
            program.append(entry)
            taken[entry] += 1
    rows = 1
    while not _holds(events, rows):
        rows += 1
    rings = (Ring(x, rows), *segment.rings)
    layers = [Segment(SegmentKind.LAYER, (node.name,)) for node in graph.nodes[stop:]]
    segments = (replace(segment, program=tuple(program), rings=rings), *layers)
    return Schedule(segments, Feed.ROWS)


def random_maps(rng: Random, nodes: int) -> tuple[Graph, dict[str, KernelCall]]:
    """A random DAG of maps with branches, strides, paddings, broadcasts, resizes and means."""
    net = Maps()
    names = [net.map("x", rng.randint(1, 9), rng.randint(1, 12))]
    if rng.random() < 0.3:
        names.append(net.map("z", rng.choice((1, net.shape["x"][0])), net.shape["x"][1]))
    for i in range(nodes):
        source, output = rng.choice(names[-4:]), f"t{i}"
        height, width = net.shape[source]
        same = [name for name in names if net.shape[name] == net.shape[source]]
        kind = rng.random()
        if kind < 0.45:
            taps, dilation, pad = rng.randint(1, 3), rng.randint(1, 2), rng.randint(0, 2)
            if height + 2 * pad <= (taps - 1) * dilation:
                taps = 1
            net.conv(
                output,
                source,
                rng.choice((width, rng.randint(1, 12))),
                taps=taps,
                stride=rng.randint(1, 3),
                pad=pad,
                dilation=dilation,
                scratch=rng.choice((0, 0, 5, 24)),
            )
        elif kind < 0.75:
            single = [n for n in names if net.shape[n][0] == 1]
            others = rng.choices(same + single, k=rng.randint(0, 2))
            allowed = tuple(p for p in range(1 + len(others)) if rng.random() < 0.5)
            net.merge(output, [source, *others], rng.choice((width, 7)), in_place=allowed)
        elif kind < 0.85:
            table = [
                tuple(rng.randrange(height) for _ in range(2)) for _ in range(rng.randint(1, 9))
            ]
            net.pick(output, source, sorted(table))
        elif kind < 0.93:
            net.mean(output, source, rng.randint(1, 9))
        elif kind < 0.96:
            net.shape[net.alias(output, source)] = (height, width)
        else:
            size = height * width
            net.op(output, [source], size, in_place=(0,), scratch=rng.choice((0, 16)))
            net.shape[output] = (height, width)
        names.append(output)
    read = {name for node in net.nodes for name in node.inputs}
    written = [name for name in names if name not in net.inputs]
    outputs = [n for n in written if n not in read] or names[-1:]
    outputs += [n for n in written if n in read and rng.random() < 0.1]
    return net.graph(*outputs), net.calls
