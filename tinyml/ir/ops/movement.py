"""Operators that move, repeat or mix elements and compute no new quantisation."""

from abc import ABC
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinyml.ir.ops.base import (
    Op,
    OptionalShapes,
    Shape,
    Shapes,
    broadcast,
    check_axes,
    check_rank,
    required,
)


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """Constant padding; `paddings` is (before, after) per dimension.

    `value` is the padding's integer in the output's quantisation, None for its
    zero point (PAD). Covers PAD and PADV2.
    """

    kind: ClassVar[str] = "PAD"
    paddings: tuple[tuple[int, int], ...] = ()
    value: int | None = None

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        if len(self.paddings) != len(x) or min((min(p) for p in self.paddings), default=0) < 0:
            raise ValueError(f"paddings {self.paddings} do not fit {len(x)} dimensions")
        return (tuple(b + d + a for d, (b, a) in zip(x, self.paddings, strict=True)),)


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The same elements under another shape; covers RESHAPE, SQUEEZE and EXPAND_DIMS."""

    kind: ClassVar[str] = "RESHAPE"
    shape: Shape = ()

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        if prod(x) != prod(self.shape):
            raise ValueError(f"cannot view {x} as {self.shape}")
        return (self.shape,)


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """Output dimension i is input dimension perm[i]."""

    kind: ClassVar[str] = "TRANSPOSE"
    perm: tuple[int, ...] = ()

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        if sorted(self.perm) != list(range(len(x))):
            raise ValueError(f"{self.perm} is no permutation of {len(x)} dimensions")
        return (tuple(x[i] for i in self.perm),)


@dataclass(frozen=True, slots=True)
class Concatenation(Op):
    """Inputs one after another along `axis`; they share the output's quantisation."""

    kind: ClassVar[str] = "CONCATENATION"
    axis: int = 0

    def infer(self, inputs: OptionalShapes) -> Shapes:
        shapes = required(inputs, len(inputs))
        first, axis = shapes[0], self.axis
        check_axes((axis,), len(first))
        for shape in shapes[1:]:
            if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
                raise ValueError(f"cannot concatenate {first} and {shape} along {axis}")
        return ((*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :]),)


@dataclass(frozen=True, slots=True)
class Split(Op):
    """`count` equal parts along `axis`."""

    kind: ClassVar[str] = "SPLIT"
    axis: int = 0
    count: int = 1

    @property
    def results(self) -> int:
        return self.count

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes((self.axis,), len(x))
        if self.count < 1 or x[self.axis] % self.count:
            raise ValueError(f"cannot split {x[self.axis]} into {self.count} parts")
        part = (*x[: self.axis], x[self.axis] // self.count, *x[self.axis + 1 :])
        return (part,) * self.count


@dataclass(frozen=True, slots=True)
class SplitV(Op):
    """Parts of `sizes` along `axis`."""

    kind: ClassVar[str] = "SPLIT_V"
    axis: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def results(self) -> int:
        return len(self.sizes)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes((self.axis,), len(x))
        if sum(self.sizes) != x[self.axis] or min(self.sizes, default=0) < 1:
            raise ValueError(f"cannot split {x[self.axis]} into {self.sizes}")
        return tuple((*x[: self.axis], n, *x[self.axis + 1 :]) for n in self.sizes)


@dataclass(frozen=True, slots=True)
class Pack(Op):
    """Inputs of one shape side by side along the new dimension `axis`."""

    kind: ClassVar[str] = "PACK"
    axis: int = 0

    def infer(self, inputs: OptionalShapes) -> Shapes:
        shapes = required(inputs, len(inputs))
        first = shapes[0]
        check_axes((self.axis,), len(first) + 1)
        for shape in shapes[1:]:
            if shape != first:
                raise ValueError(f"cannot pack {first} and {shape}")
        return ((*first[: self.axis], len(shapes), *first[self.axis :]),)


@dataclass(frozen=True, slots=True)
class Unpack(Op):
    """One result for each of the `count` elements along `axis`, which disappears."""

    kind: ClassVar[str] = "UNPACK"
    axis: int = 0
    count: int = 1

    @property
    def results(self) -> int:
        return self.count

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes((self.axis,), len(x))
        if x[self.axis] != self.count:
            raise ValueError(f"cannot unpack {x[self.axis]} elements into {self.count}")
        return (x[: self.axis] + x[self.axis + 1 :],) * self.count


@dataclass(frozen=True, slots=True)
class BroadcastTo(Op):
    """Repeated along dimensions of one element, and along new ones in front."""

    kind: ClassVar[str] = "BROADCAST_TO"
    shape: Shape = ()

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        if broadcast(x, self.shape) != self.shape:
            raise ValueError(f"{x} does not broadcast to {self.shape}")
        return (self.shape,)


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Op):
    """Squares of `block` pixels become one pixel: row by row, their channels one after another."""

    kind: ClassVar[str] = "SPACE_TO_DEPTH"
    block: int = 1

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_rank("input", x, 4)
        b = self.block
        if b < 1 or x[1] % b or x[2] % b:
            raise ValueError(f"a map of {x[1]}x{x[2]} has no blocks of {b}x{b}")
        return ((x[0], x[1] // b, x[2] // b, x[3] * b * b),)


@dataclass(frozen=True, slots=True)
class DepthToSpace(Op):
    """The inverse of SPACE_TO_DEPTH."""

    kind: ClassVar[str] = "DEPTH_TO_SPACE"
    block: int = 1

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_rank("input", x, 4)
        b = self.block
        if b < 1 or x[3] % (b * b):
            raise ValueError(f"{x[3]} channels are no blocks of {b}x{b}")
        return ((x[0], x[1] * b, x[2] * b, x[3] // (b * b)),)


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Rows of the second operand, a table, for the indices that are the first.

    Covers EMBEDDING_LOOKUP, and GATHER along the first dimension. An index outside the table
    gives its nearest row (TFLite Micro leaves it open).
    """

    kind: ClassVar[str] = "GATHER"

    def infer(self, inputs: OptionalShapes) -> Shapes:
        indices, rows = required(inputs, 2)
        if not rows:
            raise ValueError("the table has no rows")
        return ((*indices, *rows[1:]),)


@dataclass(frozen=True, slots=True)
class StridedSlice(Op):
    """x[begin:end:stride] per dimension.

    `begin` and `sizes` are resolved (element i of dimension d is
    begin[d] + i * strides[d]; strides may be negative), `shape` is the output
    shape after shrinking and new axes, with the same number of elements.
    """

    kind: ClassVar[str] = "STRIDED_SLICE"
    begin: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    shape: Shape = ()

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        for dim, begin, size, stride in zip(x, self.begin, self.sizes, self.strides, strict=True):
            last = begin + (size - 1) * stride
            if size < 1 or not (0 <= begin < dim and 0 <= last < dim):
                raise ValueError(f"slice {begin}+{size}x{stride} leaves dimension {dim}")
        if prod(self.sizes) != prod(self.shape):
            raise ValueError(f"cannot view {self.sizes} as {self.shape}")
        return (self.shape,)


@dataclass(frozen=True, slots=True)
class _Resize(Op, ABC):
    """Height and width to `size`."""

    size: tuple[int, int] = (1, 1)
    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_rank("input", x, 4)
        return ((x[0], *self.size, x[3]),)


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(_Resize):
    """Nearest-neighbour resize."""

    kind: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"


@dataclass(frozen=True, slots=True)
class ResizeBilinear(_Resize):
    """Bilinear resize."""

    kind: ClassVar[str] = "RESIZE_BILINEAR"
