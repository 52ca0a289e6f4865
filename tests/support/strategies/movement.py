"""Strategies for ops that move data, and for resizes."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies.base import FLAGS, Case, case, images, quants, shapes, tensor, values
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Quant, Shape

WIDE = (DType.INT8, DType.INT8, DType.INT16, DType.FLOAT32)


@st.composite
def _quant_of(draw, dtype: DType) -> Quant | None:
    return draw(quants(dtype)) if dtype in (DType.INT8, DType.UINT8, DType.INT16) else None


@st.composite
def _data(draw, shape: Shape, dtype: DType) -> Array:
    if dtype is not DType.FLOAT32:
        return draw(values(shape, dtype))
    # Bit patterns must survive; NaNs with payloads too, so compare bytes.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(size=shape).astype(np.float32)


@st.composite
def _moved(draw, op: ops.Op, x_shape: Shape, dtypes: tuple[DType, ...] = WIDE) -> Case:
    """One input, outputs of the same quantisation."""
    dtype = draw(st.sampled_from(dtypes))
    quant = draw(_quant_of(dtype))
    results = op.infer((x_shape,))
    outputs = [
        tensor("y" if len(results) == 1 else f"y{i}", shape, quant, dtype)
        for i, shape in enumerate(results)
    ]
    feeds = {"x": draw(_data(x_shape, dtype))}
    return case(op, (tensor("x", x_shape, quant, dtype),), outputs, feeds)


@st.composite
def pad(draw) -> Case:
    x_shape = draw(shapes(1, 4, 6, 400))
    amount = st.sampled_from((0, 0, 1, 2, 3))
    paddings = tuple((draw(amount), draw(amount)) for _ in x_shape)
    if draw(FLAGS):
        return draw(_moved(ops.Pad(paddings), x_shape, (DType.INT8, DType.INT8, DType.INT16)))
    value = draw(st.one_of(st.sampled_from((-128, 0, 127)), st.integers(-128, 127)))
    return draw(_moved(ops.Pad(paddings, value), x_shape, (DType.INT8,)))


@st.composite
def reshape(draw) -> Case:
    x_shape = draw(shapes())
    size = prod(x_shape)
    divisor = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
    options = ((size,), (1, size), (divisor, size // divisor), (1, divisor, size // divisor, 1))
    return draw(_moved(ops.Reshape(draw(st.sampled_from(options))), x_shape))


@st.composite
def transpose(draw) -> Case:
    x_shape = draw(shapes())
    perm = tuple(draw(st.permutations(range(len(x_shape)))))
    return draw(_moved(ops.Transpose(perm), x_shape))


@st.composite
def concatenation(draw) -> Case:
    base = draw(shapes(max_size=300))
    axis = draw(st.integers(0, len(base) - 1))
    dtype = draw(st.sampled_from(WIDE))
    quant = draw(_quant_of(dtype))
    count = draw(st.integers(1, 6))
    const = draw(st.sampled_from((None, None, 0))) if count > 1 else None
    inputs, feeds = [], {}
    for i in range(count):
        shape = (*base[:axis], draw(st.integers(1, 6)), *base[axis + 1 :])
        data = draw(_data(shape, dtype))
        inputs.append(tensor(f"x{i}", shape, quant, dtype, data if i == const else None))
        if i != const:
            feeds[f"x{i}"] = data
    op = ops.Concatenation(axis)
    (y_shape,) = op.infer(tuple(t.shape for t in inputs))
    return case(op, inputs, (tensor("y", y_shape, quant, dtype),), feeds)


@st.composite
def split(draw) -> Case:
    part = draw(shapes(max_size=300))
    axis = draw(st.integers(0, len(part) - 1))
    count = draw(st.integers(1, 5))
    x_shape = (*part[:axis], part[axis] * count, *part[axis + 1 :])
    return draw(_moved(ops.Split(axis, count), x_shape))


@st.composite
def strided_slice(draw) -> Case:
    x_shape = draw(shapes())
    begin, sizes, strides = [], [], []
    for dim in x_shape:
        stride = draw(st.sampled_from((1, 1, 2, 3, -1, -2)))
        first = draw(st.integers(0, dim - 1))
        room = (dim - 1 - first) // stride if stride > 0 else first // -stride
        begin.append(first)
        sizes.append(1 + draw(st.integers(0, room)))
        strides.append(stride)
    # Any dimension of one element may be dropped (shrink_axis), which needs stride 1.
    dropped = [n == 1 and s == 1 and draw(FLAGS) for n, s in zip(sizes, strides, strict=True)]
    if all(dropped):
        dropped[0] = False
    shape = tuple(n for n, drop in zip(sizes, dropped, strict=True) if not drop)
    op = ops.StridedSlice(tuple(begin), tuple(sizes), tuple(strides), shape)
    return draw(_moved(op, x_shape))


@st.composite
def _resize(draw, kind: type[ops.ResizeBilinear] | type[ops.ResizeNearestNeighbor]) -> Case:
    x_shape = draw(images(max_channels=5))
    size = (draw(st.integers(1, 19)), draw(st.integers(1, 19)))
    align, half = draw(st.sampled_from(((False, False), (True, False), (False, True))))
    return draw(_moved(kind(size, align, half), x_shape, (DType.INT8,)))


def resize_bilinear() -> st.SearchStrategy[Case]:
    return _resize(ops.ResizeBilinear)


def resize_nearest_neighbor() -> st.SearchStrategy[Case]:
    return _resize(ops.ResizeNearestNeighbor)


@st.composite
def split_v(draw) -> Case:
    part = draw(shapes(max_size=300))
    axis = draw(st.integers(0, len(part) - 1))
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    x_shape = (*part[:axis], sum(sizes), *part[axis + 1 :])
    return draw(_moved(ops.SplitV(axis, sizes), x_shape, (DType.INT8, DType.INT16, DType.FLOAT32)))


@st.composite
def pack(draw) -> Case:
    shape = draw(shapes(1, 3, max_size=300))
    axis = draw(st.integers(0, len(shape)))
    dtype = draw(st.sampled_from((DType.INT8, DType.INT8, DType.FLOAT32)))
    quant = draw(_quant_of(dtype))
    count = draw(st.integers(1, 5))
    const = draw(st.sampled_from((None, None, 0))) if count > 1 else None
    data = [draw(_data(shape, dtype)) for _ in range(count)]
    inputs = [
        tensor(f"x{i}", shape, quant, dtype, data[i] if i == const else None) for i in range(count)
    ]
    feeds = {f"x{i}": data[i] for i in range(count) if i != const}
    op = ops.Pack(axis)
    (y_shape,) = op.infer((shape,) * count)
    return case(op, inputs, (tensor("y", y_shape, quant, dtype),), feeds)


@st.composite
def unpack(draw) -> Case:
    x_shape = draw(shapes(2, 4, 5))
    axis = draw(st.integers(0, len(x_shape) - 1))
    return draw(_moved(ops.Unpack(axis, x_shape[axis]), x_shape, (DType.INT8, DType.FLOAT32)))


@st.composite
def broadcast_to(draw) -> Case:
    shape = draw(shapes(1, 4, 6))
    x_shape = tuple(n if draw(FLAGS) else 1 for n in shape)
    x_shape = x_shape[draw(st.integers(0, len(shape) - 1)) :]
    return draw(_moved(ops.BroadcastTo(shape), x_shape))


@st.composite
def space_to_depth(draw) -> Case:
    n, height, width, channels = draw(images(5, 6))
    block = draw(st.integers(1, 3))
    x_shape = (n, height * block, width * block, channels)
    return draw(_moved(ops.SpaceToDepth(block), x_shape, (DType.INT8, DType.FLOAT32)))


@st.composite
def depth_to_space(draw) -> Case:
    n, height, width, channels = draw(images(5, 6))
    block = draw(st.integers(1, 3))
    x_shape = (n, height, width, channels * block * block)
    return draw(_moved(ops.DepthToSpace(block), x_shape, (DType.INT8, DType.FLOAT32)))


@st.composite
def gather(draw) -> Case:
    rows_shape = draw(shapes(1, 3, 9, 400))
    shape = draw(shapes(1, 2, 5))
    quant, data = draw(quants()), draw(values(rows_shape))
    const = draw(FLAGS)
    indices = tensor("i", shape, None, DType.INT32)
    rows = tensor("x", rows_shape, quant, data=data if const else None)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    feeds = {"i": rng.integers(0, rows_shape[0], shape, np.int32)} | ({} if const else {"x": data})
    op = ops.Gather()
    (y_shape,) = op.infer((shape, rows_shape))
    return case(op, (indices, rows), (tensor("y", y_shape, quant),), feeds)
