"""What segments of an order of the nodes need, in bytes.

A tensor that is written before a cut and used after it is stored whole, whatever the
segments on either side are: so what a segment needs follows from where it begins and
ends alone. The figures are those of the memory plan: the most bytes that are live at
any tick of the segment (`live`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall
from tinyml.memory.plan import ALIGNMENT, feed_state_bytes
from tinyml.memory.values import Value, aligned, values
from tinyml.schedule.live import (
    Access,
    Pieces,
    Timeline,
    accesses,
    in_ring,
    rows_touched,
    spread,
    unit_of,
)
from tinyml.schedule.schedule import FEED, Feed, Schedule, Segment, SegmentKind
from tinyml.schedule.stream import RowNode, RowProgram, fits_rows, row_node, row_program

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """A layer or a stream: the nodes from `start` to before `stop`."""

    start: int
    stop: int
    bound: int
    """Bytes that it needs at least."""
    is_stream: bool = False

    @property
    def streamed(self) -> int:
        """How many nodes are in a stream."""
        return self.stop - self.start if self.is_stream else 0


@dataclass(frozen=True, slots=True)
class Late:
    """Which node of the order is the last to touch each unit of a value."""

    unit: int
    node: Ints
    """Per unit; the number of nodes in what the application reads at the end."""


@dataclass(frozen=True, slots=True)
class Touch:
    """What a node reads or writes of a value."""

    value: int
    access: Access
    rows: Pieces
    """The rows that it touches as whole rows, with the last step that does so."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a node does, as a layer or row by row."""

    steps: int
    reads: tuple[Touch, ...]
    writes: tuple[Touch, ...]


