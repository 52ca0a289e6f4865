"""Operators that compute an element of their result from a line of their operand's or more."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from tinyml.ir.ops.base import Op, OptionalShapes, Shapes, Unary, check_axes, required


@dataclass(frozen=True, slots=True)
class Softmax(Unary):
    """Softmax over the last dimension of beta * x."""

    kind: ClassVar[str] = "SOFTMAX"
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class _Reduce(Op, ABC):
    """Over `axes` (sorted, non-negative)."""

    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes(self.axes, len(x))
        if self.keep_dims:
            return (tuple(1 if i in self.axes else d for i, d in enumerate(x)),)
        return (tuple(d for i, d in enumerate(x) if i not in self.axes),)


@dataclass(frozen=True, slots=True)
class _Arg(Op, ABC):
    """An index along `axis`, which disappears; int32."""

    axis: int = 0

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_axes((self.axis,), len(x))
        return (x[: self.axis] + x[self.axis + 1 :],)


@dataclass(frozen=True, slots=True)
class Mean(_Reduce):
    """Mean, with TFLite's own rescale."""

    kind: ClassVar[str] = "MEAN"


@dataclass(frozen=True, slots=True)
class ArgMax(_Arg):
    """Index of the (first) maximum."""

    kind: ClassVar[str] = "ARG_MAX"


@dataclass(frozen=True, slots=True)
class ArgMin(_Arg):
    """Index of the (first) minimum."""

    kind: ClassVar[str] = "ARG_MIN"


@dataclass(frozen=True, slots=True)
class ReduceMax(_Reduce):
    """Maximum (operand and result share one quantisation)."""

    kind: ClassVar[str] = "REDUCE_MAX"


@dataclass(frozen=True, slots=True)
class ReduceMin(_Reduce):
    """Minimum (operand and result share one quantisation)."""

    kind: ClassVar[str] = "REDUCE_MIN"
