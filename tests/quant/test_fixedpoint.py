"""The vectorised primitives against one-number-at-a-time integer arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyml.quant import fixedpoint as fx

PROFILE = settings(max_examples=400, derandomize=True, deadline=None, database=None)

INT32 = st.one_of(
    st.integers(fx.INT32_MIN, fx.INT32_MAX),
    st.sampled_from((fx.INT32_MIN, -1, 0, 1, fx.INT32_MAX)),
    st.integers(-31, 30).map(lambda e: int(math.copysign(2 ** abs(e), e))),
)


def one(x: int) -> fx.Ints:
    return np.array([x], np.int64)


def truncated_quotient(a: int, b: int) -> int:
    """C's division."""
    return abs(a) // b * (1 if a >= 0 else -1)


@PROFILE
@given(INT32, INT32)
@example(fx.INT32_MIN, fx.INT32_MIN)
def test_high_mul(a: int, b: int) -> None:
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    expected = truncated_quotient(a * b + nudge, 1 << 31)
    if a == b == fx.INT32_MIN:
        expected = fx.INT32_MAX
    assert fx.saturating_rounding_doubling_high_mul(one(a), b)[0] == expected


@PROFILE
@given(INT32, st.integers(0, 31))
def test_rounding_divide(x: int, exponent: int) -> None:
    quotient = abs(x) / 2**exponent  # exact in double
    expected = math.floor(quotient + 0.5) * (1 if x >= 0 else -1)
    assert fx.rounding_divide_by_pot(one(x), exponent)[0] == expected


@PROFILE
@given(st.integers(-(2**20), 2**20), st.integers(2**30, 2**31 - 1), st.integers(-31, 10))
def test_multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> None:
    high = fx.saturating_rounding_doubling_high_mul(one(x << max(shift, 0)), multiplier)
    expected = fx.rounding_divide_by_pot(high, max(-shift, 0))
    actual = fx.multiply_by_quantized_multiplier(one(x), multiplier, shift)
    assert actual == expected
    # Double rounding is never further off than one.
    assert abs(actual[0] - x * multiplier * 2.0 ** (shift - 31)) <= 1


def test_multipliers_broadcast_per_channel() -> None:
    x = np.arange(-12, 12, dtype=np.int64).reshape(6, 4) * 1000
    multipliers = np.array([2**30, 2**31 - 1, 1717986918, 0], np.int64)
    shifts = np.array([2, 0, -9, 0], np.int64)
    expected = [
        fx.multiply_by_quantized_multiplier(x[:, c], int(multipliers[c]), int(shifts[c]))
        for c in range(4)
    ]
    actual = fx.multiply_by_quantized_multiplier(x, multipliers, shifts)
    np.testing.assert_array_equal(actual, np.stack(expected, axis=1))


@PROFILE
@given(st.floats(-30, 29).map(lambda e: 2.0**e), st.booleans())
def test_quantize_multiplier(real: float, negative: bool) -> None:
    multiplier, shift = fx.quantize_multiplier(-real if negative else real)
    assert 2**30 <= abs(multiplier) < 2**31 and (multiplier < 0) == negative
    assert abs(multiplier) * 2.0 ** (shift - 31) == pytest.approx(real, rel=2**-31)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (1 - 2.0**-40, (2**30, 1)),  # rounds up to the next power of two
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),  # nothing would be left of any int32
        (2.0**30 - 1, (2147483646, 30)),
    ],
)
def test_quantize_multiplier_at_the_edges(real: float, expected: tuple[int, int]) -> None:
    assert fx.quantize_multiplier(real) == expected


def test_quantize_multiplier_refuses_ratios_beyond_int32() -> None:
    with pytest.raises(ValueError, match="beyond 32-bit"):
        fx.quantize_multiplier(2.0**30)


@PROFILE
@given(INT32, st.integers(-31, 12))
def test_multiply_by_power_of_two(x: int, exponent: int) -> None:
    if exponent > 0:
        threshold = 2 ** (31 - exponent) - 1
        expected = x << exponent
        expected = fx.INT32_MAX if x > threshold else fx.INT32_MIN if x < -threshold else expected
    else:
        expected = int(fx.rounding_divide_by_pot(one(x), -exponent)[0])
    assert fx.saturating_rounding_multiply_by_pot(one(x), exponent)[0] == expected


def test_exponential_is_close_to_the_real_one() -> None:
    for integer_bits in (2, 4, 5):
        a = -np.linspace(0, 2**31 - 1, 20_001).astype(np.int64)
        real = np.exp(a / 2.0 ** (31 - integer_bits))
        actual = fx.exp_on_negative_values(a, integer_bits) / 2.0**31
        assert np.abs(actual - real).max() < 3e-7, integer_bits


def test_sigmoids_are_close_to_the_real_ones() -> None:
    a = np.linspace(-(2**31) + 1, 2**31 - 1, 40_001).astype(np.int64)
    x = a / 2.0**27
    assert np.abs(fx.logistic(a, 4) / 2.0**31 - 1 / (1 + np.exp(-x))).max() < 1e-6
    assert np.abs(fx.tanh(a, 4) / 2.0**31 - np.tanh(x)).max() < 1e-6


@PROFILE
@given(st.integers(1 << 19, fx.INT32_MAX))
def test_reciprocal(x: int) -> None:
    inverse, bits = fx.reciprocal(one(x), 12)
    real = 2.0**19 / x
    assert inverse[0] / 2.0**31 * 2.0 ** -float(bits[0]) == pytest.approx(real, rel=1e-7)
