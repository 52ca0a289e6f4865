"""Filtered gradients against the formulas, exact ones against differences and autograd."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.transcription import Case, cases, convolution, filtered
from tinyml.ir.ops import Pads
from tinyml.train import gradient_filter as gf
from tinyml.train.grid import filter_grids

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
CLOSE = {"rtol": 1e-5, "atol": 1e-3}


@PROPERTY
@given(cases(), st.integers(2, 5))
def test_filtered_gradients_are_the_formulas(case: Case, radius: int) -> None:
    expected = filtered(case, radius)
    grid_x, grid_y = filter_grids(case.x.shape, case.gy.shape, case.window.stride, radius)
    x = gf.block_sums(case.x, grid_x)
    np.testing.assert_array_equal(x, expected.x)
    sums = gf.kernel_sums(case.weights)
    if not case.multiplier:
        np.testing.assert_array_equal(sums, expected.w)
    g = gf.block_means(case.gy, grid_y)
    np.testing.assert_allclose(g, expected.g, **CLOSE)
    patches = gf.filtered_input_gradient(g, sums, case.multiplier)
    np.testing.assert_allclose(patches, expected.dx_patches, **CLOSE)
    np.testing.assert_allclose(gf.spread(patches, grid_x), expected.dx, **CLOSE)
    dw = gf.filtered_weight_gradient(g, x, case.x.shape[3], case.multiplier)
    np.testing.assert_allclose(dw[0] if case.multiplier else dw, expected.dw, **CLOSE)


@PROPERTY
@given(cases(), st.integers(1, 4), st.integers(2, 4))
def test_a_share_of_the_channels_is_the_first_ones(case: Case, share: int, radius: int) -> None:
    channels = min(share, case.x.shape[3])
    grid_x, grid_y = filter_grids(case.x.shape, case.gy.shape, case.window.stride, radius)
    x, g = gf.block_sums(case.x, grid_x), gf.block_means(case.gy, grid_y)
    whole = gf.filtered_weight_gradient(g, x, case.x.shape[3], case.multiplier)
    part = gf.filtered_weight_gradient(g, x, channels, case.multiplier)
    np.testing.assert_array_equal(part, whole[:, : channels * (case.multiplier or 1)])
    whole = gf.weight_gradient(case.gy, case.x, case.x.shape[3], case.window, case.multiplier)
    part = gf.weight_gradient(case.gy, case.x, channels, case.window, case.multiplier)
    np.testing.assert_array_equal(part, whole[..., : channels * (case.multiplier or 1)])


@PROPERTY
@given(cases(), st.integers(0, 2**32 - 1))
def test_exact_gradients_are_differences(case: Case, seed: int) -> None:
    """sum(gy * y) is linear in x and in w, so that differences are derivatives."""
    rng = np.random.default_rng(seed)
    dx = gf.input_gradient(case.gy, case.weights, case.x.shape, case.window, case.multiplier)
    dw = gf.weight_gradient(case.gy, case.x, case.x.shape[3], case.window, case.multiplier)
    base = convolution(case, case.x, case.weights)
    moved_x = rng.integers(-3, 4, case.x.shape)
    change = (convolution(case, case.x + moved_x, case.weights) - base) * case.gy
    assert np.sum(moved_x * dx.astype(np.float64)) == np.sum(change)
    moved_w = rng.integers(-3, 4, case.weights.shape)
    change = (convolution(case, case.x, case.weights + moved_w) - base) * case.gy
    assert np.sum(moved_w * dw.astype(np.float64)) == np.sum(change)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(cases())
def test_exact_gradients_are_those_of_autograd(case: Case) -> None:
    jax = pytest.importorskip("jax", reason="jax, an independent autograd, is not installed")
    p = case.window.pads

    def y(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        kernel = (
            w.reshape(1, *w.shape[1:]).transpose(1, 2, 0, 3)
            if case.multiplier
            else (w.transpose(1, 2, 3, 0))
        )
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            case.window.stride,
            ((p.top, p.bottom), (p.left, p.right)),
            rhs_dilation=case.window.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=case.x.shape[3] if case.multiplier else 1,
            precision="highest",
        )

    _, back = jax.vjp(y, case.x, case.weights)
    dx, dw = back(case.gy)
    mine = gf.input_gradient(case.gy, case.weights, case.x.shape, case.window, case.multiplier)
    np.testing.assert_allclose(mine, dx, **CLOSE)
    mine = gf.weight_gradient(case.gy, case.x, case.x.shape[3], case.window, case.multiplier)
    np.testing.assert_allclose(mine, dw, **CLOSE)


@PROPERTY
@given(cases())
def test_radius_one_of_a_pointwise_convolution_is_exact(case: Case) -> None:
    """The formulas themselves, where a kernel is one tap and the stride one."""
    window = gf.Window((1, 1))
    weights = case.weights[:, :1, :1]
    gy = np.resize(case.gy, (*case.x.shape[:3], case.gy.shape[3]))
    grids = filter_grids(case.x.shape, gy.shape, (1, 1), 1)
    assert (grids[0].counts() == 1).all() and grids[0].shape == case.x.shape[1:3]
    g, x = gf.block_means(gy, grids[1]), gf.block_sums(case.x, grids[0])
    dx = gf.filtered_input_gradient(g, gf.kernel_sums(weights), case.multiplier)
    exact = gf.input_gradient(gy, weights, case.x.shape, window, case.multiplier)
    np.testing.assert_array_equal(gf.spread(dx, grids[0]), exact)
    dw = gf.filtered_weight_gradient(g, x, case.x.shape[3], case.multiplier)
    exact = gf.weight_gradient(gy, case.x, case.x.shape[3], window, case.multiplier)
    np.testing.assert_array_equal(dw, exact[:, 0, 0])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_constant_data_come_out_stride_squared_too_large(stride: int) -> None:
    """... of a kernel no larger than the stride, as in the authors' code; a factor undoes it."""
    window = gf.Window((1, 1), (stride, stride), (1, 1), Pads())
    x = np.full((1, 4 * stride, 4 * stride, 1), 3, np.float32)
    gy, weights = np.full((1, 4, 4, 1), 5, np.float32), np.full((1, 1, 1, 1), 2, np.float32)
    grid_x, grid_y = filter_grids(x.shape, gy.shape, (stride, stride), 2)
    exact_w = gf.weight_gradient(gy, x, 1, window, 0)
    exact_x = gf.input_gradient(gy, weights, x.shape, window, 0)
    for factor, times in ((1.0, stride**2), (1 / stride**2, 1)):
        g = gf.block_means(gy, grid_y, factor)
        dw = gf.filtered_weight_gradient(g, gf.block_sums(x, grid_x), 1, 0)
        np.testing.assert_allclose(dw, exact_w[0, 0] * times, rtol=1e-6)
        dx = gf.spread(gf.filtered_input_gradient(g, gf.kernel_sums(weights), 0), grid_x)
        assert dx.sum() == pytest.approx(exact_x.sum() * times)


def test_pixels_beyond_the_patches_belong_to_none() -> None:
    """An unpadded kernel of 5 on 9 pixels: 5 outputs, one patch of 5, 2 pixels left at each end."""
    grid, _ = filter_grids((1, 9, 9, 1), (1, 5, 5, 1), (1, 1), 5)
    assert grid.rows.owners().tolist() == [-1, -1, 0, 0, 0, 0, 0, -1, -1]
    assert grid.rows.span(0) == (2, 7) and grid.counts().tolist() == [[25]]
