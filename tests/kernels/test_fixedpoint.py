"""The fixed-point primitives of the C runtime against NumPy's, at every kind of extreme."""

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.kernel_build import SANITIZE, STRICT, gcc, include_flags
from tinyml.quant import fixedpoint as fx

PROGRAM = """
#include <stdio.h>
#include "tinyml_fixedpoint.h"
int main(void) {
  long a, b, s;
  while (scanf("%ld %ld %ld", &a, &b, &s) == 3) {
    const int32_t x = (int32_t)a, m = (int32_t)b, shift = (int32_t)s;
    const int32_t far = shift < 0 ? shift - 2 : -2 - shift;
    printf("%ld %ld %ld %ld %ld\\n", (long)tinyml_high_mul(x, m),
           (long)tinyml_rounding_shift_right(x, shift < 0 ? -shift : shift),
           (long)tinyml_saturating_shift_left(x, shift < 0 ? 1 - shift : 1 + shift % 30),
           (long)tinyml_requantize(x, m < 0 ? -(m + 1) : m, shift),
           (long)tinyml_requantize_far_down(x, m < 0 ? -(m + 1) : m, far));
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fixedpoint")
    source = folder / "main.c"
    source.write_text(PROGRAM)
    command = [gcc(), *STRICT, *SANITIZE, *include_flags(), str(source), "-o", str(folder / "main")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "main"


def test_primitives(program: Path) -> None:
    rng = np.random.default_rng(7)
    edges = [0, 1, -1, 2, -2, 3, -3, 2**30, -(2**30), 2**30 - 1, 2**31 - 1, -(2**31), -(2**31) + 1]
    numbers = [*edges, *rng.integers(-(2**31), 2**31, 60).tolist()]
    numbers += (rng.integers(-(2**31), 2**31, 60) >> rng.integers(1, 31, 60)).tolist()
    shifts = (-29, -28, -17, -16, -8, -7, -2, -1, 0, 1, 2, 7, 15, 29)
    rows = [(a, b, s) for a, b in itertools.product(numbers, numbers) for s in shifts]
    rows = [row for row in rows if row[:2] != (-(2**31), -(2**31))]
    feed = "".join(f"{a} {b} {s}\n" for a, b, s in rows)
    done = subprocess.run([program], input=feed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    actual = np.array([line.split() for line in done.stdout.splitlines()], np.int64)
    x, m, shift = np.array(rows, np.int64).T
    up = np.where(shift < 0, 1 - shift, 1 + shift % 30)
    saturated = [fx.saturating_rounding_multiply_by_pot(x[up == n], int(n)) for n in range(1, 31)]
    np.testing.assert_array_equal(actual[:, 0], fx.saturating_rounding_doubling_high_mul(x, m))
    np.testing.assert_array_equal(actual[:, 1], fx.rounding_divide_by_pot(x, np.abs(shift)))
    for n, expected in enumerate(saturated, start=1):
        np.testing.assert_array_equal(actual[up == n, 2], expected)
    multiplier = np.where(m < 0, -(m + 1), m)
    np.testing.assert_array_equal(
        actual[:, 3], fx.multiply_by_quantized_multiplier(x, multiplier, shift)
    )
    far = -2 - np.abs(shift)
    np.testing.assert_array_equal(
        actual[:, 4], fx.multiply_by_quantized_multiplier(x, multiplier, far)
    )
