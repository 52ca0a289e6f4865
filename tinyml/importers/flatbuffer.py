"""Verification of untrusted flatbuffers.

The generated accessors of the `tflite` package read wherever the file's offsets
point. `verify` walks every table, vector and string that a schema names, before
any of it is read, and checks that each lies inside the file. What it accepts can
be read without further checks. Python's flatbuffers library has no verifier of its
own; the format is described at https://flatbuffers.dev/internals/.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.errors import ModelError

_UOFFSET = struct.Struct("<I")
_SOFFSET = struct.Struct("<i")
_VTABLE = struct.Struct("<HH")
_VOFFSET = struct.Struct("<H")
_SLACK = 4096


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number of `size` bytes, stored in the table."""

    size: int


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of numbers of `size` bytes each; a string is one of bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by its name in the schema."""

    name: str


@dataclass(frozen=True, slots=True)
class Tables:
    """A vector of tables."""

    name: str


@dataclass(frozen=True, slots=True)
class Union:
    """One of several tables: `names` maps the byte in slot `type_slot` to the table's name.

    A table without a name there is not verified and must not be read.
    """

    type_slot: int
    names: Mapping[int, str]


Field = Scalar | Vector | Table | Tables | Union
Schema = Mapping[str, Mapping[int, Field]]
"""Table name -> slot -> field. A slot that is not listed must not be read."""


def verify(data: bytes, identifier: bytes, schema: Schema, root: str) -> None:
    """Raises ModelError unless `data` is a sound flatbuffer whose root is a `root` table.

    The parts of a sound file are distinct, so together they take no more than the
    file's size. Offsets that point to the same place again and again break that rule;
    refusing them bounds the work here, and the time and memory that reading takes.
    """
    if len(data) < 8 or data[4:8] != identifier:
        raise ModelError(f"no {identifier.decode()} identifier: this is no .tflite file")
    walk = _Walk(data, schema, budget=4 * len(data) + _SLACK)
    walk.table(root, walk.target(0))


@dataclass(slots=True)
class _Walk:
    data: bytes
    schema: Schema
    budget: int

    def charge(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise _damaged("its parts overlap")

    def inside(self, position: int, size: int, what: str) -> None:
        if position < 0 or position + size > len(self.data):
            raise _damaged(f"{what} lies outside the file")

    def target(self, position: int) -> int:
        """Where the offset stored at `position` points."""
        self.inside(position, _UOFFSET.size, "an offset")
        return position + int(_UOFFSET.unpack_from(self.data, position)[0])

    def vector(self, position: int, size: int) -> int:
        """Checks a vector of elements of `size` bytes; their count."""
        self.inside(position, _UOFFSET.size, "a vector")
        count = int(_UOFFSET.unpack_from(self.data, position)[0])
        self.inside(position, _UOFFSET.size + count * size, "a vector")
        self.charge(_UOFFSET.size + count * size)
        return count

    def table(self, name: str, position: int) -> None:
        """Checks a table and all that it refers to; the schema has no cycles, so this ends."""
        self.inside(position, _SOFFSET.size, f"a table ({name})")
        vtable = position - int(_SOFFSET.unpack_from(self.data, position)[0])
        self.inside(vtable, _VTABLE.size, f"the vtable of a table ({name})")
        vtable_size, size = _VTABLE.unpack_from(self.data, vtable)
        if vtable_size < _VTABLE.size or vtable_size % 2 or size < _SOFFSET.size:
            raise _damaged(f"a table ({name}) has an impossible layout")
        self.inside(vtable, vtable_size, f"the vtable of a table ({name})")
        self.inside(position, size, f"a table ({name})")
        self.charge(size)

        def place(slot: int, width: int) -> int | None:
            """Where the field in `slot` lies, None when it is absent."""
            entry = _VTABLE.size + _VOFFSET.size * slot
            if entry >= vtable_size:
                return None
            offset = int(_VOFFSET.unpack_from(self.data, vtable + entry)[0])
            if offset + width > size:
                raise _damaged(f"a field of a table ({name}) lies outside it")
            return position + offset if offset else None

        for slot, field in self.schema[name].items():
            where = place(slot, field.size if isinstance(field, Scalar) else _UOFFSET.size)
            if where is None or isinstance(field, Scalar):
                continue
            start = self.target(where)
            match field:
                case Vector(width):
                    self.vector(start, width)
                case Table(inner):
                    self.table(inner, start)
                case Tables(inner):
                    for index in range(self.vector(start, _UOFFSET.size)):
                        self.table(inner, self.target(start + _UOFFSET.size * (1 + index)))
                case Union(type_slot, names):
                    tag = place(type_slot, 1)
                    option = names.get(0 if tag is None else self.data[tag])
                    if option is not None:
                        self.table(option, start)


def _damaged(reason: str) -> ModelError:
    return ModelError(f"the file is damaged: {reason}", hint="copy or export the model again")
