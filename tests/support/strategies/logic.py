"""Strategies for comparisons, logic and the pieces of layer norms."""

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies.base import (
    FLAGS,
    Case,
    case,
    f32,
    quants,
    scales,
    tensor,
    values,
    zero_points,
)
from tests.support.strategies.base import shapes as any_shapes
from tests.support.strategies.elementwise import all_bytes, operand_shapes
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Quant, Shape


@st.composite
def _pair(
    draw,
    op: ops.Op,
    a_quant: Quant | None,
    b_quant: Quant | None,
    y_quant: Quant | None,
    types: tuple[DType, DType],
) -> Case:
    """Two operands that broadcast, one of them constant at times."""
    a_shape, b_shape = draw(operand_shapes())
    source, target = types

    def data(shape: Shape) -> Array:
        if source is DType.BOOL:
            return np.asarray(draw(values(shape)) > 0)
        return draw(values(shape))

    a_data, b_data = data(a_shape), data(b_shape)
    const = draw(st.sampled_from((None, None, "a", "b")))
    if () in (a_shape, b_shape):  # a rank-0 activation is no input of a network
        const = "a" if a_shape == () else "b"
    a = tensor("a", a_shape, a_quant, source, a_data if const == "a" else None)
    b = tensor("b", b_shape, b_quant, source, b_data if const == "b" else None)
    (y_shape,) = op.infer((a_shape, b_shape))
    feeds = {t.name: d for t, d in ((a, a_data), (b, b_data)) if not t.is_const}
    return case(op, (a, b), (tensor("y", y_shape, y_quant, target),), feeds)


@st.composite
def squared_difference(draw) -> Case:
    a = draw(quants())
    b = draw(st.one_of(st.just(a), quants(scale=scales().map(lambda s: f32(s * a.scale)))))
    largest = max(a.scale, b.scale)
    # Steps of the result in the largest square: from many to less than one.
    y_scale = f32(4.0 * largest * largest / 2.0 ** draw(st.floats(-6, 13.9)))
    y = Quant((y_scale,), (draw(zero_points()),))
    return draw(_pair(ops.SquaredDifference(), a, b, y, (DType.INT8, DType.INT8)))


@st.composite
def comparison(draw, kind: type[ops.Compare]) -> Case:
    below_one = scales(-20, 0).filter(lambda s: s < 1.0)
    a = draw(quants(scale=below_one))
    b = draw(st.one_of(st.just(a), quants(scale=below_one)))
    return draw(_pair(kind(), a, b, None, (DType.INT8, DType.BOOL)))


def logical(kind: type[ops.LogicalAnd] | type[ops.LogicalOr]) -> st.SearchStrategy[Case]:
    return _pair(kind(), None, None, None, (DType.BOOL, DType.BOOL))


@st.composite
def logical_not(draw) -> Case:
    shape = draw(any_shapes())
    x, y = (tensor(name, shape, None, DType.BOOL) for name in "xy")
    return case(ops.LogicalNot(), (x,), (y,), {"x": np.asarray(draw(values(shape)) > 0)})


@st.composite
def _unary(draw, op: ops.Op, x_quant: Quant, y_quant: Quant, lowest: int = -128) -> Case:
    shape = draw(st.one_of(any_shapes(), st.just((1, 16, 16, 1))))
    x, y = tensor("x", shape, x_quant), tensor("y", shape, y_quant)
    return case(op, (x,), (y,), {"x": np.maximum(draw(all_bytes(shape)), np.int8(lowest))})


@st.composite
def absolute(draw) -> Case:
    x = draw(quants())
    y_scale = f32(x.scale * 2.0 ** draw(st.floats(-6, 12)))
    y = Quant((x.scale if draw(FLAGS) else y_scale,), (draw(zero_points()),))
    return draw(_unary(ops.Abs(), x, y))


@st.composite
def rsqrt(draw) -> Case:
    """No input is below its zero point: TFLite Micro stops at one."""
    x = draw(quants(scale=scales(-20, 3)))
    y_scale = f32(2.0 ** draw(st.floats(-8, 10)) / np.sqrt(x.scale))
    y = Quant((y_scale,), (draw(zero_points()),))
    return draw(_unary(ops.Rsqrt(), x, y, x.zero_point))


@st.composite
def elu(draw) -> Case:
    x = draw(quants())
    y_scale = draw(st.one_of(scales(), scales(-3, 3).map(lambda s: f32(s * x.scale))))
    y = Quant((f32(y_scale),), (draw(zero_points()),))
    return draw(_unary(ops.Elu(), x, y))
