"""Small networks to train, with every operator that a gradient can pass."""

import numpy as np

from tests.support.builder import SOFTMAX_QUANT, GraphBuilder, per_tensor
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph
from tinyml.ir.ops import Activation, Pads

SAME = Pads(1, 1, 1, 1)
WIDE = per_tensor(0.25, 0)
"""A quantisation that the values of these networks rarely saturate."""


def residual_net(seed: int = 0, size: int = 7) -> Graph:
    """Convolution, depthwise (strided), pointwise, add, concatenation, pools, mean, dense."""
    b = GraphBuilder("residual", seed)
    x = b.input((1, size, size, 2), per_tensor(0.02, -5), name="image")
    quant = per_tensor(0.05, -128)
    x = b.conv(x, 4, pads=SAME, activation=Activation.RELU, quant=quant, output="stem")
    x = b.depthwise(x, 1, stride=(2, 2), pads=SAME, activation=Activation.RELU6, quant=quant)
    linear = b.conv(x, 6, (1, 1), quant=WIDE)
    y = b.conv(linear, 6, pads=SAME, quant=WIDE)
    y = b.node(ops.Add(activation=Activation.RELU), (linear, y), per_tensor(0.2, -128))
    pooled = b.node(ops.AveragePool2D(stride=(2, 2), pads=Pads(0, 1, 0, 1), filter=(2, 2)), (y,))
    sized = b.node(ops.Relu6(), (b.conv(y, 6, (2, 2), stride=(2, 2), pads=Pads(0, 1, 0, 1),
                                        quant=b.tensors[pooled].q),))  # fmt: skip
    if b.tensors[sized].shape != b.tensors[pooled].shape:
        raise ValueError(f"{size} does not fit")
    both = b.node(ops.Concatenation(axis=3), (pooled, sized))
    mean = b.node(ops.Mean(axes=(1, 2)), (both,), per_tensor(0.1, -100))
    dense = b.dense(b.node(ops.Reshape((1, 1, 1, 12)), (mean,)), 8, quant=WIDE)
    return b.graph(b.node(ops.Softmax(), (b.dense(dense, 3, quant=WIDE),), SOFTMAX_QUANT))


def chain_net(seed: int = 0, size: int = 8) -> Graph:
    """Three filtered neighbours, pointwise and depthwise, whose grids coincide; a global pool."""
    b = GraphBuilder("chain", seed)
    x = b.input((1, size, size, 3), per_tensor(0.02, -5), name="image")
    quant = per_tensor(0.05, -128)
    x = b.conv(x, 6, (1, 1), activation=Activation.RELU, quant=quant)
    x = b.depthwise(x, 2, pads=SAME, activation=Activation.RELU6, quant=quant)
    x = b.conv(x, 5, (1, 1), quant=WIDE)
    x = b.conv(x, 4, pads=SAME, activation=Activation.RELU, quant=quant)
    x = b.node(ops.AveragePool2D(stride=(size, size), filter=(size, size)), (x,))
    return b.graph(b.dense(b.node(ops.Reshape((1, 4)), (x,)), 3, quant=WIDE))


def odd_net(seed: int = 0) -> Graph:
    """No biases, a constant added, a tensor added to itself, a pool that cuts off, asymmetry."""
    b = GraphBuilder("odd", seed)
    x = b.input((1, 6, 5, 2), per_tensor(0.02, 3), name="image")
    x = b.conv(x, 4, (3, 2), pads=Pads(0, 1, 1, 0), quant=per_tensor(0.05, -9), bias=False)
    constant = b.random_const(b.tensors[x].shape, per_tensor(0.03, 4))
    x = b.node(ops.Add(activation=Activation.RELU), (constant, x), per_tensor(0.1, -128))
    x = b.depthwise(x, 1, (2, 3), quant=per_tensor(0.05, -20), bias=False)
    x = b.node(ops.Add(), (x, x), per_tensor(0.1, -20))
    pool = ops.AveragePool2D(activation=Activation.RELU6, stride=(2, 1), filter=(3, 2))
    x = b.node(pool, (x,))
    weights = b.rng.integers(-127, 128, (3, b.tensors[x].size)).astype(np.int8)
    w = b.const(weights, per_tensor(0.004, 17))
    return b.graph(b.node(ops.FullyConnected(), (x, w, None), WIDE))


def constant_net(seed: int = 0) -> Graph:
    """A row of constants, before what it is added to; a tensor added to itself; a mean."""
    b = GraphBuilder("constant", seed)
    x = b.input((1, 4, 4, 3), per_tensor(0.02, 3), name="image")
    x = b.conv(x, 4, (1, 1), quant=per_tensor(0.05, -9))
    row = b.random_const((1, 1, 4, 4), per_tensor(0.03, 4))
    x = b.node(ops.Add(activation=Activation.RELU6), (row, x), per_tensor(0.05, -128))
    x = b.node(ops.Add(), (x, x), per_tensor(0.1, -128))
    x = b.node(ops.Mean(axes=(1, 2)), (x,), per_tensor(0.05, -100))
    return b.graph(b.dense(x, 3, quant=WIDE))


def image(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """A random input."""
    (name,) = graph.inputs
    shape = graph.tensors[name].shape
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-128, 128, shape).astype(np.int8)}


def label(value: int) -> Array:
    return np.array([value], np.int32)
