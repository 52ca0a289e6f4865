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


@pytest.mark.parametrize("op", [ops.Add(), ops.Sub(), ops.Mul(), ops.Prelu()], ids=lambda o: o.kind)
def test_all_pairs_of_bytes(op: ops.Op) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        a_scale, b_scale = _scale(rng, -4, 0), _scale(rng, -4, 0)
        out = a_scale * b_scale * 128 if isinstance(op, ops.Mul) else max(a_scale, b_scale)
        zeros = rng.integers(-128, 128, 3).tolist()
        a = tensor(
            "a",
            (256, 1) if not isinstance(op, ops.Prelu) else (256, 256),
            Quant((a_scale,), (zeros[0],)),
        )
        b = tensor("b", (1, 256), Quant((b_scale,), (zeros[1],)))
        y = tensor("y", (256, 256), Quant((f32(out * 2.0 ** rng.uniform(-1, 1)),), (zeros[2],)))
        a_data = np.broadcast_to(BYTES[:, None], a.shape).copy()
        assert_agrees(case(op, (a, b), (y,), {"a": a_data, "b": BYTES[None]}))


@pytest.mark.parametrize("per_channel", [False, True])
def test_products_of_all_bytes_in_a_fully_connected_layer(per_channel: bool) -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        x_scale = _scale(rng, -6, 0)
        w_scales = [_scale(rng, -8, -6) for _ in range(256 if per_channel else 1)]
        y_scale = f32(x_scale * max(w_scales) * 128 * 2.0 ** rng.uniform(-1, 1))
        x = tensor("x", (256, 1), Quant((x_scale,), (int(rng.integers(-128, 128)),)))
        w = tensor(
            "w", (256, 1), Quant(tuple(w_scales), (0,) * len(w_scales)), data=BYTES[:, None].copy()
        )
        y = tensor("y", (256, 256), Quant((y_scale,), (int(rng.integers(-128, 128)),)))
        assert_agrees(case(ops.FullyConnected(), (x, w, None), (y,), {"x": BYTES[:, None]}))


@pytest.mark.parametrize("depth", [500, 5000])
def test_long_sums_are_exact(depth: int) -> None:
    """Sums beyond float32's integers."""
    rng = np.random.default_rng(3)
    shape = (16, 1, 1, depth)
    weights = rng.choice(np.array([-127, 126, 125], np.int8), shape)
    x = tensor("x", (1, 1, 8, depth), Quant((1.0,), (-128,)))
    w = tensor("w", shape, Quant((1.0,), (0,)), data=weights)
    # One step of the output is one step of the accumulator's last bits.
    data = np.where(rng.random(x.shape) < 0.9, 127, 126).astype(np.int8)
    exact = (data.astype(np.int64) + 128).reshape(8, depth) @ weights.reshape(16, depth).T.astype(
        np.int64
    )
    bias = (-exact[0]).astype(np.int32)
    b = tensor("b", (16,), Quant((1.0,), (0,)), DType.INT32, bias)
    y = tensor("y", (1, 1, 8, 16), Quant((f32(40.0 * np.sqrt(depth)),), (0,)))
    assert_agrees(case(ops.Conv2D(), (x, w, b), (y,), {"x": data}))


def test_mean_of_many_sums() -> None:
    rng = np.random.default_rng(4)
    for count in (2, 3, 7, 48, 49, 1000):
        for _ in range(8):
            x_scale = _scale(rng, -6, 0)
            y_scale = f32(x_scale * 2.0 ** rng.uniform(-3, 0))
            x = tensor("x", (count, 3000), Quant((x_scale,), (int(rng.integers(-128, 128)),)))
            y = tensor("y", (3000,), Quant((y_scale,), (int(rng.integers(-128, 128)),)))
            centre = int(rng.integers(-100, 100))
            data = rng.integers(max(centre - 30, -128), min(centre + 30, 127), x.shape, np.int8)
            if prod(x.shape) <= 200_000:
                assert_agrees(case(ops.Mean((0,)), (x,), (y,), {"x": data}))


@pytest.mark.parametrize("kind", [ops.ResizeBilinear, ops.ResizeNearestNeighbor])
@pytest.mark.parametrize(("align", "half"), [(False, False), (True, False), (False, True)])
def test_all_sizes_of_a_resize(
    kind: type[ops.ResizeBilinear] | type[ops.ResizeNearestNeighbor], align: bool, half: bool
) -> None:
    rng = np.random.default_rng(5)
    quant = Quant((1.0,), (0,))
    for in_size in range(1, 21):
        for out_size in range(1, 33, 2):
            # Height and width meet different pairs of sizes.
            x_shape, size = (1, in_size, 21 - in_size, 1), (out_size, out_size + 1)
            data: Array = rng.integers(-128, 127, x_shape, np.int8, endpoint=True)
            op = kind(size, align, half)
            x, y = tensor("x", x_shape, quant), tensor("y", (1, *size, 1), quant)
            assert_agrees(case(op, (x,), (y,), {"x": data}))
