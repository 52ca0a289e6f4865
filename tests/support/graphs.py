"""Random networks: Hypothesis strategies for graphs of several ops.

`graphs()` draws whole networks of 2 to 10 nodes: chains and branches with residual
adds, concatenations, pads, pools, float edges, tensors consumed several times, several
outputs, constant subgraphs and dead branches. `cases()` adds inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from hypothesis import strategies as st

from tests.support.builder import SOFTMAX_QUANT, TANH_QUANT, GraphBuilder, random_inputs
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Shape
from tinyml.ir.ops import Activation, Pads


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What TFLite's SAME pads before and after one dimension (dilation 1)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


_MAX_SIZE = 600
"""Elements of the largest activation that is drawn."""


@dataclass(slots=True)
class _Grower:
    """Grows a random graph: each method appends one op to `x` and returns what it made.

    A method returns None where the op does not apply to `x`.
    """

    b: GraphBuilder
    draw: st.DrawFn
    constants: bool
    for_tflm: bool

    def shape(self, x: str) -> Shape:
        return self.b.tensors[x].shape

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_in(self, n: int) -> bool:
        return self.number(0, n - 1) == n - 1

    def activation(self) -> Activation:
        return self.draw(st.sampled_from(tuple(Activation)))

    def live(self, *, like: str | None = None) -> list[str]:
        """The int8 activations so far, of the shape of `like`."""
        return [
            t.name
            for t in self.b.tensors.values()
            if t.dtype is DType.INT8
            and not t.is_const
            and (like is None or t.shape == self.shape(like))
        ]

    def window(self, x: str, most: int = 3) -> tuple[tuple[int, int], tuple[int, int], Pads]:
        """A kernel, stride and pads that fit the map of `x`."""
        extents = self.shape(x)[1:3]
        height, width = (self.number(1, min(most, extent)) for extent in extents)
        down, right = self.number(1, 2), self.number(1, 2)
        kernel, stride = (height, width), (down, right)
        if self.one_in(2):
            rows, columns = map(same_pads, extents, kernel, stride)
            return kernel, stride, Pads(*rows, *columns)
        if self.for_tflm:
            return kernel, stride, Pads()
        # A pad below the kernel's extent: every window sees a real element.
        return kernel, stride, Pads(*(self.number(0, k - 1) for k in kernel for _ in range(2)))

    def conv(self, x: str) -> str:
        kernel, stride, pads = self.window(x)
        return self.b.conv(
            x,
            self.number(1, 8),
            kernel,
            stride=stride,
            pads=pads,
            activation=self.activation(),
            bias=not self.one_in(5),
            per_channel=not self.one_in(4),
        )

    def depthwise(self, x: str) -> str:
        kernel, stride, pads = self.window(x)
        return self.b.depthwise(
            x,
            1 if self.shape(x)[3] > 4 else self.number(1, 2),
            kernel,
            stride=stride,
            pads=pads,
            activation=self.activation(),
            bias=self.for_tflm or not self.one_in(5),
        )

    def pointwise(self, x: str) -> str:
        return self.b.conv(x, self.number(1, 8), (1, 1), activation=self.activation())

    def pool(self, x: str) -> str:
        kernel, stride, pads = self.window(x)
        kind = ops.MaxPool2D if self.one_in(2) else ops.AveragePool2D
        op = kind(stride=stride, pads=pads, activation=self.activation(), filter=kernel)
        return self.b.node(op, (x,))

    def pad(self, x: str) -> str:
        channels = self.shape(x)[3]
        rows = (self.number(0, 2), self.number(0, 2))
        columns = (self.number(0, 2), self.number(0, 2))
        deep = (0, 1) if self.one_in(6) and channels < 8 else (0, 0)
        value = self.draw(st.sampled_from((None, None, None, -128, 5)))
        return self.b.node(ops.Pad(((0, 0), rows, columns, deep), value), (x,))

    def pad_conv(self, x: str) -> str:
        """PAD then a convolution: what folds."""
        rows, columns = ((self.number(0, 1), self.number(0, 1)) for _ in range(2))
        padded = self.b.node(ops.Pad(((0, 0), rows, columns, (0, 0))), (x,))
        return self.depthwise(padded) if self.one_in(2) else self.conv(padded)

    def residual(self, x: str) -> str:
        """Another tensor of the same shape (or x itself) and x."""
        others = self.live(like=x)
        other = others[self.number(0, len(others) - 1)]
        return self._binary(x, other)

    def broadcast(self, x: str) -> str:
        """x and a constant that broadcasts to it: one value, a vector of channels, a map."""
        shape = self.shape(x)
        low = self.draw(st.sampled_from(((), shape[-1:], (*(1 for _ in shape[:-1]), shape[-1]))))
        return self._binary(x, self.b.random_const(low))

    def excite(self, x: str) -> str:
        """A squeeze-and-excite block: a value per channel scales the map it came from."""
        squeezed = self.b.node(ops.Mean(axes=(1, 2), keep_dims=True), (x,), self.b.quant())
        gate = self.b.conv(squeezed, self.shape(x)[3], (1, 1))
        gate = self.b.node(ops.Logistic(), (gate,), SOFTMAX_QUANT)
        return self._binary(x, gate)

    def _binary(self, x: str, y: str) -> str:
        a, c = self.b.tensors[x].q.scale, self.b.tensors[y].q.scale
        kind = self.draw(st.sampled_from((ops.Add, ops.Add, ops.Sub, ops.Mul)))
        quant = self.b.quant_near(a * c * 60 if kind is ops.Mul else a + c)
        pair = (y, x) if self.one_in(4) else (x, y)
        return self.b.node(kind(activation=self.activation()), pair, quant)

    def clamp(self, x: str) -> str:
        """MINIMUM or MAXIMUM with a constant, often a bound of RELU or RELU6."""
        q = self.b.tensors[x].q
        six = int(np.clip(q.zero_point + round(6 / q.scale), -128, 127))
        bound = self.draw(st.sampled_from((q.zero_point, six, self.number(-128, 127))))
        y = self.b.const(np.array(bound, np.int8), q)
        kind = ops.Minimum if self.one_in(2) else ops.Maximum
        return self.b.node(kind(), (x, y))

    def activate(self, x: str) -> str:
        """A unary op: a clamp in the same quantisation, or one with its own output scale."""
        same = (ops.Relu(), ops.Relu6())
        if not self.one_in(2):
            return self.b.node(self.draw(st.sampled_from(same)), (x,))
        near = self.b.quant_near(self.b.tensors[x].q.scale)
        op, quant = self.draw(
            st.sampled_from(
                (
                    (ops.Relu(), near),
                    (ops.LeakyRelu(alpha=0.125), near),
                    (ops.HardSwish(), near),
                    (ops.Logistic(), SOFTMAX_QUANT),
                    (ops.Tanh(), TANH_QUANT),
                )
            )
        )
        return self.b.node(op, (x,), quant)

    def prelu(self, x: str) -> str:
        channels = self.shape(x)[-1]
        alpha = self.b.random_const((*(1 for _ in self.shape(x)[1:-1]), channels))
        return self.b.node(ops.Prelu(), (x, alpha), self.b.quant_near(self.b.tensors[x].q.scale))

    def requantize(self, x: str) -> str:
        q = self.b.tensors[x].q
        return self.b.node(
            ops.Quantize(), (x,), q if self.one_in(2) else self.b.quant_near(q.scale)
        )

    def float_round_trip(self, x: str) -> str:
        real = self.b.node(ops.Dequantize(), (x,), dtype=DType.FLOAT32)
        q = self.b.tensors[x].q
        q = q if self.one_in(2) else self.b.quant_near(q.scale)
        return self.b.node(ops.Quantize(), (real,), q)

    def concat(self, x: str) -> str:
        shape, quant = self.shape(x), self.b.tensors[x].q
        axis = len(shape) - 1
        fits = [
            n
            for n in self.live()
            if len(self.shape(n)) == len(shape) and self.shape(n)[:axis] == shape[:axis]
        ]
        parts = [x, *(fits[self.number(0, len(fits) - 1)] for _ in range(self.number(0, 2)))]
        if self.constants and self.one_in(3):
            parts.append(self.b.random_const((*shape[:axis], 2), quant))
        if sum(self.shape(p)[axis] for p in parts) * prod(shape[:axis]) > _MAX_SIZE:
            parts = parts[:1]
        fitting = [
            p if self.b.tensors[p].q == quant else self.b.node(ops.Quantize(), (p,), quant)
            for p in parts
        ]
        return self.b.node(ops.Concatenation(axis=axis), fitting)

    def split(self, x: str) -> str | None:
        shape = self.shape(x)
        axis = self.number(1, len(shape) - 1)
        counts = [c for c in (1, 2, 3, 4) if shape[axis] % c == 0]
        count = counts[self.number(0, len(counts) - 1)]
        parts = self.b.split_node(ops.Split(axis=axis, count=count), (x,))
        return parts[self.number(0, count - 1)]

    def slice(self, x: str) -> str:
        begin, sizes, strides = [], [], []
        for extent in self.shape(x):
            stride = self.number(1, 2)
            start = self.number(0, min(1, extent - 1))
            whole = self.one_in(2)
            begin.append(0 if whole else start)
            strides.append(1 if whole else stride)
            sizes.append(extent if whole else (extent - start - 1) // stride + 1)
        op = ops.StridedSlice(tuple(begin), tuple(sizes), tuple(strides), tuple(sizes))
        return self.b.node(op, (x,))

    def transpose(self, x: str) -> str:
        rank = len(self.shape(x))
        perm = tuple(self.draw(st.permutations(range(1, rank))))
        return self.b.node(ops.Transpose((0, *perm)), (x,))

    def reshape(self, x: str) -> str:
        n, *rest = self.shape(x)
        if len(rest) == 3 and self.one_in(2):
            return self.b.node(ops.Reshape((n, prod(rest))), (x,))
        if len(rest) == 3:
            return self.b.node(ops.Reshape((n, rest[1], rest[0], rest[2])), (x,))
        flat = prod(rest)
        return self.b.node(ops.Reshape((n, 1, 1, flat)), (x,))

    def mean(self, x: str) -> str:
        q = self.b.tensors[x].q
        q = q if self.one_in(2) else self.b.quant_near(q.scale)
        return self.b.node(ops.Mean(axes=(1, 2), keep_dims=self.one_in(2)), (x,), q)

    def resize(self, x: str) -> str | None:
        n, height, width, channels = self.shape(x)
        size = (height * self.number(1, 2), width * self.number(1, 2))
        if n * size[0] * size[1] * channels > _MAX_SIZE:
            return None
        kind = ops.ResizeNearestNeighbor if self.one_in(2) else ops.ResizeBilinear
        align, half = self.draw(st.sampled_from(((False, False), (True, False), (False, True))))
        return self.b.node(kind(size=size, align_corners=align, half_pixel_centers=half), (x,))

    def dense(self, x: str) -> str:
        return self.b.dense(x, self.number(1, 8), activation=self.activation())

    def softmax(self, x: str) -> str:
        return self.b.node(ops.Softmax(), (x,), SOFTMAX_QUANT)

    def clamped(self, x: str) -> str:
        """A clamp right after an op that could do it itself: what fuses."""
        makers = (self.conv, self.depthwise, self.pool) if len(self.shape(x)) == 4 else ()
        made = self.draw(st.sampled_from((*makers, self.residual, self.dense)))(x)
        if self.one_in(3):
            return self.clamp(made)
        return self.b.node(self.draw(st.sampled_from((ops.Relu(), ops.Relu6()))), (made,))

    def moved_twice(self, x: str) -> str:
        """Two ops in a row of a kind that merges."""
        move = self.draw(st.sampled_from((self.pad, self.transpose, self.reshape)))
        if move == self.pad and len(self.shape(x)) != 4:
            return self.transpose(self.transpose(x))
        return move(move(x))

    def transposed_mean(self, x: str) -> str:
        """A mean in the layout of the frameworks that put channels first."""
        channels_first = self.b.node(ops.Transpose((0, 3, 1, 2)), (x,))
        axes = self.draw(st.sampled_from(((2, 3), (3,), (1,), (2,))))
        op = ops.Mean(axes=axes, keep_dims=self.one_in(2))
        return self.b.node(op, (channels_first,), self.b.quant_near(self.b.tensors[x].q.scale))

    def constant(self, x: str) -> str:
        """A constant subgraph of one or two nodes, then x combined with it."""
        y = self.b.random_const(self.shape(x))
        y = self.activate(y) if self.one_in(2) else self.b.node(ops.Reshape(self.shape(x)), (y,))
        return self._binary(x, y)


_MAP_OPS = (
    _Grower.conv,
    _Grower.conv,
    _Grower.depthwise,
    _Grower.pointwise,
    _Grower.pool,
    _Grower.pad,
    _Grower.pad_conv,
    _Grower.mean,
    _Grower.resize,
    _Grower.excite,
    _Grower.transposed_mean,
)
"""Ops for [N, H, W, C]."""

_ANY_OPS = (
    _Grower.residual,
    _Grower.residual,
    _Grower.broadcast,
    _Grower.clamp,
    _Grower.activate,
    _Grower.activate,
    _Grower.clamped,
    _Grower.moved_twice,
    _Grower.prelu,
    _Grower.requantize,
    _Grower.concat,
    _Grower.split,
    _Grower.slice,
    _Grower.transpose,
    _Grower.reshape,
    _Grower.dense,
    _Grower.softmax,
)
"""Ops for any rank."""


def _grow_inputs(grower: _Grower, float_edges: bool) -> None:
    """One or two int8 maps to start from, at times quantised from a float32 input."""
    b = grower.b
    for _ in range(2 if grower.one_in(4) else 1):
        shape = (1, grower.number(1, 8), grower.number(1, 8), grower.number(1, 6))
        if float_edges and grower.one_in(4):
            b.node(ops.Quantize(), (b.input(shape, dtype=DType.FLOAT32),), b.quant())
        else:
            b.input(shape)


def _outputs(grower: _Grower, float_edges: bool, dead: bool) -> list[str]:
    """What the graph returns: the last tensor, every sink unless `dead`, some others."""
    b = grower.b
    read = {name for node in b.nodes for name in node.inputs}
    last = b.nodes[-1].outputs[-1]
    found = [last]
    for node in b.nodes[:-1]:
        unread = not any(name in read for name in node.outputs)
        if node.outputs[0] not in found and ((unread and not dead) or grower.one_in(6)):
            found.append(node.outputs[0])
    if float_edges and b.tensors[last].dtype is DType.INT8 and grower.one_in(4):
        found[0] = b.node(ops.Dequantize(), (last,), dtype=DType.FLOAT32)
    elif len(b.tensors[last].shape) > 1 and grower.one_in(8):
        axis = len(b.tensors[last].shape) - 1
        found[0] = b.node(ops.ArgMax(axis=axis), (last,), dtype=DType.INT32)
    return grower.draw(st.permutations(found)) if len(found) > 1 else found


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    max_nodes: int = 10,
    float_edges: bool = True,
    constants: bool = True,
    dead: bool = True,
    for_tflm: bool = False,
) -> Graph:
    """A random network of 2 to about `max_nodes` nodes over int8 maps of a few hundred bytes.

    float_edges: allow QUANTIZE from float32, DEQUANTIZE to it, and the pair in the middle.
    constants: allow nodes whose inputs are all constant, and constants in CONCATENATION.
    dead: allow nodes and graph inputs that nobody reads (parts of a SPLIT may always go unread).
    for_tflm: only what .tflite can say and TFLite Micro runs: pads that are zero or SAME's,
    depthwise convolutions with a bias.
    """
    builder = GraphBuilder("random", draw(st.integers(0, 2**32 - 1)))
    grower = _Grower(builder, draw, constants, for_tflm)
    _grow_inputs(grower, float_edges)
    extra = (*((_Grower.constant,) if constants else ()),)
    extra += (_Grower.float_round_trip,) if float_edges else ()
    goal = draw(st.integers(2, max_nodes))
    x = grower.live()[-1]
    while len(builder.nodes) < goal:
        if grower.one_in(4):
            x = draw(st.sampled_from(grower.live()))
        rank4 = len(builder.tensors[x].shape) == 4
        choices = _ANY_OPS + extra + (_MAP_OPS * 2 if rank4 else ())
        made = draw(st.sampled_from(choices))(grower, x)
        if made is not None and builder.tensors[made].size <= _MAX_SIZE:
            x = made
    outputs = _outputs(grower, float_edges, dead)
    if not dead:
        read = {name for node in builder.nodes for name in node.inputs}
        builder.inputs = [name for name in builder.inputs if name in read]
    return builder.graph(*outputs)


@dataclass(frozen=True, slots=True)
class NetworkCase:
    """A graph and inputs for it."""

    graph: Graph
    inputs: Mapping[str, Array]


@st.composite
def cases(draw: st.DrawFn, networks: st.SearchStrategy[Graph]) -> NetworkCase:
    """A network drawn from `networks`, such as `graphs()`, with random inputs."""
    graph = draw(networks)
    return NetworkCase(graph, random_inputs(graph, draw(st.integers(0, 2**32 - 1))))
