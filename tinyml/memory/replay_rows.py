"""Stream segments as the checker runs them: row by row, as their program says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop
from tinyml.memory.plan import FEED_COUNTER_BYTES, FEED_STATE
from tinyml.memory.replay import Piece, Replay, label
from tinyml.schedule.schedule import FEED, Segment


def run_stream(replay: Replay, segment: Segment, step: int) -> None:
    """Every row that a step reads is there and intact; it then writes its row, and clobbers.

    The program must have been checked to take each node's steps (`check`).
    """
    rings = {ring.tensor: ring.rows for ring in segment.rings}
    node_of = {node.name: node for node in replay.graph.nodes}
    written: dict[str, _Rows] = {}
    source = counters = None
    if FEED in segment.program:
        counters = _counters(replay, len(segment.nodes) + 1)
        (name,) = replay.graph.inputs
        height, row_bytes = fed_rows(replay.graph, replay.calls)
        source = _Rows(name, replay.base(name, step), height, row_bytes, rings[name])
        replay.begin(source.name, source.total, source.row_bytes)
        written[source.name] = source
    stages = []
    for name in segment.nodes:
        stage = _stage(replay, node_of[name], rings, written, step)
        replay.begin(stage.output.name, stage.output.total, stage.output.row_bytes)
        written[stage.output.name] = stage.output
        stages.append(stage)
    taken = dict.fromkeys((*range(len(stages)), FEED), 0)
    for entry in segment.program:
        if counters is not None:
            replay.read(counters, f"a step uses '{FEED_STATE}'")
        if entry != FEED:
            stages[entry].take(replay, taken[entry])
        else:
            assert source is not None
            replay.write(source.piece(taken[FEED]))
        taken[entry] += 1


def _counters(replay: Replay, count: int) -> Piece:
    """The counters of rows, which must last from the first step to the last."""
    size = FEED_COUNTER_BYTES * count
    start = replay.feed_state(size)
    counters = Piece(FEED_STATE, start, start + size)
    replay.begin(FEED_STATE, size, size)
    replay.write(counters)
    return counters


def fed_rows(graph: Graph, calls: Mapping[str, KernelCall]) -> tuple[int, int]:
    """How many rows the graph's only input has, and of how many bytes, for its first reader."""
    (name,) = graph.inputs
    for node in graph.consumers()[name]:
        match calls[node.name].loop:
            case RowLoop(inputs=inputs):
                accesses = [access for access in inputs if access.constant is None]
                access = accesses[graph.activations(node).index(name)]
                return access.height, access.row_bytes
            case Accumulation(in_height=height, in_row_bytes=size):
                return height, size
    raise PlanError(f"nothing reads input '{name}' row by row")


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a tensor lie: row r at `base` + (r % `slots`) * `row_bytes`."""

    name: str
    base: int
    height: int
    row_bytes: int
    slots: int

    @property
    def total(self) -> int:
        return self.height * self.row_bytes

    def piece(self, row: int) -> Piece:
        start = self.base + row % self.slots * self.row_bytes
        return Piece(self.name, start, start + self.row_bytes, row * self.row_bytes)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A node in a stream."""

    node: Node
    call: KernelCall
    inputs: tuple[tuple[int, _Rows, RowAccess | None], ...]
    """Operand position, rows, and which of them (None: a step takes the row of its number)."""
    output: _Rows
    scratch: Piece | None

    def take(self, replay: Replay, number: int) -> None:
        """Step `number` of the node, counted from 0."""
        who = f"{label(self.node)} at row {number}"
        read: list[tuple[int, Piece]] = []
        for position, rows, access in self.inputs:
            for row in (number,) if access is None else _needed(access, number):
                piece = rows.piece(row)
                replay.read(piece, f"{who} reads row {row} of '{rows.name}'")
                read.append((position, piece))
        if isinstance(self.call.loop, Accumulation):
            self._accumulate(replay, who, number, read, self.call.loop)
            return
        result = self.output.piece(number)
        replay.check_apart(who, self.call, read, [result], self.scratch)
        if self.scratch is not None:
            replay.clobber(self.scratch)
        replay.write(result)

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


def _stage(
    replay: Replay, node: Node, rings: dict[str, int], written: dict[str, _Rows], step: int
) -> _Stage:
    call = replay.calls[node.name]
    graph = replay.graph
    accesses: tuple[RowAccess | None, ...]
    match call.loop:
        case RowLoop(inputs=inputs):
            accesses = tuple(access for access in inputs if access.constant is None)
            height, row_bytes = call.loop.out_height, call.loop.out_row_bytes
        case Accumulation(out_bytes=row_bytes):
            accesses, height = (None,), 1
        case _:
            raise PlanError(f"{label(node)} does not work row by row")
    operands = [
        (position, name)
        for position, name in enumerate(node.inputs)
        if name is not None and not graph.tensors[name].is_const
    ]
    if len(operands) != len(accesses):
        raise PlanError(f"{label(node)} reads {len(operands)} tensors by {len(accesses)} rules")

    def source(name: str, access: RowAccess | None) -> _Rows:
        if access is not None:
            rows, size = access.height, access.row_bytes
        else:
            assert isinstance(call.loop, Accumulation)
            rows, size = call.loop.in_height, call.loop.in_row_bytes
        found = _Rows(name, replay.base(name, step), rows, size, rings.get(name, rows))
        _check_size(graph, node, found)
        if name in rings and found != written[name]:
            raise PlanError(f"{label(node)} and its producer see other rows of ring '{name}'")
        return found

    sources = tuple(
        (position, source(name, access), access)
        for (position, name), access in zip(operands, accesses, strict=True)
    )
    base = replay.base(node.output, step)
    output = _Rows(node.output, base, height, row_bytes, rings.get(node.output, height))
    _check_size(graph, node, output)
    return _Stage(node, call, sources, output, replay.scratch(node, step))


def _check_size(graph: Graph, node: Node, rows: _Rows) -> None:
    if rows.total != graph.tensors[rows.name].nbytes:
        raise PlanError(
            f"{label(node)} takes '{rows.name}' for {rows.height} rows of {rows.row_bytes} bytes,"
            f" but it has {graph.tensors[rows.name].nbytes} bytes"
        )
