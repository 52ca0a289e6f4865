"""Convolution, depthwise convolution and fully connected layers.

Sums run in floating point, where BLAS is fast, and are exact: weights bound every
partial sum, and the float type is chosen so that it holds integers that large.
"""

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.pairs import batch_matmul_params
from tinyml.quant.params import (
    LinearParams,
    conv_params,
    fully_connected_params,
    transpose_conv_params,
)
from tinyml.reference.registry import Operands, computes, present

Floats = npt.NDArray[np.floating]

_LARGEST_INPUT = 255
"""|x - zero point| of 8-bit activations."""


def _float_for(weights: fx.Ints, axes: tuple[int, ...]) -> type[np.floating]:
    """The smallest float type that is exact for sums over `axes` of weights times inputs."""
    bound = int(np.abs(weights).sum(axis=axes).max()) * _LARGEST_INPUT
    return np.float32 if bound < 1 << 24 else np.float64


def _rescaled(acc: Floats, bias: Array | None, p: LinearParams, dtype: np.dtype) -> Array:
    total = acc.astype(np.int64)
    if bias is not None:
        total += bias.astype(np.int64)
    scaled = fx.multiply_by_quantized_multiplier(
        total, p.multipliers.astype(np.int64), p.shifts.astype(np.int64)
    )
    return fx.clip(scaled + p.output_zero_point, p.act_min, p.act_max).astype(dtype)


def _padded(x: Array, zero_point: int, pads: ops.Pads, float_type: type[np.floating]) -> Floats:
    """The offset input with its padding, which is zero after the offset."""
    offset: Floats = x.astype(float_type) - float_type(zero_point)
    if pads == ops.Pads():
        return offset
    border = ((0, 0), (pads.top, pads.bottom), (pads.left, pads.right), (0, 0))
    padded: Floats = np.pad(offset, border)
    return padded


def _taps(
    x: Floats, kernel: tuple[int, int], op: ops.Conv2D | ops.DepthwiseConv2D
) -> list[tuple[int, int, Floats]]:
    """(i, j, the inputs that tap i, j of the kernel meets at every output position)."""
    (sy, sx), (dy, dx) = op.stride, op.dilation
    out_h, out_w = (
        (size - (k - 1) * d - 1) // s + 1
        for size, k, s, d in zip(x.shape[1:3], kernel, op.stride, op.dilation, strict=True)
    )
    return [
        (
            i,
            j,
            x[
                :,
                i * dy : i * dy + (out_h - 1) * sy + 1 : sy,
                j * dx : j * dx + (out_w - 1) * sx + 1 : sx,
            ],
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


@computes(ops.Conv2D)
def _conv(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Conv2D)
    x, weights = present(operands, 0), present(operands, 1)
    p = conv_params(graph, node)
    float_type = _float_for(weights.astype(np.int64), (1, 2, 3))
    kernel = (weights.shape[1], weights.shape[2])
    padded = _padded(x, p.input_zero_point, op.pads, float_type)
    # im2col: the taps side by side, in the order of the weights.
    columns = np.concatenate([tap for _, _, tap in _taps(padded, kernel, op)], axis=3)
    acc = columns @ weights.reshape(weights.shape[0], -1).astype(float_type).T
    return (_rescaled(acc, operands[2], p, x.dtype),)


@computes(ops.DepthwiseConv2D)
def _depthwise(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.DepthwiseConv2D)
    x, weights = present(operands, 0), present(operands, 1)
    p = conv_params(graph, node)
    float_type = _float_for(weights.astype(np.int64), (0, 1, 2))
    kernel = (weights.shape[1], weights.shape[2])
    if op.multiplier > 1:
        x = np.repeat(x, op.multiplier, axis=3)
    padded = _padded(x, p.input_zero_point, op.pads, float_type)
    factors = weights[0].astype(float_type)
    products = (tap * factors[i, j] for i, j, tap in _taps(padded, kernel, op))
    acc = next(products)
    for product in products:
        acc += product
    return (_rescaled(acc, operands[2], p, x.dtype),)


@computes(ops.FullyConnected)
def _fully_connected(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    x, weights = present(operands, 0), present(operands, 1)
    p = fully_connected_params(graph, node)
    offset = weights.astype(np.int64) - p.weights_zero_point
    float_type = _float_for(offset, (1,))
    rows = x.reshape(-1, weights.shape[1]).astype(float_type) - float_type(p.input_zero_point)
    result = _rescaled(rows @ offset.astype(float_type).T, operands[2], p, x.dtype)
    (shape,) = (t.shape for t in graph.results(node))
    return (result.reshape(shape),)


@computes(ops.TransposeConv)
def _transpose_conv(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    """Every tap of the kernel scatters all inputs to every stride-th output."""
    op = node.op
    assert isinstance(op, ops.TransposeConv)
    x, weights = present(operands, 0), present(operands, 1)
    p = transpose_conv_params(graph, node)
    offset = x.astype(np.float64) - p.input_zero_point
    (height, width), (sy, sx) = x.shape[1:3], op.stride
    kh, kw = weights.shape[1:3]
    # As large as all windows together; the result is what the pads leave of it.
    rows = max((height - 1) * sy + kh, op.pads.top + op.size[0])
    columns = max((width - 1) * sx + kw, op.pads.left + op.size[1])
    acc = np.zeros((x.shape[0], rows, columns, weights.shape[0]))
    for i in range(kh):
        for j in range(kw):
            met = acc[:, i : i + (height - 1) * sy + 1 : sy, j : j + (width - 1) * sx + 1 : sx]
            met += offset @ weights[:, i, j].astype(np.float64).T
    top, left = op.pads.top, op.pads.left
    cut = acc[:, top : top + op.size[0], left : left + op.size[1]]
    return (_rescaled(cut, operands[2], p, x.dtype),)


@computes(ops.BatchMatMul)
def _batch_matmul(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.BatchMatMul)
    a, b = present(operands, 0), present(operands, 1)
    p = batch_matmul_params(graph, node)
    left = a.astype(np.float64) - p.input1_zero_point
    right = b.astype(np.float64) - p.input2_zero_point
    left = left.swapaxes(-1, -2) if op.adj_x else left
    right = right.swapaxes(-1, -2) if op.adj_y else right
    scaled = fx.multiply_by_quantized_multiplier(
        (left @ right).astype(np.int64), p.output.multiplier, p.output.shift
    )
    return (fx.clip(scaled + p.output_zero_point, p.act_min, p.act_max).astype(a.dtype),)
