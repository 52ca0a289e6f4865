"""Removes detours through float32."""

import numpy as np

from tinyml.ir.graph import Graph
from tinyml.ir.ops import Dequantize, Quantize
from tinyml.passes.byte_maps import VALUES, byte_map
from tinyml.passes.rewrite import bypassed, repeated


@repeated
def remove_round_trips(graph: Graph) -> Graph:
    """`graph` without DEQUANTIZE followed by QUANTIZE, where they give the same byte back.

    Exact, because all 256 values are tried. The DEQUANTIZE itself is left to
    `remove_dead`: others may read the float32 tensor.
    """
    producers = graph.producers()
    for node in graph.nodes:
        first = producers.get(node.inputs[0] or "")
        if not isinstance(node.op, Quantize) or first is None:
            continue
        source = graph.activations(first)
        if isinstance(first.op, Dequantize) and source:
            table = byte_map(graph, first, node)
            if table is not None and np.array_equal(table, VALUES):
                rewritten = bypassed(graph, node, source[0])
                if rewritten is not graph:
                    return rewritten
    return graph
