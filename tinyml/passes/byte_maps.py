"""What nodes do to each of the 256 values of a byte, where each byte alone decides.

Found by running the reference on all of them, so that a pass need not argue about
multipliers and roundings: an identity is one if it is one for every value.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyml import reference
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Shape, Tensor

ByteMap = npt.NDArray[np.int8]
"""The int8 result for each of the inputs -128, -127, ..., 127."""

VALUES: ByteMap = np.arange(-128, 128).astype(np.int8)

_UNARY = (
    *ops.TABULATED,
    ops.Quantize,
    ops.Dequantize,
)


def byte_map(graph: Graph, *chain: Node) -> ByteMap | None:
    """The int8 results of `chain`, each node reading the one before it, for `VALUES`.

    None where the chain does not go from int8 to int8 byte by byte. Nodes are
    element-wise in one operand, MINIMUM or MAXIMUM with a constant that is the same
    everywhere, or MEAN over dimensions of size 1.
    """
    if any(len(graph.activations(node)) != 1 or len(node.outputs) != 1 for node in chain):
        return None
    source = graph.tensors[graph.activations(chain[0])[0]]
    target = graph.tensors[chain[-1].output]
    if source.dtype is not DType.INT8 or target.dtype is not DType.INT8:
        return None
    tensors: dict[str, Tensor] = {}
    for node in chain:
        x, y = graph.tensors[graph.activations(node)[0]], graph.tensors[node.output]
        shape = _enumerating_shape(node.op, x.shape)
        bounds = _bounds(graph, node)
        if shape is None or bounds is None:
            return None
        tensors[x.name] = replace(x, shape=shape)
        tensors |= {bound.name: bound for bound in bounds}
        shapes = tuple(None if n is None else tensors[n].shape for n in node.inputs)
        tensors[y.name] = replace(y, shape=node.op.infer(shapes)[0])
    alone = Graph(graph.name, tensors, chain, (source.name,), (target.name,))
    inputs = {source.name: VALUES.reshape(tensors[source.name].shape)}
    return reference.run(alone, inputs)[target.name].reshape(-1).astype(np.int8)


def _enumerating_shape(op: ops.Op, shape: Shape) -> Shape | None:
    """A shape of 256 elements that `op` treats one by one, as it does `shape`."""
    if isinstance(op, (*_UNARY, ops.Minimum, ops.Maximum)):
        return VALUES.shape
    if not isinstance(op, ops.Mean) or any(shape[axis] != 1 for axis in op.axes):
        return None
    free = [i for i in range(len(shape)) if i not in op.axes]
    if not free:
        return None
    return tuple(VALUES.size if i == free[0] else 1 for i in range(len(shape)))


def _bounds(graph: Graph, node: Node) -> list[Tensor] | None:
    """The constant operands as scalars; None where one is not the same everywhere."""
    scalars = []
    for tensor in graph.operands(node):
        if tensor is not None and tensor.data is not None:
            if np.unique(tensor.data).size != 1:
                return None
            scalars.append(replace(tensor, shape=(), data=tensor.data.reshape(-1)[0].reshape(())))
    return scalars
