"""What segments of an order of the nodes need, in bytes.

A tensor that is written before a cut and used after it is stored whole, whatever the
segments on either side are: so what a segment needs follows from where it begins and
ends alone. The figures are those of the memory plan: what a segment touches is live for
all of it, and in a stream nothing is in place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyml.ir.graph import Graph
from tinyml.kernels.call import Accumulation, KernelCall
from tinyml.memory.plan import feed_state_bytes
from tinyml.memory.values import Value, aligned, values
from tinyml.schedule.schedule import Feed, Schedule, Segment, SegmentKind
from tinyml.schedule.stream import RowNode, RowProgram, fits_rows, row_node, row_program


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """A segment: the nodes from `start` to before `stop`; a single one is a layer."""

    start: int
    stop: int
    bound: int
    """Bytes that it needs at least; for a layer, exactly."""
    fed: bool = False
    """Whether the graph's input comes into it row by row: then a single node is a stream, too."""

    @property
    def streamed(self) -> int:
        """How many nodes are in a stream."""
        return self.stop - self.start if self.fed or self.stop > self.start + 1 else 0


@dataclass(slots=True)
class Costs:
    """What the segments of one order need, in bytes; nodes and values by position."""

    graph: Graph
    values: tuple[Value, ...]
    last_use: tuple[int, ...]
    """Per value, the node after which it may go; no node's position for a graph output."""
    written: tuple[tuple[int, ...], ...]
    """Per node, the values that it writes."""
    carried: tuple[int, ...]
    """Per node, the bytes live when it begins."""
    layers: tuple[int, ...]
    """Per node, the peak of it as a layer."""
    rows: tuple[RowNode | None, ...]
    """Per node, how it runs in a stream; None where it cannot."""
    ring: tuple[int, ...]
    """Per node, the bytes that a ring for its output needs at least."""
    scratch: tuple[int, ...]
    """Per node in a stream, the bytes of scratch; all nodes share one place for it."""
    sums: tuple[int, ...]
    """Per node in a stream, the bytes that it carries from step to step, in a place of its own."""
    fed: RowNode | None = None
    """The graph's input, if it comes row by row."""
    fed_ring: int = 0
    """The bytes that a ring for it needs at least."""
    fed_until: int = 0
    """The last node that reads it."""
    peaks: dict[tuple[int, int], int] = field(default_factory=dict)
    """Of the streams that have been worked out."""

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.layers)

    def cuts(self, start: int, limit: int | None = None) -> Iterator[Cut]:
        """The layer that begins at `start`, then streams; those that need more than `limit` not.

        At the start, an input that comes row by row leaves only streams that have all its readers.
        """
        producers: dict[str, RowNode] = {}
        closing: dict[int, list[int]] = {}
        least, whole, scratch = self.carried[start], 0, 0
        fed = self.fed is not None and start == 0
        first = start + 1
        if fed:
            assert self.fed is not None
            producers[self.fed.output] = self.fed
            least += self.fed_ring
            first = self.fed_until
        elif limit is None or self.layers[start] <= limit:
            yield Cut(start, start + 1, self.layers[start])
        for i in range(start, self.count):
            node = self.rows[i]
            if node is None:
                return
            inside = (read for read in node.inputs if read.tensor in producers)
            if not all(fits_rows(producers[read.tensor], read) for read in inside):
                return
            producers[node.output] = node
            for v in self.written[i]:
                closing.setdefault(self.last_use[v], []).append(v)
                whole += self.values[v].bytes
            for v in closing.pop(i, ()):
                writer = self.values[v].writer
                assert writer is not None
                whole -= self.values[v].bytes
                least += self.ring[writer]
            least += self.sums[i]
            scratch = max(scratch, self.scratch[i])
            if limit is not None and least + scratch > limit:
                return  # and so for every longer one: rings only become more
            bound = least + scratch + whole
            if fed:
                bound += aligned(feed_state_bytes(i + 1))
            if i >= first and (limit is None or bound <= limit):
                yield Cut(start, i + 1, bound, fed)

    def peak(self, cut: Cut) -> int:
        """Bytes that a segment needs."""
        if not cut.streamed:
            return cut.bound
        key = (cut.start, cut.stop)
        if key not in self.peaks:
            inside = range(*key)
            program = self.program(cut)
            whole = sum(
                self.values[v].bytes
                for i in inside
                for v in self.written[i]
                if self.last_use[v] >= cut.stop
            )
            scratch = max(self.scratch[i] for i in inside) + sum(self.sums[i] for i in inside)
            if cut.fed:
                scratch += aligned(feed_state_bytes(len(inside)))
            self.peaks[key] = self.carried[cut.start] + program.ring_bytes + whole + scratch
        return self.peaks[key]

    def program(self, cut: Cut) -> RowProgram:
        """What runs in a stream."""
        nodes = [node for node in self.rows[cut.start : cut.stop] if node is not None]
        kept = frozenset(
            self.values[v].tensors[0]
            for i in range(cut.start, cut.stop)
            for v in self.written[i]
            if self.last_use[v] >= cut.stop
        )
        program = row_program(nodes, kept=kept, fed=self.fed if cut.fed else None)
        assert program is not None
        return program

    def schedule(self, cuts: Sequence[Cut]) -> Schedule:
        """The schedule of these segments."""
        segments = []
        for cut in cuts:
            names = tuple(node.name for node in self.graph.nodes[cut.start : cut.stop])
            if cut.streamed:
                program = self.program(cut)
                segments.append(Segment(SegmentKind.STREAM, names, program.rings, program.steps))
            else:
                segments.append(Segment(SegmentKind.LAYER, names))
        return Schedule(tuple(segments), Feed.WHOLE if self.fed is None else Feed.ROWS)


