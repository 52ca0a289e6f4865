"""Takes channels out of tensors, and out of the nodes and weights around them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, Tensor
from tinyml.passes.channels import LINEAR, Indices, channels
from tinyml.passes.linear_channels import Integers
from tinyml.passes.rewrite import unused


def narrowed(graph: Graph, kept: Mapping[str, Indices], added: Mapping[str, Integers]) -> Graph:
    """`graph` with only the channels `kept` of each tensor that is no weight or bias.

    `added`, by linear node: what goes on top of its bias, for each output that it had.
    What is kept must fit together: along edges that are tied, and for slices by `steps`.
    """
    tensors = dict(graph.tensors)
    for name, indices in kept.items():
        tensors[name] = _cut(graph.tensors[name], indices)
    uses = [name for node in graph.nodes for name in node.inputs]
    shared = {name for name in uses if name is not None and uses.count(name) > 1}
    nodes = []
    for node in graph.nodes:
        if isinstance(node.op, LINEAR):
            node = _cut_linear(graph, node, kept, added.get(node.name), tensors, shared)
        nodes.append(replace(node, op=_cut_op(graph, node, kept)))
    return graph.rebuilt(tuple(nodes), tensors)


def steps(begin: int, stride: int, outs: Indices, ins: Indices) -> tuple[int, int] | None:
    """Begin and stride of a slice, along the channels, of an operand that has kept `ins`.

    It picks what the slice before picked for the results `outs`; None where that lies
    irregularly.
    """
    places = np.searchsorted(ins, begin + outs * stride)
    between = np.unique(np.diff(places))
    if between.size > 1:
        return None
    return int(places[0]), int(between[0]) if between.size else 1


def _cut(tensor: Tensor, indices: Indices) -> Tensor:
    """`tensor` with only the channels `indices`."""
    if indices.size == channels(tensor):
        return tensor
    data = None if tensor.data is None else _frozen(tensor.data.take(indices, -1))
    return replace(tensor, shape=(*tensor.shape[:-1], indices.size), data=data)


def _frozen(data: Array) -> Array:
    data = np.ascontiguousarray(data)
    data.setflags(write=False)
    return data


def _cut_op(graph: Graph, node: Node, kept: Mapping[str, Indices]) -> ops.Op:
    """The op of `node` for what is kept of its operand and result."""
    match node.op:
        case ops.DepthwiseConv2D() as op:
            count = kept[node.output].size // kept[node.inputs[0] or ""].size
            return replace(op, multiplier=count)
        case ops.Reshape(shape=(*outer, _)):
            return ops.Reshape((*outer, kept[node.output].size))
        case ops.Pad(paddings=(*outer, (before, _))) as op:
            outs, count = kept[node.output], channels(graph.tensors[node.inputs[0] or ""])
            low = int((outs < before).sum())
            high = int((outs >= before + count).sum())
            return replace(op, paddings=(*outer, (low, high)))
        case ops.StridedSlice() as op:
            ins, outs = kept[node.inputs[0] or ""], kept[node.output]
            if ins.size == channels(graph.tensors[node.inputs[0] or ""]):
                return op
            found = steps(op.begin[-1], op.strides[-1], outs, ins)
            assert found is not None, node.name
            return replace(
                op,
                begin=(*op.begin[:-1], found[0]),
                sizes=(*op.sizes[:-1], outs.size),
                strides=(*op.strides[:-1], found[1]),
                shape=(*op.shape[:-1], outs.size),
            )
    return node.op


def _cut_linear(
    graph: Graph,
    node: Node,
    kept: Mapping[str, Indices],
    added: Integers | None,
    tensors: dict[str, Tensor],
    shared: set[str],
) -> Node:
    """`node` with the weights and bias, put into `tensors`, of its channels that are kept.

    `shared`: constants that others read, too, as they were.
    """
    x, w, bias = graph.operands(node)
    assert x is not None and w is not None
    ins, outs = kept[x.name], kept[node.output]
    weights = w if ins.size == channels(x) else _cut_inputs(node.op, w, ins, channels(x))
    if outs.size < channels(graph.tensors[node.output]):
        weights = _cut_outputs(node.op, weights, outs)
    sums = None if added is None or not added[outs].any() else added[outs]
    total = _cut_bias(node, x, weights, bias, outs, sums)
    if total is not None and bias is None:
        total = replace(total, name=unused(total.name, tensors))
    inputs: list[str | None] = [x.name]
    for old, new in ((w, weights), (bias, total)):
        if new is None:
            inputs.append(None)
            continue
        if old is not None and new is not old and new.name in shared:
            new = replace(new, name=unused(new.name, tensors))
        tensors[new.name] = new
        inputs.append(new.name)
    return replace(node, inputs=tuple(inputs))


def _cut_inputs(op: ops.Op, w: Tensor, ins: Indices, count: int) -> Tensor:
    """The weights for the inputs `ins` of `count`."""
    match op:
        case ops.Conv2D():
            data = w.values.take(ins, 3)
        case ops.FullyConnected():
            data = w.values.reshape(w.shape[0], -1, count).take(ins, 2).reshape(w.shape[0], -1)
        case _:
            # Depthwise: the weights have channels of the result only.
            return w
    return replace(w, shape=data.shape, data=_frozen(data))


def _cut_outputs(op: ops.Op, w: Tensor, outs: Indices) -> Tensor:
    """The weights for the outputs `outs`."""
    data = w.values.take(outs, 3 if isinstance(op, ops.DepthwiseConv2D) else 0)
    return replace(w, shape=data.shape, data=_frozen(data), quant=_picked(w.q, outs))


def _picked(quant: Quant, outs: Indices) -> Quant:
    """`quant` of the outputs `outs`, where each has its own."""
    if len(quant.scales) == 1:
        return quant
    scales = tuple(quant.scales[i] for i in outs)
    return replace(quant, scales=scales, zero_points=tuple(quant.zero_points[i] for i in outs))


def _cut_bias(
    node: Node,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    outs: Indices,
    sums: Integers | None,
) -> Tensor | None:
    """The bias for the outputs `outs`, plus `sums`; a new one is named after `node`."""
    if bias is None and sums is None:
        return None
    if bias is not None and sums is None and outs.size == channels(bias):
        return bias
    data = np.zeros(outs.size, np.int64) if bias is None else bias.values[outs].astype(np.int64)
    if sums is not None:
        data = data + sums
    # What a bias is quantised by is no choice, and one scale is checked where several are not.
    products = tuple(float(np.float32(x.q.scale * scale)) for scale in weights.q.scales)
    quant = Quant(products, (0,) * len(products)) if all(products) else None
    name = f"{node.name}.bias" if bias is None else bias.name
    return Tensor(name, data.shape, DType.INT32, quant, _frozen(data.astype(np.int32)))
