"""Ops on two operands, with broadcasting, and conversions between quantisations."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.pairs import (
    add_params,
    comparison_params,
    mul_params,
    prelu_params,
    squared_difference_params,
)
from tinyml.quant.scales import LIMITS, Rescale
from tinyml.quant.unary import lut, requantize, requantize_params
from tinyml.reference.registry import Operands, computes, present

INTEGERS = frozenset((t, t) for t in (DType.INT8, DType.INT16, DType.INT32))
LOGICAL = frozenset({(DType.BOOL, DType.BOOL)})
COMPARED = frozenset({(DType.INT8, DType.BOOL)})
QUANTIZE = frozenset(
    {
        (DType.FLOAT32, DType.INT8),
        (DType.FLOAT32, DType.INT16),
        (DType.INT8, DType.INT8),
        (DType.INT8, DType.UINT8),
        (DType.INT8, DType.INT16),
        (DType.INT8, DType.INT32),
        (DType.UINT8, DType.INT8),
        (DType.INT16, DType.INT8),
        (DType.INT16, DType.INT16),
        (DType.INT16, DType.INT32),
        (DType.INT32, DType.INT8),
        (DType.INT32, DType.INT16),
    }
)
"""What TFLite Micro converts."""
DEQUANTIZE = frozenset((t, DType.FLOAT32) for t in (DType.INT8, DType.UINT8, DType.INT16))


def _times(x: fx.Ints, step: Rescale) -> fx.Ints:
    return fx.multiply_by_quantized_multiplier(x, step.multiplier, step.shift)


@computes(ops.Add, ops.Sub)
def _add(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    a, b = present(operands, 0), present(operands, 1)
    p = add_params(graph, node)
    left = _times((a.astype(np.int64) - p.input1_zero_point) << p.left_shift, p.input1)
    right = _times((b.astype(np.int64) - p.input2_zero_point) << p.left_shift, p.input2)
    total = left - right if isinstance(node.op, ops.Sub) else left + right
    result = _times(total, p.output) + p.output_zero_point
    return (fx.clip(result, p.act_min, p.act_max).astype(a.dtype),)


@computes(ops.Mul)
def _mul(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    a, b = present(operands, 0), present(operands, 1)
    p = mul_params(graph, node)
    product = (a.astype(np.int64) - p.input1_zero_point) * (
        b.astype(np.int64) - p.input2_zero_point
    )
    result = _times(product, p.output) + p.output_zero_point
    return (fx.clip(result, p.act_min, p.act_max).astype(a.dtype),)


@computes(ops.Minimum, types=INTEGERS)
def _minimum(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    return (np.minimum(present(operands, 0), present(operands, 1)),)


@computes(ops.Maximum, types=INTEGERS)
def _maximum(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    return (np.maximum(present(operands, 0), present(operands, 1)),)


@computes(ops.LogicalAnd, types=LOGICAL)
def _and(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    return (np.logical_and(present(operands, 0), present(operands, 1)),)


@computes(ops.LogicalOr, types=LOGICAL)
def _or(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    return (np.logical_or(present(operands, 0), present(operands, 1)),)


@computes(ops.SquaredDifference)
def _squared_difference(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    a, b = present(operands, 0), present(operands, 1)
    p = squared_difference_params(graph, node)
    left = _times((a.astype(np.int64) - p.input1_zero_point) << p.left_shift, p.input1)
    right = _times((b.astype(np.int64) - p.input2_zero_point) << p.left_shift, p.input2)
    result = _times((left - right) ** 2, p.output) + p.output_zero_point
    return (fx.clip(result, p.act_min, p.act_max).astype(a.dtype),)


@computes(*ops.COMPARISONS, types=COMPARED)
def _compare(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Compare)
    a, b = present(operands, 0), present(operands, 1)
    p = comparison_params(graph, node)
    left = _times((a.astype(np.int64) - p.input1_zero_point) << p.left_shift, p.input1)
    right = _times((b.astype(np.int64) - p.input2_zero_point) << p.left_shift, p.input2)
    unequal = np.where(left < right, op.less, op.greater)
    return (np.where(left == right, op.equal, unequal),)


@computes(ops.Prelu)
def _prelu(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    stored, alpha = present(operands, 0), present(operands, 1)
    p = prelu_params(graph, node)
    x = stored.astype(np.int64) - p.input_zero_point
    slope = alpha.astype(np.int64) - p.alpha_zero_point
    result = np.where(x >= 0, _times(x, p.positive), _times(x * slope, p.negative))
    low, high = LIMITS[graph.results(node)[0].dtype]
    return (fx.clip(result + p.output_zero_point, low, high).astype(stored.dtype),)


@computes(ops.Quantize, types=QUANTIZE)
def _quantize(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    x = present(operands, 0)
    (y,) = graph.results(node)
    if x.dtype == np.float32:
        return (_from_float(x, y.q.scale, y.q.zero_point, y.dtype),)
    if x.dtype.itemsize == 1 and y.dtype.itemsize == 1:
        return (lut(graph, node)[x.view(np.uint8)].view(y.dtype.numpy),)
    return (requantize(x.astype(np.int64), requantize_params(graph, node)).astype(y.dtype.numpy),)


def _from_float(x: Array, scale: float, zero_point: int, dtype: DType) -> Array:
    """float32 to integers: divided in float32, halves away from zero, saturated.

    Far outside the range, where C leaves the conversion to int32 undefined, this
    saturates as Arm's conversion does; a NaN becomes the zero point.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        steps = (x.astype(np.float32) / np.float32(scale)).astype(np.float64)
    steps = np.clip(np.nan_to_num(steps, nan=0.0), fx.INT32_MIN, fx.INT32_MAX)
    rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps).astype(np.int64)
    low, high = LIMITS[dtype]
    return fx.clip(rounded + zero_point, low, high).astype(dtype.numpy)


@computes(ops.Dequantize, types=DEQUANTIZE)
def _dequantize(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    x = present(operands, 0)
    (quant,) = (t.q for t in graph.operands(node) if t is not None)
    # The product is exact in double, so there is one rounding, to float32; it may be infinite.
    with np.errstate(over="ignore"):
        return (((x.astype(np.float64) - quant.zero_point) * quant.scale).astype(np.float32),)
