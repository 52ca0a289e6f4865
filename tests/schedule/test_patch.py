"""Patches: tiles against whole maps, costs against the memory plan, and what is refused."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.streams import Maps
from tests.schedule.rows import most_live, stored_whole
from tests.schedule.tiles import prefixes, random_tiles, run_patch
from tests.support.builder import GraphBuilder, random_inputs
from tests.support.models import model_path
from tinyml.errors import PlanError
from tinyml.importers import load
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.schedule.feed import fed_input
from tinyml.schedule.order import reordered
from tinyml.schedule.patch import patch_segment
from tinyml.schedule.schedule import FEED, Feed, Ring, SegmentKind
from tinyml.schedule.search import calls_of, front, patch_schedule
from tinyml.schedule.work import executed_macs

PROFILE = settings(max_examples=60, derandomize=True, deadline=None)


def bound(graph: Graph, *, flatten: bool) -> dict[str, KernelCall]:
    return {node.name: bind(graph, node, flatten=flatten) for node in graph.nodes}


@given(st.integers(0, 2**32))
@PROFILE
def test_tiles_are_the_whole(seed: int) -> None:
    """Any grid over any first ops: each step finds the pixels it needs, and all come out right."""
    rng = Random(seed)
    graph = random_tiles(rng, rng.randint(1, 7))
    calls = bound(graph, flatten=False)
    inputs = random_inputs(graph, seed)
    expected = run(graph, inputs, keep=True)
    names = rng.choice(list(prefixes(graph)))
    pull = rng.random() < 0.5 and {node.name for node in graph.consumers()[graph.inputs[0]]} <= set(
        names
    )
    fed = fed_input(graph, calls) if pull else None
    patches = (rng.randint(1, 4), rng.randint(1, 4))
    kept = stored_whole(graph, names)
    segment = patch_segment(graph, calls, names, patches, kept=kept, fed=fed)
    if segment is None:
        return
    assert segment.kind is SegmentKind.PATCH
    assert (len(segment.bands), len(segment.strips)) == patches
    assert (FEED in segment.program) == pull
    found = run_patch(graph, segment, inputs)
    assert found.keys() == kept
    for name, data in found.items():
        assert data.tobytes() == expected[name].tobytes(), name


def test_most_random_networks_can_be_cut() -> None:
    cut = 0
    for seed in range(100):
        rng = Random(seed)
        graph = random_tiles(rng, rng.randint(1, 7))
        names = [node.name for node in graph.nodes]
        kept = stored_whole(graph, names)
        calls = bound(graph, flatten=False)
        cut += patch_segment(graph, calls, names, (2, 2), kept=kept) is not None
    assert cut >= 60


@given(st.integers(0, 2**32), st.sampled_from((Feed.WHOLE, Feed.PULL)))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_front(seed: int, feed: Feed) -> None:
    """Peaks and work are those of the plan; more work buys less memory; the checker agrees."""
    rng = Random(seed)
    graph = random_tiles(rng, rng.randint(1, 7))
    layers, rows = bound(graph, flatten=True), bound(graph, flatten=False)
    if feed is Feed.PULL and (not graph.consumers()[graph.inputs[0]]):
        return
    found = front(graph, layers, rows, feed=feed)
    macs = [graph.macs(node) for node in graph.nodes]
    assert found[0].macs == sum(macs)
    for less, more in pairwise(found):
        assert less.peak > more.peak and less.macs <= more.macs
        assert more.schedule.segments[0].kind is SegmentKind.PATCH
    for candidate in found:
        for schedule in (candidate.schedule, *candidate.others):
            calls, ordered = calls_of(schedule, layers, rows), reordered(graph, schedule)
            peak = most_live(ordered, schedule, calls)
            assert peak == candidate.peak if schedule is candidate.schedule else peak >= 0
            assert executed_macs(graph, schedule, rows) == candidate.macs
            plan = plan_memory(ordered, schedule, calls)
            check_plan(ordered, schedule, calls, plan)
    limit = rng.choice(found).macs
    assert front(graph, layers, rows, feed=feed, macs_limit=limit) == tuple(
        candidate for candidate in found if candidate.macs <= limit
    )


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_patches_that_are_asked_for(seed: int, py: int, px: int) -> None:
    rng = Random(seed)
    graph = random_tiles(rng, rng.randint(1, 6))
    layers, rows = bound(graph, flatten=True), bound(graph, flatten=False)
    ops_ = rng.choice((None, rng.randint(1, len(graph.nodes))))
    try:
        schedule = patch_schedule(graph, layers, rows, feed=Feed.WHOLE, patches=(py, px), ops=ops_)
    except PlanError as error:
        assert f"{py}x{px} patches" in str(error)
        return
    patch = schedule.segments[0]
    assert patch.kind is SegmentKind.PATCH
    assert (len(patch.bands), len(patch.strips)) == (py, px)
    assert ops_ in (None, len(patch.nodes))
    inputs = random_inputs(graph, seed)
    expected = run(graph, inputs, keep=True)
    for name, data in run_patch(reordered(graph, schedule), patch, inputs).items():
        assert data.tobytes() == expected[name].tobytes(), name


def chain() -> Graph:
    """A 3x3 convolution, a depthwise one of stride 2, a 1x1 convolution."""
    b = GraphBuilder()
    same = Pads(1, 1, 1, 1)
    x = b.conv(b.input((1, 8, 8, 3)), 4, pads=same, output="a")
    x = b.depthwise(x, 1, stride=(2, 2), pads=Pads(0, 1, 0, 1), output="b")
    return b.graph(b.conv(x, 8, (1, 1), output="c"))


def test_geometry_by_hand() -> None:
    graph = chain()
    calls = bound(graph, flatten=False)
    names = [node.name for node in graph.nodes]
    fed = fed_input(graph, calls)
    segment = patch_segment(graph, calls, names, (2, 2), kept=frozenset("c"), fed=fed)
    assert segment is not None
    # Of 4x4: rows 0-1 need rows 0-4 of a, and these rows 0-5 of the input.
    assert [band.first_rows for band in segment.bands] == [(0, 0, 0, 0), (4, 2, 2, 3)]
    assert [strip.columns for strip in segment.strips] == [
        ((0, 5), (0, 2), (0, 2), (0, 6)),
        ((4, 8), (2, 4), (2, 4), (3, 8)),
    ]
    assert set(segment.rings) == {Ring("t0", 3, 6), Ring("a", 3, 5), Ring("b", 1, 2)}
    assert [band.steps for band in segment.bands] == [6 + 5 + 2 + 2, 5 + 4 + 2 + 2]
    schedule = patch_schedule(
        graph, bound(graph, flatten=True), calls, feed=Feed.PULL, patches=(2, 2), ops=3
    )
    assert schedule.segments == (segment,)
    conv, depthwise, pointwise = (graph.macs(node) for node in graph.nodes)
    assert executed_macs(graph, schedule, calls) == conv * 81 // 64 + depthwise + pointwise


def test_refusals() -> None:
    graph = chain()
    calls = bound(graph, flatten=False)
    for patches, ops_ in (((9, 1), None), ((1, 5), 3), ((2, 2), 4)):
        with pytest.raises(PlanError, match="cannot run"):
            patch_schedule(graph, calls, calls, patches=patches, ops=ops_)
    with pytest.raises(PlanError, match="patches of"):
        patch_schedule(graph, calls, calls, patches=(0, 2))
    with pytest.raises(PlanError, match="once each"):
        patch_schedule(graph, calls, calls, feed=Feed.ROWS, patches=(2, 2))


def test_what_cannot_be_in_tiles() -> None:
    """Sums over a map, kernels that only know whole rows, maps that are seen in other rows."""
    b = GraphBuilder()
    x = b.input((1, 6, 6, 4))
    y = b.node(ops.Mean((1, 2), True), (x,), b.quant())
    graph = b.graph(y)
    calls = bound(graph, flatten=False)
    assert patch_segment(graph, calls, ["n0"], (1, 2), kept=frozenset([y])) is None
    net = Maps()
    net.conv("y", net.map("x", 4, 8), 8)
    graph = net.graph("y")
    assert patch_segment(graph, net.calls, ["n_y"], (1, 1), kept=frozenset("y")) is None


@pytest.mark.parametrize(
    ("name", "peak", "per_mille"),
    [("vww_96_int8", 9_976, 1_065), ("person_detect", 9_624, 1_025)],
)
def test_real_models(name: str, peak: int, per_mille: int) -> None:
    """Pulled inputs: measured bytes, at so many thousandths of the network's own work."""
    graph = optimize(load(model_path(name)))
    layers, rows = bound(graph, flatten=True), bound(graph, flatten=False)
    macs = sum(graph.macs(node) for node in graph.nodes)
    found = front(graph, layers, rows, feed=Feed.PULL, macs_limit=macs * per_mille // 1000)
    assert found[-1].peak <= peak
