"""The arena as the checker models it, and whole nodes run on it at once.

Every byte of every tensor has a number of its own. For each byte of the arena,
`Replay.holds` keeps the number of what lies there less its address, which is one
and the same figure all over a piece of a tensor: writing a piece fills it with that
figure, and the piece is intact if the figure is still everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Alias, InPlace, KernelCall, WholeCall
from tinyml.memory.plan import ALIGNMENT, FEED_STATE, Buffer, MemoryPlan, scratch_name

_NOTHING = 0
"""In `Replay.holds`: bytes of no tensor, never written or used as scratch."""


def label(node: Node) -> str:
    """How messages name a node."""
    return f"{node.op.kind} '{node.name}'"


def operands(graph: Graph, node: Node) -> list[tuple[int, str]]:
    """The activations that `node` reads, and at which positions."""
    return [
        (position, name)
        for position, name in enumerate(node.inputs)
        if name is not None and not graph.tensors[name].is_const
    ]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `stop` of the arena, where bytes of `name` from number `at` on belong."""

    name: str
    home: str
    """The buffer that they are in."""
    start: int
    stop: int
    at: int = 0

    def touches(self, other: "Piece") -> bool:
        """Whether they share a byte of the arena."""
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class _Content:
    """Something that the arena holds, in rows of `row_bytes`: its bytes count from `number` on."""

    number: int
    size: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class Uses:
    """Per `ALIGNMENT` bytes of a buffer, the first and the last tick that use them, or -1."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    @staticmethod
    def none(size: int) -> "Uses":
        """Nothing has used any of `size` bytes."""
        return Uses(*(np.full(size // ALIGNMENT, -1, np.int64) for _ in range(2)))


@dataclass(slots=True)
class Replay:
    """The arena as the plan leaves it, tick after tick."""

    graph: Graph
    calls: Mapping[str, KernelCall]
    plan: MemoryPlan
    holds: npt.NDArray[np.int64] = field(init=False)
    tick: int = field(init=False)
    """The time; whoever lets it pass counts it on."""
    contents: dict[str, _Content] = field(init=False)
    """What has been written, by name: tensors, and sums that a node carries on."""
    next_number: int = field(init=False)
    buffer_of: dict[str, Buffer] = field(init=False)
    """Tensor -> its buffer."""
    scratch_of: dict[str, Buffer] = field(init=False)
    """Node -> the buffer of its scratch."""
    uses: dict[str, Uses] = field(init=False)
    """By buffer."""

    def __post_init__(self) -> None:
        self.holds = np.full(self.plan.arena_bytes, _NOTHING, np.int64)
        self.tick = 0
        self.contents = {}
        self.next_number = self.plan.arena_bytes + 1  # less any address, it is not _NOTHING
        self.buffer_of = {}
        self.scratch_of = {}
        self.uses = {buffer.name: Uses.none(buffer.bytes) for buffer in self.plan.buffers}
        for buffer in self.plan.buffers:
            for names, home in (
                (buffer.tensors, self.buffer_of),
                (buffer.scratch_of, self.scratch_of),
            ):
                for name in names:
                    if home.setdefault(name, buffer) is not buffer:
                        raise PlanError(f"'{name}' lies in more than one buffer")

    def load_inputs(self) -> None:
        """The application writes all graph inputs, in any order, before anything runs; states lie
        where the invocation before has left them."""
        pieces = [self.whole(name) for name in dict.fromkeys(self.graph.sources)]
        for a, b in combinations(pieces, 2):
            if a.touches(b):
                both = {a.name, b.name} <= {*self.graph.inputs}
                what = "graph inputs" if both else "a state and what else is there at first,"
                raise PlanError(f"{what} '{a.name}' and '{b.name}' overlap")
        for written in pieces:
            self._write_whole(written)

    def run(self, node: Node) -> None:
        """One whole node at one tick: read, then overwrite, as its kernel may."""
        inputs = [(position, self.whole(name)) for position, name in operands(self.graph, node)]
        for _, source in inputs:
            self.read(source, f"{label(node)} reads '{source.name}'")
        call = self.calls[node.name]
        outputs = [self.whole(name) for name in node.outputs]
        if isinstance(call.loop, Alias):
            self._alias(node, inputs[0][1] if inputs else None, outputs)
            if isinstance(call.loop, InPlace):
                self._write_whole(outputs[0])  # who wants what was there before comes too late
        else:
            scratch = self.scratch(node)
            self.check_apart(label(node), call, inputs, outputs, scratch)
            if scratch is not None:
                self.clobber(scratch)
            for written in outputs:
                self._write_whole(written)
        self.tick += 1

    def read_outputs(self) -> None:
        """The application reads all graph outputs after the last tick, which is the time now, and
        the next invocation will find the states."""
        for name in self.graph.outputs:
            self.read(self.whole(name), f"the application reads output '{name}'")
        for state in self.graph.states:
            before, after = self.whole(state.before), self.whole(state.after)
            self.read(after, f"the next invocation reads state '{after.name}'")
            if before.start != after.start:
                raise PlanError(f"'{after.name}' does not lie where state '{before.name}' is read")
            self._check_lasting(before.home)

    def _check_lasting(self, home: str) -> None:
        """Nothing but a state ever lies where it does."""
        own = next(buffer for buffer in self.plan.buffers if buffer.name == home)
        start = self.plan.offsets[home]
        for other in self.plan.buffers:
            at = self.plan.offsets[other.name]
            if other.name != home and at < start + own.bytes and start < at + other.bytes:
                raise PlanError(f"buffer '{other.name}' shares bytes with state '{home}'")

    def check_lives(self) -> None:
        """Every buffer says exactly what of it is live when: from its first use to its last."""
        for buffer in self.plan.buffers:
            said, used = Uses.none(buffer.bytes), self.uses[buffer.name]
            end = 0
            for block in buffer.blocks:
                stop = block.offset + block.bytes
                if block.offset % ALIGNMENT or block.bytes % ALIGNMENT or block.offset < end:
                    raise PlanError(f"the blocks of buffer '{buffer.name}' are not one by one")
                if stop > buffer.bytes:
                    raise PlanError(f"a block of buffer '{buffer.name}' ends outside it")
                said.first[block.offset // ALIGNMENT : stop // ALIGNMENT] = block.first
                said.last[block.offset // ALIGNMENT : stop // ALIGNMENT] = block.last
                end = stop
            wrong = (said.first != used.first) | (said.last != used.last)
            if wrong.any():
                at = int(wrong.argmax())
                raise PlanError(
                    f"buffer '{buffer.name}' calls its byte {at * ALIGNMENT} live from tick"
                    f" {said.first[at]} to {said.last[at]}, but its uses are from {used.first[at]}"
                    f" to {used.last[at]}"
                )

    def buffer(self, name: str) -> Buffer:
        """The buffer of a tensor."""
        buffer = self.buffer_of.get(name)
        if buffer is None:
            raise PlanError(f"tensor '{name}' has no buffer")
        return buffer

    def whole(self, name: str) -> Piece:
        """All of a tensor."""
        buffer = self.buffer(name)
        start = self.plan.offsets[buffer.name]
        return Piece(name, buffer.name, start, start + self.graph.tensors[name].nbytes)

    def feed_state(self, size: int) -> Piece:
        """The counters of rows."""
        if not any(b.name == FEED_STATE and b.bytes >= size for b in self.plan.buffers):
            raise PlanError(f"there is no buffer '{FEED_STATE}' of {size} bytes")
        start = self.plan.offsets[FEED_STATE]
        return Piece(FEED_STATE, FEED_STATE, start, start + size)

    def scratch(self, node: Node) -> Piece | None:
        """The scratch of `node`, None where it needs none."""
        need = self.calls[node.name].scratch_bytes
        if not need:
            return None
        buffer = self.scratch_of.get(node.name)
        if buffer is None or buffer.bytes < need:
            raise PlanError(f"{label(node)} has no scratch of {need} bytes")
        start = self.plan.offsets[buffer.name]
        return Piece(scratch_name(node.name), buffer.name, start, start + need)

    def begin(self, name: str, size: int, row_bytes: int) -> None:
        """From now on `name` can be written: something new, of which the arena holds nothing."""
        self.contents[name] = _Content(self.next_number, size, row_bytes)
        self.next_number += size

    def write(self, piece: Piece) -> None:
        """`piece` now holds what belongs there."""
        self._use(piece)
        self.holds[piece.start : piece.stop] = self._figure(piece, self.contents[piece.name])

    def clobber(self, piece: Piece) -> None:
        """`piece` now holds nothing that means anything."""
        self._use(piece)
        self.holds[piece.start : piece.stop] = _NOTHING

    def read(self, piece: Piece, who: str) -> None:
        """PlanError, beginning with `who`, unless `piece` holds what belongs there."""
        content = self.contents.get(piece.name)
        if content is None:
            raise PlanError(f"{who}, which nothing has written")
        self._use(piece)
        wrong = self.holds[piece.start : piece.stop] != self._figure(piece, content)
        if wrong.any():
            address = piece.start + int(wrong.argmax())
            raise PlanError(f"{who}, but byte {address} of the arena holds {self._held(address)}")

    def check_apart(
        self,
        who: str,
        call: KernelCall,
        inputs: Sequence[tuple[int, Piece]],
        outputs: Sequence[Piece],
        scratch: Piece | None,
    ) -> None:
        """What one call uses lies apart; an output may overlay an input if the kernel allows.

        `inputs` come with their operand positions.
        """
        for a, b in combinations(outputs, 2):
            if a.touches(b):
                raise PlanError(f"{who}: outputs '{a.name}' and '{b.name}' overlap")
        for written in outputs:
            for position, source in inputs:
                if not written.touches(source):
                    continue
                allowed = position in call.in_place and len(outputs) == 1
                if isinstance(call.loop, WholeCall) and position in call.loop.updates:
                    which = call.loop.updates.index(position) - len(call.loop.updates)
                    allowed = written is outputs[which]
                if not allowed or (written.start, written.stop) != (source.start, source.stop):
                    raise PlanError(
                        f"{who}: output '{written.name}' overwrites input"
                        f" '{source.name}' while it is read"
                    )
        for other in (*(source for _, source in inputs), *outputs):
            if scratch is not None and scratch.touches(other):
                raise PlanError(f"{who}: its scratch overlaps '{other.name}'")

    def _use(self, piece: Piece) -> None:
        """A note that something uses `piece` now."""
        base, uses = self.plan.offsets[piece.home], self.uses[piece.home]
        begin, end = (piece.start - base) // ALIGNMENT, -((base - piece.stop) // ALIGNMENT)
        if begin < 0 or end > uses.first.size:
            raise PlanError(f"'{piece.name}' reaches out of its buffer '{piece.home}'")
        first = uses.first[begin:end]
        first[first < 0] = self.tick
        uses.last[begin:end] = self.tick

    def _write_whole(self, piece: Piece) -> None:
        size = piece.stop - piece.start
        self.begin(piece.name, size, size)
        self.write(piece)

    def _alias(self, node: Node, source: Piece | None, outputs: list[Piece]) -> None:
        """Nothing runs: the output must be the very bytes of the first input."""
        if source is None or source.name != node.inputs[0] or len(outputs) != 1:
            raise PlanError(f"{label(node)} is no view of an activation")
        view = outputs[0]
        if (source.start, source.stop) != (view.start, view.stop):
            raise PlanError(f"{label(node)}: '{view.name}' does not lie on '{source.name}'")
        self._use(view)
        self.contents[view.name] = self.contents[source.name]

    @staticmethod
    def _figure(piece: Piece, content: _Content) -> int:
        return content.number + piece.at - piece.start

    def _held(self, address: int) -> str:
        """What lies at `address`, in words."""
        figure = int(self.holds[address])
        if figure == _NOTHING:
            return "nothing, or scratch"
        number = figure + address
        name, content = next(
            (name, content)
            for name, content in self.contents.items()
            if content.number <= number < content.number + content.size
        )
        if content.row_bytes == content.size:
            return f"'{name}'"
        return f"row {(number - content.number) // content.row_bytes} of '{name}'"
