"""The real networks, and random ones as the importer and the passes give them."""

from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.graphs import graphs
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.kernels import bind
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.draw import draw
from tinyml.memory.plan import MemoryPlan
from tinyml.passes import optimize
from tinyml.schedule.order import layer_schedule, least_peak_order, reordered


def _plan(graph: Graph) -> MemoryPlan:
    calls = {node.name: bind(graph, node) for node in graph.nodes}
    schedule = layer_schedule(graph, calls)
    plan = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, plan)
    check_plan(reordered(graph, schedule), schedule, calls, plan)
    return plan


@pytest.mark.parametrize("name", NAMES)
def test_offsets_at_the_lower_bound(name: str) -> None:
    graph = optimize(load(model_path(name)))
    calls = {node.name: bind(graph, node) for node in graph.nodes}
    start = perf_counter()
    order = least_peak_order(graph, calls)
    plan = _plan(graph)
    assert perf_counter() - start < 10  # measured: below 0.1 s
    assert order.optimal
    assert plan.optimal
    assert plan.arena_bytes == plan.lower_bound == order.peak
    assert plan == _plan(graph)
    schedule = layer_schedule(graph, calls)
    assert max(map(len, draw(graph, schedule, plan).splitlines())) <= 96


@given(graphs())
@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_networks(graph: Graph) -> None:
    assert _plan(optimize(graph)).optimal