def segment_costs(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    fed: RowNode | None = None,
) -> Costs:
    """The costs of `graph` in the order of its nodes.

    `fed` is its input if it comes row by row (`feed.fed_input`).
    """
    count = len(graph.nodes)
    found = values(graph, layer_calls)
    last_use = tuple(
        count if v.kept else max(v.readers, default=0 if v.writer is None else v.writer)
        for v in found
    )
    written: list[list[int]] = [[] for _ in range(count)]
    change = [0] * (count + 2)
    for index, (value, last) in enumerate(zip(found, last_use, strict=True)):
        # A value is carried into the nodes after its writer, up to its last user.
        if fed is None or value.writer is not None:
            change[0 if value.writer is None else value.writer + 1] += value.bytes
            change[last + 1] -= value.bytes
        if value.writer is not None:
            written[value.writer].append(index)
    carried = np.cumsum(change)[:count].tolist()
    layers = []
    for i, node in enumerate(graph.nodes):
        beside = sum(
            found[v].bytes
            for v in written[i]
            if not any(last_use[old] == i for old in found[v].overlays)
        )
        layers.append(carried[i] + beside + aligned(layer_calls[node.name].scratch_bytes))
    calls = [row_calls[node.name] for node in graph.nodes]
    summing = [isinstance(call.loop, Accumulation) for call in calls]
    scratch = [aligned(call.scratch_bytes) for call in calls]
    rows = [row_node(graph, *pair) for pair in zip(graph.nodes, calls, strict=True)]
    window = {node.output: 1 for node in rows if node is not None}
    for read in (read for node in rows if node is not None for read in node.inputs):
        window[read.tensor] = max(window.get(read.tensor, 1), read.window)
    return Costs(
        graph=graph,
        values=found,
        last_use=last_use,
        written=tuple(map(tuple, written)),
        carried=tuple(carried),
        layers=tuple(layers),
        rows=tuple(rows),
        ring=tuple(0 if n is None else aligned(window[n.output] * n.row_bytes) for n in rows),
        scratch=tuple(0 if own else b for b, own in zip(scratch, summing, strict=True)),
        sums=tuple(b if own else 0 for b, own in zip(scratch, summing, strict=True)),
        fed=fed,
        fed_ring=0 if fed is None else aligned(window[fed.output] * fed.row_bytes),
        fed_until=0 if fed is None else last_use[0],
    )
