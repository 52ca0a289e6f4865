"""Large grids of values: what shows only in one result of many thousands.

Whether a scale ratio is computed in float or in double moves a result in about one
of 10**5; resizes round differently for a few of all size pairs.
"""

from math import prod

import numpy as np
import pytest

from tests.reference.test_ops import assert_agrees
from tests.support.strategies.base import case, f32, tensor
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Quant

BYTES = np.arange(-128, 128).astype(np.int8)


def _scale(rng: np.random.Generator, low: float, high: float) -> float:
    return f32(2.0 ** rng.uniform(low, high))


def _ratio(rng: np.random.Generator, low: int, high: int) -> float:
    """A ratio in about 2**low .. 2**high; half of them small odd numbers over powers of two.

    Among the latter's results are many ties but for the last bits of the multiplier.
    """
    if rng.random() < 0.5:
        return float(2.0 ** rng.uniform(low, high))
    return float(rng.choice([1, 3, 5, 7]) * 2.0 ** rng.integers(low, high, endpoint=True))


def _zero_point(rng: np.random.Generator) -> int:
    return int(rng.integers(-128, 128))


@pytest.mark.parametrize("op", [ops.Add(), ops.Sub(), ops.Mul(), ops.Prelu()], ids=lambda o: o.kind)
def test_all_pairs_of_bytes(op: ops.Op) -> None:
    rng = np.random.default_rng(1)
    additive = isinstance(op, ops.Add | ops.Sub)
    for _ in range(80):
        a_scale = _scale(rng, -4, 0)
        b_scale = f32(a_scale * _ratio(rng, -3, 3)) if additive else _scale(rng, -4, 0)
        out = max(a_scale, b_scale) if additive else a_scale * b_scale
        if isinstance(op, ops.Prelu) and rng.random() < 0.5:
            out = a_scale  # of the side that alpha does not scale
        y_scale = f32(out / _ratio(rng, -3 if additive else -9, 1))
        a_shape = (256, 256) if isinstance(op, ops.Prelu) else (256, 1)
        a = tensor("a", a_shape, Quant((a_scale,), (_zero_point(rng),)))
        b = tensor("b", (1, 256), Quant((b_scale,), (_zero_point(rng),)))
        y = tensor("y", (256, 256), Quant((y_scale,), (_zero_point(rng),)))
        a_data = np.broadcast_to(BYTES[:, None], a.shape).copy()
        assert_agrees(case(op, (a, b), (y,), {"a": a_data, "b": BYTES[None]}))


LINEAR = {
    "CONV_2D": (ops.Conv2D(), (1, 256, 1, 1), (256, 1, 1, 1), 0),
    "DEPTHWISE_CONV_2D": (ops.DepthwiseConv2D(multiplier=256), (1, 256, 1, 1), (1, 1, 1, 256), 3),
    "FULLY_CONNECTED": (ops.FullyConnected(), (256, 1), (256, 1), 0),
}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", LINEAR)
def test_all_products_of_bytes(kind: str, per_channel: bool) -> None:
    op, x_shape, w_shape, axis = LINEAR[kind]
    rng = np.random.default_rng(2)
    for _ in range(60):
        x_scale = _scale(rng, -6, 0)
        w_scales = [_scale(rng, -8, -6) for _ in range(256 if per_channel else 1)]
        y_scale = f32(x_scale * w_scales[0] / _ratio(rng, -9, 1))
        x = tensor("x", x_shape, Quant((x_scale,), (_zero_point(rng),)))
        w_quant = Quant(tuple(w_scales), (0,) * len(w_scales), axis)
        w = tensor("w", w_shape, w_quant, data=BYTES.reshape(w_shape).copy())
        (y_shape,) = op.infer((x_shape, w_shape, None))
        y = tensor("y", y_shape, Quant((y_scale,), (_zero_point(rng),)))
        assert_agrees(case(op, (x, w, None), (y,), {"x": BYTES.reshape(x_shape)}))


@pytest.mark.parametrize(
    "op",
    [ops.Relu(), ops.LeakyRelu(f32(0.3)), ops.Quantize(), ops.Mean((1,))],
    ids=lambda o: o.kind,
)
def test_all_bytes_under_many_ratios(op: ops.Op) -> None:
    rng = np.random.default_rng(3)
    for _ in range(150):
        x_scale = _scale(rng, -6, 0)
        divisor = 0.3 if isinstance(op, ops.LeakyRelu) and rng.random() < 0.5 else 1.0
        y_scale = f32(x_scale / _ratio(rng, -4, 1) * divisor)
        x = tensor("x", (256, 1), Quant((x_scale,), (_zero_point(rng),)))
        (y_shape,) = op.infer((x.shape,))
        y = tensor("y", y_shape, Quant((y_scale,), (_zero_point(rng),)))
        assert_agrees(case(op, (x,), (y,), {"x": BYTES[:, None]}))


