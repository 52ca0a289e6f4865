"""Activations: table look-ups, and softmax."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.params import lut, softmax_params
from tinyml.reference.registry import Operands, computes, present


@computes(ops.LogicalNot, types=frozenset({(DType.BOOL, DType.BOOL)}))
@computes(*ops.TABULATED)
def _tabulated(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    x = present(operands, 0)
    return (lut(graph, node)[x.view(np.uint8)].view(x.dtype),)


@computes(ops.Softmax)
def _softmax(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    stored = present(operands, 0)
    p = softmax_params(graph, node)
    accumulator_bits = 12
    x = stored.astype(np.int64)
    diff = x - x.max(axis=-1, keepdims=True)
    taking_part = diff >= p.diff_min
    scaled = fx.saturating_rounding_doubling_high_mul(
        np.where(taking_part, diff, 0) << p.input.shift, p.input.multiplier
    )
    exp = np.where(taking_part, fx.exp_on_negative_values(scaled, 5), 0)
    total = fx.rounding_divide_by_pot(exp, accumulator_bits).sum(axis=-1, keepdims=True)
    inverse, bits_over_unit = fx.reciprocal(total, accumulator_bits)
    share = fx.saturating_rounding_doubling_high_mul(inverse, exp)
    result = fx.rounding_divide_by_pot(share, bits_over_unit + 31 - 8) - 128
    return (fx.clip(result, -128, 127).astype(stored.dtype),)
