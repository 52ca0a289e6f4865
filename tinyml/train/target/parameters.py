"""Where what learns lies in RAM: one block of parameters, one of what is remembered about them."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyml.emit.names import Namer, short
from tinyml.ir.graph import Array, DType
from tinyml.memory.plan import ALIGNMENT
from tinyml.train import reference
from tinyml.train.autodiff import parameter_of
from tinyml.train.program import Buffer, Program, Role
from tinyml.train.tail import Tail


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An array in a block."""

    buffer: Buffer
    title: str
    """For people: layer and role."""
    member: str
    """Its name in C."""
    offset: int
    data: Array
    """What it begins with."""

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.buffer.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """A C struct of arrays, those of the widest elements first, so that there are no gaps."""

    entries: tuple[Entry, ...]
    nbytes: int
    """A multiple of `ALIGNMENT`, as its alignment is."""

    def members(self) -> dict[str, str]:
        """Buffer -> name in C."""
        return {entry.buffer.name: entry.member for entry in self.entries}

    def packed(self, values: Mapping[str, Array]) -> bytes:
        """The block with these values, by name."""
        found = bytearray(self.nbytes)
        for entry in self.entries:
            data = np.ascontiguousarray(values[entry.buffer.name]).tobytes()
            found[entry.offset : entry.offset + len(data)] = data
        return bytes(found)

    def unpacked(self, data: bytes) -> dict[str, Array]:
        """The values, by name, of a block."""
        return {
            entry.buffer.name: np.frombuffer(
                data, np.dtype(entry.buffer.element.value), entry.size, entry.offset
            ).reshape(entry.buffer.shape)
            for entry in self.entries
        }

    @property
    def tag(self) -> int:
        """Tells blocks of other arrays: those in storage are not loaded over these."""
        layout = [(e.buffer.name, e.buffer.element.value, e.buffer.shape) for e in self.entries]
        return zlib.crc32(repr(layout).encode())


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """All that lasts from one training step to the next."""

    parameters: Memory
    state: Memory
    """Momentum, or the gradients of a batch so far; none of either: no entries."""

    @property
    def nbytes(self) -> int:
        """Of RAM."""
        return self.parameters.nbytes + self.state.nbytes


def learning(tail: Tail, program: Program) -> Learning:
    """The blocks of a program, with what they begin with."""
    state = reference.initial_state(tail, program)
    changing = {name for step in program.steps for name in step.writes}
    lasting = [b for b in program.buffers.values() if b.lasting and b.name in changing]
    return Learning(
        _memory(tail, ((b, state.parameters[b.name]) for b in lasting if b.role is Role.PARAMETER)),
        _memory(tail, ((b, state.momenta[b.name]) for b in lasting if b.role is Role.STATE)),
    )


def _memory(tail: Tail, arrays: Iterable[tuple[Buffer, Array]]) -> Memory:
    titles = {
        name: f"{node.name} {role}"
        for node in tail.head.nodes
        for name, role in zip(node.inputs[1:], ("weights", "bias"), strict=False)
        if name is not None
    }
    entries = tuple(_placed(arrays, titles))
    end = max((entry.offset + entry.buffer.nbytes for entry in entries), default=0)
    return Memory(entries, -(-end // ALIGNMENT) * ALIGNMENT)


def _placed(arrays: Iterable[tuple[Buffer, Array]], titles: Mapping[str, str]) -> Iterator[Entry]:
    offset, names = 0, Namer()
    for buffer, data in sorted(arrays, key=lambda each: -_width(each[0])):
        title = titles[parameter_of(buffer.name)]
        yield Entry(buffer, title, names(short(title)), offset, data)
        offset += buffer.nbytes


def _width(buffer: Buffer) -> int:
    return DType(buffer.element.value).itemsize
