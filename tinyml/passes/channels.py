"""How the channels of a node's results hang together with those of its operands.

Channels are the elements along the last dimension; a scalar has one. Weights and
biases are no operands here: they are cut to fit (see `weights_of`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor

Indices = npt.NDArray[np.intp]

LINEAR = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)

_CHANNELWISE = (
    *ops.TABULATED,
    ops.LogicalNot,
    ops.Quantize,
    ops.Dequantize,
    ops.AveragePool2D,
    ops.MaxPool2D,
    ops.ResizeNearestNeighbor,
    ops.ResizeBilinear,
)


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Channel `outs[i]` of tensor `result` depends on channel `ins[i]` of tensor `operand`.

    tied: what is taken out of one of them must be taken out of the other; otherwise the
    operand's channel may go on without the result's.
    """

    result: str
    operand: str
    outs: Indices
    ins: Indices
    tied: bool = True


def channels(tensor: Tensor) -> int:
    """The number of channels."""
    return tensor.shape[-1] if tensor.shape else 1


def weights_of(graph: Graph) -> frozenset[str]:
    """Names of the weights and biases of linear layers."""
    return frozenset(
        name
        for node in graph.nodes
        if isinstance(node.op, LINEAR)
        for name in node.inputs[1:]
        if name is not None
    )


def read_by(node: Node) -> tuple[str, ...]:
    """The operands of `node` that have channels in the sense of this module."""
    count = 1 if isinstance(node.op, LINEAR) else len(node.inputs)
    return tuple(name for name in node.inputs[:count] if name is not None)


def edges(graph: Graph, node: Node) -> tuple[Edges, ...] | None:
    """All dependencies of a node that is no linear layer, however its values combine.

    None where channels mix, or where no narrower operand could take their place.
    """
    x, y = graph.tensors[node.inputs[0] or ""], graph.tensors[node.outputs[0]]
    count, last = channels(x), len(x.shape) - 1
    each = np.arange(count)
    match node.op:
        case op if isinstance(op, _CHANNELWISE):
            return (Edges(y.name, x.name, each, each),)
        case op if isinstance(op, ops.PAIRED):
            return tuple(_broadcast(y, graph.tensors[name]) for name in read_by(node))
        case ops.Reshape():
            return _reshaped(x, y)
        case ops.Mean(axes=axes) if last not in axes:
            return (Edges(y.name, x.name, each, each),)
        case ops.ArgMax(axis=axis) if axis != last:
            return (Edges(y.name, x.name, each, each),)
        case ops.Transpose(perm=perm) if perm[-1:] == (last,):
            return (Edges(y.name, x.name, each, each),)
        case ops.Pad(paddings=paddings):
            before = paddings[-1][0] if paddings else 0
            return (Edges(y.name, x.name, each + before, each),)
        case ops.Concatenation(axis=axis):
            parts = [graph.tensors[name] for name in read_by(node)]
            return tuple(_concatenated(y, parts, along=axis == last))
        case ops.Split(axis=axis):
            part = channels(y)
            outs = np.arange(part)
            return tuple(
                Edges(name, x.name, outs, outs + (i * part if axis == last else 0))
                for i, name in enumerate(node.outputs)
            )
        case ops.StridedSlice(begin=begin, sizes=sizes, strides=strides, shape=shape) if (
            sizes[-1:] == shape[-1:] and sizes
        ):
            outs = np.arange(sizes[-1])
            return (Edges(y.name, x.name, outs, begin[-1] + outs * strides[-1]),)
    return None


def _broadcast(y: Tensor, operand: Tensor) -> Edges:
    """One channel for all of the result's, or one for each."""
    each = np.arange(channels(y))
    if channels(operand) == each.size:
        return Edges(y.name, operand.name, each, each)
    return Edges(y.name, operand.name, each, np.zeros_like(each), tied=False)


def _reshaped(x: Tensor, y: Tensor) -> tuple[Edges, ...] | None:
    """Element i is in channel i % count before and after, so one count must divide the other."""
    old, new = channels(x), channels(y)
    if new % old and old % new:
        return None
    each = np.arange(max(old, new))
    return (Edges(y.name, x.name, each % new, each % old),)


def _concatenated(y: Tensor, parts: Iterable[Tensor], *, along: bool) -> Iterable[Edges]:
    """The parts after one another where `along`, else on top of each other."""
    start = 0
    for part in parts:
        each = np.arange(channels(part))
        yield Edges(y.name, part.name, each + start, each)
        start += each.size if along else 0
