"""The operators: one frozen dataclass each, with its shape rule and MAC count.

Attributes are resolved: operands that TFLite passes as constant tensors
(paddings, axes, permutations, sizes) are plain values here, axes are
non-negative, and SAME/VALID have become explicit pads. `kind` is TFLite's name.

A shape rule takes the input shapes (None for an absent operand) and returns
the output shapes; it raises ValueError, with the reason, when they do not fit.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import ClassVar

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
OptionalShapes = tuple[Shape | None, ...]


class Activation(Enum):
    """Fused activation functions, by TFLite's names."""

    NONE = "NONE"
    RELU = "RELU"
    RELU6 = "RELU6"
    RELU_N1_TO_1 = "RELU_N1_TO_1"


@dataclass(frozen=True, slots=True)
class Pads:
    """Rows and columns of padding around a map."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Op(ABC):
    """An operator with resolved attributes."""

    kind: ClassVar[str]

    @abstractmethod
    def infer(self, inputs: OptionalShapes) -> Shapes:
        """Output shapes for the given input shapes; ValueError when they do not fit."""

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        """Multiply-accumulates; 0 for operators without weights."""
        return 0


def required(inputs: OptionalShapes, count: int) -> Shapes:
    """The first `count` shapes; ValueError when one is absent."""
    found = tuple(shape for shape in inputs[:count] if shape is not None)
    if len(found) != count:
        raise ValueError(f"needs {count} inputs, has {len(found)}")
    return found


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
    pads: Pads = Pads()
    activation: Activation = Activation.NONE

    def _extent(
        self, x: Shape, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[int, int]:
        _check_rank("input", x, 4)
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
        _check_rank("weights", w, 4)
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
        _check_rank("weights", w, 4)
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
        _check_rank("weights", w, 2)
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
        _check_rank("input", x, 4)
        return ((x[0], *self._extent(x, self.filter), x[3]),)


@dataclass(frozen=True, slots=True)
class AveragePool2D(_Pool):
    """Mean over a window, of the elements inside the map."""

    kind: ClassVar[str] = "AVERAGE_POOL_2D"


@dataclass(frozen=True, slots=True)
class MaxPool2D(_Pool):
    """Maximum over a window."""

    kind: ClassVar[str] = "MAX_POOL_2D"


def broadcast(a: Shape, b: Shape) -> Shape:
    """NumPy's broadcasting rule; ValueError when the shapes do not fit."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    result = []
    for x, y in pairs:
        if x != y and 1 not in (x, y):
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        result.append(y if x == 1 else x)
    return tuple(result)


@dataclass(frozen=True, slots=True)
class _Binary(Op, ABC):
    """Two operands with broadcasting."""

    def infer(self, inputs: OptionalShapes) -> Shapes:
        return (broadcast(*required(inputs, 2)),)


@dataclass(frozen=True, slots=True)
class Add(_Binary):
    """Quantised addition."""

    kind: ClassVar[str] = "ADD"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Sub(_Binary):
    """Quantised subtraction."""

    kind: ClassVar[str] = "SUB"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Mul(_Binary):
    """Quantised multiplication."""

    kind: ClassVar[str] = "MUL"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Minimum(_Binary):
    """Element-wise minimum (operands and result share one quantisation)."""

    kind: ClassVar[str] = "MINIMUM"


@dataclass(frozen=True, slots=True)
class Maximum(_Binary):
    """Element-wise maximum (operands and result share one quantisation)."""

    kind: ClassVar[str] = "MAXIMUM"


@dataclass(frozen=True, slots=True)
class Prelu(_Binary):
    """x where x >= 0, else x * alpha; the second operand is alpha, broadcast to x."""

    kind: ClassVar[str] = "PRELU"


@dataclass(frozen=True, slots=True)
class _Unary(Op, ABC):
    """Element-wise: the output has the input's shape."""

    def infer(self, inputs: OptionalShapes) -> Shapes:
        return required(inputs, 1)


@dataclass(frozen=True, slots=True)
class Relu(_Unary):
    """max(x, 0), rescaled to the output's quantisation."""

    kind: ClassVar[str] = "RELU"


@dataclass(frozen=True, slots=True)
class Relu6(_Unary):
    """min(max(x, 0), 6), rescaled to the output's quantisation."""

    kind: ClassVar[str] = "RELU6"


@dataclass(frozen=True, slots=True)
class LeakyRelu(_Unary):
    """x where x >= 0, else alpha * x."""

    kind: ClassVar[str] = "LEAKY_RELU"
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Logistic(_Unary):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "LOGISTIC"


@dataclass(frozen=True, slots=True)
class Tanh(_Unary):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "TANH"


@dataclass(frozen=True, slots=True)
class HardSwish(_Unary):
    """x * min(max(x + 3, 0), 6) / 6."""

    kind: ClassVar[str] = "HARD_SWISH"


@dataclass(frozen=True, slots=True)
class Softmax(_Unary):
    """Softmax over the last dimension of beta * x."""

    kind: ClassVar[str] = "SOFTMAX"
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class Quantize(_Unary):
    """Float or integer to integer, by the tensors' quantisations."""

    kind: ClassVar[str] = "QUANTIZE"


@dataclass(frozen=True, slots=True)
class Dequantize(_Unary):
    """Integer to float32."""

    kind: ClassVar[str] = "DEQUANTIZE"


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """Mean over `axes` (sorted, non-negative), with TFLite's own rescale."""

    kind: ClassVar[str] = "MEAN"
    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        _check_axes(self.axes, len(x))
        if self.keep_dims:
            return (tuple(1 if i in self.axes else d for i, d in enumerate(x)),)
        return (tuple(d for i, d in enumerate(x) if i not in self.axes),)


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
        _check_axes((axis,), len(first))
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

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        _check_axes((self.axis,), len(x))
        if self.count < 1 or x[self.axis] % self.count:
            raise ValueError(f"cannot split {x[self.axis]} into {self.count} parts")
        part = (*x[: self.axis], x[self.axis] // self.count, *x[self.axis + 1 :])
        return (part,) * self.count


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
        _check_rank("input", x, 4)
        return ((x[0], *self.size, x[3]),)


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(_Resize):
    """Nearest-neighbour resize."""

    kind: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"


@dataclass(frozen=True, slots=True)
class ResizeBilinear(_Resize):
    """Bilinear resize."""

    kind: ClassVar[str] = "RESIZE_BILINEAR"


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """Index of the (first) maximum along `axis`, which disappears; int32."""

    kind: ClassVar[str] = "ARG_MAX"
    axis: int = 0

    def infer(self, inputs: OptionalShapes) -> Shapes:
        (x,) = required(inputs, 1)
        _check_axes((self.axis,), len(x))
        return (x[: self.axis] + x[self.axis + 1 :],)


def _check_rank(what: str, shape: Shape, rank: int) -> None:
    if len(shape) != rank:
        raise ValueError(f"{what} must have {rank} dimensions, has {len(shape)}")


def _check_axes(axes: tuple[int, ...], rank: int) -> None:
    if any(not 0 <= axis < rank for axis in axes):
        raise ValueError(f"axes {axes} leave {rank} dimensions")
