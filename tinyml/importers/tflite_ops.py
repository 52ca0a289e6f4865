"""How each TFLite operator becomes an op with resolved attributes: one table.

A resolver takes a `Call` and returns the op and the positions of the operands that
stay operands; the others (paddings, axes, sizes) have become attributes. To add an
operator, add its resolver to `RESOLVERS`, the name of its options table, and the
fields of that table in `tflite_file`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import tflite

from tinyml.errors import ModelError
from tinyml.importers.strided_slice import Masks, resolve
from tinyml.ir import ops
from tinyml.ir.graph import DType, Shape, Tensor

_MAX_ATTRIBUTE = 64
"""Elements of the largest sensible attribute, a few numbers per dimension."""


class RefusalError(Exception):
    """The operator is sound but has a form that cannot be deployed; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of the file with its tensors."""

    kind: str
    options: Any
    """The accessor of its options table."""
    operands: tuple[Tensor | None, ...]
    results: tuple[Tensor, ...]

    def damaged(self, reason: str) -> ModelError:
        """The error for an operator that says something impossible."""
        place = f" '{self.results[0].name}'" if self.results else ""
        return ModelError(f"{self.kind}{place}: {reason}")

    def tensor(self, index: int) -> Tensor:
        """An operand that must be present."""
        operand = self.operands[index] if index < len(self.operands) else None
        if operand is None:
            raise self.damaged(f"operand {index} is missing")
        return operand

    def ranked(self, index: int, rank: int) -> Tensor:
        """An operand with `rank` dimensions."""
        tensor = self.tensor(index)
        if len(tensor.shape) != rank:
            raise self.damaged(
                f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions, not {rank}"
            )
        return tensor

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """The elements of a constant operand that is an attribute."""
        tensor = self.tensor(index)
        if not tensor.is_const:
            raise RefusalError(f"its {what}, tensor '{tensor.name}', is computed at run time")
        if tensor.dtype not in (DType.INT32, DType.INT64) or tensor.size > _MAX_ATTRIBUTE:
            raise self.damaged(
                f"its {what}, tensor '{tensor.name}', is {tensor.dtype.value} {tensor.shape}"
            )
        return tuple(int(value) for value in tensor.values.reshape(-1))

    def integer(self, index: int, what: str) -> int:
        """The only element of a constant operand."""
        found = self.integers(index, what)
        if len(found) != 1:
            raise self.damaged(f"its {what} has {len(found)} elements")
        return found[0]

    def stated(self, field: str) -> tuple[int, ...]:
        """The elements of a vector among the options."""
        count = getattr(self.options, f"{field}Length")()
        if count > _MAX_ATTRIBUTE:
            raise self.damaged(f"{count} elements in its options")
        return tuple(int(getattr(self.options, field)(i)) for i in range(count))

    def axis(self, axis: int, rank: int) -> int:
        """A dimension of `rank`, counted from the front."""
        if not -rank <= axis < rank:
            raise self.damaged(f"axis {axis} does not exist in {rank} dimensions")
        return axis % rank

    def finite(self, value: float, what: str) -> float:
        """An option that must be a number."""
        if not isfinite(value):
            raise self.damaged(f"its {what} is {value}")
        return value

    def activation(self) -> ops.Activation:
        """The fused activation of the options."""
        code = self.options.FusedActivationFunction()
        name = _ACTIVATION_NAMES.get(code, f"{code}")
        if name not in ops.Activation.__members__:
            raise RefusalError(f"fused activation {name} is not supported")
        return ops.Activation[name]

    def all_operands(self) -> tuple[int, ...]:
        """The positions of all operands."""
        return tuple(range(len(self.operands)))


Resolved = tuple[ops.Op, tuple[int, ...]]
Resolver = Callable[[Call], Resolved]

_ACTIVATION_NAMES = {
    code: name for name, code in vars(tflite.ActivationFunctionType).items() if name.isupper()
}


def _same_pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """SAME: the output has ceil(size / stride) elements; an odd pad goes to the end."""
    steps = -(-size // stride)
    total = max((steps - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def _window(
    call: Call, x: Shape, kernel: Shape, dilation: tuple[int, int] = (1, 1)
) -> tuple[tuple[int, int], ops.Pads]:
    """Stride and pads of a convolution or pool over a map of shape `x`."""
    options, (_, height, width, _) = call.options, x
    stride = (options.StrideH(), options.StrideW())
    if min(*stride, *dilation, *kernel) < 1:
        raise call.damaged(f"stride {stride}, dilation {dilation}, window {kernel}")
    if options.Padding() == tflite.Padding.VALID:
        return stride, ops.Pads()
    if options.Padding() != tflite.Padding.SAME:
        raise call.damaged(f"padding scheme {options.Padding()} does not exist")
    top, bottom = _same_pads(height, kernel[0], stride[0], dilation[0])
    left, right = _same_pads(width, kernel[1], stride[1], dilation[1])
    return stride, ops.Pads(top, bottom, left, right)


def _conv(call: Call) -> Resolved:
    dilation = (call.options.DilationHFactor(), call.options.DilationWFactor())
    stride, pads = _window(call, call.ranked(0, 4).shape, call.ranked(1, 4).shape[1:3], dilation)
    op = ops.Conv2D(stride, pads, call.activation(), dilation)
    return op, call.all_operands()


def _depthwise(call: Call) -> Resolved:
    dilation = (call.options.DilationHFactor(), call.options.DilationWFactor())
    x, weights = call.ranked(0, 4), call.ranked(1, 4)
    stride, pads = _window(call, x.shape, weights.shape[1:3], dilation)
    # The option is redundant, and newer converters leave it 0.
    multiplier = weights.shape[3] // x.shape[3]
    stated = call.options.DepthMultiplier()
    if stated not in (0, multiplier):
        raise call.damaged(
            f"depth multiplier {stated}, but {x.shape[3]} input and {weights.shape[3]} "
            f"output channels"
        )
    op = ops.DepthwiseConv2D(stride, pads, call.activation(), dilation, multiplier)
    return op, call.all_operands()


def _transpose_conv(call: Call) -> Resolved:
    """The first operand is the result's shape; pads are those of the convolution from there."""
    if call.activation() is not ops.Activation.NONE:
        raise RefusalError("a fused activation is not supported here")
    size = call.integers(0, "output shape")
    if len(size) != 4:
        raise call.damaged(f"its output shape is {size}")
    kernel = call.ranked(1, 4).shape[1:3]
    stride, pads = _window(call, size, kernel)
    op = ops.TransposeConv((size[1], size[2]), stride, pads)
    return op, (2, 1, *range(3, len(call.operands)))


