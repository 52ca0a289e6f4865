"""The arithmetic that a target has to repeat: exp, log, sums in order, random rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyml.train.floats import exp32, log32, sequential_sum
from tinyml.train.losses import cross_entropy, mean_squared_error
from tinyml.train.rounding import draws, stepped


def test_exp_is_within_two_units_in_the_last_place() -> None:
    x = -np.geomspace(1e-8, 86.9, 20001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    off = np.abs(exp32(x).astype(np.float64) - exact) / np.spacing(exact.astype(np.float32))
    assert off.max() <= 2
    assert exp32(np.float32([0, -200, -np.inf])).tolist() == [1, 0, 0]


def test_log_is_within_four_units_in_the_last_place() -> None:
    for x in np.geomspace(1, 5000, 4001).astype(np.float32):
        exact = np.log(np.float64(x))
        assert abs(log32(x) - exact) <= 4 * np.spacing(np.float32(max(exact, 1)))


def test_sums_run_from_the_first_term_to_the_last() -> None:
    terms = np.float32([[1e8], [1], [-1e8], [1]])
    assert sequential_sum(iter(terms), np.zeros(1, np.float32)).tolist() == [1.0]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_cross_entropy_and_its_gradient(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, label = rng.normal(0, 4, (1, classes)).astype(np.float32), int(rng.integers(classes))
    gradient, loss = cross_entropy(logits, np.array([label], np.int32))
    z = logits[0].astype(np.float64)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    assert loss == pytest.approx(-np.log(p[label]), abs=1e-5)
    np.testing.assert_allclose(gradient[0], p - np.eye(classes)[label], atol=1e-6)


def test_mean_squared_error_and_its_gradient() -> None:
    gradient, loss = mean_squared_error(np.float32([[1, 2]]), np.float32([[0, 4]]))
    assert gradient.tolist() == [[1, -2]] and loss == 2.5


def test_a_label_must_be_a_class() -> None:
    with pytest.raises(ValueError, match="label 3 is none of the 3 classes"):
        cross_entropy(np.zeros((1, 3), np.float32), np.array([3], np.int32))


@pytest.mark.parametrize("step", [0.0, 1e-4, 0.013, 0.5, 0.987, 1.0, 3.3, -1e-3, -0.4, -7.25])
def test_updates_are_right_on_average(step: float) -> None:
    """The mean over n draws is within five standard deviations of the step itself."""
    n = 200_000
    random = draws(seed=7, step=3, ordinal=2, count=n)
    after = stepped(np.zeros(n, np.int8), np.full(n, step, np.float32), random, 127)
    fraction = abs(step) % 1
    spread = np.sqrt(fraction * (1 - fraction) / n)
    assert abs(after.mean() + step) <= 5 * spread + 2**-23 * abs(step)
    assert set(np.unique(after)) <= {-int(np.floor(step)), -int(np.ceil(step))}


def test_small_updates_add_up() -> None:
    """A thousand steps of 1/200: 5 in the end, where rounding to the nearest gives 0."""
    values = np.zeros(400, np.int64)
    for i in range(1000):
        step = np.full(400, 0.005, np.float32)
        values = stepped(values, step, draws(1, i, 0, 400), 127)
    assert abs(values.mean() + 5) < 5 * np.sqrt(5 / 400)


def test_draws_depend_on_seed_step_parameter_and_element_only() -> None:
    base = draws(5, 6, 7, 100)
    np.testing.assert_array_equal(base[:10], draws(5, 6, 7, 10))
    for other in (
        draws(6, 6, 7, 100),
        draws(5, 7, 7, 100),
        draws(5, 6, 8, 100),
        draws(4, 7, 7, 100),
    ):
        assert np.mean(base == other) < 0.02
    assert base.max() < 2**24


def test_limits() -> None:
    values = np.array([127, -127, -128, -128, 0, 5], np.int8)
    step = np.float32([-9, 9, 9, 0, np.nan, -np.inf])
    after = stepped(values, step, np.zeros(6, np.uint32), 127)
    assert after.tolist() == [127, -127, -128, -128, 127, 127]
    bias = stepped(np.array([2**31 - 5, -(2**31) + 9]), np.float32([-1e30, 1e30]),
                   np.zeros(2, np.uint32), 2**31 - 1)  # fmt: skip
    assert bias.tolist() == [2**31 - 1, -(2**31) + 1]
