"""Where what learns lies in RAM: one block of parameters, one of what is remembered about them."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from tinyml.ir.graph import Array, DType
from tinyml.memory.plan import ALIGNMENT
from tinyml.train import reference
from tinyml.train.program import Buffer, Program, Role
from tinyml.train.tail import Tail


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An array in a block."""

    buffer: Buffer
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
    bytes: int
    """A multiple of `ALIGNMENT`, as its alignment is."""

    def packed(self, values: "dict[str, Array]") -> bytes:
        """The block with these values, by name."""
        found = bytearray(self.bytes)
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
    def bytes(self) -> int:
        """Of RAM."""
        return self.parameters.bytes + self.state.bytes


def learning(tail: Tail, program: Program) -> Learning:
    """The blocks of a program, with what they begin with."""
    state = reference.initial_state(tail, program)
    changing = {name for step in program.steps for name in step.writes}
    lasting = [b for b in program.buffers.values() if b.lasting and b.name in changing]
    return Learning(
        _memory((b, state.parameters[b.name]) for b in lasting if b.role is Role.PARAMETER),
        _memory((b, state.momenta[b.name]) for b in lasting if b.role is Role.STATE),
    )


def _memory(arrays: Iterable[tuple[Buffer, Array]]) -> Memory:
    entries = tuple(_placed(arrays))
    end = max((entry.offset + entry.buffer.nbytes for entry in entries), default=0)
    return Memory(entries, -(-end // ALIGNMENT) * ALIGNMENT)


def _placed(arrays: Iterable[tuple[Buffer, Array]]) -> Iterator[Entry]:
    offset = 0
    for buffer, data in sorted(arrays, key=lambda each: -_width(each[0])):
        yield Entry(buffer, offset, data)
        offset += buffer.nbytes


def _width(buffer: Buffer) -> int:
    return DType(buffer.element.value).itemsize
