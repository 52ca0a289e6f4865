"""The integer constants of each node, computed exactly as TFLite Micro's Prepare does.

Each function takes a graph and one of its nodes. Scales are float32 numbers and their
ratios double; only the limits of fused activations are computed in float32 (see
`scales`). A node that TFLite Micro refuses raises UnsupportedError. `lut` covers the
element-wise 8-bit ops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.quant.fixedpoint import INT32_MAX
from tinyml.quant.pairs import (
    add_params,
    batch_matmul_params,
    comparison_params,
    mul_params,
    prelu_params,
    squared_difference_params,
)
from tinyml.quant.recurrent import lstm_params, svdf_params
from tinyml.quant.scales import (
    Rescale,
    activation_range,
    operand,
    rescale,
    result,
    unsupported,
)
from tinyml.quant.unary import lut as lut

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class LinearParams:
    """Convolution, depthwise convolution and fully connected layers.

    Accumulator of channel o: bias[o] + sum((x - input_zero_point) *
    (w - weights_zero_point)); then rescaled by multipliers[o] and shifts[o], plus
    output_zero_point, clamped to act_min..act_max. Both arrays have one entry per
    output channel, whether or not the weights are quantised per channel.
    """

    input_zero_point: int
    weights_zero_point: int
    output_zero_point: int
    multipliers: Int32s
    shifts: Int32s
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class PoolParams:
    """Pools keep the quantisation; the fused activation clamps."""

    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class MeanParams:
    """MEAN: sum - count * input_zero_point, rescaled (1 / count is in the rescale)."""

    input_zero_point: int
    output_zero_point: int
    count: int
    output: Rescale


@dataclass(frozen=True, slots=True)
class SoftmaxParams:
    """SOFTMAX: differences to the row's maximum become Q5 by `input` (a left shift).

    Elements whose difference is below `diff_min` give the lowest output.
    """

    input: Rescale
    diff_min: int


def _linear(
    graph: Graph, node: Node, activation: ops.Activation, axis: int, weights_zero_point: int = 0
) -> LinearParams:
    """`axis` is the weights' dimension of output channels."""
    x, weights, y = operand(graph, node, 0), operand(graph, node, 1), result(graph, node)
    steps = [
        rescale(node, weights, x.q.scale * scale / y.q.scale)
        for scale in _channel_scales(node, weights, axis)
    ]
    act_min, act_max = activation_range(node, y, activation)
    return LinearParams(
        input_zero_point=x.q.zero_point,
        weights_zero_point=weights_zero_point,
        output_zero_point=y.q.zero_point,
        multipliers=np.array([step.multiplier for step in steps], np.int32),
        shifts=np.array([step.shift for step in steps], np.int32),
        act_min=act_min,
        act_max=act_max,
    )


def _channel_scales(node: Node, weights: Tensor, axis: int) -> tuple[float, ...]:
    """One weight scale per output channel."""
    quant, channels = weights.q, weights.shape[axis]
    if len(quant.scales) == 1:
        return quant.scales * channels
    if len(quant.scales) != channels or quant.axis != axis:
        raise unsupported(
            node,
            weights,
            f"{len(quant.scales)} scales along dimension {quant.axis} for {channels} channels",
            f"quantise per tensor, or per output channel (dimension {axis})",
        )
    return quant.scales


def _check_symmetric(node: Node, weights: Tensor) -> None:
    if any(weights.q.zero_points):
        raise unsupported(node, weights, "weights have a zero point", "quantise them symmetrically")


def conv_params(graph: Graph, node: Node) -> LinearParams:
    """CONV_2D and DEPTHWISE_CONV_2D; weights are symmetric."""
    op = node.op
    assert isinstance(op, ops.Conv2D | ops.DepthwiseConv2D)
    _check_symmetric(node, operand(graph, node, 1))
    return _linear(graph, node, op.activation, 0 if isinstance(op, ops.Conv2D) else 3)


def transpose_conv_params(graph: Graph, node: Node) -> LinearParams:
    """TRANSPOSE_CONV; weights are symmetric."""
    _check_symmetric(node, operand(graph, node, 1))
    return _linear(graph, node, ops.Activation.NONE, 0)


def fully_connected_params(graph: Graph, node: Node) -> LinearParams:
    """FULLY_CONNECTED; weights may have a zero point when quantised per tensor."""
    op = node.op
    assert isinstance(op, ops.FullyConnected)
    x, weights = operand(graph, node, 0), operand(graph, node, 1)
    if len(weights.q.scales) > 1:
        _check_symmetric(node, weights)
        return _linear(graph, node, op.activation, 0)
    _check_bias_scale(graph, node, x.q.scale * weights.q.scale)
    return _linear(graph, node, op.activation, 0, weights.q.zero_point)


