"""What the shared strategies leave out: pads and types that no .tflite has but the IR allows."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies import CASES, Case
from tests.support.strategies import linear as linear_cases
from tests.support.strategies.base import (
    ACTIVATIONS,
    FLAGS,
    case,
    f32,
    images,
    quants,
    shapes,
    tensor,
    values,
    zero_points,
)
from tests.support.strategies.elementwise import floats_for
from tinyml.ir import ops
from tinyml.ir.graph import DType, Quant

PADS = st.integers(0, 5)
POOLS = st.sampled_from((ops.AveragePool2D, ops.MaxPool2D))


@st.composite
def _any_pads(
    draw: st.DrawFn, size: tuple[int, int], extent: tuple[int, int], *, below: bool
) -> ops.Pads:
    """Four pads by themselves, with which the window fits; with `below`, smaller than it."""
    sides = []
    for n, window in zip(size, extent, strict=True):
        highest = window - 1 if below else 5
        before = draw(st.integers(0, min(5, highest)))
        least = max(window - n - before, 0)
        sides.append((before, draw(st.integers(least, max(least, min(5, highest))))))
    (top, bottom), (left, right) = sides
    return ops.Pads(top, bottom, left, right)


@st.composite
def conv(draw: st.DrawFn) -> Case:
    """Any pads, even such that whole windows see nothing but padding."""
    x_shape = draw(images())
    kernel = (draw(linear_cases.KERNELS), draw(linear_cases.KERNELS))
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(linear_cases.DILATIONS), draw(linear_cases.DILATIONS))
    extent = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    pads = draw(_any_pads(x_shape[1:3], extent, below=False))
    if draw(FLAGS):
        channels = draw(st.integers(1, 9))
        shape = (channels, *kernel, x_shape[3])
        op: ops.Op = ops.Conv2D(stride, pads, draw(ACTIVATIONS), dilation)
        return draw(linear_cases._linear(op, x_shape, shape, channels, 0, int(np.prod(shape[1:]))))
    multiplier = draw(st.sampled_from((1, 1, 2, 3, 4, 8)))
    channels = x_shape[3] * multiplier
    op = ops.DepthwiseConv2D(stride, pads, draw(ACTIVATIONS), dilation, multiplier)
    shape = (1, *kernel, channels)
    return draw(linear_cases._linear(op, x_shape, shape, channels, 3, kernel[0] * kernel[1]))


@st.composite
def conv_of_three_columns(draw: st.DrawFn) -> Case:
    """Windows three wide and one apart, whose columns neighbouring pixels share."""
    depth, channels = draw(st.sampled_from((4, 8, 12, 20))), draw(st.integers(1, 12))
    x_shape = (draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 9)), depth)
    height = draw(st.integers(1, 4))
    pads = draw(_any_pads(x_shape[1:3], (height, 3), below=False))
    op = ops.Conv2D((draw(st.integers(1, 2)), 1), pads, draw(ACTIVATIONS))
    shape = (channels, height, 3, depth)
    return draw(linear_cases._linear(op, x_shape, shape, channels, 0, height * 3 * depth))


@st.composite
def asymmetric_fully_connected(draw: st.DrawFn) -> Case:
    """Weights with a zero point, where one scale serves all channels."""
    one = draw(linear_cases.fully_connected())
    w = one.graph.tensors["w"]
    if len(w.q.scales) > 1:
        return one
    quant = replace(w.q, zero_points=(draw(st.integers(-64, 63)),))
    halved = replace(w, quant=quant, data=w.values >> 1)  # so that sums stay as small
    return replace(one, graph=replace(one.graph, tensors={**one.graph.tensors, "w": halved}))


@st.composite
def square_depthwise(draw: st.DrawFn) -> Case:
    """Square kernels with kernels of their own, on maps of any width and many channels."""
    n = draw(st.sampled_from((3, 5, 7)))
    channels = draw(st.one_of(st.integers(1, 12), st.sampled_from((31, 32, 33, 64, 70))))
    x_shape = (draw(st.integers(1, 2)), draw(st.integers(1, 6)), draw(st.integers(1, 19)), channels)
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    dilation = (draw(linear_cases.DILATIONS), 1)
    pads = draw(_any_pads(x_shape[1:3], ((n - 1) * dilation[0] + 1, n), below=False))
    op = ops.DepthwiseConv2D(stride, pads, draw(ACTIVATIONS), dilation, 1)
    return draw(linear_cases._linear(op, x_shape, (1, n, n, channels), channels, 3, n * n))


@st.composite
def pool(draw: st.DrawFn, *, whole: bool) -> Case:
    """Any pads smaller than the filter; with `whole`, a filter as large as the map, and none."""
    x_shape = draw(images())
    if whole:
        kernel, pads = (x_shape[1], x_shape[2]), ops.Pads()
    else:
        kernel = (draw(linear_cases.KERNELS), draw(linear_cases.KERNELS))
        pads = draw(_any_pads(x_shape[1:3], kernel, below=True))
    # No stride may carry a window past the map.
    room = (x_shape[1] + pads.top, x_shape[2] + pads.left)
    stride = tuple(draw(st.integers(1, 3)) for _ in room)
    kind = ops.AveragePool2D if whole else draw(POOLS)
    op = kind((stride[0], stride[1]), pads, draw(ACTIVATIONS), kernel)
    quant = draw(quants())
    (y_shape,) = op.infer((x_shape,))
    x, y = tensor("x", x_shape, quant), tensor("y", y_shape, quant)
    return case(op, (x,), (y,), {"x": draw(values(x_shape))})


@st.composite
def mean_map(draw: st.DrawFn) -> Case:
    """Over height and width, or one of them; over the middle of three dimensions, too."""
    x_shape = draw(images(12))
    axes = draw(st.sampled_from(((1, 2), (2,), (2,), (1,))))
    if axes == (1,) and draw(FLAGS):
        x_shape = (*x_shape[:2], x_shape[2] * x_shape[3])
    op = ops.Mean(axes, draw(FLAGS))
    x_quant = draw(quants())
    y_quant = Quant((f32(x_quant.scale * 2.0 ** draw(st.floats(-6, 6))),), (draw(zero_points()),))
    (y_shape,) = op.infer((x_shape,))
    x, y = tensor("x", x_shape, x_quant), tensor("y", y_shape, y_quant)
    return case(op, (x,), (y,), {"x": draw(values(x_shape))})


@st.composite
def quantize(draw: st.DrawFn) -> Case:
    """Any float32 bits, infinities and NaNs among them, to each of the integer types."""
    shape = draw(shapes())
    target = draw(st.sampled_from((DType.INT8, DType.INT16)))
    quant = draw(quants(target))
    data = draw(floats_for(shape, quant))
    if draw(FLAGS):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        data = rng.integers(0, 2**32, shape, np.uint32).view(np.float32).copy()
        odd = np.array([np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 0.5, -0.5], np.float32)
        data.reshape(-1)[: odd.size] = odd[: data.size]
    x, y = tensor("x", shape, None, DType.FLOAT32), tensor("y", shape, quant, target)
    return case(ops.Quantize(), (x,), (y,), {"x": data})


@st.composite
def pad(draw: st.DrawFn) -> Case:
    """Pads of every dimension, batches included, of wider elements, too."""
    x_shape = draw(shapes(4, 4, 5, 300))
    dtype = draw(st.sampled_from((DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)))
    paddings = tuple((draw(PADS), draw(PADS)) if draw(FLAGS) else (0, 0) for _ in x_shape)
    quant = draw(quants(dtype)) if dtype in (DType.INT8, DType.INT16) else None
    op = ops.Pad(paddings)
    (y_shape,) = op.infer((x_shape,))
    data = draw(values(x_shape, DType.INT32 if dtype is DType.FLOAT32 else dtype))
    x, y = tensor("x", x_shape, quant, dtype), tensor("y", y_shape, quant, dtype)
    return case(op, (x,), (y,), {"x": data.astype(dtype.numpy)})


@st.composite
def transpose(draw: st.DrawFn) -> Case:
    """Up to six dimensions."""
    x_shape = draw(shapes(3, 6, 5, 1500))
    op = ops.Transpose(tuple(draw(st.permutations(range(len(x_shape))))))
    (y_shape,) = op.infer((x_shape,))
    dtype = draw(st.sampled_from((DType.INT8, DType.INT16, DType.INT32)))
    x, y = tensor("x", x_shape, None, dtype), tensor("y", y_shape, None, dtype)
    return case(op, (x,), (y,), {"x": draw(values(x_shape, dtype))})


@st.composite
def rows_of_map(draw: st.DrawFn) -> Case:
    """A slice that leaves out nothing but rows."""
    x_shape = draw(images())
    step = draw(st.sampled_from((1, 1, 2, 3)))
    first = draw(st.integers(0, x_shape[1] - 1))
    count = draw(st.integers(1, (x_shape[1] - 1 - first) // step + 1))
    sizes = (x_shape[0], count, *x_shape[2:])
    shape = draw(st.sampled_from((sizes, sizes[1:]))) if x_shape[0] == 1 else sizes
    op = ops.StridedSlice((0, first, 0, 0), sizes, (1, step, 1, 1), shape)
    dtype = draw(st.sampled_from((DType.INT8, DType.INT16, DType.FLOAT32)))
    quant = None if dtype is DType.FLOAT32 else draw(quants(dtype))
    data = draw(values(x_shape, DType.INT32 if dtype is DType.FLOAT32 else dtype))
    x, y = tensor("x", x_shape, quant, dtype), tensor("y", shape, quant, dtype)
    return case(op, (x,), (y,), {"x": data.astype(dtype.numpy)})


@st.composite
def maps_below_each_other(draw: st.DrawFn) -> Case:
    """Maps of the same width, one below the other; one may be constant."""
    batches, _, *rest = draw(images(5))
    quant, count = draw(quants()), draw(st.integers(2, 4))
    const = draw(st.sampled_from((None, None, 0, 1)))
    inputs, feeds = [], {}
    for i in range(count):
        shape = (batches, draw(st.integers(1, 5)), *rest)
        data = draw(values(shape))
        inputs.append(tensor(f"x{i}", shape, quant, data=data if i == const else None))
        if i != const:
            feeds[f"x{i}"] = data
    op = ops.Concatenation(1)
    (y_shape,) = op.infer(tuple(t.shape for t in inputs))
    return case(op, inputs, (tensor("y", y_shape, quant),), feeds)


EXTRA: dict[str, st.SearchStrategy[Case]] = {
    "CONV_2D": st.one_of(conv(), linear_cases.wide_pointwise(), conv_of_three_columns()),
    "FULLY_CONNECTED": asymmetric_fully_connected(),
    "DEPTHWISE_CONV_2D": st.one_of(conv(), square_depthwise(), square_depthwise()),
    "AVERAGE_POOL_2D": st.one_of(pool(whole=False), pool(whole=True), pool(whole=True)),
    "MAX_POOL_2D": pool(whole=False),
    "MEAN": mean_map(),
    "QUANTIZE": quantize(),
    "PAD": pad(),
    "TRANSPOSE": transpose(),
    "STRIDED_SLICE": rows_of_map(),
    "CONCATENATION": maps_below_each_other(),
}


def cases(kind: str) -> st.SearchStrategy[Case]:
    """Cases of operator `kind`."""
    return st.one_of(CASES[kind], EXTRA[kind]) if kind in EXTRA else CASES[kind]
