"""Pools over windows; both are separable, so rows come first, then columns."""

from collections.abc import Callable

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
from tinyml.quant.fixedpoint import Ints, clip
from tinyml.quant.params import pool_params
from tinyml.quant.scales import LIMITS
from tinyml.reference.registry import Operands, computes, present

Combine = Callable[[Ints, Ints], Ints]


def _along(
    x: Ints, axis: int, kernel: int, stride: int, pads: tuple[int, int], fill: int, combine: Combine
) -> Ints:
    """Windows of `kernel` elements along one axis, combined; `fill` outside."""
    x = np.moveaxis(x, axis, 0)
    x = np.pad(x, (pads, *((0, 0),) * (x.ndim - 1)), constant_values=fill)
    last = (x.shape[0] - kernel) // stride * stride
    result = x[: last + 1 : stride]
    for i in range(1, kernel):
        result = combine(result, x[i : i + last + 1 : stride])
    return np.moveaxis(result, 0, axis)


def _windows(x: Ints, op: ops.AveragePool2D | ops.MaxPool2D, fill: int, combine: Combine) -> Ints:
    p = op.pads
    rows = _along(x, 1, op.filter[0], op.stride[0], (p.top, p.bottom), fill, combine)
    return _along(rows, 2, op.filter[1], op.stride[1], (p.left, p.right), fill, combine)


@computes(ops.AveragePool2D)
def _average_pool(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.AveragePool2D)
    x, p = present(operands, 0), pool_params(graph, node)
    total = _windows(x.astype(np.int64), op, 0, np.add)
    count = _windows(np.ones((1, *x.shape[1:3], 1), np.int64), op, 0, np.add)
    # To the nearest, halves away from zero.
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return (clip(mean, p.act_min, p.act_max).astype(x.dtype),)


@computes(ops.MaxPool2D)
def _max_pool(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.MaxPool2D)
    x, p = present(operands, 0), pool_params(graph, node)
    lowest, _ = LIMITS[graph.results(node)[0].dtype]
    highest = _windows(x.astype(np.int64), op, lowest, np.maximum)
    return (clip(highest, p.act_min, p.act_max).astype(x.dtype),)
