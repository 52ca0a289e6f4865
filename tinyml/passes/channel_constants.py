"""Channels that have the same value at every pixel, for every input of the graph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml import reference
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node, Tensor
from tinyml.passes.channels import LINEAR, channels, edges, read_by, weights_of
from tinyml.passes.linear_channels import dense, depthwise_edges, depthwise_reads
from tinyml.passes.narrow import narrowed

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """Of each channel of a tensor: whether it is constant, and if so, its value (else 0)."""

    known: Mask
    values: Array


def constant_channels(graph: Graph) -> dict[str, Constants]:
    """For each tensor by name, save weights and biases.

    A channel that depends on constant channels only (through weights that are not 0)
    is computed by the reference, over the whole map, so that a border where it
    differs is seen.
    """
    weights = weights_of(graph)
    found = {name: _given(t) for name, t in graph.tensors.items() if name not in weights}
    for node in graph.nodes:
        # Constants that also serve as weights are operands like any other.
        found |= {n: _given(graph.tensors[n]) for n in read_by(node) if n not in found}
        candidates = _candidates(graph, node, found)
        if any(mask.any() for mask in candidates.values()):
            found |= _evaluated(graph, node, found, candidates)
    return found


def _given(tensor: Tensor) -> Constants:
    """What is known of a tensor by itself."""
    if tensor.data is not None:
        return _uniform(tensor.data, np.ones(channels(tensor), np.bool_))
    unknown = np.zeros(channels(tensor), np.bool_)
    return Constants(unknown, np.zeros(unknown.size, tensor.dtype.numpy))


def _uniform(data: Array, candidates: Mask) -> Constants:
    """The channels of `data` among `candidates` that are the same at every pixel."""
    pixels = data.reshape(-1, candidates.size)
    known: Mask = (pixels == pixels[0]).all(axis=0) & candidates
    return Constants(known, np.where(known, pixels[0], pixels.dtype.type(0)))


def _candidates(graph: Graph, node: Node, found: Mapping[str, Constants]) -> dict[str, Mask]:
    """By result: the channels that depend on constant channels only."""
    masks: dict[str, Mask] = {
        name: np.ones(channels(graph.tensors[name]), np.bool_) for name in node.outputs
    }
    x = read_by(node)[0]
    layer = dense(graph, node) if isinstance(node.op, ops.Conv2D | ops.FullyConnected) else None
    if layer is not None:
        masks[node.output] = np.all(~layer.reads | found[x].known, axis=1)
        return masks
    if isinstance(node.op, ops.DepthwiseConv2D):
        known = found[x].known[depthwise_edges(graph, node).ins]
        masks[node.output] = ~depthwise_reads(graph, node) | known
        return masks
    dependencies = None if isinstance(node.op, LINEAR) else edges(graph, node)
    if dependencies is None:
        known_all = all(found[name].known.all() for name in read_by(node))
        return {name: mask & known_all for name, mask in masks.items()}
    for edge in dependencies:
        masks[edge.result][edge.outs[~found[edge.operand].known[edge.ins]]] = False
    if isinstance(node.op, ops.Mul):
        for edge in dependencies:
            # A factor of real 0 makes the product 0, whatever the other one is.
            operand = found[edge.operand]
            zero = operand.known & (operand.values == graph.tensors[edge.operand].q.zero_point)
            masks[edge.result][edge.outs[zero[edge.ins]]] = True
    return masks


def _evaluated(
    graph: Graph, node: Node, found: Mapping[str, Constants], candidates: Mapping[str, Mask]
) -> dict[str, Constants]:
    """What the reference makes of the candidates; other channels stay unknown."""
    names = {name for name in (*node.inputs, *node.outputs) if name is not None}
    inputs = tuple(dict.fromkeys(graph.activations(node)))
    tensors = {name: graph.tensors[name] for name in names}
    alone = Graph(graph.name, tensors, (node,), inputs, node.outputs)
    kept = {name: np.arange(channels(tensors[name])) for name in (*read_by(node), *node.outputs)}
    if isinstance(node.op, LINEAR):
        kept |= _needed(alone, node, candidates[node.output])
        alone = narrowed(alone, kept, {})
    values = {
        name: np.broadcast_to(found[name].values[kept[name]], alone.tensors[name].shape)
        for name in inputs
    }
    constants = {}
    for name, data in reference.run(alone, values).items():
        whole = np.zeros((*data.shape[:-1], channels(tensors[name])), data.dtype)
        whole[..., kept[name]] = data
        constants[name] = _uniform(whole, candidates[name])
    return constants


def _needed(graph: Graph, node: Node, candidates: Mask) -> dict[str, npt.NDArray[np.intp]]:
    """The outputs of a linear layer that are candidates, and the inputs that they need."""
    (x,), outs = read_by(node), np.flatnonzero(candidates)
    ins = np.arange(channels(graph.tensors[x]))
    if isinstance(node.op, ops.DepthwiseConv2D):
        made_from = depthwise_edges(graph, node).ins
        ins = np.unique(made_from[outs])
        outs = np.flatnonzero(np.isin(made_from, ins))
    else:
        layer = dense(graph, node)
        if layer is not None:
            read = np.flatnonzero(layer.reads[outs].any(axis=0))
            ins = read if read.size else ins[:1]
    return {x: ins, node.output: outs}