def _check_bias_scale(graph: Graph, node: Node, product: float) -> None:
    """The bias must be quantised by the product of both scales, nearly."""
    bias, y = graph.operands(node)[2], result(graph, node)
    if bias is None:
        return
    scale = 0.0 if bias.quant is None else bias.quant.scale
    if abs(product - scale) / y.q.scale > 0.02:
        raise unsupported(
            node,
            bias,
            f"the bias is quantised by {scale:g}, input times weights by {product:g}",
            "quantise the bias by the product of both scales",
        )


def pool_params(graph: Graph, node: Node) -> PoolParams:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    op = node.op
    assert isinstance(op, ops.AveragePool2D | ops.MaxPool2D)
    x, y = operand(graph, node, 0), result(graph, node)
    if abs(x.q.scale - y.q.scale) > 1.0e-6 or x.q.zero_point != y.q.zero_point:
        raise unsupported(
            node,
            y,
            "the output's quantisation differs from the input's",
            "requantise after the pool",
        )
    return PoolParams(*activation_range(node, y, op.activation))


def mean_params(graph: Graph, node: Node) -> MeanParams:
    """MEAN; 1 / count is folded into the multiplier with as many bits as fit."""
    op = node.op
    assert isinstance(op, ops.Mean)
    x, y = operand(graph, node, 0), result(graph, node)
    count = prod(x.shape[axis] for axis in op.axes)
    scale = rescale(node, y, x.q.scale / y.q.scale)
    shift = min(count.bit_length() - 1, 32, 31 + scale.shift)
    return MeanParams(
        input_zero_point=x.q.zero_point,
        output_zero_point=y.q.zero_point,
        count=count,
        output=Rescale((scale.multiplier << shift) // count, scale.shift - shift),
    )


def softmax_params(graph: Graph, node: Node) -> SoftmaxParams:
    """SOFTMAX int8 to int8, whose output quantisation is fixed: 1/256, -128."""
    op = node.op
    assert isinstance(op, ops.Softmax)
    x, y = operand(graph, node, 0), result(graph, node)
    if (y.q.scale, y.q.zero_point) != (1 / 256, -128):
        raise unsupported(node, y, "the output is not quantised by 1/256, -128", "as the op needs")
    integer_bits = 5
    real = op.beta * x.q.scale * (1 << (31 - integer_bits))
    if real <= 1.0:
        raise unsupported(node, x, "beta * scale is below 2**-26", "use a larger input scale")
    if real >= 1 << 30:
        # Only the maximum itself takes part, whose difference is 0 under any shift.
        return SoftmaxParams(Rescale(INT32_MAX, 30), 0)
    scale = rescale(node, x, real)
    radius = ((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) >> scale.shift
    return SoftmaxParams(scale, -radius)


def check_concatenation(graph: Graph, node: Node) -> None:
    """CONCATENATION only moves elements: quantisations must agree."""
    y = result(graph, node)
    for x in graph.operands(node):
        if x is not None and x.quant != y.quant and y.dtype is DType.INT8:
            raise unsupported(
                node,
                x,
                "its quantisation differs from the result's",
                "requantise before concatenating",
            )


def check_bilinear(graph: Graph, node: Node) -> None:
    """RESIZE_BILINEAR takes align_corners or half_pixel_centers, not both."""
    op = node.op
    assert isinstance(op, ops.ResizeBilinear)
    if op.align_corners and op.half_pixel_centers:
        raise unsupported(
            node, result(graph, node), "both align_corners and half_pixel_centers", "set only one"
        )


_BUILDERS: dict[type[ops.Op], Callable[[Graph, Node], object]] = {
    ops.Conv2D: conv_params,
    ops.DepthwiseConv2D: conv_params,
    ops.FullyConnected: fully_connected_params,
    ops.TransposeConv: transpose_conv_params,
    ops.BatchMatMul: batch_matmul_params,
    ops.Add: add_params,
    ops.Sub: add_params,
    ops.Mul: mul_params,
    ops.AveragePool2D: pool_params,
    ops.MaxPool2D: pool_params,
    ops.Mean: mean_params,
    ops.Softmax: softmax_params,
    ops.Prelu: prelu_params,
    ops.Concatenation: check_concatenation,
    ops.ResizeBilinear: check_bilinear,
    ops.SquaredDifference: squared_difference_params,
    ops.Svdf: svdf_params,
    ops.Lstm: lstm_params,
    **dict.fromkeys(ops.COMPARISONS, comparison_params),
    **dict.fromkeys(ops.TABULATED, lut),
}


def check_params(graph: Graph, node: Node) -> None:
    """Raise UnsupportedError when the scales of `node` are none that TFLite Micro takes."""
    eight_bit = {DType.INT8, DType.UINT8}
    is_lut_quantize = (
        isinstance(node.op, ops.Quantize)
        and {
            operand(graph, node, 0).dtype,
            result(graph, node).dtype,
        }
        <= eight_bit
    )
    builder = lut if is_lut_quantize else _BUILDERS.get(type(node.op))
    if builder is not None:
        builder(graph, node)
