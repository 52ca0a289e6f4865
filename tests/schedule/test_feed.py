"""Inputs that come row by row: against all cuts, the memory plan, and models that refuse."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.streams import Maps, fed_schedule, needs
from tests.schedule.rows import (
    every_way,
    most_live,
    play,
    random_maps,
    segments_of,
    smaller_rings,
)
from tests.support.builder import GraphBuilder
from tests.support.models import model_path
from tinyml.board import load_board
from tinyml.choose import choose
from tinyml.errors import PlanError
from tinyml.importers import load
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.options import PlanOptions
from tinyml.passes import int8_io
from tinyml.planning import Plan
from tinyml.schedule.costs import Cut, segment_costs
from tinyml.schedule.feed import fed_input
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import FEED, Feed, Schedule, Segment, SegmentKind
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule

Calls = dict[str, KernelCall]


@given(st.integers(0, 2**32))
@settings(max_examples=80, derandomize=True, deadline=None)
def test_best_of_all_cuts(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 4))
    if len(graph.nodes) > 7 or len(graph.inputs) > 1:
        return
    least = []
    for order in (layer_schedule(graph, calls).order, tuple(n.name for n in graph.nodes)):
        layers = Schedule(tuple(Segment(SegmentKind.LAYER, (name,)) for name in order))
        ordered = reordered(graph, layers)
        source = fed_input(ordered, calls)
        costs = segment_costs(ordered, calls, calls, feed=Feed.ROWS, fed=source)
        found = every_way(costs, segments_of(ordered, calls, source))
        least.append(min(found))
    best = best_schedule(graph, calls, calls, feed=Feed.ROWS)
    ordered = reordered(graph, best)
    for segment in best.segments:
        if segment.kind is SegmentKind.STREAM:
            assert play(ordered, calls, segment) == ""
    streamed = sum(len(s.nodes) for s in best.segments if s.kind is SegmentKind.STREAM)
    bound = most_live(ordered, best, calls)
    assert (bound, streamed) == min(least, key=lambda each: each[0])


@given(st.integers(0, 2**32))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_costs_are_those_of_the_plan(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 10))
    if len(graph.inputs) > 1:
        return
    costs = segment_costs(graph, calls, calls, feed=Feed.ROWS, fed=fed_input(graph, calls))
    cuts: list[Cut] = []
    while not cuts or cuts[-1].stop < costs.count:
        cuts.append(rng.choice(list(costs.cuts(cuts[-1].stop if cuts else 0))))
    assert cuts[0].is_stream and cuts[0].stop > costs.fed_until
    schedule = costs.schedule(cuts)
    assert schedule.fed and all(FEED not in s.program for s in schedule.segments[1:])
    plan = plan_memory(graph, schedule, calls)
    assert plan.peaks == tuple(map(costs.peak, cuts))
    assert all(cut.bound <= costs.peak(cut) for cut in cuts)
    limit = rng.choice([costs.peak(cut) for cut in costs.cuts(0)])
    assert list(costs.cuts(0, limit)) == [c for c in costs.cuts(0) if c.bound <= limit]


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_rows_come_as_late_as_they_can(seed: int) -> None:
    """Whatever can run before a row comes does, and no ring of the input is too long."""
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 8))
    if len(graph.inputs) > 1:
        return
    segment = stream_schedule(graph, calls, calls, feed=Feed.ROWS).segments[0]
    node_of = {node.name: node for node in graph.nodes}
    (x,) = graph.inputs
    taken, last = [0] * len(segment.nodes), -1
    fed = 0
    for entry in segment.program:
        if entry == FEED:
            fed += 1
            last = fed - 1
            continue
        node = node_of[segment.nodes[entry]]
        rows = [r for t, r in needs(graph, node, calls[node.name], taken[entry]) if t == x]
        assert max(rows, default=-1) <= last
        taken[entry] += 1
    for smaller in smaller_rings(segment):
        if smaller.rings[0] != segment.rings[0]:
            assert play(graph, calls, smaller) != ""


def test_a_chain() -> None:
    net = Maps()
    net.conv("a", net.map("x", 4, 8), 8, pad=1)
    graph = net.graph("a")
    best = best_schedule(graph, net.calls, net.calls, feed=Feed.ROWS)
    assert best == stream_schedule(graph, net.calls, net.calls, feed=Feed.ROWS)
    (segment,) = best.segments
    assert segment.program == (FEED, FEED, 0, FEED, 0, FEED, 0, 0)
    assert [(ring.tensor, ring.rows) for ring in segment.rings] == [("x", 3)]


def test_rows_that_nobody_needs_come_too() -> None:
    net = Maps()
    net.conv("a", net.map("x", 7, 8), 8, taps=1, stride=3)
    net.conv("b", "a", 8, taps=2)
    graph = net.graph("b")
    (segment,) = stream_schedule(graph, net.calls, net.calls, feed=Feed.ROWS).segments
    assert segment.program.count(FEED) == 7
    assert [ring.rows for ring in segment.rings] == [1, 2]
    assert play(graph, net.calls, segment) == ""
    net = Maps()
    net.pick("a", net.map("x", 9, 8), [(0,), (1,)])
    graph = net.graph("a")
    (segment,) = stream_schedule(graph, net.calls, net.calls, feed=Feed.ROWS).segments
    assert segment.program == (FEED, 0, FEED, 0, *(FEED,) * 7)


def _chosen(graph: Graph, board: str = "host", schedule: str = "auto") -> Plan:
    options = PlanOptions(schedule=schedule, feed="rows")
    return choose(graph, load_board(board), options).taken.plan


def _refused(graph: Graph, message: str, hint: str = "--feed whole") -> None:
    for schedule in ("auto", "stream"):
        with pytest.raises(PlanError, match=message) as caught:
            _chosen(graph, schedule=schedule)
        assert hint in caught.value.hint


def test_refusals() -> None:
    b = GraphBuilder("two")
    x, y = b.input((1, 4, 4, 2)), b.input((1, 4, 4, 2))
    _refused(b.graph(b.node(ops.Add(), (x, y))), "'two' has 2 inputs")

    b = GraphBuilder("moved")
    moved = b.node(ops.Transpose((1, 0)), (b.input((8, 40)),))
    _refused(b.graph(b.dense(moved, 8)), "TRANSPOSE '.*' needs all of input '.*' at once")

    b = GraphBuilder("batch")
    _refused(b.graph(b.conv(b.input((2, 4, 4, 2)), 8)), "reads input '.*' as 2 maps", "batch of 1")

    b = GraphBuilder("float")
    x = b.input((1, 2, 4, 4), dtype=DType.FLOAT32)
    x = b.node(ops.Transpose((0, 2, 3, 1)), (x,), dtype=DType.FLOAT32)
    graph = b.graph(b.conv(b.node(ops.Quantize(), (x,), b.quant()), 8))
    _refused(graph, "does not read input '.*' row by row", "")

    with pytest.raises(PlanError, match="whole input") as caught:
        _chosen(graph, schedule="layer")
    assert "--schedule auto" in caught.value.hint


def test_readers_that_cannot_share_a_stream() -> None:
    """Something that needs a whole map lies between the two."""
    net = Maps()
    x = net.map("x", 6, 8)
    a = net.conv("a", x, 8, pad=1)
    whole = net.op("w", [a], 48)
    net.shape["w"] = net.shape["a"]
    graph = net.graph(net.merge("b", [x, whole], 8))
    assert fed_schedule(graph, net.calls) is None
    for search in (best_schedule, stream_schedule):
        with pytest.raises(PlanError, match=r"'x'.*cannot run row by row together") as caught:
            search(graph, net.calls, net.calls, feed=Feed.ROWS)
        assert "--feed whole" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("kws_ref_model", 9_800),
        ("vww_96_int8", 17_500),
        ("resnet8_cifar10_int8", 19_000),
        ("person_detect", 17_500),
        ("ad01_int8", 1_300),
        ("hello_world_int8", 40),
        ("micro_speech_quantized", 4_600),
    ],
)
def test_real_models(name: str, most: int) -> None:
    graph = int8_io(load(model_path(name)))
    made = _chosen(graph, "stm32")
    assert made.schedule.feed is Feed.ROWS and made.memory.arena_bytes <= most
    rows = {n.name: bind(made.graph, n, flatten=False) for n in made.graph.nodes}
    calls = calls_of(made.schedule, made.calls, rows)
    assert play(made.graph, calls, made.schedule.segments[0]) == ""
