"""Where the output of a node stops following its input: cut off, or saturated."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops import Activation
from tinyml.quant.scales import activation_range
from tinyml.train.program import Precision

LARGEST = float(np.finfo(np.float32).max)
"""In place of infinity, for which C has no literal: float32 activations stay within."""

REAL_BOUNDS = {
    Activation.RELU: (0.0, LARGEST),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}


def activation_of(op: ops.Op) -> Activation:
    """The activation that `op` applies last."""
    match op:
        case ops.Relu():
            return Activation.RELU
        case ops.Relu6():
            return Activation.RELU6
        case ops.Conv2D() | ops.DepthwiseConv2D() | ops.FullyConnected() | ops.Add():
            return op.activation
        case ops.AveragePool2D():
            return op.activation
        case _:
            return Activation.NONE


def real_bounds(op: ops.Op) -> tuple[float, float]:
    """Between which numbers `op` keeps its results in float32."""
    return REAL_BOUNDS.get(activation_of(op), (-LARGEST, LARGEST))


def open_bounds(graph: Graph, node: Node, precision: Precision) -> tuple[float, float] | None:
    """A gradient passes `node` where low < output < high; None where it passes everywhere.

    In int8 these are the integers that the output is clamped to, so that saturation stops
    gradients, too; nodes that only move elements, and plain pools, cannot saturate.
    """
    activation = activation_of(node.op)
    if precision is Precision.FLOAT32:
        return REAL_BOUNDS.get(activation)
    if isinstance(node.op, ops.Concatenation | ops.Reshape):
        return None
    if isinstance(node.op, ops.AveragePool2D) and activation is Activation.NONE:
        return None
    return activation_range(node, graph.results(node)[0], activation)
