"""Lets the op after a PAD do the padding."""

from dataclasses import replace

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.ir.ops import Pads
from tinyml.passes.lowest import lowest
from tinyml.passes.rewrite import fill, repeated, replaced, same_quant
from tinyml.quant.scales import activation_range


@repeated
def fold_pads(graph: Graph) -> Graph:
    """`graph` with PADs of rows and columns as pads of the ops that read them.

    Exact for convolutions where the PAD fills in its zero point and keeps the
    quantisation: such an element adds (q - zero_point) * w = 0, as padding does. Exact
    for MAX_POOL_2D, whose padding takes no part, where every window has an element
    of the map that is not below what the PAD fills in, or the pool's activation raises
    everything to it. Never for AVERAGE_POOL_2D, which counts a PAD's elements.
    All readers must take the PAD over; else it stays, and so does all that reads it.
    """
    consumers = graph.consumers()
    for pad in graph.nodes:
        if not isinstance(pad.op, ops.Pad) or pad.output in graph.outputs:
            continue
        readers = consumers[pad.output]
        if readers and all(_can_take(graph, pad, reader) for reader in readers):
            changes: dict[str, Node | None] = {r.name: _taking(pad, r) for r in readers}
            changes[pad.name] = None
            return replaced(graph, changes)
    return graph


def _can_take(graph: Graph, pad: Node, reader: Node) -> bool:
    assert isinstance(pad.op, ops.Pad)
    x, y = graph.tensors[pad.inputs[0] or ""], graph.tensors[pad.output]
    paddings = pad.op.paddings
    if len(paddings) != 4 or any(paddings[0]) or any(paddings[3]):
        return False
    if y.quant is None or not same_quant(x.quant, y.quant) or reader.inputs.count(y.name) != 1:
        return False
    match reader.op:
        case ops.Conv2D() | ops.DepthwiseConv2D():
            return reader.inputs[0] == y.name and fill(graph, pad) == y.quant.zero_point
        case ops.MaxPool2D() as pool:
            floor = activation_range(reader, graph.tensors[reader.output], pool.activation)[0]
            reached = max(floor, lowest(graph)[x.name])
            return fill(graph, pad) <= reached and _windows_see_data(pool, _added(pad, pool), x)
    return False


def _added(pad: Node, op: ops.Conv2D | ops.DepthwiseConv2D | ops.MaxPool2D) -> Pads:
    """The pads of `op` with those of the PAD before it around them."""
    assert isinstance(pad.op, ops.Pad)
    (top, bottom), (left, right) = pad.op.paddings[1:3]
    own = op.pads
    return Pads(own.top + top, own.bottom + bottom, own.left + left, own.right + right)


def _taking(pad: Node, reader: Node) -> Node:
    """`reader` on the input of the PAD, padding itself."""
    assert isinstance(reader.op, ops.Conv2D | ops.DepthwiseConv2D | ops.MaxPool2D)
    op = replace(reader.op, pads=_added(pad, reader.op))
    return replace(reader, op=op, inputs=(pad.inputs[0], *reader.inputs[1:]))


def _windows_see_data(pool: ops.MaxPool2D, pads: Pads, x: Tensor) -> bool:
    """Whether no window of `pool` over `x`, padded with `pads`, lies wholly in the padding."""
    height, width = replace(pool, pads=pads).infer((x.shape,))[0][1:3]
    ends = (
        (pads.top, x.shape[1], height, pool.filter[0], pool.stride[0]),
        (pads.left, x.shape[2], width, pool.filter[1], pool.stride[1]),
    )
    return all(
        before < window and (count - 1) * stride - before < size
        for before, size, count, window, stride in ends
    )
