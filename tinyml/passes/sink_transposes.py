"""Moves transposes behind the means that shrink what they transpose."""

from dataclasses import replace

from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops import Mean, Transpose
from tinyml.passes.rewrite import repeated, unused


@repeated
def sink_transposes(graph: Graph) -> Graph:
    """`graph` with TRANSPOSE then MEAN as MEAN then TRANSPOSE, where nobody else reads between.

    Exact, because the mean of each result is over the same elements, and a sum of
    integers does not depend on their order. What is left to transpose is smaller, and
    often nothing: exporters from NCHW frameworks put this pair before the classifier.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        first = producers.get(node.inputs[0] or "")
        if (
            not isinstance(node.op, Mean)
            or first is None
            or not isinstance(first.op, Transpose)
            or first.output in graph.outputs
            or len(consumers[first.output]) > 1
        ):
            continue
        perm, axes = first.op.perm, tuple(sorted(first.op.perm[axis] for axis in node.op.axes))
        mean = replace(node.op, axes=axes)
        # Where each dimension of the input is after the mean.
        kept = [i for i in range(len(perm)) if node.op.keep_dims or i not in axes]
        order = tuple(kept.index(axis) for axis in perm if axis in kept)
        (shape,) = mean.infer(tuple(graph.tensors[n].shape for n in first.inputs if n is not None))
        result = graph.tensors[node.output]
        name = unused(f"{result.name}.mean", graph.tensors)
        tensors = {**graph.tensors, name: replace(result, name=name, shape=shape)}
        sunk = {
            first.name: Node(node.name, mean, first.inputs, (name,)),
            node.name: Node(first.name, Transpose(order), (name,), node.outputs),
        }
        nodes = tuple(sunk.get(other.name, other) for other in graph.nodes)
        return graph.rebuilt(nodes, tensors)
    return graph
