"""Makes an ordinary convolution of a depthwise one that reads a single channel."""

from dataclasses import replace

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.passes.rewrite import replaced, unused


def widen_depthwise(graph: Graph) -> Graph:
    """`graph` with DEPTHWISE_CONV_2D on one channel as CONV_2D.

    With one input channel every output channel reads all there is, so that both ops
    compute the same, and the kernels of CONV_2D reuse each input for many outputs.
    """
    tensors = dict(graph.tensors)
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, ops.DepthwiseConv2D):
            continue
        x, w, *bias = node.inputs
        if graph.tensors[x or ""].shape[3] > 1 or not graph.tensors[w or ""].is_const:
            continue
        filters = _by_output(graph.tensors[w or ""], unused(f"{w}.ohwi", tensors))
        tensors[filters.name] = filters
        wide = ops.Conv2D(op.stride, op.pads, op.activation, op.dilation)
        changes[node.name] = replace(node, op=wide, inputs=(x, filters.name, *bias))
    return replaced(replace(graph, tensors=tensors), changes) if changes else graph


def _by_output(weights: Tensor, name: str) -> Tensor:
    """[1, kh, kw, outputs] as [outputs, kh, kw, 1]."""
    data = np.ascontiguousarray(weights.values.transpose(3, 1, 2, 0))
    data.setflags(write=False)
    quant = weights.quant
    if quant is not None and len(quant.scales) > 1:
        quant = replace(quant, axis=0)
    return replace(weights, name=name, shape=data.shape, data=data, quant=quant)
