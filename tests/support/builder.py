"""Builds graphs by hand, for tests that need a particular network.

Shapes come from the ops' own rules, weights and quantisations from a seeded
generator, so that a test says only what it is about.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, Shape, Tensor
from tinyml.ir.ops import Activation, Pads


def per_tensor(scale: float, zero_point: int = 0) -> Quant:
    """A per-tensor quantisation whose scale is a float32 value."""
    return Quant((float(np.float32(scale)),), (zero_point,))


def frozen(data: Array) -> Array:
    """A read-only copy of `data`."""
    copy = np.array(data)
    copy.setflags(write=False)
    return copy


SOFTMAX_QUANT = per_tensor(1 / 256, -128)
TANH_QUANT = per_tensor(1 / 128, 0)


class GraphBuilder:
    """Collects tensors and nodes; every method returns the name of what it made."""

    def __init__(self, name: str = "net", seed: int = 0) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []

    def quant(self) -> Quant:
        """A random activation quantisation; the zero point is often low, as after RELU."""
        return self.quant_near(0.03)

    def quant_near(self, scale: float) -> Quant:
        """Like `quant`, with a scale between a quarter of and four times `scale`, within reason."""
        likely = [-128, -128, *self.rng.integers(-128, 32, 6), self.rng.integers(-128, 128)]
        zero_point = int(self.rng.choice(likely))
        factor = float(np.exp(self.rng.uniform(-1.4, 1.4)))
        return per_tensor(min(max(scale * factor, 0.002), 0.5), zero_point)

    def _tensor(
        self,
        shape: Shape,
        dtype: DType,
        quant: Quant | None,
        data: Array | None = None,
        name: str | None = None,
    ) -> str:
        name = f"t{len(self.tensors)}" if name is None else name
        if name in self.tensors:
            raise ValueError(f"tensor '{name}' exists")
        self.tensors[name] = Tensor(name, shape, dtype, quant, data)
        return name

    def input(
        self,
        shape: Shape,
        quant: Quant | None = None,
        dtype: DType = DType.INT8,
        name: str | None = None,
    ) -> str:
        """A graph input; a random quantisation when none is given (none for float32 and int32)."""
        if quant is None and dtype not in (DType.FLOAT32, DType.INT32):
            quant = self.quant()
        name = self._tensor(shape, dtype, quant, name=name)
        self.inputs.append(name)
        return name

    def const(self, data: Array, quant: Quant | None = None, name: str | None = None) -> str:
        """A constant; its type is the array's."""
        return self._tensor(data.shape, DType(data.dtype.name), quant, frozen(data), name)

    def random_const(self, shape: Shape, quant: Quant | None = None) -> str:
        """An int8 constant with random values."""
        data = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.const(data, self.quant() if quant is None else quant)

    def node(
        self,
        op: ops.Op,
        inputs: Sequence[str | None],
        quant: Quant | None = None,
        *,
        dtype: DType = DType.INT8,
        output: str | None = None,
    ) -> str:
        """An application of `op` with one output; `quant` None means the first input's."""
        return self.split_node(op, inputs, quant, dtype=dtype, output=output)[0]

    def split_node(
        self,
        op: ops.Op,
        inputs: Sequence[str | None],
        quant: Quant | None = None,
        *,
        dtype: DType = DType.INT8,
        output: str | None = None,
    ) -> tuple[str, ...]:
        """Like `node`, for any number of outputs."""
        shapes = op.infer(tuple(None if n is None else self.tensors[n].shape for n in inputs))
        if quant is None and dtype is DType.INT8:
            first = inputs[0]
            assert first is not None
            quant = self.tensors[first].quant
        outputs = tuple(self._tensor(shape, dtype, quant, name=output) for shape in shapes)
        self.nodes.append(Node(f"n{len(self.nodes)}", op, tuple(inputs), outputs))
        return outputs

    def _weighted(
        self,
        op: ops.Op,
        x: str,
        shape: Shape,
        axis: int,
        quant: Quant | None,
        bias: bool,
        per_channel: bool,
        output: str | None,
    ) -> str:
        """A node with random weights and bias, their scales fit to the output's."""
        source, channels = self.tensors[x].q, shape[axis]
        quant = self.quant() if quant is None else quant
        count, terms = channels if per_channel else 1, prod(shape) // channels
        steps = quant.scale / (source.scale * 60 * np.sqrt(terms)) * self.rng.uniform(0.3, 2, count)
        scales = tuple(float(s) for s in steps.astype(np.float32))
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        w = self.const(weights, Quant(scales, (0,) * count, axis if per_channel else 0))
        b: str | None = None
        if bias:
            reach = 3000 * (1 + int(np.sqrt(terms)))
            values = self.rng.integers(-reach, reach, channels).astype(np.int32)
            bias_scales = tuple(float(np.float32(source.scale) * np.float32(s)) for s in scales)
            b = self.const(values, Quant(bias_scales, (0,) * count))
        return self.node(op, (x, w, b), quant, output=output)

    def conv(
        self,
        x: str,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: tuple[int, int] = (1, 1),
        pads: Pads = Pads(),  # noqa: B008 - frozen
        dilation: tuple[int, int] = (1, 1),
        activation: Activation = Activation.NONE,
        quant: Quant | None = None,
        bias: bool = True,
        per_channel: bool = True,
        output: str | None = None,
    ) -> str:
        """CONV_2D with random weights."""
        op = ops.Conv2D(stride=stride, pads=pads, activation=activation, dilation=dilation)
        shape = (channels, *kernel, self.tensors[x].shape[3])
        return self._weighted(op, x, shape, 0, quant, bias, per_channel, output)

    def depthwise(
        self,
        x: str,
        multiplier: int = 1,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: tuple[int, int] = (1, 1),
        pads: Pads = Pads(),  # noqa: B008 - frozen
        dilation: tuple[int, int] = (1, 1),
        activation: Activation = Activation.NONE,
        quant: Quant | None = None,
        bias: bool = True,
        per_channel: bool = True,
        output: str | None = None,
    ) -> str:
        """DEPTHWISE_CONV_2D with random weights."""
        op = ops.DepthwiseConv2D(
            stride=stride,
            pads=pads,
            activation=activation,
            dilation=dilation,
            multiplier=multiplier,
        )
        shape = (1, *kernel, self.tensors[x].shape[3] * multiplier)
        return self._weighted(op, x, shape, 3, quant, bias, per_channel, output)

    def dense(
        self,
        x: str,
        units: int,
        *,
        activation: Activation = Activation.NONE,
        quant: Quant | None = None,
        bias: bool = True,
        output: str | None = None,
    ) -> str:
        """FULLY_CONNECTED over all but the first dimension, with random weights."""
        shape = (units, prod(self.tensors[x].shape[1:]))
        op = ops.FullyConnected(activation=activation)
        return self._weighted(op, x, shape, 0, quant, bias, False, output)

    def graph(self, *outputs: str) -> Graph:
        """The finished graph."""
        return Graph(self.name, self.tensors, tuple(self.nodes), tuple(self.inputs), outputs)


def random_inputs(graph: Graph, seed: int) -> dict[str, Array]:
    """Inputs for `graph`: uniform bytes with extremes, or floats that reach past the range."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if tensor.dtype is DType.FLOAT32:
            found[name] = rng.normal(0, 3, tensor.shape).astype(np.float32)
            continue
        info = np.iinfo(tensor.dtype.value)
        data = rng.integers(info.min, info.max, tensor.shape, endpoint=True)
        extremes = rng.choice([info.min, info.max, 0], tensor.shape)
        data = np.where(rng.random(tensor.shape) < 0.1, extremes, data)
        found[name] = data.astype(tensor.dtype.numpy)
    return found
