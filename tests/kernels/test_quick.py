"""The quick rescales against TFLite's, for every sum or at every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyml.kernels.quick import Quick, quick, thresholds
from tinyml.quant import fixedpoint as fx
from tinyml.quant.params import LinearParams

PROFILE = settings(max_examples=300, deadline=None, derandomize=True, database=None)

TINY = st.integers(1, 21)
"""Bits of a sum, whatever the scale."""

SHIFTS = st.one_of(st.integers(-10, -6), st.integers(-14, 1))


def quickly(found: Quick, zero_point: int, channel: int, sums: np.ndarray) -> np.ndarray:
    """What the kernels compute, before the clamp."""
    x = (sums << found.left) + int(found.offsets[channel])
    assert np.abs(x).max() < 2**31
    h = x * int(found.multipliers[channel]) >> 32
    right = int(found.rights[channel])
    if not found.bent:
        return h >> right
    h -= (h < 0).astype(np.int64) << (found.left - 1)
    return ((h >> (right - 1)) + 2 * zero_point + 1) >> 1


@st.composite
def layers(draw: st.DrawFn) -> tuple[LinearParams, np.ndarray]:
    """Scales as trained layers have them, and the largest sums."""
    channels = draw(st.integers(1, 5))
    zero_point = draw(st.one_of(st.just(-128), st.integers(-128, 127)))
    relu = draw(st.booleans())
    edges = st.sampled_from((2**30, 2**30 + 1, 2**31 - 1))
    multiplier = st.one_of(st.integers(2**30, 2**31 - 1), edges)
    params = LinearParams(
        input_zero_point=0,
        weights_zero_point=0,
        output_zero_point=zero_point,
        multipliers=np.array([draw(multiplier) for _ in range(channels)], np.int32),
        shifts=np.array([draw(SHIFTS) for _ in range(channels)], np.int32),
        act_min=zero_point if relu else -128,
        act_max=draw(st.one_of(st.just(127), st.integers(min(zero_point + 1, 127), 127))),
    )
    # Most layers' sums could, at worst, be rescaled to many times what a byte holds.
    wide = st.integers(7, 12)
    bits = [draw(wide) - int(s) if draw(st.booleans()) else draw(TINY) for s in params.shifts]
    largest = [draw(st.integers(2 ** (n - 1), 2**n)) for n in bits]
    return params, np.array(largest, np.int64)


def test_equal_for_every_sum_that_can_occur() -> None:
    forms = {None: 0, False: 0, True: 0}

    @PROFILE
    @given(layers())
    def property(layer: tuple[LinearParams, np.ndarray]) -> None:
        params, largest = layer
        found = quick(params, largest)
        forms[None if found is None else found.bent] += 1
        if found is None:
            return
        for channel, bound in enumerate(largest.tolist()):
            multiplier, shift = params.multipliers[channel], params.shifts[channel]
            zero = params.output_zero_point
            steps = np.arange(-128, 128) - zero
            edges = thresholds(multiplier[None].astype(np.int64), shift[None], steps)[0]
            sums = (edges[:, None] + np.arange(-2, 3)).ravel()
            sums = np.concatenate((sums, [0, -1, 1, bound, -bound], np.arange(-300, 300)))
            sums = np.unique(np.clip(sums, -bound, bound))
            want = fx.multiply_by_quantized_multiplier(
                sums, np.full_like(sums, multiplier), np.full_like(sums, shift)
            )
            low, high = params.act_min, params.act_max
            got = quickly(found, zero, channel, sums)
            np.testing.assert_array_equal(
                np.clip(got, low, high), np.clip(want + zero, low, high), str(params)
            )

    property()
    assert min(forms.values()) >= 5, forms


@pytest.mark.parametrize("zero_point", [-128, 0, 90])
@pytest.mark.parametrize("shift", [-3, 0, 6, 14])
def test_sums_that_are_always_zero(zero_point: int, shift: int) -> None:
    """As those of filters without weights: any scale will do, and no shift is too large."""
    zero = LinearParams(
        input_zero_point=0,
        weights_zero_point=0,
        output_zero_point=zero_point,
        multipliers=np.array([2**31 - 1], np.int32),
        shifts=np.array([shift], np.int32),
        act_min=zero_point,
        act_max=127,
    )
    found = quick(zero, np.array([0]))
    if found is not None:
        assert found.left < 31
        got = quickly(found, zero_point, 0, np.array([0]))
        assert np.clip(got, zero.act_min, zero.act_max) == [zero_point]


@pytest.mark.parametrize("shift", [-20, -9, -1, 0, 3])
def test_thresholds_are_the_least_sums_that_reach_a_step(shift: int) -> None:
    steps = np.arange(-255, 256)
    for multiplier in (2**30, 1518500249, 2**31 - 1):
        (first,) = thresholds(np.array([multiplier]), np.array([shift]), steps)
        for sums, reached in ((first, True), (first - 1, False)):
            inside = np.abs(sums) < 2 ** (30 - max(shift, 0))
            scaled = fx.multiply_by_quantized_multiplier(
                sums, np.full_like(sums, multiplier), np.full_like(sums, shift)
            )
            assert ((scaled >= steps) == reached)[inside].all()
            assert inside.sum() > 250
