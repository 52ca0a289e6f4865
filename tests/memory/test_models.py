"""The real networks, and random ones as the importer and the passes give them."""

from collections.abc import Callable, Mapping
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.memory.execute import works
from tests.support.graphs import graphs
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.draw import draw
from tinyml.memory.plan import MemoryPlan
from tinyml.passes import optimize
from tinyml.schedule.order import layer_schedule, least_peak_order, reordered
from tinyml.schedule.schedule import Schedule
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule

Calls = Mapping[str, KernelCall]


def _layers(graph: Graph, layer_calls: Calls, _: Calls) -> Schedule:
    return layer_schedule(graph, layer_calls)


SCHEDULES = (_layers, stream_schedule, best_schedule)


def _planned(
    graph: Graph, schedule_of: Callable[[Graph, Calls, Calls], Schedule]
) -> tuple[Schedule, MemoryPlan]:
    """The schedule of an optimised graph and its plan, checked."""
    layer_calls = {node.name: bind(graph, node) for node in graph.nodes}
    row_calls = {node.name: bind(graph, node, flatten=False) for node in graph.nodes}
    schedule = schedule_of(graph, layer_calls, row_calls)
    calls = calls_of(schedule, layer_calls, row_calls)
    plan = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, plan)
    check_plan(reordered(graph, schedule), schedule, calls, plan)
    if sum(tensor.nbytes for tensor in graph.tensors.values()) < 10_000:
        assert works(graph, schedule, calls, plan)
    return schedule, plan


AT_MOST = {"kws_ref_model": 6_512, "ad01_int8": 768, "resnet8_cifar10_int8": 18_560}
"""What these needed while every buffer was live for whole segments."""


@pytest.mark.parametrize("name", NAMES)
def test_offsets_near_the_lower_bound(name: str) -> None:
    graph = optimize(load(model_path(name)))
    start = perf_counter()
    plans = {}
    for schedule_of in SCHEDULES:
        schedule, plan = _planned(graph, schedule_of)
        plans[schedule_of] = plan
        assert plan.optimal == (plan.arena_bytes == plan.lower_bound)
        assert plan.arena_bytes <= 1.2 * plan.lower_bound  # measured: at most 1.19
        assert (schedule, plan) == _planned(graph, schedule_of)
        assert max(map(len, draw(graph, schedule, plan).splitlines())) <= 96
    assert perf_counter() - start < 30  # measured: below 4 s
    calls = {node.name: bind(graph, node) for node in graph.nodes}
    order = least_peak_order(graph, calls)
    assert order.optimal
    assert plans[_layers].optimal
    assert plans[_layers].arena_bytes <= order.peak
    best = plans[best_schedule].arena_bytes
    assert best <= plans[_layers].arena_bytes
    assert best <= AT_MOST.get(name, best)


@given(graphs())
@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_random_networks(graph: Graph) -> None:
    graph = optimize(graph)
    plans = [_planned(graph, schedule_of)[1] for schedule_of in SCHEDULES]
    assert plans[-1].lower_bound <= min(plan.lower_bound for plan in plans)