def _batch_matmul(call: Call) -> Resolved:
    op = ops.BatchMatMul(call.options.AdjX(), call.options.AdjY())
    return op, call.all_operands()


def _fully_connected(call: Call) -> Resolved:
    if call.options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise RefusalError("its weights are stored shuffled")
    op = ops.FullyConnected(call.activation(), call.options.KeepNumDims())
    return op, call.all_operands()


def _pool(kind: type[ops.AveragePool2D] | type[ops.MaxPool2D]) -> Resolver:
    def resolver(call: Call) -> Resolved:
        kernel = (call.options.FilterHeight(), call.options.FilterWidth())
        stride, pads = _window(call, call.ranked(0, 4).shape, kernel)
        return kind(stride, pads, call.activation(), kernel), call.all_operands()

    return resolver


def _plain(op: ops.Op) -> Resolver:
    """An operator without attributes."""

    def resolver(call: Call) -> Resolved:
        return op, call.all_operands()

    return resolver


def _arithmetic(kind: type[ops.Add] | type[ops.Sub] | type[ops.Mul]) -> Resolver:
    def resolver(call: Call) -> Resolved:
        return kind(call.activation()), call.all_operands()

    return resolver


def _leaky_relu(call: Call) -> Resolved:
    return ops.LeakyRelu(call.finite(call.options.Alpha(), "alpha")), call.all_operands()


def _softmax(call: Call) -> Resolved:
    return ops.Softmax(call.finite(call.options.Beta(), "beta")), call.all_operands()


