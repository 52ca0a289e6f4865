"""gemmlowp's fixed-point arithmetic, vectorised with NumPy.

Values are int32 numbers held in int64 arrays, so that products fit; a "Qm" number
has m integer bits and 31 - m fractional bits. The arithmetic is that of gemmlowp
(`fixedpoint/fixedpoint.h`) and of TFLite's `MultiplyByQuantizedMultiplier` with its
*double rounding*: one in the doubling high multiplication, one in the right shift.
"""

from math import copysign, floor, frexp

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1


def round_half_away(real: float) -> int:
    """The nearest integer, halves away from zero, like C's round(); |real| < 2**52."""
    return int(copysign(floor(abs(real) + 0.5), real))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` as (multiplier, shift): real ~ multiplier * 2**(shift - 31).

    A positive shift is to the left. |multiplier| is in [2**30, 2**31), or zero when
    |real| is below 2**-32. ValueError when the shift exceeds what int32 can hold.
    """
    if real == 0.0:
        return 0, 0
    if real < 0.0:
        multiplier, shift = quantize_multiplier(-real)
        return -multiplier, shift
    fraction, shift = frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier >>= 1
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise ValueError(f"the scale ratio {real:g} is beyond 32-bit fixed point")
    return multiplier, shift


def clip(x: Ints, low: int, high: int) -> Ints:
    """`x` limited to low..high; `high` wins when the range is empty, as in TFLite."""
    limited: Ints = np.minimum(np.maximum(x, low), high)
    return limited


def wrap_int32(x: Ints) -> Ints:
    """`x` modulo 2**32 in the range of int32."""
    return x.astype(np.int32).astype(np.int64)


def saturating_rounding_doubling_high_mul(a: Ints, b: Ints | int, bits: int = 32) -> Ints:
    """round(a * b / 2**(bits - 1)), halves up, saturated: NEON's SQRDMULH."""
    high = (a * b + (1 << (bits - 2))) >> (bits - 1)
    saturated: Ints = np.minimum(high, (1 << (bits - 1)) - 1)
    return saturated


def rounding_divide_by_pot(x: Ints, exponent: Ints | int, bits: int = 32) -> Ints:
    """round(x / 2**exponent), halves away from zero.

    The mask is held in `bits` bits, as gemmlowp does; this shows for 16-bit values
    and exponents above 15 only, where the result is the sign of `x`.
    """
    one = np.int64(1)
    mask = (one << np.asarray(exponent, np.int64)) - one
    if bits == 16:
        mask = mask.astype(np.int16).astype(np.int64)
    threshold = (mask >> one) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply_by_quantized_multiplier(x: Ints, multiplier: Ints | int, shift: Ints | int) -> Ints:
    """x * multiplier * 2**(shift - 31) with TFLite's double rounding.

    `multiplier` and `shift` are numbers, or arrays that broadcast against `x`. The
    left shift wraps like int32 arithmetic; sound models stay clear of that.
    """
    left = np.maximum(shift, 0)
    if np.any(left):
        x = wrap_int32(x << left)
    high = saturating_rounding_doubling_high_mul(x, multiplier)
    return rounding_divide_by_pot(high, np.maximum(-np.asarray(shift, np.int64), 0))


def saturating_rounding_multiply_by_pot(x: Ints, exponent: int) -> Ints:
    """x * 2**exponent: saturating to the left, rounding to the right."""
    if exponent <= 0:
        return rounding_divide_by_pot(x, -exponent)
    limit = (1 << (31 - exponent)) - 1
    shifted = np.where(x > limit, INT32_MAX, x << exponent)
    return np.where(x < -limit, INT32_MIN, shifted)


def _rounding_half_sum(a: Ints, b: int) -> Ints:
    total = a + b
    return np.where(total >= 0, (total + 1) >> 1, -((1 - total) >> 1))


def _exp_quarter(a: Ints) -> Ints:
    """exp(a) for a in [-1/4, 0), Q0: Taylor expansion around -1/8."""
    mul = saturating_rounding_doubling_high_mul
    x = a + (1 << 28)
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4_over_4 = saturating_rounding_multiply_by_pot(mul(x2, x2), -2)
    one_third = 715827883
    tail = saturating_rounding_multiply_by_pot(mul(x4_over_4 + x3, one_third) + x2, -1)
    exp_minus_eighth = 1895147668
    return exp_minus_eighth + mul(x + tail, exp_minus_eighth)


_EXP_OF_MINUS_POT = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**k) for k = -2 .. 4, Q0."""


def exp_on_negative_values(a: Ints, integer_bits: int) -> Ints:
    """exp(a) for a <= 0 with at most 5 integer bits; the result is Q0."""
    fractional_bits = 31 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    a_mod_quarter = (a & (quarter - 1)) - quarter
    result = _exp_quarter(saturating_rounding_multiply_by_pot(a_mod_quarter, integer_bits))
    remainder = a_mod_quarter - a
    for exponent, factor in enumerate(_EXP_OF_MINUS_POT, start=-2):
        if exponent < integer_bits:
            bit = 1 << (fractional_bits + exponent)
            scaled = saturating_rounding_doubling_high_mul(result, factor)
            result = np.where(remainder & bit != 0, scaled, result)
    return np.where(a == 0, INT32_MAX, result)


def _reciprocal_of_half_denominator(a: Ints) -> Ints:
    """2 / (1 + a) for a in (0, 1), Q0 to Q2, by three Newton-Raphson steps."""
    mul = saturating_rounding_doubling_high_mul
    half_denominator = _rounding_half_sum(a, INT32_MAX)
    one = 1 << 29
    x = 1515870810 + mul(half_denominator, -1010580540)  # 48/17 - 32/17 * d
    for _ in range(3):
        error = one - mul(half_denominator, x)
        x = x + saturating_rounding_multiply_by_pot(mul(x, error), 2)
    return x


def one_over_one_plus_x(a: Ints) -> Ints:
    """1 / (1 + a) for a in (0, 1), Q0."""
    # Reading the Q2 number as Q1 halves it.
    return saturating_rounding_multiply_by_pot(_reciprocal_of_half_denominator(a), 1)


def one_minus_x_over_one_plus_x(a: Ints) -> Ints:
    """(1 - a) / (1 + a) for a in (0, 1), Q0."""
    x = _reciprocal_of_half_denominator(a)
    return saturating_rounding_multiply_by_pot(x - (1 << 29), 2)


def logistic(a: Ints, integer_bits: int) -> Ints:
    """1 / (1 + exp(-a)), Q0."""
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(a), integer_bits))
    result = np.where(a > 0, positive, INT32_MAX - positive)
    return np.where(a == 0, 1 << 30, result)


def tanh(a: Ints, integer_bits: int) -> Ints:
    """Hyperbolic tangent, Q0; `integer_bits` at most 4."""
    # exp(-2|a|): the same bits with one more integer bit are twice the value.
    positive = one_minus_x_over_one_plus_x(exp_on_negative_values(-np.abs(a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a < 0, -positive, positive))


def inverse_sqrt(x: Ints) -> tuple[Ints, Ints]:
    """(s, n) with 1 / sqrt(x) = s * 2**(-31 - n) for positive `x`, n >= 0, by Newton's iteration.

    For 1 it is all but 1: s is INT32_MAX (TFLite's GetInvSqrtQuantizedMultiplierExp).
    """
    mul, shift_left = saturating_rounding_doubling_high_mul, saturating_rounding_multiply_by_pot
    right = np.full(x.shape, 11, np.int64)
    y = x.copy()
    for _ in range(2):  # an int32 is divided twice at most
        large = y >= 1 << 29
        y, right = np.where(large, y // 4, y), right + large
    leading_zeros = 32 - np.frexp(y.astype(np.float64))[1].astype(np.int64)
    pairs = (leading_zeros - 1) // 2 - 1
    right = right - pairs
    # Numbers below have 3 integer bits.
    halved = rounding_divide_by_pot((y << (2 * pairs)) >> 1, 1)
    three_halves = (1 << 28) + (1 << 27)
    root = np.full(x.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = shift_left(mul(mul(root, root), root), 6)
        root = shift_left(mul(root, three_halves) - mul(halved, cube), 3)
    root = mul(root, 1518500250)  # sqrt(2) / 2
    root, right = root << np.maximum(-right, 0), np.maximum(right, 0)
    return np.where(x <= 1, INT32_MAX, root), np.where(x <= 1, 0, right)


def reciprocal(x: Ints, integer_bits: int) -> tuple[Ints, Ints]:
    """(s, n) with 1 / x = s * 2**-n for a positive `x`; s is Q0 in (1/2, 1]."""
    leading_zeros = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    shifted_minus_one = (x << leading_zeros) - (1 << 31)
    return one_over_one_plus_x(shifted_minus_one), integer_bits - leading_zeros
