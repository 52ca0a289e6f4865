"""Lets the node before a clamp do the clamping."""

from dataclasses import replace

import numpy as np

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.ir.ops import Activation
from tinyml.passes.byte_maps import VALUES, byte_map
from tinyml.passes.rewrite import FUSING, repeated, replaced, same_type
from tinyml.quant.scales import activation_range


@repeated
def fuse_activations(graph: Graph) -> Graph:
    """`graph` with clamps moved into the nodes that compute what they clamp.

    A clamp is any node that, tried on all 256 values, does to each what a clamp does:
    RELU and RELU6 as a rule, MINIMUM and MAXIMUM with a constant. Exact where it keeps
    the quantisation, is the only reader of its input, and where clamping to the
    producer's range and then to its own comes to a fused activation's range in the
    integers (or to the producer's own). Clamps of clamps thus fuse one by one.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        sources = graph.activations(node)
        producer = producers.get(sources[0]) if len(sources) == 1 else None
        if producer is None or not isinstance(producer.op, FUSING):
            continue
        middle = producer.output
        if middle in graph.outputs or len(consumers[middle]) > 1:
            continue
        activation = _fused(graph, producer, node)
        if activation is not None:
            op = replace(producer.op, activation=activation)
            fused = replace(producer, op=op, outputs=node.outputs)
            return replaced(graph, {producer.name: fused, node.name: None})
    return graph


def _fused(graph: Graph, producer: Node, node: Node) -> Activation | None:
    """The activation with which `producer` alone gives what `node` does; None if there is none."""
    assert isinstance(producer.op, FUSING)
    middle, output = graph.tensors[producer.output], graph.tensors[node.outputs[0]]
    if len(node.outputs) != 1 or not same_type(middle, output):
        return None
    table = byte_map(graph, node)
    if table is None or not np.array_equal(table, np.clip(VALUES, table.min(), table.max())):
        return None
    own = producer.op.activation
    bounds = activation_range(producer, output, own)
    wanted = tuple(int(np.clip(bound, table.min(), table.max())) for bound in bounds)
    choices = (own, *(a for a in Activation if a is not own))
    return next((a for a in choices if _means(producer, output, a, wanted)), None)


def _means(producer: Node, output: Tensor, activation: Activation, wanted: tuple[int, ...]) -> bool:
    """Whether `activation` clamps to `wanted`; no for one that the scale cannot express."""
    try:
        return activation_range(producer, output, activation) == wanted
    except UnsupportedError:
        return False
