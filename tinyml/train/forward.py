"""The head's forward pass in float32, in the stated order of operations (see `floats`)."""

from dataclasses import replace
from math import prod

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Tensor
from tinyml.ir.ops.real import InFloat32
from tinyml.reference.registry import Operands, computes
from tinyml.train.bounds import real_bounds
from tinyml.train.floats import Floats, exp32, sequential_sum
from tinyml.train.gradient_filter import Window


def dequantized(tensor: Tensor, data: np.ndarray) -> Floats:
    """The real values of int8 activations, weights, or int32 biases, rounded once to float32."""
    quant = tensor.q
    shape = [1] * data.ndim
    if len(quant.scales) > 1:
        shape[quant.axis] = len(quant.scales)
    scales = np.array(quant.scales, np.float64).reshape(shape)
    zeros = np.array(quant.zero_points, np.float64).reshape(shape)
    return ((data.astype(np.float64) - zeros) * scales).astype(np.float32)


@computes(InFloat32, types=frozenset({(DType.FLOAT32, DType.FLOAT32)}))
def _in_float32(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    assert isinstance(node.op, InFloat32)
    return (infer(graph, replace(node, op=node.op.op), operands),)


def infer(graph: Graph, node: Node, given: Operands) -> Floats:
    """The output of `node`; `given` are its operands, float32."""
    operands = [None if operand is None else operand.astype(np.float32) for operand in given]
    x = operands[0]
    assert x is not None
    (y,) = graph.results(node)
    match node.op:
        case ops.Conv2D() | ops.DepthwiseConv2D():
            result = _conv(node.op, x, *_linear(operands))
        case ops.FullyConnected():
            weights, bias = _linear(operands)
            result = _dense(x, weights, bias).reshape(y.shape)
        case ops.Add():
            other = operands[1]
            assert other is not None
            result = x + other
        case ops.AveragePool2D():
            result = _average_pool(node.op, x)
        case ops.Mean():
            result = _mean(node.op, x).reshape(y.shape)
        case ops.Concatenation():
            result = np.concatenate([o for o in operands if o is not None], axis=node.op.axis)
        case ops.Softmax():
            result = softmax(x)
        case _:
            result = x.reshape(y.shape)
    low, high = map(np.float32, real_bounds(node.op))
    # Unlike np.maximum, this says which of 0 and -0 it gives: the bound.
    above: Floats = np.where(result > low, result, low)
    limited: Floats = np.where(above < high, above, high)
    return limited


def softmax(x: Floats) -> Floats:
    """exp32(x - max) / sum, over the last dimension."""
    powers = exp32(x - x.max(axis=-1, keepdims=True))
    terms = (powers[..., i, None] for i in range(x.shape[-1]))
    return powers / sequential_sum(terms, np.zeros((*x.shape[:-1], 1), np.float32))


def average_pool_counts(window: Window, height: int, width: int) -> Floats:
    """[H', W']: 1 / how many pixels of the map every window holds, rounded once."""
    ones = window.padded(np.ones((1, height, width, 1), np.float32))
    down, across = window.places(height, width)
    taps = (ones[:, r, c] for r, c in (window.under(*tap, down, across) for tap in window.taps()))
    counts = sequential_sum(taps, np.zeros((1, down, across, 1), np.float32))
    return np.float32(1) / counts[0, :, :, 0]


def _linear(operands: list[Floats | None]) -> tuple[Floats, Floats]:
    """Weights and biases (0 where there are none)."""
    weights = operands[1]
    assert weights is not None
    bias = operands[2] if len(operands) > 2 else None
    return weights, np.zeros(1, np.float32) if bias is None else bias


def _conv(op: ops.Conv2D | ops.DepthwiseConv2D, x: Floats, weights: Floats, bias: Floats) -> Floats:
    """bias, then tap by tap, for each channel by channel."""
    window = Window((weights.shape[1], weights.shape[2]), op.stride, op.dilation, op.pads)
    padded, (height, width) = window.padded(x), window.places(*x.shape[1:3])
    depthwise = isinstance(op, ops.DepthwiseConv2D)
    outputs = weights.shape[3 if depthwise else 0]
    total = np.zeros((x.shape[0], height, width, outputs), np.float32) + bias
    for u, v in window.taps():
        rows, columns = window.under(u, v, height, width)
        met = padded[:, rows, columns]
        if isinstance(op, ops.DepthwiseConv2D):
            total += np.repeat(met, op.multiplier, axis=3) * weights[0, u, v]
            continue
        for i in range(met.shape[3]):
            total += met[..., i, None] * weights[:, u, v, i]
    return total


def _dense(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """bias, then input by input."""
    rows = x.reshape(-1, weights.shape[1])
    start = np.zeros((rows.shape[0], weights.shape[0]), np.float32) + bias
    terms = (rows[:, i, None] * weights[:, i] for i in range(weights.shape[1]))
    return sequential_sum(terms, start)


def _average_pool(op: ops.AveragePool2D, x: Floats) -> Floats:
    """The sum over the window, row by row, times 1 / pixels."""
    window = Window(op.filter, op.stride, (1, 1), op.pads)
    padded, (height, width) = window.padded(x), window.places(*x.shape[1:3])
    spots = (window.under(u, v, height, width) for u, v in window.taps())
    start = np.zeros((x.shape[0], height, width, x.shape[3]), np.float32)
    total = sequential_sum((padded[:, rows, columns] for rows, columns in spots), start)
    return total * average_pool_counts(window, *x.shape[1:3])[None, :, :, None]


def _mean(op: ops.Mean, x: Floats) -> Floats:
    """The sum over the axes, the last of them fastest, times 1 / count."""
    kept = [axis for axis in range(x.ndim) if axis not in op.axes]
    moved = x.transpose(*op.axes, *kept)
    count = prod(moved.shape[: len(op.axes)])
    rows = moved.reshape(count, *moved.shape[len(op.axes) :])
    return sequential_sum(iter(rows), np.zeros(rows.shape[1:], np.float32)) * np.float32(1 / count)
