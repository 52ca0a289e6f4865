"""Strategies for element-wise, activation, quantisation and reduction ops."""

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies.base import (
    ACTIVATIONS,
    FLAGS,
    Case,
    case,
    dyadics,
    f32,
    limited,
    quants,
    scales,
    shapes,
    tensor,
    values,
    zero_points,
)
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Quant, Shape


@st.composite
def operand_shapes(draw, one_sided: bool = False) -> tuple[Shape, Shape]:
    """Two shapes that broadcast: same, scalar, per channel, per pixel, any ones; either side."""
    full = draw(shapes(1, 4, 7))
    form = draw(st.sampled_from(("same", "scalar", "channel", "pixel", "ones", "rank")))
    match form:
        case "same":
            other = full
        case "scalar":
            other = draw(st.sampled_from(((), (1,), (1,) * len(full))))
        case "channel":
            other = full[-1:]
        case "pixel":
            other = (*full[:-1], 1)
        case "ones":
            other = tuple(d if draw(FLAGS) else 1 for d in full)
        case _:
            other = full[draw(st.integers(0, len(full) - 1)) :]
    if one_sided:
        return full, other
    if form == "ones":
        full = tuple(d if draw(FLAGS) else 1 for d in full)
    return (full, other) if draw(FLAGS) else (other, full)


def _ratio(draw, largest: float) -> float:
    """A rescale ratio: mostly near 1, at times tiny or as large as int32 can take."""
    highest = float(np.log2(2**30 / largest))
    near = st.floats(-8, min(6, highest))
    exponents = st.one_of(near, st.floats(-34, highest))
    return draw(st.one_of(exponents.map(lambda e: 2.0**e), dyadics(-6, min(3, highest))))


@st.composite
def _binary(draw, op: ops.Op, a_quant: Quant, b_quant: Quant, y_quant: Quant) -> Case:
    a_shape, b_shape = draw(operand_shapes())
    a_data, b_data = draw(values(a_shape)), draw(values(b_shape))
    const = draw(st.sampled_from((None, None, "a", "b")))
    if () in (a_shape, b_shape):  # a rank-0 activation is no input of a network
        const = "a" if a_shape == () else "b"
    a = tensor("a", a_shape, a_quant, data=a_data if const == "a" else None)
    b = tensor("b", b_shape, b_quant, data=b_data if const == "b" else None)
    (y_shape,) = op.infer((a_shape, b_shape))
    feeds = {t.name: d for t, d in ((a, a_data), (b, b_data)) if not t.is_const}
    return case(op, (a, b), (tensor("y", y_shape, y_quant),), feeds)


@st.composite
def _additive(draw, kind: type[ops.Add] | type[ops.Sub]) -> Case:
    a = draw(quants())
    exponents = st.one_of(st.floats(-6, 6), st.floats(-33, 33))
    apart = draw(st.one_of(exponents.map(lambda e: 2.0**e), dyadics(-4, 4)))
    b = Quant((f32(a.scale * apart),), (draw(zero_points()),))
    # TFLite Micro needs 2 * max(a, b) / (2**20 * y) below 1.
    exponents = st.one_of(st.floats(-4, 8), st.floats(-18.9, 30))
    over = draw(st.one_of(exponents.map(lambda e: 2.0**e), dyadics(-2, 5)))
    y = Quant((limited(max(a.scale, b.scale) * over),), (draw(zero_points()),))
    return draw(_binary(kind(draw(ACTIVATIONS)), a, b, y))


def add() -> st.SearchStrategy[Case]:
    return _additive(ops.Add)


def sub() -> st.SearchStrategy[Case]:
    return _additive(ops.Sub)


@st.composite
def mul(draw) -> Case:
    a, b = draw(quants()), draw(quants())
    scale = limited(a.scale * b.scale / _ratio(draw, 255 * 255))
    y = Quant((scale,), (draw(zero_points()),))
    return draw(_binary(ops.Mul(draw(ACTIVATIONS)), a, b, y))


@st.composite
def _extremum(draw, kind: type[ops.Minimum] | type[ops.Maximum]) -> Case:
    quant = draw(quants())
    return draw(_binary(kind(), quant, quant, quant))


def minimum() -> st.SearchStrategy[Case]:
    return _extremum(ops.Minimum)


def maximum() -> st.SearchStrategy[Case]:
    return _extremum(ops.Maximum)


