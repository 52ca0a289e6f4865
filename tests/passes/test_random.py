"""Every pass keeps every output byte of random networks."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.passes.common import assert_equivalent, kinds, with_dead_channels
from tests.support.graphs import NetworkCase, cases, graphs
from tests.support.oracle import run_tflm
from tests.support.tflite_writer import write
from tinyml import reference
from tinyml.importers import tflite
from tinyml.ir.graph import Graph
from tinyml.passes import PASSES, optimize

bounded = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@bounded
@given(with_dead_channels(graphs()))
def test_optimize_keeps_outputs(graph: Graph) -> None:
    optimized = optimize(graph)
    assert_equivalent(graph, optimized, seeds=2)
    assert len(optimized.nodes) <= len(graph.nodes)


@bounded
@given(with_dead_channels(graphs()))
def test_optimize_is_idempotent(graph: Graph) -> None:
    once = optimize(graph)
    assert optimize(once) is once


@pytest.mark.parametrize("rewrite", PASSES, ids=lambda rewrite: rewrite.__name__)
@settings(bounded, max_examples=150)
@given(with_dead_channels(graphs()))
def test_each_pass_alone_keeps_outputs(rewrite: Callable[[Graph], Graph], graph: Graph) -> None:
    rewritten = rewrite(graph)
    assert_equivalent(graph, rewritten, seeds=1)
    assert rewrite(rewritten) is rewritten


def test_every_pass_finds_something() -> None:
    """The random networks do exercise the passes: each rewrites a good share of them."""
    found: Counter[str] = Counter()

    @settings(bounded, max_examples=700)
    @given(with_dead_channels(graphs()))
    def count(graph: Graph) -> None:
        for rewrite in PASSES:
            rewritten = rewrite(graph)
            found[rewrite.__name__] += rewritten is not graph
            graph = rewritten

    count()
    assert all(found[rewrite.__name__] >= 5 for rewrite in PASSES), found


@bounded
@given(with_dead_channels(graphs()))
def test_nothing_is_computed_in_vain(graph: Graph) -> None:
    """After all passes: no node without a reader, none on constants but copies to outputs."""
    optimized = optimize(graph)
    consumers = optimized.consumers()
    for node in optimized.nodes:
        assert any(consumers[name] or name in optimized.outputs for name in node.outputs)
        assert optimized.activations(node) or set(node.outputs) <= set(optimized.outputs)


@bounded
@given(cases(with_dead_channels(graphs(for_tflm=True))))
def test_the_optimized_network_gives_what_tflm_gives(case: NetworkCase) -> None:
    model = write(case.graph)
    expected = run_tflm(model, [case.inputs[name] for name in case.graph.inputs])
    optimized = optimize(tflite.read(model, "random"))
    inputs = zip(optimized.inputs, (case.inputs[n] for n in case.graph.inputs), strict=True)
    found = reference.run(optimized, dict(inputs))
    for name, data in zip(optimized.outputs, expected, strict=True):
        np.testing.assert_array_equal(found[name], data, err_msg=f"{name} of {kinds(case.graph)}")
