"""Every op kind against TFLite Micro, over the shared strategies."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.oracle import run_case
from tests.support.strategies import CASES, Case
from tests.support.strategies.recurrent import STATEFUL
from tinyml.reference import run
from tinyml.reference.registry import computed_kinds


def assert_agrees(case: Case) -> None:
    """The reference gives the oracle's bytes."""
    actual = run(case.graph, case.inputs)
    for name, expected in zip(case.graph.outputs, run_case(case), strict=True):
        assert actual[name].dtype == expected.dtype
        assert actual[name].shape == expected.shape
        if actual[name].tobytes() != expected.tobytes():
            np.testing.assert_array_equal(actual[name], expected, str(case.graph.nodes[0].op))
            raise AssertionError(f"{name} differs in the bits of equal numbers")


@pytest.mark.parametrize("kind", CASES)
def test_agrees_with_tflite_micro(kind: str) -> None:
    @settings(
        max_examples=250,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CASES[kind])
    def agrees(case: Case) -> None:
        assert_agrees(case)

    agrees()


def test_every_kernel_is_covered() -> None:
    assert computed_kinds() == {*CASES, *STATEFUL}
