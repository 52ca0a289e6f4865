"""Nodes as the checker runs them row by row: layers, streams, and the tiles of patches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop
from tinyml.memory.plan import FEED_COUNTER_BYTES
from tinyml.memory.replay import Piece, Replay, label, operands
from tinyml.schedule.schedule import FEED, Feed, Ring, Segment, SegmentKind

Part = tuple[int, int]
"""Columns [first, stop)."""


def run_layer(replay: Replay, node: Node, loop: RowLoop) -> None:
    """A node that computes a whole map, batch by batch and row by row: a tick for each row."""
    stage = _stage(replay, node, {}, {}, None)
    replay.begin(stage.output.name, stage.output.total, stage.output.row_bytes)
    for batch in range(loop.batches):
        for row in range(loop.out_height):
            stage.take(replay, row, batch)
            replay.tick += 1


def run_rows(replay: Replay, segment: Segment, feed: Feed) -> None:
    """Every row, or part of it, that a step reads is there and intact; it then writes its own.

    The segment must have been checked to be one (`check_segment`). At last, what lies whole has
    been written by the tiles of a patch in every byte.
    """
    rings = {ring.tensor: ring for ring in segment.rings}
    node_of = {node.name: node for node in replay.graph.nodes}
    nodes = [node_of[name] for name in segment.nodes]
    fed = FEED in segment.program
    counters = None
    if fed:
        height, row_bytes, _ = fed_rows(replay.graph, replay.calls)
        replay.begin(replay.graph.inputs[0], height * row_bytes, row_bytes)
        if feed is Feed.ROWS:
            counters = _counters(replay, len(segment.nodes) + 1)
    for node in nodes:
        loop, total = replay.calls[node.name].loop, replay.graph.tensors[node.output].nbytes
        replay.begin(node.output, total, loop.out_row_bytes if isinstance(loop, RowLoop) else total)
    covered = {
        node.output: np.zeros(replay.graph.tensors[node.output].nbytes, np.bool_)
        for node in nodes
        if node.output not in rings
    }
    for program, rows, columns in _tiles(segment):
        written: dict[str, _Rows] = {}
        source = None
        if fed:
            source = _source(replay, rings, columns[-1])
            written[source.name] = source
        stages = []
        for node, part in zip(nodes, columns, strict=False):
            stage = _stage(replay, node, rings, written, part)
            written[node.output] = stage.output
            stages.append(stage)
        taken = list(rows)
        for entry in program:
            if counters is not None:
                replay.read(counters, f"a step uses '{counters.name}'")
            if entry != FEED:
                stages[entry].take(replay, taken[entry])
                stages[entry].cover(taken[entry], covered)
            else:
                assert source is not None
                replay.write(source.piece(taken[FEED], part=columns[FEED]))
            taken[entry] += 1
            replay.tick += 1
    for name, there in covered.items():
        if not there.all():
            raise PlanError(f"byte {int(there.argmin())} of '{name}' is in no tile of its segment")


def _tiles(
    segment: Segment,
) -> Iterator[tuple[Sequence[int], Sequence[int], Sequence[Part | None]]]:
    """What one tile after the other runs: its program, and per node, and at last for an input
    that comes, its first row and its columns."""
    if segment.kind is SegmentKind.STREAM:
        count = len(segment.nodes) + 1
        yield segment.program, [0] * count, [None] * count
        return
    begin = 0
    for band in segment.bands:
        for strip in segment.strips:
            yield segment.program[begin : begin + band.steps], band.first_rows, strip.columns
        begin += band.steps


def _counters(replay: Replay, count: int) -> Piece:
    """The counters of rows, which must last from the first step to the last."""
    counters = replay.feed_state(FEED_COUNTER_BYTES * count)
    size = counters.stop - counters.start
    replay.begin(counters.name, size, size)
    replay.write(counters)
    return counters


def fed_rows(graph: Graph, calls: Mapping[str, KernelCall]) -> tuple[int, int, int]:
    """How many rows the graph's only input has, of how many bytes, and the bytes of a pixel (0:
    its rows cannot be taken apart), for its first reader."""
    (name,) = graph.inputs
    for node in graph.consumers()[name]:
        match calls[node.name].loop:
            case RowLoop(inputs=inputs):
                accesses = [access for access in inputs if access.constant is None]
                access = accesses[graph.activations(node).index(name)]
                columns = access.columns
                return access.height, access.row_bytes, columns.pixel_bytes if columns else 0
            case Accumulation(in_height=height, in_row_bytes=size):
                return height, size, 0
    raise PlanError(f"nothing reads input '{name}' row by row")


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a tensor lie: row r at `base` + (r % `slots`) * `pitch`, of a batch."""

    name: str
    home: str
    base: int
    batches: int
    height: int
    row_bytes: int
    slots: int
    pitch: int
    pixel: int = 0
    """Bytes of a column, where parts of rows are computed."""
    within: Part | None = None
    """The columns that a slot holds; None where it holds whole rows."""

    @property
    def total(self) -> int:
        return self.batches * self.height * self.row_bytes

    def piece(self, row: int, batch: int = 0, part: Part | None = None) -> Piece:
        first, stop = 0, self.row_bytes
        if part is not None:
            first, stop = part[0] * self.pixel, part[1] * self.pixel
        skipped = 0
        if self.within is not None:
            skipped = self.within[0] * self.pixel
            assert part is not None
            if part[0] < self.within[0] or part[1] > self.within[1]:
                raise PlanError(
                    f"a step needs columns {part[0]} to {part[1]} of '{self.name}', of which a tile"
                    f" has {self.within[0]} to {self.within[1]}"
                )
        at = (batch * self.height + row) * self.row_bytes + first
        start = self.base + first - skipped
        start += (batch * self.height + row % self.slots) * self.pitch
        return Piece(self.name, self.home, start, start + stop - first, at)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A node that runs row by row."""

    node: Node
    call: KernelCall
    inputs: tuple[tuple[int, _Rows, RowAccess | None, Part | None], ...]
    """Operand position, rows, which of them (None: a step takes the row of its number), and
    which columns (None: all)."""
    output: _Rows
    part: Part | None
    """The columns of the output that it computes; None for all."""
    scratch: Piece | None

    def take(self, replay: Replay, number: int, batch: int = 0) -> None:
        """Step `number` of the node, counted from 0; where it computes rows, that row."""
        who = f"{label(self.node)} at row {number}"
        read: list[tuple[int, Piece]] = []
        for position, rows, access, part in self.inputs:
            if part is not None and part[0] == part[1]:
                continue  # padding only
            for row in (number,) if access is None else _needed(access, number):
                piece = rows.piece(row, batch if rows.batches > 1 else 0, part)
                replay.read(piece, f"{who} reads row {row} of '{rows.name}'")
                read.append((position, piece))
        if isinstance(self.call.loop, Accumulation):
            self._accumulate(replay, who, number, read, self.call.loop)
            return
        result = self.output.piece(number, batch, self.part)
        replay.check_apart(who, self.call, read, [result], self.scratch)
        if self.scratch is not None:
            replay.clobber(self.scratch)
        replay.write(result)

    def cover(self, number: int, covered: Mapping[str, npt.NDArray[np.bool_]]) -> None:
        """A note of what step `number` has written, if that is stored whole."""
        there = covered.get(self.output.name)
        if there is not None and isinstance(self.call.loop, RowLoop):
            piece = self.output.piece(number, 0, self.part)
            there[piece.at : piece.at + piece.stop - piece.start] = True
        elif there is not None:
            there[:] = True

    def _accumulate(
        self,
        replay: Replay,
        who: str,
        number: int,
        read: list[tuple[int, Piece]],
        loop: Accumulation,
    ) -> None:
        """The scratch holds sums, which must last from the first step to the last."""
        last = number == loop.in_height - 1
        result = [self.output.piece(0)] if last else []
        replay.check_apart(who, self.call, read, result, self.scratch)
        if self.scratch is not None:
            if number == 0:
                size = self.scratch.stop - self.scratch.start
                replay.begin(self.scratch.name, size, size)
                replay.write(self.scratch)
            else:
                replay.read(self.scratch, f"{who} adds to its sums")
        for piece in result:
            replay.write(piece)


def _needed(access: RowAccess, number: int) -> Iterator[int]:
    """The input rows for output row `number`; rows of padding are NULL and need nothing."""
    if access.table is not None:
        rows = access.table[number]
    else:
        first = number * access.stride - access.pad_top
        rows = tuple(first + tap * access.dilation for tap in range(access.count))
    return (row for row in rows if 0 <= row < access.height)


def _columns(access: RowAccess | None, part: Part | None) -> Part | None:
    """The input columns that a kernel gets pointers to for `part` of its output row."""
    if part is None:
        return None
    assert access is not None and access.columns is not None  # `check_segment` has seen to it
    along = access.columns
    taps = [
        x * along.stride - along.pad_left + tap * along.dilation
        for x in (part[0], part[1] - 1)
        for tap in (0, along.count - 1)
    ]
    first = min(max(min(taps), 0), along.width)
    return first, max(first, min(max(taps) + 1, along.width))


def _source(replay: Replay, rings: Mapping[str, Ring], part: Part | None) -> _Rows:
    """Where the rows of an input that comes lie."""
    (name,) = replay.graph.inputs
    height, row_bytes, pixel = fed_rows(replay.graph, replay.calls)
    return _rows(replay, name, 1, height, row_bytes, pixel, rings, part)


def _rows(
    replay: Replay,
    name: str,
    batches: int,
    height: int,
    row_bytes: int,
    pixel: int,
    rings: Mapping[str, Ring],
    part: Part | None,
) -> _Rows:
    """Where the rows of a tensor lie while its writer computes columns `part` of them."""
    buffer, ring = replay.buffer(name), rings.get(name)
    base = replay.plan.offsets[buffer.name]
    pixel = 0 if part is None else pixel
    rows = _Rows(name, buffer.name, base, batches, height, row_bytes, height, row_bytes, pixel)
    if ring is None:
        return rows
    if part is None or not ring.columns:
        return replace(rows, slots=ring.rows)
    return replace(rows, slots=ring.rows, pitch=ring.columns * pixel, within=part)


def _stage(
    replay: Replay,
    node: Node,
    rings: Mapping[str, Ring],
    written: Mapping[str, _Rows],
    part: Part | None,
) -> _Stage:
    """`node` as it computes columns `part` of its rows (None: all of them)."""
    call, graph = replay.calls[node.name], replay.graph
    accesses: tuple[RowAccess | None, ...]
    batches, pixel = 1, 0
    match call.loop:
        case RowLoop(batches=batches, inputs=inputs, span=span):
            accesses = tuple(access for access in inputs if access.constant is None)
            height, row_bytes = call.loop.out_height, call.loop.out_row_bytes
            pixel = row_bytes // max(span.out_width, 1)
        case Accumulation(out_bytes=row_bytes):
            accesses, height = (None,), 1
        case _:
            raise PlanError(f"{label(node)} does not work row by row")
    reads = operands(graph, node)
    if len(reads) != len(accesses):
        raise PlanError(f"{label(node)} reads {len(reads)} tensors by {len(accesses)} rules")

    def source(name: str, access: RowAccess | None) -> _Rows:
        if access is not None:
            rows, size, each = access.height, access.row_bytes, 0
            many = batches if access.batch_bytes == rows * size else 1
            if access.columns is not None:
                each = access.columns.pixel_bytes
        else:
            assert isinstance(call.loop, Accumulation)
            rows, size, many, each = call.loop.in_height, call.loop.in_row_bytes, 1, 0
        own = None if part is None else (0, 0)
        if name in written:
            own = written[name].within or own
        found = _rows(replay, name, many, rows, size, each, rings, own)
        _check_size(graph, node, found)
        if name in rings and found != written[name]:
            raise PlanError(f"{label(node)} and its producer see other rows of ring '{name}'")
        return found

    sources = tuple(
        (position, source(name, access), access, _columns(access, part))
        for (position, name), access in zip(reads, accesses, strict=True)
    )
    output = _rows(replay, node.output, batches, height, row_bytes, pixel, rings, part)
    _check_size(graph, node, output)
    return _Stage(node, call, sources, output, part, replay.scratch(node))


def _check_size(graph: Graph, node: Node, rows: _Rows) -> None:
    if rows.total != graph.tensors[rows.name].nbytes:
        raise PlanError(
            f"{label(node)} takes '{rows.name}' for {rows.height} rows of {rows.row_bytes} bytes,"
            f" but it has {graph.tensors[rows.name].nbytes} bytes"
        )
