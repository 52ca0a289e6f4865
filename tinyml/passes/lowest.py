"""How low the integers of a tensor can be."""

from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.passes.byte_maps import VALUES, byte_map
from tinyml.passes.rewrite import FUSING, fill
from tinyml.quant.scales import LIMITS, activation_range

_MOVING = (
    ops.Reshape,
    ops.Transpose,
    ops.Concatenation,
    ops.Split,
    ops.StridedSlice,
    ops.ResizeNearestNeighbor,
)


def lowest(graph: Graph, name: str) -> int:
    """A bound below every integer that the quantised tensor `name` can hold.

    It follows from fused activations, from the 256 results of element-wise ops, and
    through ops that only select or move elements; otherwise it is the type's least.
    """
    tensor = graph.tensors[name]
    if tensor.data is not None:
        return int(tensor.data.min())
    node = graph.producers().get(name)
    if node is None:
        return LIMITS[tensor.dtype][0]

    def inputs() -> int:
        return min(lowest(graph, source) for source in node.inputs if source is not None)

    match node.op:
        case ops.MaxPool2D(activation=activation):
            low, high = activation_range(node, tensor, activation)
            return min(max(low, inputs()), high)
        case op if isinstance(op, FUSING):
            return activation_range(node, tensor, op.activation)[0]
        case op if isinstance(op, _MOVING):
            return inputs()
        case ops.Pad():
            return min(fill(graph, node), inputs())
    table = byte_map(graph, node)
    return LIMITS[tensor.dtype][0] if table is None else int(table[inputs() <= VALUES].min())
