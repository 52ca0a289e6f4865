"""Does a plan work? Byte by byte on an arena of numbers, straight from the definition.

Every byte of every tensor has a number of its own, which stands for its value. What a
kernel may do is done: it fills its scratch and its output with garbage before it
reads, unless it may overlay that very operand, and its scratch again after it has written.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tests.memory.streams import input_rows, needs, steps
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, Alias, KernelCall, RowLoop
from tinyml.memory.plan import FEED_STATE, MemoryPlan
from tinyml.schedule.schedule import FEED, Feed, Schedule, Segment, SegmentKind

_Piece = tuple[str, int, int, int]
"""A tensor, its first byte that is meant, how many bytes, and their address."""

_Part = tuple[int, int]
"""Columns [first, stop) of a row."""


class _CorruptError(Exception):
    """A byte is not what it should be."""


def works(
    graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall], plan: MemoryPlan
) -> bool:
    """Whether everything that is read is what it should be, to the outputs at the end."""
    try:
        _Machine(graph, calls, plan).execute(schedule)
    except _CorruptError:
        return False
    return True


class _Machine:
    def __init__(self, graph: Graph, calls: Mapping[str, KernelCall], plan: MemoryPlan) -> None:
        self.graph, self.calls, self.plan = graph, calls, plan
        self.arena = np.zeros(plan.arena_bytes, np.int64)  # 0 is garbage
        self.home = {name: name for name in graph.tensors}  # an alias -> what it is a view of
        self.numbers: dict[str, int] = {}
        self.next = 1

    def execute(self, schedule: Schedule) -> None:
        node_of = {node.name: node for node in self.graph.nodes}
        inputs = () if schedule.fed else self.graph.inputs
        for name in inputs:
            self._write(self._whole(name))
        for name in inputs:
            self._read(self._whole(name))
        for segment in schedule.segments:
            if segment.kind is SegmentKind.LAYER:
                self._layer(node_of[segment.nodes[0]])
            else:
                self._stream(segment, node_of, schedule.feed)
        for name in self.graph.outputs:
            self._read(self._whole(name))

    def _layer(self, node: Node) -> None:
        call = self.calls[node.name]
        if isinstance(call.loop, RowLoop):
            for batch in range(call.loop.batches):
                for y in range(call.loop.out_height):
                    self._layer_row(node, call.loop, batch, y)
            return
        inputs = [
            (position, self._whole(name))
            for position, name in enumerate(node.inputs)
            if name is not None and not self.graph.tensors[name].is_const
        ]
        if isinstance(call.loop, Alias):
            self.home[node.output] = self.home[inputs[0][1][0]]
            return
        self._call(node, inputs, [self._whole(name) for name in node.outputs])

    def _layer_row(self, node: Node, loop: RowLoop, batch: int, y: int) -> None:
        inputs = []
        accesses = [access for access in loop.inputs if access.constant is None]
        sizes = dict(zip(self.graph.activations(node), accesses, strict=True))
        for tensor, row in needs(self.graph, node, self.calls[node.name], y):
            access = sizes[tensor]
            at = batch * access.batch_bytes + row * access.row_bytes
            place = (tensor, at, access.row_bytes, self.plan.offset_of(tensor) + at)
            inputs += [(p, place) for p, name in enumerate(node.inputs) if name == tensor]
        at = (batch * loop.out_height + y) * loop.out_row_bytes
        out = (node.output, at, loop.out_row_bytes, self.plan.offset_of(node.output) + at)
        self._call(node, inputs, [out])

    def _stream(self, segment: Segment, node_of: Mapping[str, Node], feed: Feed) -> None:
        nodes = [node_of[name] for name in segment.nodes]
        counters: list[_Piece] = []
        if FEED in segment.program and feed is Feed.ROWS:
            state = 2 * (len(nodes) + 1)
            counters.append((FEED_STATE, 0, state, self.plan.offsets[FEED_STATE]))
            self._write(counters[0])
        rings = {ring.tensor for ring in segment.rings}
        written: dict[str, set[int]] = {n.output: set() for n in nodes if n.output not in rings}
        for program, rows, columns in _tiles(segment):
            if segment.kind is SegmentKind.PATCH:
                self._check_tile(nodes, rows, columns)
            taken = list(rows)
            for entry in program:
                for piece in counters:
                    self._read(piece)
                number = taken[entry]
                taken[entry] += 1
                if entry == FEED:
                    self._feed(segment, number, columns[-1])
                else:
                    name, first, size, _ = self._step(segment, nodes, entry, number, columns)
                    if name in written:
                        written[name] |= set(range(first, first + size))
            if segment.kind is SegmentKind.STREAM and taken != self._all_steps(nodes, program):
                raise _CorruptError
        for name, there in written.items():
            if len(there) != self.graph.tensors[name].nbytes:
                raise _CorruptError

    def _check_tile(
        self, nodes: Sequence[Node], rows: Sequence[int], columns: Sequence[_Part | None]
    ) -> None:
        """Whether a tile is of rows and columns that there are."""
        sizes = []
        for node in nodes:
            loop = self.calls[node.name].loop
            assert isinstance(loop, RowLoop)
            sizes.append((loop.out_height, loop.span.out_width))
        if len(rows) > len(nodes):
            height, size = input_rows(self.graph, self.calls)
            (x,) = self.graph.inputs
            reader = next(node for node in self.graph.nodes if x in node.inputs)
            sizes.append((height, size // self._pixel(reader, x)))
        for row, part, (height, width) in zip(rows, columns, sizes, strict=True):
            if part is None or not (0 <= row <= height and 0 <= part[0] < part[1] <= width):
                raise _CorruptError

    def _all_steps(self, nodes: Sequence[Node], program: Sequence[int]) -> list[int]:
        fed = input_rows(self.graph, self.calls)[0] if FEED in program else 0
        return [*(steps(self.calls[node.name]) for node in nodes), fed]

    def _feed(self, segment: Segment, number: int, part: _Part | None) -> None:
        (x,) = self.graph.inputs
        height, size = input_rows(self.graph, self.calls)
        if number >= height:
            raise _CorruptError
        pixel = 0
        if part is not None:
            reader = next(node for node in self.graph.nodes if x in node.inputs)
            pixel = self._pixel(reader, x)
        self._write(self._row(segment, x, number, size, pixel, part, part))

    def _pixel(self, node: Node, tensor: str) -> int:
        loop = self.calls[node.name].loop
        assert isinstance(loop, RowLoop)
        accesses = [access for access in loop.inputs if access.constant is None]
        columns = accesses[self.graph.activations(node).index(tensor)].columns
        assert columns is not None
        return columns.pixel_bytes

    def _row(
        self,
        segment: Segment,
        tensor: str,
        number: int,
        size: int,
        pixel: int,
        part: _Part | None,
        held: _Part | None,
    ) -> _Piece:
        """`part` of a row, of which a ring in a patch holds the columns `held`."""
        rings = {ring.tensor: ring for ring in segment.rings}
        ring, base = rings.get(tensor), self.plan.offset_of(tensor)
        slot = number if ring is None else number % ring.rows
        if part is None:
            return tensor, number * size, size, base + slot * size
        first, count = part[0] * pixel, (part[1] - part[0]) * pixel
        if ring is None or not ring.columns:
            return tensor, number * size + first, count, base + slot * size + first
        assert held is not None
        if part[0] < held[0] or part[1] > held[1] or held[1] - held[0] > ring.columns:
            raise _CorruptError
        place = base + slot * ring.columns * pixel + first - held[0] * pixel
        return tensor, number * size + first, count, place

    def _step(
        self,
        segment: Segment,
        nodes: Sequence[Node],
        entry: int,
        number: int,
        columns: Sequence[_Part | None],
    ) -> _Piece:
        """What has been written, or will be at the end of an accumulation."""
        node, own = nodes[entry], columns[entry]
        call = self.calls[node.name]
        if number >= steps(call):
            raise _CorruptError
        loop = call.loop
        if isinstance(loop, Accumulation):
            tensor = self.graph.activations(node)[0]
            source = self._row(segment, tensor, number, loop.in_row_bytes, 0, None, None)
            result = self._row(segment, node.output, 0, loop.out_bytes, 0, None, None)
            self._sum(node, number, source, result)
            return result
        assert isinstance(loop, RowLoop)
        held: dict[str, _Part | None]
        held = {n.output: part for n, part in zip(nodes, columns, strict=False)}
        if len(columns) > len(nodes):
            held[self.graph.inputs[0]] = columns[-1]
        accesses = [access for access in loop.inputs if access.constant is None]
        sizes = dict(zip(self.graph.activations(node), accesses, strict=True))
        inputs = []
        for tensor, row in needs(self.graph, node, call, number):
            access, part, pixel = sizes[tensor], None, 0
            if own is not None:
                along = access.columns
                assert along is not None
                read = [
                    x * along.stride - along.pad_left + tap * along.dilation
                    for x in range(*own)
                    for tap in range(along.count)
                ]
                there = [min(max(x, 0), along.width) for x in (min(read), max(read) + 1)]
                part, pixel = (there[0], there[1]), along.pixel_bytes
                if there[0] == there[1]:
                    continue
            place = self._row(segment, tensor, row, access.row_bytes, pixel, part, held.get(tensor))
            inputs += [(p, place) for p, name in enumerate(node.inputs) if name == tensor]
        pixel = loop.out_row_bytes // loop.span.out_width
        size = loop.out_row_bytes
        out = self._row(segment, node.output, number, size, pixel, own, own)
        self._call(node, inputs, [out])
        return out

    def _call(
        self, node: Node, inputs: Sequence[tuple[int, _Piece]], outputs: Sequence[_Piece]
    ) -> None:
        call = self.calls[node.name]
        for _, piece in inputs:
            self._read(piece)
        self._spoil_scratch(node)
        for out in outputs:
            met = [(p, i) for p, i in inputs if i[3] < out[3] + out[2] and out[3] < i[3] + i[2]]
            if any(p not in call.in_place or i[2:] != out[2:] for p, i in met):
                self._spoil(out)
            if len(outputs) > 1:
                self._spoil(out)
        for position, piece in inputs:
            exact = [out for out in outputs if out[2:] == piece[2:]]
            if not (exact and position in call.in_place):
                self._read(piece)
        for out in outputs:
            self._write(out)
        self._spoil_scratch(node)
        for out in outputs:
            self._read(out)

    def _sum(self, node: Node, number: int, source: _Piece, result: _Piece) -> None:
        call = self.calls[node.name]
        size, at = call.scratch_bytes, self.plan.scratch_offset(node.name)
        sums, old = (f"sums:{node.name}:{number}", 0, size, at), number - 1
        self._read(source)
        if number:
            self._read((f"sums:{node.name}:{old}", 0, size, at))
        self._spoil(sums)
        last = number == steps(call) - 1
        if last:
            self._spoil(result)
        self._read(source)
        self._write(sums)
        if last:
            self._spoil(result)
            self._read(sums)
            self._write(result)

    def _whole(self, name: str) -> _Piece:
        return name, 0, self.graph.tensors[name].nbytes, self.plan.offset_of(name)

    def _spoil_scratch(self, node: Node) -> None:
        size = self.calls[node.name].scratch_bytes
        if size:
            self._spoil(("", 0, size, self.plan.scratch_offset(node.name)))

    def _spoil(self, piece: _Piece) -> None:
        self.arena[piece[3] : piece[3] + piece[2]] = 0

    def _values(self, piece: _Piece) -> npt.NDArray[np.int64]:
        name = self.home.get(piece[0], piece[0])
        if name not in self.numbers:
            self.numbers[name] = self.next
            self.next += 1 << 32
        return self.numbers[name] + piece[1] + np.arange(piece[2])

    def _write(self, piece: _Piece) -> None:
        _, _, size, at = piece
        if at < 0 or at + size > self.arena.size:
            raise _CorruptError
        self.arena[at : at + size] = self._values(piece)

    def _read(self, piece: _Piece) -> None:
        _, _, size, at = piece
        if not np.array_equal(self.arena[at : at + size], self._values(piece)):
            raise _CorruptError


def _tiles(
    segment: Segment,
) -> Iterator[tuple[Sequence[int], Sequence[int], Sequence[_Part | None]]]:
    """What runs one after the other: a program, first rows, columns; the input's at last."""
    if segment.kind is SegmentKind.STREAM:
        count = len(segment.nodes) + 1
        yield segment.program, [0] * count, [None] * count
    at = 0
    for band in segment.bands:
        for strip in segment.strips:
            yield segment.program[at : at + band.steps], band.first_rows, strip.columns
        at += band.steps
