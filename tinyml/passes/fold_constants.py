"""Evaluates at build time what does not depend on the graph's inputs."""

from collections.abc import Mapping
from dataclasses import replace

from tinyml import reference
from tinyml.ir.graph import Array, DType, Graph, Node, Tensor
from tinyml.ir.ops import Concatenation
from tinyml.passes.rewrite import unused


def fold_constants(graph: Graph) -> Graph:
    """`graph` with the results of nodes that read only constants as constants.

    Exact, because the reference that evaluates them is the definition of what the
    target computes. A graph output has to be written whenever the model runs, so a
    constant one is copied by a CONCATENATION of the one constant. (A constant output
    that is no int8 tensor of rank 1 or more keeps the node that computes it.)
    """
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        constant = all(tensors[name].is_const for name in node.inputs if name is not None)
        if not constant or _must_stay(graph, node):
            nodes.append(node)
            continue
        for name, data in _evaluate(graph, node, tensors).items():
            if name in graph.outputs:
                value = unused(f"{name}.value", tensors)
                copy = unused(f"{node.name}.copy", {n.name for n in (*graph.nodes, *nodes)})
                tensors[value] = replace(tensors[name], name=value, data=data)
                nodes.append(Node(copy, Concatenation(axis=0), (value,), (name,)))
            else:
                tensors[name] = replace(tensors[name], data=data)
    return graph if tuple(nodes) == graph.nodes else graph.rebuilt(tuple(nodes), tensors)


def _must_stay(graph: Graph, node: Node) -> bool:
    """Whether a node that reads only constants is what writes a graph output."""
    written = [graph.tensors[name] for name in node.outputs if name in graph.outputs]
    if isinstance(node.op, Concatenation) and len(node.inputs) == 1:
        return bool(written)
    return any(tensor.dtype is not DType.INT8 or not tensor.shape for tensor in written)


def _evaluate(graph: Graph, node: Node, tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """The outputs of one node, read-only."""
    names = {name for name in (*node.inputs, *node.outputs) if name is not None}
    inner = {name: tensors[name] for name in names}
    alone = Graph(graph.name, inner, (node,), (), node.outputs)
    results = {name: data.copy() for name, data in reference.run(alone, {}).items()}
    for data in results.values():
        data.setflags(write=False)
    return results
