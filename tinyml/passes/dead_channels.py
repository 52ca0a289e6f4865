"""Removes channels that hold no information, and those that nobody uses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.passes.channel_constants import Constants, constant_channels
from tinyml.passes.channels import LINEAR, Edges, Indices, channels, edges, read_by, weights_of
from tinyml.passes.linear_channels import Dense, Integers, Matrix, dense, depthwise_edges
from tinyml.passes.narrow import narrowed, steps
from tinyml.passes.rewrite import repeated
from tinyml.quant.fixedpoint import INT32_MAX, INT32_MIN

Masks = dict[str, npt.NDArray[np.bool_]]
"""By tensor: which of its channels stay."""


@dataclass(frozen=True, slots=True, eq=False)
class _Demand:
    """Where channel `when[i]` of tensor `source` stays, channel `then[i]` of `target` must."""

    source: str
    target: str
    when: Indices
    then: Indices


@repeated
def remove_dead_channels(graph: Graph) -> Graph:
    """`graph` without channels that are constant or that no result depends on.

    Exact: a constant input of a CONV_2D or FULLY_CONNECTED moves into the bias, an
    input whose weights are 0 adds nothing. A constant that is not the zero point
    counts in the middle of a padded map, not in the padding; then it moves only if
    its weights are 0 wherever it meets padding at some positions but not at others.
    Channels of operands and results that correspond (in element-wise ops, depthwise
    convolutions, concatenations, reshapes, ...) go together or stay together. Inputs
    and outputs of the graph stay whole, and every tensor keeps a channel.
    """
    known = constant_channels(graph)
    layers = {
        node.name: layer
        for node in graph.nodes
        if isinstance(node.op, ops.Conv2D | ops.FullyConnected)
        and (layer := dense(graph, node)) is not None
    }
    staying = _staying(graph, known, layers)
    if all(mask.all() for mask in staying.values()):
        return graph
    kept = {name: np.flatnonzero(mask) for name, mask in staying.items()}
    added = {
        node.name: layers[node.name].added(_offsets(graph, node, known, staying))
        for node in graph.nodes
        if node.name in layers
    }
    return narrowed(graph, kept, added)


def _staying(graph: Graph, known: Mapping[str, Constants], layers: Mapping[str, Dense]) -> Masks:
    """The fewest channels that can stay, by following demands from what must."""
    demands = [demand for node in graph.nodes for demand in _demands(graph, node, known, layers)]
    names = dict.fromkeys(graph.sources)
    for node in graph.nodes:
        names |= dict.fromkeys((*read_by(node), *node.outputs))
    staying = {name: np.zeros(channels(graph.tensors[name]), np.bool_) for name in names}
    for name in _pinned(graph, layers):
        staying[name][:] = True
    changed = True
    while changed:
        _follow(demands, staying)
        changed = (
            _fill_an_empty_one(known, staying)
            or _straighten_slices(graph, staying)
            or _limit_biases(graph, known, layers, staying)
        )
    return staying


def _pinned(graph: Graph, layers: Mapping[str, Dense]) -> set[str]:
    """Tensors that stay whole."""
    weights = weights_of(graph)
    found = {*graph.sources, *graph.sinks}
    for node in graph.nodes:
        names = (*read_by(node), *node.outputs)
        found.update(
            name
            for name in names
            if name in weights or ((q := graph.tensors[name].quant) and len(q.scales) > 1)
        )
        if isinstance(node.op, LINEAR):
            if node.name not in layers and not isinstance(node.op, ops.DepthwiseConv2D):
                found.update(read_by(node))
        elif edges(graph, node) is None:
            found.update(names)
    return found


def _demands(
    graph: Graph, node: Node, known: Mapping[str, Constants], layers: Mapping[str, Dense]
) -> Iterable[_Demand]:
    if node.name in layers:
        (x,) = read_by(node)
        layer = layers[node.name]
        outs, ins = np.nonzero(layer.reads & ~_movable(graph, x, known[x], layer))
        yield _Demand(node.output, x, outs, ins)
        return
    if isinstance(node.op, ops.DepthwiseConv2D):
        dependencies: tuple[Edges, ...] = (depthwise_edges(graph, node),)
    elif isinstance(node.op, LINEAR):
        return
    else:
        dependencies = edges(graph, node) or ()
    for edge in dependencies:
        yield _Demand(edge.result, edge.operand, edge.outs, edge.ins)
        if edge.tied:
            yield _Demand(edge.operand, edge.result, edge.ins, edge.outs)
    if isinstance(node.op, ops.Split):
        # Parts are equal, before and after.
        each = np.arange(channels(graph.results(node)[0]))
        for name in node.outputs:
            yield _Demand(name, node.outputs[0], each, each)
            yield _Demand(node.outputs[0], name, each, each)


def _movable(graph: Graph, x: str, constants: Constants, layer: Dense) -> Matrix:
    """Where an input adds the same to an output at every position, known beforehand."""
    zero: npt.NDArray[np.bool_] = constants.values == graph.tensors[x].q.zero_point
    movable: Matrix = constants.known & (zero | ~layer.uneven)
    return movable


def _follow(demands: Iterable[_Demand], staying: Masks) -> None:
    """Adds to `staying` what is demanded by what is in it."""
    demands, changed = tuple(demands), True
    while changed:
        changed = False
        # Against the flow of data, along which most demands go.
        for demand in reversed(demands):
            wanted = demand.then[staying[demand.source][demand.when]]
            if not staying[demand.target][wanted].all():
                staying[demand.target][wanted] = changed = True


def _fill_an_empty_one(known: Mapping[str, Constants], staying: Masks) -> bool:
    """Gives the first tensor without a channel one, rather a constant one: it needs less."""
    for name, mask in staying.items():
        if not mask.any():
            mask[np.argmax(known[name].known)] = True
            return True
    return False


def _straighten_slices(graph: Graph, staying: Masks) -> bool:
    """Keeps the operand of slices that could not pick its channels in even steps."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, ops.StridedSlice) and edges(graph, node) is not None:
            (x,) = read_by(node)
            outs, ins = np.flatnonzero(staying[node.output]), np.flatnonzero(staying[x])
            if steps(node.op.begin[-1], node.op.strides[-1], outs, ins) is None:
                staying[x][:] = changed = True
    return changed


def _limit_biases(
    graph: Graph, known: Mapping[str, Constants], layers: Mapping[str, Dense], staying: Masks
) -> bool:
    """Keeps the inputs of layers whose biases would not fit int32."""
    changed = False
    for node in graph.nodes:
        layer = layers.get(node.name)
        if layer is None:
            continue
        (x,), outs = read_by(node), staying[node.output]
        bias = graph.operands(node)[2]
        total = layer.added(_offsets(graph, node, known, staying))
        if bias is not None:
            total = total + bias.values.astype(np.int64)
        if total[outs].min() < INT32_MIN or total[outs].max() > INT32_MAX:
            staying[x] |= layer.reads[outs].any(axis=0)
            changed = True
    return changed


def _offsets(graph: Graph, node: Node, known: Mapping[str, Constants], staying: Masks) -> Integers:
    """The inputs of a layer that move into its bias, less the zero point; 0 for the others."""
    (x,) = read_by(node)
    moving = known[x].known & ~staying[x]
    offset = known[x].values.astype(np.int64) - graph.tensors[x].q.zero_point
    return np.where(moving, offset, 0)
