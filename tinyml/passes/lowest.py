"""How low the integers of a tensor can be."""

from collections.abc import Mapping

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.passes.byte_maps import VALUES, byte_map
from tinyml.passes.rewrite import FUSING, fill
from tinyml.quant.scales import LIMITS, activation_range

_MOVING = (
    ops.Reshape,
    ops.Transpose,
    ops.Concatenation,
    ops.Split,
    ops.SplitV,
    ops.Pack,
    ops.Unpack,
    ops.BroadcastTo,
    ops.SpaceToDepth,
    ops.DepthToSpace,
    ops.ReduceMax,
    ops.ReduceMin,
    ops.StridedSlice,
    ops.ResizeNearestNeighbor,
)


def lowest(graph: Graph) -> dict[str, int]:
    """For each integer tensor by name: a bound below every integer that it can hold.

    It follows from constants, from fused activations, from the 256 results of
    element-wise ops, and through ops that only select or move elements; otherwise it
    is the least of the type.
    """
    integers = {name: t for name, t in graph.tensors.items() if t.dtype in LIMITS}
    bounds = {
        name: LIMITS[tensor.dtype][0] if tensor.data is None else int(tensor.data.min())
        for name, tensor in integers.items()
    }
    for node in graph.nodes:
        for name in node.outputs:
            if name in integers and all(n is None or n in bounds for n in node.inputs):
                bounds[name] = _lowest_result(graph, node, integers[name], bounds)
    return bounds


def _lowest_result(graph: Graph, node: Node, y: Tensor, bounds: Mapping[str, int]) -> int:
    """The bound for a result `y` of `node`, whose operands have theirs."""
    inputs = min(bounds[name] for name in node.inputs if name is not None)
    match node.op:
        case ops.MaxPool2D(activation=activation):
            low, high = activation_range(node, y, activation)
            return min(max(low, inputs), high)
        case op if isinstance(op, FUSING):
            return activation_range(node, y, op.activation)[0]
        case op if isinstance(op, _MOVING):
            return inputs
        case ops.Pad():
            return min(fill(graph, node), inputs)
    table = byte_map(graph, node)
    return LIMITS[y.dtype][0] if table is None else int(table[inputs <= VALUES].min())