@pytest.mark.parametrize("depth", [500, 5000])
def test_long_sums_are_exact(depth: int) -> None:
    """Sums beyond float32's integers."""
    rng = np.random.default_rng(4)
    shape = (16, 1, 1, depth)
    weights = rng.choice(np.array([-127, 126, 125], np.int8), shape)
    x = tensor("x", (1, 1, 8, depth), Quant((1.0,), (-128,)))
    w = tensor("w", shape, Quant((1.0,), (0,)), data=weights)
    # The bias cancels the first position's sum; the others differ from it by little,
    # so a step of the output is a few units of sums above 2**24.
    data = np.repeat(rng.choice(np.array([126, 127], np.int8), (1, 1, 1, depth)), 8, axis=2)
    for column in range(8):
        data[0, 0, column, rng.integers(0, depth, column)] = 125
    first = (data[0, 0, 0].astype(np.int64) + 128) @ weights.reshape(16, depth).T.astype(np.int64)
    b = tensor("b", (16,), Quant((1.0,), (0,)), DType.INT32, (-first).astype(np.int32))
    y = tensor("y", (1, 1, 8, 16), Quant((16.0,), (0,)))
    assert_agrees(case(ops.Conv2D(), (x, w, b), (y,), {"x": data}))


def test_mean_of_many_sums() -> None:
    rng = np.random.default_rng(5)
    for count in (2, 3, 7, 48, 49, 1000):
        for _ in range(8):
            x_scale = _scale(rng, -6, 0)
            y_scale = f32(x_scale * 2.0 ** rng.uniform(-3, 0))
            x = tensor("x", (count, 3000), Quant((x_scale,), (_zero_point(rng),)))
            y = tensor("y", (3000,), Quant((y_scale,), (_zero_point(rng),)))
            centre = int(rng.integers(-100, 100))
            data = rng.integers(max(centre - 30, -128), min(centre + 30, 127), x.shape, np.int8)
            if prod(x.shape) <= 200_000:
                assert_agrees(case(ops.Mean((0,)), (x,), (y,), {"x": data}))


@pytest.mark.parametrize("kind", [ops.ResizeBilinear, ops.ResizeNearestNeighbor])
@pytest.mark.parametrize(("align", "half"), [(False, False), (True, False), (False, True)])
def test_all_sizes_of_a_resize(
    kind: type[ops.ResizeBilinear] | type[ops.ResizeNearestNeighbor], align: bool, half: bool
) -> None:
    rng = np.random.default_rng(6)
    quant = Quant((1.0,), (0,))
    for in_size in range(1, 21):
        for out_size in range(1, 33, 2):
            # Height and width meet different pairs of sizes.
            x_shape, size = (1, in_size, 21 - in_size, 1), (out_size, out_size + 1)
            data: Array = rng.integers(-128, 127, x_shape, np.int8, endpoint=True)
            op = kind(size, align, half)
            x, y = tensor("x", x_shape, quant), tensor("y", (1, *size, 1), quant)
            assert_agrees(case(op, (x,), (y,), {"x": data}))


WIDE = [
    (DType.INT8, DType.INT16),
    (DType.INT8, DType.INT32),
    (DType.INT16, DType.INT16),
    (DType.INT16, DType.INT32),
    (DType.INT32, DType.INT8),
    (DType.INT32, DType.INT16),
]


@pytest.mark.parametrize(("source", "target"), WIDE, ids=lambda t: t.value)
def test_requantising_between_widths(source: DType, target: DType) -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        x_scale = _scale(rng, -6, 0)
        y_scale = f32(x_scale / _ratio(rng, -12, 0))
        zeros = [_zero_point(rng) if t is DType.INT8 else 0 for t in (source, target)]
        info = np.iinfo(source.numpy)
        data: Array = rng.integers(info.min, info.max, 500, source.numpy, endpoint=True)
        x = tensor("x", (500,), Quant((x_scale,), (zeros[0],)), source)
        y = tensor("y", (500,), Quant((y_scale,), (zeros[1],)), target)
        assert_agrees(case(ops.Quantize(), (x,), (y,), {"x": data}))
