"""Removes nodes that hand their input on unchanged."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops import Activation, Pads
from tinyml.passes.byte_maps import VALUES, byte_map
from tinyml.passes.rewrite import bypassed, repeated


@repeated
def remove_noops(graph: Graph) -> Graph:
    """`graph` without the nodes whose output is their input, byte for byte.

    Exact by construction for what moves bytes to where they are (RESHAPE and
    TRANSPOSE that change nothing, PAD by nothing, the slice of everything, SPLIT into
    one, CONCATENATION of one, a 1x1 pool without activation, a resize to the same
    size: all its interpolation weights are 0 or 1); by trying all 256 values for what
    computes (QUANTIZE, activations, MINIMUM, MAXIMUM, MEAN over dimensions of size 1).
    A no-op that changes the shape or the quantisation becomes a RESHAPE, a view.
    """
    for node in graph.nodes:
        source = graph.activations(node)
        if len(source) == 1 and len(node.outputs) == 1 and _is_noop(graph, node):
            rewritten = bypassed(graph, node, source[0])
            if rewritten is not graph:
                return rewritten
    return graph


def _is_noop(graph: Graph, node: Node) -> bool:
    x, y = graph.tensors[graph.activations(node)[0]], graph.tensors[node.output]
    match node.op:
        case ops.Reshape() | ops.ResizeNearestNeighbor() | ops.ResizeBilinear():
            return x.shape == y.shape
        case ops.Transpose(perm=perm):
            return _keeps_order(perm, x.shape)
        case ops.Pad(paddings=paddings):
            return not any(map(any, paddings))
        case ops.StridedSlice(begin=begin, sizes=sizes):
            return not any(begin) and sizes == x.shape
        case ops.Split(count=1):
            return True
        case ops.Concatenation():
            return len(node.inputs) == 1
        case ops.AveragePool2D() | ops.MaxPool2D() as op:
            plain = (op.filter, op.stride, op.pads) == ((1, 1), (1, 1), Pads())
            return plain and op.activation is Activation.NONE
    if x.shape != y.shape and not isinstance(node.op, ops.Mean):
        return False
    table = byte_map(graph, node)
    return table is not None and np.array_equal(table, VALUES)


def _keeps_order(perm: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a transpose moves only dimensions of size 1, so that the bytes stay in order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)