def _mean(call: Call) -> Resolved:
    rank = len(call.tensor(0).shape)
    axes = {call.axis(axis, rank) for axis in call.integers(1, "list of axes")}
    return ops.Mean(tuple(sorted(axes)), call.options.KeepDims()), (0,)


def _paddings(call: Call) -> tuple[tuple[int, int], ...]:
    rank, flat = len(call.tensor(0).shape), call.integers(1, "list of paddings")
    if len(flat) != 2 * rank:
        raise call.damaged(f"{len(flat)} paddings for {rank} dimensions")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _pad(call: Call) -> Resolved:
    return ops.Pad(_paddings(call)), (0,)


def _padv2(call: Call) -> Resolved:
    value = call.tensor(2)
    if not value.is_const:
        raise RefusalError(f"its value, tensor '{value.name}', is computed at run time")
    if value.size != 1 or value.dtype is not call.tensor(0).dtype:
        raise call.damaged(f"its value, tensor '{value.name}', is {value.dtype} {value.shape}")
    if value.dtype is not DType.INT8:
        raise RefusalError(f"tensor '{value.name}' is {value.dtype.value}, not int8")
    if value.quant != call.results[0].quant:
        raise RefusalError(f"tensor '{value.name}' and the result are quantised differently")
    return ops.Pad(_paddings(call), int(value.values.reshape(-1)[0])), (0,)


