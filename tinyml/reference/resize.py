"""Resizes of height and width."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.sampling import BILINEAR_ONE, bilinear, nearest
from tinyml.reference.registry import ANY_TYPE, Operands, computes, present


@computes(ops.ResizeNearestNeighbor, types=ANY_TYPE)
def _nearest(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ResizeNearestNeighbor)
    x = present(operands, 0)
    rows, columns = (
        nearest(x.shape[axis], op.size[axis - 1], op.align_corners, op.half_pixel_centers)
        for axis in (1, 2)
    )
    return (x[:, rows][:, :, columns],)


@computes(ops.ResizeBilinear)
def _bilinear(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.ResizeBilinear)
    x = present(operands, 0)
    mixed: fx.Ints = x.astype(np.int64)
    for axis in (1, 2):
        lower, upper, weight = bilinear(
            x.shape[axis], op.size[axis - 1], op.align_corners, op.half_pixel_centers
        )
        upper_weight = weight.astype(np.int64).reshape((-1,) + (1,) * (3 - axis))
        mixed = mixed.take(lower, axis) * (BILINEAR_ONE - upper_weight) + (
            mixed.take(upper, axis) * upper_weight
        )
    one = BILINEAR_ONE * BILINEAR_ONE
    # To the nearest, halves away from zero.
    return ((np.sign(mixed) * ((np.abs(mixed) + one // 2) // one)).astype(x.dtype),)
