"""Operators that compute an element of their result from a line of their operand's or more."""

from dataclasses import dataclass
from typing import ClassVar

from tinyml.ir.ops.base import Op, OptionalShapes, Shapes, Unary, check_axes, required


@dataclass(frozen=True, slots=True)
class Softmax(Unary):
    """Softmax over the last dimension of beta * x."""

    kind: ClassVar[str] = "SOFTMAX"
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """Mean over `axes` (sorted, non-negative), with TFLite's own rescale."""

    kind: ClassVar[str] = "MEAN"
    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes(self.axes, len(x))
        if self.keep_dims:
            return (tuple(1 if i in self.axes else d for i, d in enumerate(x)),)
        return (tuple(d for i, d in enumerate(x) if i not in self.axes),)


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """Index of the (first) maximum along `axis`, which disappears; int32."""

    kind: ClassVar[str] = "ARG_MAX"
    axis: int = 0

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes((self.axis,), len(x))
        return (x[: self.axis] + x[self.axis + 1 :],)
