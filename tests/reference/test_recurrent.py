"""Operators that keep a state against TFLite Micro, over several invocations."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.oracle import LARGE_ARENA, run_tflm, run_tflm_again
from tests.support.strategies.base import tensor
from tests.support.strategies.recurrent import STATEFUL, Sequence
from tests.support.tflite_writer import write, write_operator
from tinyml.importers.tflite import read
from tinyml.ir.check import check
from tinyml.ir.graph import DType, Quant
from tinyml.reference import initial_states, run, step
from tinyml.reference.recurrent import sigmoid, tanh

PROFILE = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def assert_agrees(sequence: Sequence, model: bytes) -> None:
    """The reference gives the oracle's bytes in every invocation."""
    graph, states = sequence.graph, initial_states(sequence.graph)
    feeds = [[inputs[name] for name in graph.inputs] for inputs in sequence.inputs]
    for at, (inputs, expected) in enumerate(
        zip(sequence.inputs, run_tflm_again(model, feeds), strict=True)
    ):
        actual, states = step(graph, inputs, states)
        for name, wanted in zip(graph.outputs, expected, strict=True):
            assert actual[name].dtype == wanted.dtype
            np.testing.assert_array_equal(actual[name], wanted, f"invocation {at}")


@pytest.mark.parametrize("kind", STATEFUL)
def test_agrees_with_tflite_micro(kind: str) -> None:
    @PROFILE
    @given(STATEFUL[kind])
    def agrees(sequence: Sequence) -> None:
        check(sequence.graph)
        assert_agrees(sequence, write(sequence.graph))

    agrees()


@pytest.mark.parametrize("kind", STATEFUL)
def test_what_is_written_is_read_back(kind: str) -> None:
    @settings(PROFILE, max_examples=40)
    @given(STATEFUL[kind])
    def same(sequence: Sequence) -> None:
        graph = sequence.graph
        found = read(write(graph), "m")
        assert [(n.op, n.inputs, n.outputs) for n in found.nodes] == [
            (n.op, n.inputs, n.outputs) for n in graph.nodes
        ]
        assert (found.inputs, found.outputs) == (graph.inputs, graph.outputs)
        for state, again in zip(graph.states, found.states, strict=True):
            assert (state.before, state.after) == (again.before, again.after)
            np.testing.assert_array_equal(state.initial, again.initial)

    same()


@settings(PROFILE, max_examples=10)
@given(STATEFUL["SVDF"])
def test_a_run_begins_with_a_reset(sequence: Sequence) -> None:
    graph, (inputs, *_) = sequence.graph, sequence.inputs
    first, states = step(graph, inputs, initial_states(graph))
    assert run(graph, inputs)["y"].tobytes() == first["y"].tobytes()
    assert states.keys() == initial_states(graph).keys()


@pytest.mark.parametrize("exponent", [-15, -13, -12, -11])
def test_functions_of_gates_and_cells(exponent: int) -> None:
    """The 16-bit sigmoid and tanh inside an LSTM are TFLite Micro's own operators, everywhere."""
    every = np.arange(-(2**15), 2**15, dtype=np.int16).reshape(1, -1)
    x = tensor("x", every.shape, Quant((2.0**exponent,), (0,)), DType.INT16)
    y = tensor("y", every.shape, Quant((2.0**-15,), (0,)), DType.INT16)
    (expected,) = run_tflm(write_operator("TANH", [x], [y]), [every], LARGE_ARENA)
    np.testing.assert_array_equal(tanh(every.astype(np.int64), exponent), expected)
    if exponent == -12:
        (expected,) = run_tflm(write_operator("LOGISTIC", [x], [y]), [every], LARGE_ARENA)
        np.testing.assert_array_equal(sigmoid(every.astype(np.int64)), expected)