def _reshape(call: Call) -> Resolved:
    """The new shape is an operand, an option, or just the result's shape."""
    x = call.tensor(0)
    if len(call.operands) > 1 and call.operands[1] is not None:
        shape = call.integers(1, "new shape")
    elif isinstance(call.options, tflite.ReshapeOptions) and call.options.NewShapeLength():
        shape = call.stated("NewShape")
    else:
        shape = call.results[0].shape
    if shape.count(-1) == 1:
        known = -prod(shape)
        if known > 0 and x.size % known == 0:
            shape = tuple(x.size // known if dim == -1 else dim for dim in shape)
    return ops.Reshape(shape), (0,)


def _squeeze(call: Call) -> Resolved:
    shape = call.tensor(0).shape
    axes = {call.axis(axis, len(shape)) for axis in call.stated("SqueezeDims")}
    if any(shape[axis] != 1 for axis in axes):
        raise call.damaged(f"cannot squeeze dimensions {sorted(axes)} of {shape}")
    axes = axes or {i for i, dim in enumerate(shape) if dim == 1}
    return ops.Reshape(tuple(dim for i, dim in enumerate(shape) if i not in axes)), (0,)


def _expand_dims(call: Call) -> Resolved:
    shape = call.tensor(0).shape
    axis = call.axis(call.integer(1, "axis"), len(shape) + 1)
    return ops.Reshape((*shape[:axis], 1, *shape[axis:])), (0,)


def _transpose(call: Call) -> Resolved:
    rank, perm = len(call.tensor(0).shape), call.integers(1, "permutation")
    return ops.Transpose(tuple(call.axis(axis, rank) for axis in perm)), (0,)


def _concatenation(call: Call) -> Resolved:
    if call.activation() is not ops.Activation.NONE:
        raise RefusalError("a fused activation is not supported here")
    axis = call.axis(call.options.Axis(), len(call.tensor(0).shape))
    return ops.Concatenation(axis), call.all_operands()


def _split(call: Call) -> Resolved:
    axis = call.axis(call.integer(0, "axis"), len(call.tensor(1).shape))
    return ops.Split(axis, call.options.NumSplits()), (1,)


def _strided_slice(call: Call) -> Resolved:
    options, begin = call.options, call.integers(1, "list of begins")
    end, strides = call.integers(2, "list of ends"), call.integers(3, "list of strides")
    if options.Offset():
        end = tuple(first + length for first, length in zip(begin, end, strict=False))
    masks = Masks(
        begin=options.BeginMask(),
        end=options.EndMask(),
        ellipsis=options.EllipsisMask(),
        new_axis=options.NewAxisMask(),
        shrink=options.ShrinkAxisMask(),
    )
    try:
        return resolve(call.tensor(0).shape, begin, end, strides, masks), (0,)
    except ValueError as error:
        raise call.damaged(str(error)) from error


def _resize(kind: type[ops.ResizeBilinear] | type[ops.ResizeNearestNeighbor]) -> Resolver:
    def resolver(call: Call) -> Resolved:
        size = call.integers(1, "size")
        align, half = call.options.AlignCorners(), call.options.HalfPixelCenters()
        if len(size) != 2 or min(size) < 1:
            raise call.damaged(f"its size is {size}")
        if align and half:
            raise call.damaged("align_corners and half_pixel_centers exclude each other")
        return kind((size[0], size[1]), align, half), (0,)

    return resolver


def _arg_max(call: Call) -> Resolved:
    return ops.ArgMax(call.axis(call.integer(1, "axis"), len(call.tensor(0).shape))), (0,)


RESOLVERS: dict[str, tuple[str | None, Resolver]] = {
    "ABS": (None, _plain(ops.Abs())),
    "ADD": ("AddOptions", _arithmetic(ops.Add)),
    "ARG_MAX": (None, _arg_max),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _pool(ops.AveragePool2D)),
    "BATCH_MATMUL": ("BatchMatMulOptions", _batch_matmul),
    "CONCATENATION": ("ConcatenationOptions", _concatenation),
    "CONV_2D": ("Conv2DOptions", _conv),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _depthwise),
    "DEQUANTIZE": (None, _plain(ops.Dequantize())),
    "ELU": (None, _plain(ops.Elu())),
    "EQUAL": (None, _plain(ops.Equal())),
    "EXPAND_DIMS": (None, _expand_dims),
    "FULLY_CONNECTED": ("FullyConnectedOptions", _fully_connected),
    "GREATER": (None, _plain(ops.Greater())),
    "GREATER_EQUAL": (None, _plain(ops.GreaterEqual())),
    "HARD_SWISH": (None, _plain(ops.HardSwish())),
    "LEAKY_RELU": ("LeakyReluOptions", _leaky_relu),
    "LESS": (None, _plain(ops.Less())),
    "LESS_EQUAL": (None, _plain(ops.LessEqual())),
    "LOGICAL_AND": (None, _plain(ops.LogicalAnd())),
    "LOGICAL_NOT": (None, _plain(ops.LogicalNot())),
    "LOGICAL_OR": (None, _plain(ops.LogicalOr())),
    "LOGISTIC": (None, _plain(ops.Logistic())),
    "MAXIMUM": (None, _plain(ops.Maximum())),
    "MAX_POOL_2D": ("Pool2DOptions", _pool(ops.MaxPool2D)),
    "MEAN": ("ReducerOptions", _mean),
    "MINIMUM": (None, _plain(ops.Minimum())),
    "MUL": ("MulOptions", _arithmetic(ops.Mul)),
    "NOT_EQUAL": (None, _plain(ops.NotEqual())),
    "PAD": (None, _pad),
    "PADV2": (None, _padv2),
    "PRELU": (None, _plain(ops.Prelu())),
    "QUANTIZE": (None, _plain(ops.Quantize())),
    "RELU": (None, _plain(ops.Relu())),
    "RELU6": (None, _plain(ops.Relu6())),
    "RESHAPE": (None, _reshape),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _resize(ops.ResizeBilinear)),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        _resize(ops.ResizeNearestNeighbor),
    ),
    "RSQRT": (None, _plain(ops.Rsqrt())),
    "SOFTMAX": ("SoftmaxOptions", _softmax),
    "SPLIT": ("SplitOptions", _split),
    "SQUARED_DIFFERENCE": (None, _plain(ops.SquaredDifference())),
    "SQUEEZE": ("SqueezeOptions", _squeeze),
    "STRIDED_SLICE": ("StridedSliceOptions", _strided_slice),
    "SUB": ("SubOptions", _arithmetic(ops.Sub)),
    "TANH": (None, _plain(ops.Tanh())),
    "TRANSPOSE": (None, _transpose),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _transpose_conv),
}
"""TFLite's name -> the options table that the operator must have, and its resolver."""
