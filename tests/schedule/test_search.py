"""The search for cuts: against all cuts on small graphs, the memory plan, and real models."""

from collections.abc import Mapping
from random import Random
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory.nets import in_order, random_net
from tests.memory.streams import Maps
from tests.schedule.rows import every_way, most_live, play, random_maps, segments_of, stored_whole
from tests.support.graphs import graphs
from tests.support.models import model_path
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.plan import MemoryPlan
from tinyml.passes import optimize
from tinyml.schedule.costs import Costs, Cut, segment_costs
from tinyml.schedule.order import layer_schedule, least_peak_order, reordered
from tinyml.schedule.schedule import Schedule, SegmentKind
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule
from tinyml.schedule.stream import stream_segment, streamable

Calls = Mapping[str, KernelCall]


def _calls(graph: Graph) -> tuple[dict[str, KernelCall], dict[str, KernelCall]]:
    return tuple(  # type: ignore[return-value]
        {node.name: bind(graph, node, flatten=flatten) for node in graph.nodes}
        for flatten in (True, False)
    )


def _planned(graph: Graph, schedule: Schedule, layers: Calls, rows: Calls) -> MemoryPlan:
    """The plan, accepted by the checker; every program holds."""
    calls = calls_of(schedule, layers, rows)
    graph = reordered(graph, schedule)
    for segment in schedule.segments:
        if segment.kind is SegmentKind.STREAM:
            assert play(graph, calls, segment) == ""
    plan = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, plan)
    return plan


def _streamed(schedule: Schedule) -> int:
    """How many nodes are in streams."""
    return sum(len(s.nodes) for s in schedule.segments if s.kind is SegmentKind.STREAM)


def _check_best(graph: Graph, layers: Calls, rows: Calls) -> None:
    """No cuts have a smaller peak, and none with that peak put fewer nodes in streams."""
    least = []
    for order in (layer_schedule(graph, layers), in_order(graph)):
        ordered = reordered(graph, order)
        costs = segment_costs(ordered, layers, rows)
        least.append(min(every_way(costs, segments_of(ordered, rows))))
    best = best_schedule(graph, layers, rows)
    calls = calls_of(best, layers, rows)
    peak = most_live(reordered(graph, best), best, calls)
    # Of two orders with the same peak, that of the layers counts.
    assert (peak, _streamed(best)) == min(least, key=lambda each: each[0])


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_best_of_all_cuts(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 4))
    if len(graph.nodes) <= 7:
        _check_best(graph, calls, calls)


def _grows(costs: Costs) -> bool:
    """Whether a ring of a stream has more rows than the widest window over it."""
    for cut in (cut for start in range(costs.count) for cut in costs.cuts(start) if cut.is_stream):
        nodes = [node for node in costs.rows[cut.start : cut.stop] if node is not None]
        for ring in costs.program(cut).rings:
            reads = (read for node in nodes for read in node.inputs if read.tensor == ring.tensor)
            if ring.rows > max((read.window for read in reads), default=1):
                return True
    return False


def test_best_of_all_cuts_where_rings_grow() -> None:
    """Rings that grow beyond their windows, as branches make them: what a stream needs counts."""
    checked = 0
    for seed in range(800):
        rng = Random(seed)
        graph, calls = random_maps(rng, rng.randint(1, 5), height=12)
        costs = segment_costs(graph, calls, calls)
        if costs.count <= 7 and _grows(costs):
            _check_best(graph, calls, calls)
            checked += 1
        if checked == 12:
            return
    raise AssertionError(f"only {checked} networks")


@pytest.mark.parametrize("seed", [47, 88, 713, 1064, 1706, 1730, 2130, 2249, 5421])
def test_best_of_all_cuts_where_less_of_a_search_fails(seed: int) -> None:
    """Networks on which a search that tries one order, or believes a bound, finds less."""
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 5), height=12)
    _check_best(graph, calls, calls)


@given(graphs(max_nodes=6))
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_best_of_all_cuts_of_networks(graph: Graph) -> None:
    graph = optimize(graph)
    if len(graph.nodes) <= 7:
        _check_best(graph, *_calls(graph))


@given(st.integers(0, 2**32))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_costs_are_those_of_the_plan(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 12))
    costs = segment_costs(graph, calls, calls)
    cuts: list[Cut] = []
    while not cuts or cuts[-1].stop < costs.count:
        cuts.append(rng.choice(list(costs.cuts(cuts[-1].stop if cuts else 0))))
    schedule = costs.schedule(cuts)
    plan = _planned(graph, schedule, calls, calls)
    assert plan.lower_bound == max(map(costs.peak, cuts))
    assert all(cut.bound <= costs.peak(cut) for cut in cuts)
    if not any(buffer.tensors[1:] for buffer in plan.buffers):  # nothing in place
        assert plan.peaks == tuple(map(costs.peak, cuts))


@given(st.integers(0, 2**32))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_bounds_keep_what_can_be_within_a_limit(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 9))
    costs = segment_costs(graph, calls, calls)
    for start in range(costs.count):
        cuts = list(costs.cuts(start))
        limit = rng.choice([costs.peak(cut) for cut in cuts])
        assert list(costs.cuts(start, limit)) == [cut for cut in cuts if cut.bound <= limit]


