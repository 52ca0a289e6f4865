"""Kernels of operators that keep a state against the reference, under the sanitizers."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.kernels.test_kernels import LEAST_EXAMPLES
from tests.support.kernel_client import KernelClient
from tests.support.kernel_server import Request
from tests.support.strategies.recurrent import STATEFUL, Sequence, svdf
from tinyml.ir import ops
from tinyml.ir.graph import DType, Node, updated
from tinyml.kernels import bind
from tinyml.kernels.call import WholeCall
from tinyml.kernels.registry import kernels
from tinyml.reference import initial_states, step

PROFILE = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
CASES = {**STATEFUL, "SVDF": st.one_of(svdf(DType.INT8), svdf(DType.INT16), STATEFUL["SVDF"])}


def check(client: KernelClient, sequence: Sequence, node: Node) -> str:
    """Results and states are the reference's in every invocation; the kernel."""
    graph, states = sequence.graph, initial_states(sequence.graph)
    call = bind(graph, node)
    assert isinstance(call.loop, WholeCall)
    for at, inputs in enumerate(sequence.inputs):
        expected, left = step(graph, inputs, states, keep=True)
        request = Request(
            call,
            tuple(expected[name].tobytes() for name in call.loop.passed(graph, node)),
            tuple(tensor.nbytes for tensor in graph.results(node)),
            states=tuple(states[before].tobytes() for before, _ in updated(node)),
        )
        found = client.run(request)
        for name, actual in zip(node.outputs, found, strict=True):
            assert actual == expected[name].tobytes(), f"{name} of invocation {at}"
        states = left
    return call.kernel


@pytest.mark.parametrize("kind", CASES)
def test_equals_reference(client: KernelClient, kind: str) -> None:
    runs: Counter[str] = Counter()

    @PROFILE
    @given(CASES[kind])
    def property(sequence: Sequence) -> None:
        (node,) = (node for node in sequence.graph.nodes if node.op.kind == kind)
        runs[check(client, sequence, node)] += 1

    property()
    for kernel in kernels():
        if any(kind in service.ops for service in kernel.serves):
            assert runs[kernel.name] >= LEAST_EXAMPLES, (kernel.name, runs)


def test_all_that_change_a_state_are_tried() -> None:
    changing = {op.kind for op in vars(ops).values() if _changes_a_state(op)}
    assert changing == set(CASES)


def _changes_a_state(op: object) -> bool:
    return isinstance(op, type) and issubclass(op, ops.Op) and op.updates is not ops.Op.updates
