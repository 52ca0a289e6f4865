"""Does a plan work? Byte by byte on an arena of Python objects, straight from the definition.

What a kernel may do is done: it fills its scratch and its output with garbage before it
reads, unless it may overlay that very operand, and its scratch again after it has written.
"""

from collections.abc import Mapping, Sequence

from tests.memory.streams import input_rows, needs, steps
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, Alias, KernelCall, RowLoop
from tinyml.memory.plan import FEED_STATE, MemoryPlan
from tinyml.schedule.schedule import FEED, Schedule, Segment, SegmentKind

_Piece = tuple[str, int, int, int]
"""A tensor, its first byte that is meant, how many bytes, and their address."""


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
        self.arena: list[object] = [None] * plan.arena_bytes
        self.home = {name: name for name in graph.tensors}  # an alias -> what it is a view of

    def execute(self, schedule: Schedule) -> None:
        node_of = {node.name: node for node in self.graph.nodes}
        inputs = () if schedule.fed else self.graph.inputs
        for name in inputs:
            self._write(self._whole(name))
        for name in inputs:
            self._read(self._whole(name))
        for segment in schedule.segments:
            if segment.kind is SegmentKind.STREAM:
                self._stream(segment, node_of)
            else:
                self._layer(node_of[segment.nodes[0]])
        for name in self.graph.outputs:
            self._read(self._whole(name))

    def _layer(self, node: Node) -> None:
        inputs = [
            (position, self._whole(name))
            for position, name in enumerate(node.inputs)
            if name is not None and not self.graph.tensors[name].is_const
        ]
        if isinstance(self.calls[node.name].loop, Alias):
            self.home[node.output] = self.home[inputs[0][1][0]]
            return
        self._call(node, inputs, [self._whole(name) for name in node.outputs])

    def _stream(self, segment: Segment, node_of: Mapping[str, Node]) -> None:
        rings = {ring.tensor: ring.rows for ring in segment.rings}
        taken = dict.fromkeys(segment.nodes, 0)

        def row(tensor: str, number: int, size: int) -> _Piece:
            slot = number % rings[tensor] if tensor in rings else number
            return tensor, number * size, size, self.plan.offset_of(tensor) + slot * size

        fed = segment.program.count(FEED)
        height = 0
        counters: list[_Piece] = []
        if fed:
            (x,) = self.graph.inputs
            height, size = input_rows(self.graph, self.calls)
            state = 2 * (len(segment.nodes) + 1)
            counters.append((FEED_STATE, 0, state, self.plan.offsets[FEED_STATE]))
            self._write(counters[0])
        if fed != height:
            raise _CorruptError
        fed = 0
        for entry in segment.program:
            for piece in counters:
                self._read(piece)
            if entry == FEED:
                self._write(row(x, fed, size))
                fed += 1
                continue
            node = node_of[segment.nodes[entry]]
            call, number = self.calls[node.name], taken[node.name]
            taken[node.name] += 1
            loop = call.loop
            if number == steps(call):
                raise _CorruptError
            if isinstance(loop, Accumulation):
                source = row(self.graph.activations(node)[0], number, loop.in_row_bytes)
                self._sum(node, number, source, row(node.output, 0, loop.out_bytes))
                continue
            assert isinstance(loop, RowLoop)
            accesses = [access for access in loop.inputs if access.constant is None]
            sizes = dict(zip(self.graph.activations(node), accesses, strict=True))
            inputs = [
                (position, row(tensor, r, sizes[tensor].row_bytes))
                for tensor, r in needs(self.graph, node, call, number)
                for position, name in enumerate(node.inputs)
                if name == tensor
            ]
            self._call(node, inputs, [row(node.output, number, loop.out_row_bytes)])
        if any(taken[name] != steps(self.calls[name]) for name in segment.nodes):
            raise _CorruptError

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
        for i in range(piece[2]):
            self.arena[piece[3] + i] = None

    def _write(self, piece: _Piece) -> None:
        name, first, size, at = piece
        for i in range(size):
            self.arena[at + i] = (self.home.get(name, name), first + i)

    def _read(self, piece: _Piece) -> None:
        name, first, size, at = piece
        for i in range(size):
            if self.arena[at + i] != (self.home.get(name, name), first + i):
                raise _CorruptError