@st.composite
def prelu(draw) -> Case:
    x_shape, alpha_shape = draw(operand_shapes(one_sided=True))
    x_quant, alpha_quant = draw(quants()), draw(quants(scale=scales(-12, 0)))
    ratio = _ratio(draw, max(255.0, 255 * 255 * alpha_quant.scale))
    if draw(FLAGS):  # a round ratio for the negative side
        ratio = min(ratio, 8.0) / alpha_quant.scale
        ratio = min(ratio, 2.0**21)
    x = tensor("x", x_shape, x_quant)
    alpha_data = draw(values(alpha_shape))
    const = alpha_shape == () or draw(st.integers(0, 4)) > 0
    alpha = tensor("alpha", alpha_shape, alpha_quant, data=alpha_data if const else None)
    y = tensor("y", x_shape, Quant((f32(x_quant.scale / ratio),), (draw(zero_points()),)))
    feeds = {"x": draw(values(x_shape))} | ({} if const else {"alpha": alpha_data})
    return case(ops.Prelu(), (x, alpha), (y,), feeds)


@st.composite
def all_bytes(draw, shape: Shape, dtype: DType = DType.INT8) -> Array:
    """Random values, or each of the 256 bytes when the shape has room."""
    data = draw(values(shape, dtype))
    if data.size >= 256:
        data.reshape(-1)[:256] = np.arange(256, dtype=np.uint8).view(data.dtype)
    return data


@st.composite
def _unary(draw, op: ops.Op, x_quant: Quant, y_quant: Quant) -> Case:
    shape = draw(st.one_of(shapes(), st.just((1, 16, 16, 1))))
    x, y = tensor("x", shape, x_quant), tensor("y", shape, y_quant)
    return case(op, (x,), (y,), {"x": draw(all_bytes(shape))})


@st.composite
def relu(draw) -> Case:
    x = draw(quants())
    y = Quant((f32(x.scale / _ratio(draw, 255)),), (draw(zero_points()),))
    return draw(_unary(ops.Relu(), x, y))


@st.composite
def relu6(draw) -> Case:
    x = draw(quants())
    y = draw(st.one_of(st.just(x), quants()))
    return draw(_unary(ops.Relu6(), x, y))


@st.composite
def leaky_relu(draw) -> Case:
    alpha = f32(draw(st.one_of(st.sampled_from((0.0, 0.1, 0.3, 1.0)), st.floats(-4, 4))))
    x = draw(quants())
    ratio = _ratio(draw, 255 * max(1.0, abs(alpha)))
    if alpha and draw(FLAGS):  # a round ratio for the negative side
        ratio = min(ratio / abs(alpha), 2.0**20 / max(1.0, abs(alpha)))
    y = Quant((f32(x.scale / ratio),), (draw(zero_points()),))
    return draw(_unary(ops.LeakyRelu(alpha), x, y))


@st.composite
def logistic(draw) -> Case:
    x = draw(quants(scale=scales(-20, 8)))
    return draw(_unary(ops.Logistic(), x, Quant((1 / 256,), (-128,))))


@st.composite
def tanh(draw) -> Case:
    x = draw(quants(scale=scales(-20, 8)))
    return draw(_unary(ops.Tanh(), x, Quant((1 / 128,), (0,))))


@st.composite
def hard_swish(draw) -> Case:
    # Multipliers are rounded to 16 bits: aim at halves there too.
    halves = st.integers(2**14, 2**15 - 1).map(lambda n: (n + 0.5) / 2**15)
    exponents = st.integers(-10, 3).map(lambda e: 2.0**e)
    tied = st.tuples(halves, exponents).map(lambda p: f32(3 / 256 * p[0] * 256 * p[1]))
    x = draw(quants(scale=st.one_of(scales(-12, 4), tied)))
    # The output's scale must be at least 1/128 of the input's.
    over = draw(st.one_of(st.floats(-3, 3), st.floats(-6.9, 20)).map(lambda e: 2.0**e))
    if draw(FLAGS):
        over = draw(exponents) / draw(halves)
    y = Quant((f32(x.scale * max(over, 2.0**-6.9)),), (draw(zero_points()),))
    return draw(_unary(ops.HardSwish(), x, y))


@st.composite
def softmax(draw) -> Case:
    beta = draw(st.one_of(st.just(1.0), st.floats(-3, 3).map(lambda e: f32(2.0**e))))
    shape = draw(st.one_of(shapes(), st.integers(1, 300).map(lambda n: (1, n))))
    x = tensor("x", shape, draw(quants(scale=scales(-20, 8))))
    y = tensor("y", shape, Quant((1 / 256,), (-128,)))
    return case(ops.Softmax(beta), (x,), (y,), {"x": draw(values(shape))})


