"""Reductions."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.params import mean_params
from tinyml.quant.scales import LIMITS
from tinyml.reference.registry import Operands, computes, present


@computes(ops.Mean)
def _mean(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Mean)
    x, p = present(operands, 0), mean_params(graph, node)
    (y,) = graph.results(node)
    total = x.sum(axis=op.axes, dtype=np.int64, keepdims=op.keep_dims)
    scaled = fx.multiply_by_quantized_multiplier(
        np.asarray(total) - p.count * p.input_zero_point, p.output.multiplier, p.output.shift
    )
    low, high = LIMITS[y.dtype]
    return (fx.clip(scaled + p.output_zero_point, low, high).astype(y.dtype.numpy),)


@computes(ops.ArgMax, types=frozenset({(DType.INT8, DType.INT32)}))
def _arg_max(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ArgMax)
    (y,) = graph.results(node)
    index = np.argmax(present(operands, 0), axis=op.axis)  # the first of equals
    return (np.asarray(index).astype(y.dtype.numpy),)


@computes(ops.ArgMin, types=frozenset({(DType.INT8, DType.INT32)}))
def _arg_min(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ArgMin)
    (y,) = graph.results(node)
    index = np.argmin(present(operands, 0), axis=op.axis)  # the first of equals
    return (np.asarray(index).astype(y.dtype.numpy),)


@computes(ops.ReduceMax)
def _reduce_max(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ReduceMax)
    return (np.asarray(present(operands, 0).max(axis=op.axes, keepdims=op.keep_dims)),)


@computes(ops.ReduceMin)
def _reduce_min(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ReduceMin)
    return (np.asarray(present(operands, 0).min(axis=op.axes, keepdims=op.keep_dims)),)