@dataclass(slots=True)
class Costs:
    """What the segments of one order need, in bytes; nodes and values by position."""

    graph: Graph
    feed: Feed
    values: tuple[Value, ...]
    last_use: tuple[int, ...]
    """Per value, the node after which it may go; no node's position for a graph output."""
    late: tuple[Late, ...]
    """Per value."""
    through: Ints
    """[s, e]: the bytes that are live before node s and after node e - 1."""
    layers: tuple[Work, ...]
    """Per node, as a layer."""
    streams: tuple[Work | None, ...]
    """Per node, as it runs in a stream; None where it cannot."""
    rows: tuple[RowNode | None, ...]
    """Per node, how it runs in a stream; None where it cannot."""
    at_once: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    """Per node in a stream, what one of its steps touches: bytes of scratch and of its result,
    and values that it reads with the bytes of each."""
    scratch: tuple[int, ...]
    """Per node, the bytes of scratch; all nodes of a stream share one place for it."""
    layer_scratch: tuple[int, ...]
    """Per node, as a layer."""
    sums: tuple[int, ...]
    """Per node in a stream, the bytes that it carries from step to step, in a place of its own."""
    fed: RowNode | None = None
    """The graph's input, if it comes in pieces."""
    fed_until: int = 0
    """The last node that reads it."""
    peaks: dict[tuple[int, int, bool], int] = field(default_factory=dict)
    """Of what has been worked out."""

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self.layers)

    def carried(self, node: int) -> int:
        """Bytes that are live when a node begins."""
        return int(self.through[node, node])

    def cuts(
        self, start: int, limit: int | None = None, longest: int | None = None
    ) -> Iterator[Cut]:
        """The layer that begins at `start`, then streams; those that need more than `limit` not.

        At the start, an input that comes row by row leaves only streams that have all its
        readers. Streams have at most `longest` nodes, or as many as that takes.
        """
        fed = self.is_fed(start)
        first, producers = start + 1, dict[str, RowNode]()
        if fed:
            assert self.fed is not None
            producers[self.fed.output] = self.fed
            first = self.fed_until + 1
        else:
            needs = self.peak(Cut(start, start + 1, 0))
            if limit is None or needs <= limit:
                yield Cut(start, start + 1, needs)
        least = self.carried(start)
        if limit is not None and least > limit:
            return
        end = self.count if longest is None else min(self.count, max(start + longest, first))
        most, needs_of = 0, dict[int, int]()
        ending: dict[int, list[tuple[int, int]]] = {}
        for stop in range(start + 1, end + 1):
            node = self.rows[stop - 1]
            if node is None:
                return
            inside = (read for read in node.inputs if read.tensor in producers)
            if not all(fits_rows(producers[read.tensor], read) for read in inside):
                return
            producers[node.output] = node
            # A step touches what it reads; what is live throughout is counted already.
            needs_of[stop - 1], read = self.at_once[stop - 1]
            for v, size in read:
                writer = self.values[v].writer
                inside_only = writer is not None and writer >= start
                ends = stop - 1 if inside_only else self.last_use[v]
                ending.setdefault(ends, []).append((stop - 1, size))
            for reader, size in ending.pop(stop - 1, ()):
                needs_of[reader] += size
                most = max(most, needs_of[reader])
            most = max(most, needs_of[stop - 1])
            through = int(self.through[start, stop])
            bound = max(least, self.carried(stop), through + most)
            if stop < first or (limit is not None and bound > limit):
                continue
            if fed or stop > start + 1 or self.gains_by_rows(start):
                yield Cut(start, stop, bound, is_stream=True)

    def gains_by_rows(self, node: int) -> bool:
        """Whether a node takes more steps on its own in a stream than as a layer."""
        work = self.streams[node]
        return work is not None and work.steps > self.layers[node].steps

    def peak(self, cut: Cut) -> int:
        """Bytes that a segment needs."""
        key = (cut.start, cut.stop, cut.is_stream)
        if key not in self.peaks:
            if cut.start == cut.stop:
                self.peaks[key] = cut.bound
            elif cut.is_stream:
                self.peaks[key] = self._stream_peak(cut)
            else:
                self.peaks[key] = self._layer_peak(cut.start)
        return self.peaks[key]

    def _layer_peak(self, node: int) -> int:
        work = self.layers[node]
        line = self.timeline(node, node + 1, work.steps)
        line.constant += self.layer_scratch[node]
        ticks = np.arange(work.steps)
        touched = self._touched([(work, ticks)])
        for touch in work.writes:
            # An operand that ends here, and that the result may overlay.
            for old in self.values[touch.value].overlays:
                if self.last_use[old] == node and old in touched:
                    touched[old] += touched.pop(touch.value)
                    stays = self.late[touch.value]
                    begins = np.flatnonzero(stays.node > node) * stays.unit
                    end = np.full(len(begins), work.steps - 1)
                    touched[old].append(Pieces.of(begins, begins + stays.unit, end))
                    break
        self.add_values(line, node, node + 1, touched)
        return line.peak()

    def _stream_peak(self, cut: Cut) -> int:
        program = self.program(cut)
        entries = np.array(program.steps, np.int64)
        ticks = len(entries)
        line = self.timeline(cut.start, cut.stop, ticks)
        if self.is_fed(cut.start) and self.feed is Feed.ROWS:
            line.constant += aligned(feed_state_bytes(cut.stop - cut.start))
        rings = {ring.tensor: ring.rows for ring in program.rings}
        works = []
        for p, node in enumerate(range(cut.start, cut.stop)):
            work = self.streams[node]
            assert work is not None
            when = np.flatnonzero(entries == p)
            works.append((work, when))
            if self.sums[node]:
                line.add(when[:1], when[-1:], self.sums[node])
        self.add_scratch(line, cut.start, [when[[0, -1]] for _, when in works])
        touched = self._touched(works)
        if self.is_fed(cut.start):
            assert self.fed is not None
            rows = np.arange(self.fed.height) * self.fed.row_bytes
            comes = Pieces.of(rows, rows + self.fed.row_bytes, np.flatnonzero(entries == FEED))
            touched.setdefault(0, []).append(comes)
        for value in list(touched):
            found = self.values[value]
            tensor = found.tensors[0]
            if tensor in rings:
                writer = self.fed if found.writer is None else self.rows[found.writer]
                assert writer is not None
                size = writer.row_bytes
                held = [in_ring(piece, size, rings[tensor]) for piece in touched.pop(value)]
                line.touched(held, aligned(rings[tensor] * size))
        self.add_values(line, cut.start, cut.stop, touched)
        return line.peak()

    def _touched(self, works: Sequence[tuple[Work, Ints]]) -> dict[int, list[Pieces]]:
        """By value, what works touch whose steps are at these ticks."""
        found: dict[int, list[Pieces]] = {}
        for work, ticks in works:
            for touch in (*work.writes, *work.reads):
                found.setdefault(touch.value, []).append(touch.rows.at(ticks))
        return found

    def timeline(self, start: int, stop: int, ticks: int) -> Timeline:
        """Of a segment, with what is live throughout."""
        line = Timeline(ticks)
        line.constant = int(self.through[start, stop])
        return line

    def add_scratch(self, line: Timeline, start: int, ticks: Sequence[Ints]) -> None:
        """Count the place that nodes from `start` on share for their scratches at these ticks."""
        shared = [
            Pieces(np.zeros(len(when), np.int64), np.full(len(when), size), when, size)
            for size, when in zip(self.scratch[start:], ticks, strict=False)
            if size
        ]
        if shared:
            line.touched(shared, max(int(piece.ends[0]) for piece in shared))

    def add_values(
        self, line: Timeline, start: int, stop: int, touched: Mapping[int, Sequence[Pieces]]
    ) -> None:
        """Count what is touched of values stored whole, but for what is live throughout."""
        end = line.ticks - 1
        if start == 0:
            for v in (v for v, value in enumerate(self.values) if value.writer is None):
                if self.fed is None:
                    size = np.array([self.values[v].bytes])
                    comes = Pieces.of(np.zeros(1, np.int64), size, np.zeros(1, np.int64))
                    touched = {**touched, v: (*touched.get(v, ()), comes)}
        for value, pieces in touched.items():
            found, late = self.values[value], self.late[value]
            unit = min(unit_of(pieces, found.bytes), late.unit)
            if late.unit % unit:
                unit = ALIGNMENT
            node = np.repeat(late.node, late.unit // unit)
            first, last = line.lives(pieces, unit, len(node))
            there = last >= 0
            last[there & (node >= stop)] = end
            if found.writer is None or found.writer < start:
                # Live before; counted already if it is live after.
                there &= node < stop
                first[:] = 0
            line.add(first[there], last[there], unit)

    def is_fed(self, start: int) -> bool:
        """Whether the graph's input comes into a segment that begins there."""
        return self.fed is not None and start == 0

    def program(self, cut: Cut) -> RowProgram:
        """What runs in a stream."""
        nodes = [node for node in self.rows[cut.start : cut.stop] if node is not None]
        fed = self.fed if self.is_fed(cut.start) else None
        program = row_program(nodes, kept=self.kept(cut.start, cut.stop), fed=fed)
        assert program is not None
        return program

    def kept(self, start: int, stop: int) -> frozenset[str]:
        """The tensors that a segment writes and that are stored whole."""
        return frozenset(
            value.tensors[0]
            for value, last in zip(self.values, self.last_use, strict=True)
            if value.writer is not None and start <= value.writer < stop and last >= stop
        )

    def segment(self, cut: Cut) -> Segment:
        """The segment."""
        names = tuple(node.name for node in self.graph.nodes[cut.start : cut.stop])
        if not cut.is_stream:
            return Segment(SegmentKind.LAYER, names)
        program = self.program(cut)
        return Segment(SegmentKind.STREAM, names, program.rings, program.steps)

    def schedule(self, cuts: Sequence[Cut]) -> Schedule:
        """The schedule of these segments."""
        return Schedule(tuple(map(self.segment, cuts)), self.feed)


def segment_costs(
    graph: Graph,
    layer_calls: Mapping[str, KernelCall],
    row_calls: Mapping[str, KernelCall],
    *,
    feed: Feed = Feed.WHOLE,
    fed: RowNode | None = None,
) -> Costs:
    """The costs of `graph` in the order of its nodes.

    `fed` is its input if it comes in pieces (`feed.fed_input`).
    """
    count = len(graph.nodes)
    found = values(graph, layer_calls)
    value_of = {name: v for v, value in enumerate(found) for name in value.tensors}
    last_use = tuple(
        count if v.kept else max(v.readers, default=0 if v.writer is None else v.writer)
        for v in found
    )
    layers, streams, rows = [], [], []
    for node in graph.nodes:
        layers.append(_work(graph, node, layer_calls[node.name], value_of, streamed=False))
        rows.append(row_node(graph, node, row_calls[node.name]))
        streams.append(
            None
            if rows[-1] is None
            else _work(graph, node, row_calls[node.name], value_of, streamed=True)
        )
    late = tuple(_late(v, value, layers, count) for v, value in enumerate(found))
    live = np.zeros((count + 2, count + 2), np.int64)
    for value, lasts in zip(found, late, strict=True):
        if value.writer is None and fed is not None:
            continue
        begin = 0 if value.writer is None else value.writer + 1
        live[begin] += lasts.unit * np.bincount(lasts.node, minlength=count + 2)
    through = np.cumsum(live, axis=0)
    through = np.cumsum(through[:, ::-1], axis=1)[:, ::-1]
    calls = [row_calls[node.name] for node in graph.nodes]
    summing = [isinstance(call.loop, Accumulation) for call in calls]
    scratch = [aligned(call.scratch_bytes) for call in calls]
    return Costs(
        graph=graph,
        feed=feed,
        values=found,
        last_use=last_use,
        late=late,
        through=through,
        layers=tuple(layers),
        streams=tuple(streams),
        rows=tuple(rows),
        at_once=tuple(
            (0, ()) if work is None else _at_once(work, size)
            for work, size in zip(streams, scratch, strict=True)
        ),
        scratch=tuple(0 if own else b for b, own in zip(scratch, summing, strict=True)),
        layer_scratch=tuple(aligned(layer_calls[n.name].scratch_bytes) for n in graph.nodes),
        sums=tuple(b if own else 0 for b, own in zip(scratch, summing, strict=True)),
        fed=fed,
        fed_until=0 if fed is None else last_use[0],
    )


def _work(
    graph: Graph, node: Node, call: KernelCall, value_of: Mapping[str, int], *, streamed: bool
) -> Work:
    reads, writes = accesses(graph, node, call, streamed=streamed)
    if not call.kernel:
        writes = []  # an alias: nothing runs
    steps = max((a.steps * a.batches for a in (*reads, *writes)), default=1)
    return Work(
        steps,
        tuple(Touch(value_of[a.tensor], a, rows_touched(a)) for a in reads),
        tuple(Touch(value_of[a.tensor], a, rows_touched(a)) for a in writes),
    )


def _at_once(work: Work, scratch: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """What the step in the middle touches, for `Costs.at_once`."""
    step = work.steps // 2
    size = scratch
    for touch in work.writes:
        size += touch.access.row_bytes if touch.access.rows is None else 0
    read: dict[int, int] = {}
    for touch in work.reads:
        rows, _ = touch.access.last_steps(step, step + 1)
        read[touch.value] = max(read.get(touch.value, 0), len(rows) * touch.access.row_bytes)
    return size, tuple(read.items())


def _late(v: int, value: Value, layers: Sequence[Work], count: int) -> Late:
    """Which node is the last to touch each unit of a value."""
    if value.kept:
        return Late(value.bytes, np.array([count] * bool(value.bytes), np.int64))
    first = 0 if value.writer is None else value.writer
    pieces: list[Pieces] = []
    for node in sorted({first, *value.readers}):
        when = np.full(layers[node].steps, node)
        touches = (*layers[node].reads, *layers[node].writes)
        pieces += (touch.rows.at(when) for touch in touches if touch.value == v)
    unit = unit_of(pieces, value.bytes)
    late = np.full(value.bytes // unit if unit else 0, first, np.int64)
    for piece in pieces:
        where, when = spread(piece, unit)
        np.maximum.at(late, where, when)
    return Late(unit, late)
