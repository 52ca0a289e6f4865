"""Operators with weights, and pools: windows over maps, and products of matrices."""

from abc import ABC
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinyml.ir.ops.base import (
    NO_PADS,
    Activation,
    Op,
    OptionalShapes,
    Pads,
    Shape,
    Shapes,
    broadcast,
    check_rank,
    required,
)


def _window(size: int, kernel: int, stride: int, dilation: int, pads: int) -> int:
    """Output extent of a sliding window along one dimension."""
    if min(kernel, stride, dilation) < 1:
        raise ValueError("kernel, stride and dilation must be at least 1")
    span = size + pads - (dilation * (kernel - 1) + 1)
    if span < 0:
        raise ValueError(
            f"window of {kernel} (dilation {dilation}) exceeds padded size {size + pads}"
        )
    return span // stride + 1


@dataclass(frozen=True, slots=True)
class _Windowed(Op, ABC):
    """What convolutions and pools share; (height, width) pairs."""

    stride: tuple[int, int] = (1, 1)
    pads: Pads = NO_PADS
    activation: Activation = Activation.NONE

    def _extent(
        self, x: Shape, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[int, int]:
        check_rank("input", x, 4)
        p = self.pads
        return (
            _window(x[1], kernel[0], self.stride[0], dilation[0], p.top + p.bottom),
            _window(x[2], kernel[1], self.stride[1], dilation[1], p.left + p.right),
        )


@dataclass(frozen=True, slots=True)
class Conv2D(_Windowed):
    """Convolution: x [N,H,W,C], weights [O,kh,kw,C], optional bias [O]."""

    kind: ClassVar[str] = "CONV_2D"
    dilation: tuple[int, int] = (1, 1)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, w = required(inputs, 2)
        check_rank("weights", w, 4)
        height, width = self._extent(x, (w[1], w[2]), self.dilation)
        if w[3] != x[3]:
            raise ValueError(f"weights take {w[3]} channels, input has {x[3]}")
        return ((x[0], height, width, w[0]),)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        _, w = required(inputs, 2)
        return prod(outputs[0]) * prod(w[1:])


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(_Windowed):
    """Depthwise convolution: x [N,H,W,C], weights [1,kh,kw,C*multiplier], optional bias."""

    kind: ClassVar[str] = "DEPTHWISE_CONV_2D"
    dilation: tuple[int, int] = (1, 1)
    multiplier: int = 1

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, w = required(inputs, 2)
        check_rank("weights", w, 4)
        height, width = self._extent(x, (w[1], w[2]), self.dilation)
        if w[0] != 1 or w[3] != x[3] * self.multiplier:
            raise ValueError(f"weights {w} do not match {x[3]} channels x {self.multiplier}")
        return ((x[0], height, width, w[3]),)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        _, w = required(inputs, 2)
        return prod(outputs[0]) * w[1] * w[2]


@dataclass(frozen=True, slots=True)
class FullyConnected(Op):
    """Dense layer: x viewed as [batch, in], weights [out, in], optional bias [out]."""

    kind: ClassVar[str] = "FULLY_CONNECTED"
    activation: Activation = Activation.NONE
    keep_dims: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, w = required(inputs, 2)
        check_rank("weights", w, 2)
        if prod(x) % w[1]:
            raise ValueError(f"{prod(x)} inputs are no multiple of {w[1]}")
        if self.keep_dims:
            if x[-1:] != w[1:]:
                raise ValueError(f"the last dimension of {x} differs from {w[1]}")
            return ((*x[:-1], w[0]),)
        return ((prod(x) // w[1], w[0]),)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        _, w = required(inputs, 2)
        return prod(outputs[0]) * w[1]


@dataclass(frozen=True, slots=True)
class _Pool(_Windowed, ABC):
    """A pool over windows of `filter` (height, width); padding does not take part."""

    filter: tuple[int, int] = (1, 1)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        check_rank("input", x, 4)
        return ((x[0], *self._extent(x, self.filter), x[3]),)


@dataclass(frozen=True, slots=True)
class AveragePool2D(_Pool):
    """Mean over a window, of the elements inside the map."""

    kind: ClassVar[str] = "AVERAGE_POOL_2D"


@dataclass(frozen=True, slots=True)
class MaxPool2D(_Pool):
    """Maximum over a window."""

    kind: ClassVar[str] = "MAX_POOL_2D"


@dataclass(frozen=True, slots=True)
class TransposeConv(Op):
    """Transposed convolution: x [N,H,W,C], weights [O,kh,kw,C], optional bias [O].

    The adjoint of a convolution from `size` (height, width) with this stride and these pads:
    input pixel (y, x) adds to the outputs (y * stride - top + i, x * stride - left + j).
    """

    kind: ClassVar[str] = "TRANSPOSE_CONV"
    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: Pads = NO_PADS

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, w = required(inputs, 2)
        check_rank("input", x, 4)
        check_rank("weights", w, 4)
        if w[3] != x[3]:
            raise ValueError(f"weights take {w[3]} channels, input has {x[3]}")
        p = self.pads
        sides = zip(
            *(x[1:3], w[1:3], self.stride, self.size),
            (p.top + p.bottom, p.left + p.right),
            strict=True,
        )
        for extent, kernel, stride, size, pads in sides:
            # The convolution from the result must give the input.
            if extent != _window(size, kernel, stride, 1, pads):
                raise ValueError(f"no convolution leads from {self.size} to {x}")
        return ((x[0], *self.size, w[0]),)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        x, w = required(inputs, 2)
        return prod(x) * prod(w[:3])


@dataclass(frozen=True, slots=True)
class BatchMatMul(Op):
    """Products of matrices: a [..., M, K] by b [..., K, N], outer dimensions broadcast.

    adj_x, adj_y: a, b have their last two dimensions the other way round.
    """

    kind: ClassVar[str] = "BATCH_MATMUL"
    adj_x: bool = False
    adj_y: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        a, b = required(inputs, 2)
        if min(len(a), len(b)) < 2:
            raise ValueError(f"{a} by {b} are no matrices")
        rows, depth = (a[-1], a[-2]) if self.adj_x else (a[-2], a[-1])
        inner, columns = (b[-1], b[-2]) if self.adj_y else (b[-2], b[-1])
        if depth != inner:
            raise ValueError(f"rows of {depth} do not meet columns of {inner}")
        return ((*broadcast(a[:-2], b[:-2]), rows, columns),)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        a, _ = required(inputs, 2)
        return prod(outputs[0]) * a[-2 if self.adj_x else -1]
