"""Lets the node before a clamp do the clamping."""

from collections.abc import Sequence
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

    A clamp is a node, or a few in a row, that does to each of the 256 values what a
    clamp does: RELU and RELU6 as a rule, MINIMUM and MAXIMUM with a constant. Exact
    where it keeps the quantisation, nobody else reads what it clamps, and clamping to
    the producer's range and then to its own comes to a fused activation's range in the
    integers (or to the producer's own range).
    """
    consumers = graph.consumers()
    for producer in graph.nodes:
        if not isinstance(producer.op, FUSING):
            continue
        chain: list[Node] = []
        end = producer
        while end.output not in graph.outputs and len(consumers[end.output]) == 1:
            (end,) = consumers[end.output]
            chain.append(end)
            if len(chain) > _LONGEST or len(end.outputs) != 1:
                break
            activation = _fused(graph, producer, chain)
            if activation is not None:
                op = replace(producer.op, activation=activation)
                changes: dict[str, Node | None] = {node.name: None for node in chain}
                changes[producer.name] = replace(producer, op=op, outputs=end.outputs)
                return replaced(graph, changes)
    return graph


_LONGEST = 3
"""Nodes in a row that are tried as one clamp: both bounds of one, and a detour."""


def _fused(graph: Graph, producer: Node, chain: Sequence[Node]) -> Activation | None:
    """The activation with which `producer` alone gives what `chain` does; None if none does."""
    assert isinstance(producer.op, FUSING)
    middle, output = graph.tensors[producer.output], graph.tensors[chain[-1].output]
    table = byte_map(graph, *chain) if same_type(middle, output) else None
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
