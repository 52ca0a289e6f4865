"""The portable C kernels against the NumPy reference, under the address and UB sanitizers."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from tests.kernels.cases import cases
from tests.support.kernel_client import KernelClient
from tests.support.kernel_server import Request
from tests.support.strategies import CASES, Case
from tests.support.strategies.base import case as one_op
from tests.support.strategies.base import tensor as make_tensor
from tests.support.strategies.recurrent import STATEFUL
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import Quant
from tinyml.kernels import bind, ways
from tinyml.kernels.call import Alias, KernelCall
from tinyml.kernels.registry import kernels
from tinyml.reference import run

PROFILE = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # a crash costs a new server: no shrinking
)

LEAST_EXAMPLES = 10
"""Fewest examples that each kernel must be run with by the cases of an operator it serves."""


def execute(
    client: KernelClient, case: Case, call: KernelCall, in_place: int | None = None
) -> tuple[bytes, ...]:
    (node,) = case.graph.nodes
    inputs = tuple(case.inputs[name].tobytes() for name in case.graph.activations(node))
    sizes = tuple(t.nbytes for t in case.graph.results(node))
    return client.run(Request(call, inputs, sizes, in_place))


def check(client: KernelClient, case: Case, call: KernelCall) -> None:
    """The kernel's bytes are the reference's, apart from and on top of its operands."""
    (node,) = case.graph.nodes
    expected = run(case.graph, case.inputs)
    if isinstance(call.loop, Alias):
        assert case.inputs[node.inputs[0]].tobytes() == expected[node.outputs[0]].tobytes()
        return
    for in_place in (None, *call.in_place):
        results = execute(client, case, call, in_place)
        for tensor, result in zip(case.graph.results(node), results, strict=True):
            actual = np.frombuffer(result, tensor.dtype.numpy).reshape(tensor.shape)
            wanted = expected[tensor.name]
            assert actual.tobytes() == wanted.tobytes(), (
                f"{call.kernel}, in place {in_place}, {call.struct}, {call.loop}:\n"
                f"{np.argwhere(actual != wanted)[:5].tolist()} of {tensor.shape}: "
                f"{actual[actual != wanted][:5]} instead of {wanted[actual != wanted][:5]}"
            )


@pytest.mark.parametrize("kind", CASES)
def test_equals_reference(client: KernelClient, kind: str) -> None:
    runs: Counter[str] = Counter()

    @PROFILE
    @given(cases(kind))
    def property(case: Case) -> None:
        (node,) = case.graph.nodes
        try:
            calls = [
                call
                for flatten in (True, False)
                for call in ways(case.graph, node, flatten=flatten)
            ]
        except UnsupportedError:
            assume(False)
        for call in calls:
            check(client, case, call)
        if node.op.kind == kind:
            runs.update({call.kernel for call in calls})

    property()
    for kernel in kernels():
        if kernel.isa == "portable" and any(kind in service.ops for service in kernel.serves):
            assert runs[kernel.name] >= LEAST_EXAMPLES, (kernel.name, runs)


def test_every_kernel_has_cases() -> None:
    tried = {*CASES, *STATEFUL}
    for kernel in kernels():
        assert any(op in tried for service in kernel.serves for op in service.ops), kernel.name


def test_server_reports_overruns(client: KernelClient) -> None:
    """A table that is too short is seen, so the buffers' exact sizes do their work."""
    x = make_tensor("x", (1, 2, 3, 4), Quant((0.1,), (3,)))
    y = make_tensor("y", x.shape, Quant((1 / 128,), (0,)))
    case = one_op(ops.Tanh(), (x,), (y,), {"x": np.ones(x.shape, np.int8)})
    (node,) = case.graph.nodes
    call = bind(case.graph, node)
    assert call.struct is not None
    (channels, (name, table)) = call.struct.fields
    short = replace(table, data=table.data[:0])  # type: ignore[type-var, union-attr]
    broken = replace(call, struct=replace(call.struct, fields=(channels, (name, short))))
    with pytest.raises(AssertionError, match="AddressSanitizer: heap-buffer-overflow"):
        execute(client, case, broken)
    check(client, case, call)  # and the next request finds a new server