@given(graphs(max_nodes=14))
@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_never_worse_than_layers(graph: Graph) -> None:
    graph = optimize(graph)
    layers, rows = _calls(graph)
    best = best_schedule(graph, layers, rows)
    plan = _planned(graph, best, layers, rows)
    by_layers = layer_schedule(graph, layers)
    least = most_live(reordered(graph, by_layers), by_layers, layers)
    assert plan.lower_bound <= least <= least_peak_order(graph, layers).peak
    if plan.lower_bound == least:
        assert best == by_layers
    assert best == best_schedule(graph, layers, rows)


@given(graphs(max_nodes=14))
@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_streams_wherever_they_can_be(graph: Graph) -> None:
    graph = optimize(graph)
    layers, rows = _calls(graph)
    schedule = stream_schedule(graph, layers, rows)
    _planned(graph, schedule, layers, rows)
    node_of = {node.name: node for node in graph.nodes}
    for one, other in zip(schedule.segments, schedule.segments[1:], strict=False):
        names = (*one.nodes, other.nodes[0])
        ordered = reordered(graph, schedule)
        if all(streamable(graph, node_of[name], rows[name]) for name in names):
            assert stream_segment(ordered, rows, names, kept=stored_whole(ordered, names)) is None


def test_graphs_that_memory_alone_knows() -> None:
    """Layers only, with results in place and aliases: the peak is that of the best order."""
    for seed in range(60):
        graph, calls = random_net(Random(seed), 12)
        best = best_schedule(graph, calls, calls)
        assert best == stream_schedule(graph, calls, calls) == layer_schedule(graph, calls)


def test_streams_the_wide_part_only() -> None:
    net = Maps()
    net.conv("a", net.map("x", 16, 16), 64, pad=1)
    net.conv("b", "a", 64, pad=1)
    net.conv("c", "b", 16, pad=1, stride=2)
    net.conv("d", "c", 16, pad=1)
    net.conv("e", "d", 16, pad=1)
    graph = net.graph("e")
    schedule = best_schedule(graph, net.calls, net.calls)
    kinds = [(segment.kind.value, len(segment.nodes)) for segment in schedule.segments]
    assert kinds == [("stream", 3), ("layer", 1), ("layer", 1)]
    plan = _planned(graph, schedule, net.calls, net.calls)
    # Rows of x die as those of c are born: never all of both beside the rings.
    assert plan.lower_bound == 608 < 16 * 16 + 2 * 3 * 64 + 8 * 16


def test_graph_without_nodes() -> None:
    net = Maps()
    graph = net.graph(net.map("x", 4, 4))
    assert best_schedule(graph, {}, {}) == stream_schedule(graph, {}, {}) == Schedule(())


def test_a_deep_network_is_fast() -> None:
    """800 nodes: no recursion, no cut examined that cannot matter."""
    net = Maps()
    name = net.conv("t0", net.map("x", 32, 16), 64, pad=1)
    for i in range(1, 800):
        branch = net.conv(f"b{i}", name, 64, pad=1) if i % 3 == 0 else name
        name = (
            net.merge(f"t{i}", [name, branch], 64)
            if i % 3 == 0
            else net.conv(f"t{i}", name, 64, pad=1)
        )
    graph = net.graph(name)
    start = perf_counter()
    schedule = best_schedule(graph, net.calls, net.calls)
    assert perf_counter() - start < 20
    assert _planned(graph, schedule, net.calls, net.calls).lower_bound <= 3 * 32 * 64


@pytest.mark.parametrize(
    ("name", "layer", "peak", "seconds"),
    [
        ("ad01_int8", 768, 768, 1),
        ("hello_world_int8", 32, 32, 1),
        ("kws_ref_model", 16_000, 6_192, 1),
        # With 160 bytes for a window: the depthwise layer on a single channel is a convolution.
        ("micro_speech_quantized", 5_960 + 160, 4_200 + 160, 1),
        ("person_detect", 55_296, 13_440, 1),
        ("resnet8_cifar10_int8", 49_440, 15_040, 1),
        ("vww_96_int8", 55_296, 28_088, 1),
        ("mcunet_vww_80_int8", 96_000, 77_040, 3),
        ("mcunet_person_detection_128x160_int8", 307_200, 246_240, 3),
        ("mcunetv2_large_224_int8", 1_505_280, 602_784, 10),
    ],
)
def test_real_models(name: str, layer: int, peak: int, seconds: float) -> None:
    """Measured bytes, inputs included: by layers, and the best. Less is welcome, more is not."""
    graph = optimize(load(model_path(name)))
    layers, rows = _calls(graph)
    start = perf_counter()
    schedule = best_schedule(graph, layers, rows)
    assert perf_counter() - start < seconds
    plan = _planned(graph, schedule, layers, rows)
    assert least_peak_order(graph, layers).peak <= layer
    assert plan.lower_bound <= peak
    _planned(graph, stream_schedule(graph, layers, rows), layers, rows)
