"""float32 arithmetic in a stated order, so that C gives the same bits.

Every operation rounds to float32 once, products and sums apart (no fused multiply-add: C
is compiled with -ffp-contract=off), and sums start at +0 and run from the first term to
the last. NumPy's own reductions and BLAS have no such order, hence the loops here.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LN2_HIGH = np.float32(0.693359375)
"""ln 2 in 9 bits, so that its product with a whole number below 2^15 is exact."""
LN2_LOW = np.float32(-2.12194440e-4)
"""ln 2 - LN2_HIGH."""
INVERSE_LN2 = np.float32(1.44269504)
EXP_TAYLOR = tuple(
    np.float32(c) for c in (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0)
)
"""1 / k! from k = 7 down to 0: below 2^-27 off for |x| <= ln(2) / 2."""
ATANH_TAYLOR = tuple(np.float32(c) for c in (1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0))
EXP_LOWEST = np.float32(-87.0)
"""Below, exp32 gives 0: the result would no longer be a normal float."""


def sequential_sum(terms: Iterable[Floats], start: Floats) -> Floats:
    """start + first term + second term ..., in this order."""
    total = start
    for term in terms:
        total = total + term
    return total


def horner(coefficients: Iterable[np.float32], x: Floats) -> Floats:
    """The polynomial with these coefficients, highest power first."""
    total = np.zeros_like(x)
    for coefficient in coefficients:
        total = total * x + coefficient
    return total


def exp32(x: Floats) -> Floats:
    """exp(x) for x <= 0, within 2 units in the last place.

    n = floor(x / ln 2 + 1/2); r = (x - n LN2_HIGH) - n LN2_LOW; Horner in r; times 2^n.
    """
    lowest = x < EXP_LOWEST
    x = np.where(lowest, np.float32(0), x)
    n = np.floor(x * INVERSE_LN2 + np.float32(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    scaled = np.ldexp(horner(EXP_TAYLOR, r), n.astype(np.int32))
    return np.where(lowest, np.float32(0), scaled).astype(np.float32)


def log32(x: np.float32) -> np.float32:
    """ln(x) of a normal float x > 0, within 4 units in the last place of max(ln x, 1).

    x = m 2^e with m in [3/4, 3/2); t = (m - 1) / (m + 1);
    ln m = 2 t (1 + t^2/3 + t^4/5 + ...), then (ln m + e LN2_LOW) + e LN2_HIGH.
    """
    m, e = np.frexp(x)
    if m < np.float32(0.75):
        m, e = m * np.float32(2), e - 1
    t = (m - np.float32(1)) / (m + np.float32(1))
    whole = np.float32(e)
    series = horner(ATANH_TAYLOR, np.asarray(t * t, np.float32))
    return np.float32((np.float32(2) * t * series + whole * LN2_LOW) + whole * LN2_HIGH)