FLOAT_TARGETS = (DType.INT8, DType.INT16)
REQUANTIZE = (
    (DType.INT8, DType.INT8),
    (DType.INT8, DType.UINT8),
    (DType.UINT8, DType.INT8),
    (DType.INT16, DType.INT8),
)


@st.composite
def floats_for(draw, shape: Shape, quant: Quant) -> Array:
    """float32 around the quantised range: exact halves, far outside, signed zeros, denormals."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = rng.integers(-400, 400, shape) / 2  # halves meet the rounding rule
    if draw(FLAGS):
        steps = steps + rng.normal(0, 0.3, shape)
    if draw(FLAGS):
        steps = steps * 2.0 ** rng.integers(0, 20, shape)
    data = (steps * quant.scale).astype(np.float32)
    edges = np.array([0.0, -0.0, 1e-40, -1e-40, quant.scale, -quant.scale], np.float32)
    flat = data.reshape(-1)
    flat[: edges.size] = edges[: flat.size]
    return data


@st.composite
def quantize(draw) -> Case:
    shape = draw(st.one_of(shapes(), st.just((1, 16, 16, 1))))
    if draw(FLAGS):
        target = draw(st.sampled_from(FLOAT_TARGETS))
        quant = draw(quants(target))
        x, y = tensor("x", shape, None, DType.FLOAT32), tensor("y", shape, quant, target)
        return case(ops.Quantize(), (x,), (y,), {"x": draw(floats_for(shape, quant))})
    source, target = draw(st.sampled_from(REQUANTIZE))
    x_quant = draw(quants(source))
    y_scale = f32(x_quant.scale / _ratio(draw, 65536.0 if source is DType.INT16 else 256.0))
    y_quant = Quant((y_scale,), (draw(zero_points(target)),))
    if {source, target} == {DType.INT8, DType.UINT8} and draw(FLAGS):
        # The usual conversion, which only flips the sign bit.
        flip = 128 if target is DType.UINT8 else -128
        y_quant = Quant(x_quant.scales, (x_quant.zero_point + flip,))
    x, y = tensor("x", shape, x_quant, source), tensor("y", shape, y_quant, target)
    data = draw(values(shape, source) if source is DType.INT16 else all_bytes(shape, source))
    return case(ops.Quantize(), (x,), (y,), {"x": data})


@st.composite
def dequantize(draw) -> Case:
    source = draw(st.sampled_from((DType.INT8, DType.UINT8, DType.INT16)))
    shape = draw(shapes())
    x = tensor("x", shape, draw(quants(source)), source)
    y = tensor("y", shape, None, DType.FLOAT32)
    return case(ops.Dequantize(), (x,), (y,), {"x": draw(values(shape, source))})


@st.composite
def mean(draw) -> Case:
    x_shape = draw(shapes(1, 4, 9, 3000))
    axes = tuple(i for i in range(len(x_shape)) if draw(FLAGS)) or (len(x_shape) - 1,)
    op = ops.Mean(axes, draw(FLAGS))
    x_quant = draw(quants())
    y_scale = f32(x_quant.scale / _ratio(draw, 256.0 * 3000))
    y_quant = draw(st.sampled_from((x_quant, Quant((y_scale,), (draw(zero_points()),)))))
    (y_shape,) = op.infer((x_shape,))
    x, y = tensor("x", x_shape, x_quant), tensor("y", y_shape, y_quant)
    return case(op, (x,), (y,), {"x": draw(values(x_shape))})


@st.composite
def extremes(draw, kind: type[ops.ReduceMax] | type[ops.ReduceMin]) -> Case:
    x_shape = draw(shapes(1, 4, 9, 3000))
    axes = tuple(i for i in range(len(x_shape)) if draw(FLAGS)) or (len(x_shape) - 1,)
    op = kind(axes, draw(FLAGS))
    quant = draw(quants())
    (y_shape,) = op.infer((x_shape,))
    x, y = tensor("x", x_shape, quant), tensor("y", y_shape, quant)
    return case(op, (x,), (y,), {"x": draw(values(x_shape))})


@st.composite
def arg(draw, kind: type[ops.ArgMax] | type[ops.ArgMin]) -> Case:
    shape = draw(shapes(1, 4, 7))
    op = kind(draw(st.integers(0, len(shape) - 1)))
    (y_shape,) = op.infer((shape,))
    data = draw(values(shape))
    if draw(FLAGS):
        data = (data // 64).astype(np.int8)  # many ties
    x, y = tensor("x", shape, draw(quants())), tensor("y", y_shape, None, DType.INT32)
    return case(op, (x,), (y,), {"x": data})
