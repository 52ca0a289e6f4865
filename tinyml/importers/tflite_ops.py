"""How each TFLite operator becomes an op with resolved attributes: one table.

A resolver takes a `Call` and returns the op and the positions of the operands that
stay operands; the others (paddings, axes, sizes) have become attributes. To add an
operator, add its resolver to `RESOLVERS`, the name of its options table, and the
fields of that table in `tflite_file`.
"""

import tflite

from tinyml.importers import tflite_moves
from tinyml.importers.call import Call, RefusalError, Resolved, Resolver
from tinyml.ir import ops
from tinyml.ir.graph import DType, Shape


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


def _reduce(kind: type[ops.Mean] | type[ops.ReduceMax] | type[ops.ReduceMin]) -> Resolver:
    def resolver(call: Call) -> Resolved:
        rank = len(call.tensor(0).shape)
        axes = {call.axis(axis, rank) for axis in call.integers(1, "list of axes")}
        return kind(tuple(sorted(axes)), call.options.KeepDims()), (0,)

    return resolver


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


def _arg(kind: type[ops.ArgMax] | type[ops.ArgMin]) -> Resolver:
    def resolver(call: Call) -> Resolved:
        return kind(call.axis(call.integer(1, "axis"), len(call.tensor(0).shape))), (0,)

    return resolver


_LSTM_LEFT_OUT = (*range(9, 12), 16, 17, *range(20, 24))
"""Operands of an LSTM of a kind that TFLite Micro does not have: peepholes, projection, norms."""


def _svdf(call: Call) -> Resolved:
    """TFLite Micro does not look at the fused activation of integer forms: their range clamps."""
    return ops.Svdf(call.options.Rank()), call.all_operands()


def _lstm(call: Call) -> Resolved:
    options = call.options
    if len(call.operands) != 24:
        raise call.damaged(f"has {len(call.operands)} operands, not 24")
    if any(call.operands[i] is not None for i in _LSTM_LEFT_OUT):
        raise RefusalError("peepholes, projection and layer normalisation are not supported")
    if call.tensor(19).dtype is DType.INT16 and options.FusedActivationFunction() != _TANH:
        raise RefusalError("its fused activation is not TANH")
    clip = call.finite(options.CellClip(), "cell clip")
    if clip < 0:
        raise call.damaged(f"its cell clip is {clip}")
    return ops.Lstm(bool(options.TimeMajor()), clip), (0, *range(1, 9), *range(12, 16), 18, 19)


_TANH = tflite.ActivationFunctionType.TANH

RESOLVERS: dict[str, tuple[str | None, Resolver]] = {
    "ABS": (None, _plain(ops.Abs())),
    "ADD": ("AddOptions", _arithmetic(ops.Add)),
    "ARG_MAX": (None, _arg(ops.ArgMax)),
    "ARG_MIN": (None, _arg(ops.ArgMin)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _pool(ops.AveragePool2D)),
    "BATCH_MATMUL": ("BatchMatMulOptions", _batch_matmul),
    "BROADCAST_TO": (None, tflite_moves.broadcast_to),
    "CONCATENATION": ("ConcatenationOptions", tflite_moves.concatenation),
    "CONV_2D": ("Conv2DOptions", _conv),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _depthwise),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", tflite_moves.depth_to_space),
    "DEQUANTIZE": (None, _plain(ops.Dequantize())),
    "ELU": (None, _plain(ops.Elu())),
    "EMBEDDING_LOOKUP": (None, tflite_moves.embedding_lookup),
    "EQUAL": (None, _plain(ops.Equal())),
    "EXPAND_DIMS": (None, tflite_moves.expand_dims),
    "FULLY_CONNECTED": ("FullyConnectedOptions", _fully_connected),
    "GATHER": ("GatherOptions", tflite_moves.gather),
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
    "MEAN": ("ReducerOptions", _reduce(ops.Mean)),
    "MINIMUM": (None, _plain(ops.Minimum())),
    "MUL": ("MulOptions", _arithmetic(ops.Mul)),
    "NOT_EQUAL": (None, _plain(ops.NotEqual())),
    "PACK": ("PackOptions", tflite_moves.pack),
    "PAD": (None, tflite_moves.pad),
    "PADV2": (None, tflite_moves.padv2),
    "PRELU": (None, _plain(ops.Prelu())),
    "QUANTIZE": (None, _plain(ops.Quantize())),
    "REDUCE_MAX": ("ReducerOptions", _reduce(ops.ReduceMax)),
    "REDUCE_MIN": ("ReducerOptions", _reduce(ops.ReduceMin)),
    "RELU": (None, _plain(ops.Relu())),
    "RELU6": (None, _plain(ops.Relu6())),
    "RESHAPE": (None, tflite_moves.reshape),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _resize(ops.ResizeBilinear)),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        _resize(ops.ResizeNearestNeighbor),
    ),
    "REVERSE_V2": (None, tflite_moves.reverse),
    "RSQRT": (None, _plain(ops.Rsqrt())),
    "SLICE": (None, tflite_moves.slice_of),
    "SOFTMAX": ("SoftmaxOptions", _softmax),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", tflite_moves.space_to_depth),
    "SPLIT": ("SplitOptions", tflite_moves.split),
    "SPLIT_V": ("SplitVOptions", tflite_moves.split_v),
    "SQUARED_DIFFERENCE": (None, _plain(ops.SquaredDifference())),
    "SQUEEZE": ("SqueezeOptions", tflite_moves.squeeze),
    "STRIDED_SLICE": ("StridedSliceOptions", tflite_moves.strided_slice),
    "SUB": ("SubOptions", _arithmetic(ops.Sub)),
    "SVDF": ("SVDFOptions", _svdf),
    "TANH": (None, _plain(ops.Tanh())),
    "TRANSPOSE": (None, tflite_moves.transpose),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _transpose_conv),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", _lstm),
    "UNPACK": ("UnpackOptions", tflite_moves.unpack),
}
"""TFLite's name -> the options table that the operator must have, and its resolver."""
