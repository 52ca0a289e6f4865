"""The weights of a linear layer, channel by channel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.passes.channels import Edges, Indices, channels
from tinyml.quant.scales import operand

Matrix = npt.NDArray[np.bool_]
"""[outputs, inputs] of a layer."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Where the taps of a kernel meet the map: [taps] each, in the order of the weights.

    A tap that is in the padding at some positions of the output only is neither in
    `always` nor out of `ever`. Padding adds nothing to a sum.
    """

    always: npt.NDArray[np.bool_]
    ever: npt.NDArray[np.bool_]

    @property
    def uneven(self) -> npt.NDArray[np.bool_]:
        """The taps that are in the map at some positions and in the padding at others."""
        return self.ever & ~self.always


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A layer each of whose outputs sums over all inputs: CONV_2D and FULLY_CONNECTED.

    `weights` is [outputs, taps, inputs], less the zero point. The taps of a
    FULLY_CONNECTED are the pixels of the map that it takes as one vector.
    """

    weights: Integers
    taps: Taps

    @property
    def reads(self) -> Matrix:
        """Where an output depends on an input."""
        found: Matrix = (self.weights[:, self.taps.ever] != 0).any(axis=1)
        return found

    @property
    def uneven(self) -> Matrix:
        """Where a constant input may add other amounts at borders than inside."""
        found: Matrix = (self.weights[:, self.taps.uneven] != 0).any(axis=1)
        return found

    def added(self, offset: Integers) -> Integers:
        """What inputs that equal `offset`, less the zero point, add to each output's sum."""
        total: Integers = self.weights[:, self.taps.always].sum(axis=1) @ offset
        return total


def dense(graph: Graph, node: Node) -> Dense | None:
    """The layer of `node`; None where its columns do not belong to channels.

    (A FULLY_CONNECTED may take several vectors from one pixel.)
    """
    x, w = operand(graph, node, 0), operand(graph, node, 1)
    weights = w.values.astype(np.int64)
    if isinstance(node.op, ops.Conv2D):
        return Dense(weights.reshape(w.shape[0], -1, w.shape[3]), taps(graph, node))
    if w.shape[1] % channels(x):
        return None
    pixels = np.ones(w.shape[1] // channels(x), np.bool_)
    offset = weights - np.int64(w.q.zero_points[0])
    return Dense(offset.reshape(w.shape[0], -1, channels(x)), Taps(pixels, pixels))


def depthwise_reads(graph: Graph, node: Node) -> npt.NDArray[np.bool_]:
    """[outputs]: whether an output of DEPTHWISE_CONV_2D depends on its input."""
    w = operand(graph, node, 1)
    found: npt.NDArray[np.bool_] = (w.values.reshape(-1, w.shape[3]) != 0)[
        taps(graph, node).ever
    ].any(axis=0)
    return found


def depthwise_edges(graph: Graph, node: Node) -> Edges:
    """Which output of DEPTHWISE_CONV_2D is made from which input.

    Each input has the same number of outputs, so they go together; a single input's
    may go one by one.
    """
    assert isinstance(node.op, ops.DepthwiseConv2D)
    outs: Indices = np.arange(channels(graph.tensors[node.output]))
    x = operand(graph, node, 0)
    return Edges(node.output, x.name, outs, outs // node.op.multiplier, tied=channels(x) > 1)


def taps(graph: Graph, node: Node) -> Taps:
    """Where the taps of CONV_2D or DEPTHWISE_CONV_2D are in the map."""
    op = node.op
    assert isinstance(op, ops.Conv2D | ops.DepthwiseConv2D)
    x, w, y = operand(graph, node, 0), operand(graph, node, 1), graph.tensors[node.output]
    always, ever = [], []
    for axis, before in ((0, op.pads.top), (1, op.pads.left)):
        starts = np.arange(y.shape[1 + axis]) * op.stride[axis] - before
        reached = starts[:, None] + np.arange(w.shape[1 + axis]) * op.dilation[axis]
        inside = (reached >= 0) & (reached < x.shape[1 + axis])
        always.append(inside.all(axis=0))
        ever.append(inside.any(axis=0))
    return Taps(*(np.logical_and.outer(*inside).reshape(-1) for inside in (always, ever)))
