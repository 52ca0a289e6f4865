"""Strategies for convolutions, fully connected layers and pools."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies.base import (
    ACTIVATIONS,
    FLAGS,
    Case,
    case,
    dyadics,
    f32,
    images,
    limited,
    pads_for,
    quants,
    same_pads,
    scales,
    shapes,
    tensor,
    values,
    zero_points,
)
from tinyml.ir import ops
from tinyml.ir.graph import DType, Quant, Shape, Tensor

KERNELS = st.one_of(st.integers(1, 3), st.integers(1, 5), st.just(7))
STRIDES = st.sampled_from((1, 1, 2, 2, 3))
DILATIONS = st.sampled_from((1, 1, 1, 2, 3))

ACCUMULATOR_LIMIT = 2**31 - 2**20


@st.composite
def _weights(draw, shape: Shape, channels: int, axis: int) -> Tensor:
    """Constant weights, per tensor or per channel; now and then a channel of zeros."""
    data = draw(values(shape)).copy()
    if draw(st.integers(0, 4)) == 0:
        index = [slice(None)] * len(shape)
        index[axis] = slice(0, None, 2)
        data[tuple(index)] = 0
    if channels > 1 and draw(FLAGS):
        centre = draw(st.floats(-12, -2))
        spread = draw(st.floats(0, 6))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        exponents = centre + spread * (rng.random(channels) - 0.5)
        quant = Quant(tuple(f32(2.0**e) for e in exponents), (0,) * channels, axis)
    else:
        quant = Quant((draw(scales(-12, -2)),), (0,), axis)
    return tensor("w", shape, quant, data=data)


@st.composite
def _bias(draw, weights: Tensor, input_scale: float, channels: int, taps: int) -> Tensor | None:
    """An int32 bias that leaves room for the accumulator, or none."""
    if not draw(FLAGS):
        return None
    room = ACCUMULATOR_LIMIT - taps * 128 * 255
    largest = min(2 ** draw(st.integers(0, 31)), room)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = rng.integers(-largest, largest, channels, np.int32, endpoint=True)
    product = [float(np.float32(input_scale) * np.float32(s)) for s in weights.q.scales]
    quant = Quant(tuple(product), (0,) * len(product), 0)
    return tensor("b", (channels,), quant, DType.INT32, data)


@st.composite
def _output_quant(
    draw, input_scale: float, weights: Tensor, bias: Tensor | None, taps: int
) -> Quant:
    """An output scale such that the rescale shifts either way, yet int32 never overflows."""
    largest_bias = 0 if bias is None else int(np.abs(bias.values.astype(np.int64)).max())
    largest = taps * 128 * 255 + largest_bias
    highest = np.log2(2**30 / largest)
    # Ratios around 255 / largest use the output's range, far lower ones vanish.
    natural = np.log2(255 / largest)
    exponents = st.one_of(
        st.floats(natural - 4, min(natural + 4, highest)), st.floats(-34, highest)
    )
    ratio = draw(
        st.one_of(exponents.map(lambda e: 2.0**e), dyadics(natural - 2, min(natural + 6, highest)))
    )
    scale = limited(input_scale * max(weights.q.scales) / ratio)
    return Quant((scale,), (draw(zero_points()),))


@st.composite
def conv(draw) -> Case:
    x_shape = draw(images())
    kernel = (draw(KERNELS), draw(KERNELS))
    stride = (draw(STRIDES), draw(STRIDES))
    dilation = (draw(DILATIONS), draw(DILATIONS))
    channels = draw(st.integers(1, 20))
    pads = draw(pads_for(x_shape[1:3], kernel, stride, dilation))
    op = ops.Conv2D(stride, pads, draw(ACTIVATIONS), dilation)
    w_shape = (channels, *kernel, x_shape[3])
    return draw(_linear(op, x_shape, w_shape, channels, 0, prod(w_shape[1:])))


@st.composite
def wide_pointwise(draw) -> Case:
    """Convolutions of 1x1 with more channels than the others have."""
    depth, channels = draw(st.integers(1, 70)), draw(st.integers(1, 24))
    x_shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 5)), depth)
    op = ops.Conv2D((draw(STRIDES), draw(STRIDES)), ops.Pads(), draw(ACTIVATIONS))
    return draw(_linear(op, x_shape, (channels, 1, 1, depth), channels, 0, depth))


@st.composite
def depthwise(draw) -> Case:
    x_shape = draw(images())
    kernel = (draw(KERNELS), draw(KERNELS))
    stride = draw(STRIDES)
    dilation = (draw(DILATIONS), draw(DILATIONS))
    multiplier = draw(st.one_of(st.just(1), st.integers(1, 8)))
    pads = draw(pads_for(x_shape[1:3], kernel, (stride, stride), dilation))
    op = ops.DepthwiseConv2D((stride, stride), pads, draw(ACTIVATIONS), dilation, multiplier)
    channels = x_shape[3] * multiplier
    return draw(_linear(op, x_shape, (1, *kernel, channels), channels, 3, prod(kernel)))


@st.composite
def fully_connected(draw) -> Case:
    x_shape = draw(shapes(1, 4, 9, 400))
    depth = x_shape[-1]
    keep_dims = draw(FLAGS)
    if not keep_dims and draw(FLAGS):
        depth = prod(x_shape[1:]) if len(x_shape) > 1 else depth
    op = ops.FullyConnected(draw(ACTIVATIONS), keep_dims)
    channels = draw(st.integers(1, 40))
    return draw(_linear(op, x_shape, (channels, depth), channels, 0, depth))


@st.composite
def _linear(
    draw, op: ops.Op, x_shape: Shape, w_shape: Shape, channels: int, axis: int, taps: int
) -> Case:
    x = tensor("x", x_shape, draw(quants()))
    w = draw(_weights(w_shape, channels, axis))
    b = draw(_bias(w, x.q.scale, channels, taps))
    (y_shape,) = op.infer((x_shape, w_shape, None))
    y = tensor("y", y_shape, draw(_output_quant(x.q.scale, w, b, taps)))
    return case(op, (x, w, b), (y,), {"x": draw(values(x_shape))})


@st.composite
def _pool(draw, kind: type[ops.AveragePool2D] | type[ops.MaxPool2D]) -> Case:
    x_shape = draw(images())
    kernel = (draw(KERNELS), draw(KERNELS))
    stride = (draw(STRIDES), draw(STRIDES))
    pads = draw(pads_for(x_shape[1:3], kernel, stride))
    op = kind(stride, pads, draw(ACTIVATIONS), kernel)
    quant = draw(quants())
    (y_shape,) = op.infer((x_shape,))
    x, y = tensor("x", x_shape, quant), tensor("y", y_shape, quant)
    return case(op, (x,), (y,), {"x": draw(values(x_shape))})


def average_pool() -> st.SearchStrategy[Case]:
    return _pool(ops.AveragePool2D)


def max_pool() -> st.SearchStrategy[Case]:
    return _pool(ops.MaxPool2D)


@st.composite
def transpose_conv(draw) -> Case:
    """Over every size that a convolution brings to the input."""
    batches, height, width, depth = draw(images(6, 12))
    kernel = (draw(KERNELS), draw(KERNELS))
    stride = (draw(STRIDES), draw(STRIDES))
    same = draw(FLAGS)
    size = []
    for extent, k, s in zip((height, width), kernel, stride, strict=True):
        least = (extent - 1) * s + (1 if same else k)
        size.append(least + draw(st.integers(0, s - 1)))
    target = (size[0], size[1])
    pads = ops.Pads()
    if same:
        sides = [same_pads(n, k, s) for n, k, s in zip(target, kernel, stride, strict=True)]
        pads = ops.Pads(*sides[0], *sides[1])
    channels = draw(st.integers(1, 12))
    op = ops.TransposeConv(target, stride, pads)
    w_shape = (channels, *kernel, depth)
    x_shape = (batches, height, width, depth)
    return draw(_linear(op, x_shape, w_shape, channels, 0, prod(w_shape[1:])))


@st.composite
def batch_matmul(draw) -> Case:
    """Matrices alone and by the batch, batches that repeat on either side, transposed or not."""
    rows, depth, columns = (draw(st.integers(1, 9)) for _ in range(3))
    outer = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    one_sided = tuple(n if draw(FLAGS) else 1 for n in outer)
    a_outer, b_outer = draw(st.permutations((outer, one_sided)))
    drop = draw(st.integers(0, len(outer)))
    b_outer = b_outer[drop:] if b_outer[:drop] == (1,) * drop else b_outer
    op = ops.BatchMatMul(draw(FLAGS), draw(FLAGS))
    a_shape = (*a_outer, *((depth, rows) if op.adj_x else (rows, depth)))
    b_shape = (*b_outer, *((columns, depth) if op.adj_y else (depth, columns)))
    a = tensor("a", a_shape, draw(quants()))
    b_data, const = draw(values(b_shape)), draw(FLAGS)
    b = tensor("b", b_shape, draw(quants()), data=b_data if const else None)
    (y_shape,) = op.infer((a_shape, b_shape))
    # From sums that vanish to sums that saturate, within what int32 can shift.
    ratio = 2.0 ** draw(st.floats(-20, 6))
    y = tensor("y", y_shape, Quant((f32(a.q.scale * b.q.scale / ratio),), (draw(zero_points()),)))
    feeds = {"a": draw(values(a_shape))} | ({} if const else {"b": b_data})
    return case(op, (a, b), (y,), feeds)
