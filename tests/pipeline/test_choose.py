"""Which plan is taken: limits on memory and work, the trade-off, and refusals that say why."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builder import GraphBuilder
from tests.support.graphs import same_pads
from tinyml.board import load_board
from tinyml.choose import Candidate, candidates, choose, pareto
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.options import PlanOptions

HOST = load_board("host")
M4 = load_board("qemu-cortex-m4")


def pyramid(side: int = 32, seed: int = 0) -> Graph:
    """Convolutions on a large map, then on smaller ones: what patches are for."""
    builder = GraphBuilder("pyramid", seed)
    x = builder.input((1, side, side, 3))
    for channels, stride in ((8, 2), (8, 1), (16, 2), (16, 1), (32, 2)):
        size = builder.tensors[x].shape[1]
        pads = Pads(*same_pads(size, 3, stride), *same_pads(size, 3, stride))
        x = builder.conv(x, channels, stride=(stride, stride), pads=pads)
    return builder.graph(builder.dense(x, 4))


def taken(graph: Graph, options: PlanOptions) -> Candidate:
    return choose(graph, M4, options).taken


def model_macs(graph: Graph) -> int:
    return sum(graph.macs(node) for node in graph.nodes)


PULL = PlanOptions(feed="pull")


def test_without_limits_nothing_is_computed_twice() -> None:
    graph = pyramid()
    found = candidates(graph, M4, PULL)
    least = min(each.macs for each in found)
    equal = [each.arena_bytes for each in found if each.macs == least]
    chosen = taken(graph, PULL)
    assert (chosen.macs, chosen.arena_bytes) == (least, min(equal))
    assert chosen.macs <= model_macs(graph)


def test_a_limit_on_work_buys_memory() -> None:
    graph = pyramid(64)
    free = taken(graph, PULL)
    for limit in (1.02, 1.2, 1.6):
        chosen = taken(graph, replace(PULL, macs_limit=limit))
        assert chosen.macs <= limit * model_macs(graph)
        assert chosen.arena_bytes <= free.arena_bytes
    assert chosen.arena_bytes < 0.8 * free.arena_bytes


def test_a_limit_on_memory_gets_the_least_work_that_fits() -> None:
    graph = pyramid()
    front = pareto(candidates(graph, M4, PULL))
    assert len(front) >= 3
    for cheap, point in pairwise(front):
        chosen = taken(graph, replace(PULL, sram=point.arena_bytes))
        assert (chosen.arena_bytes, chosen.macs) == (point.arena_bytes, point.macs)
        between = taken(graph, replace(PULL, sram=cheap.arena_bytes - 1))
        assert between.macs >= point.macs and between.arena_bytes < cheap.arena_bytes


def test_no_candidate_of_the_trade_off_beats_another() -> None:
    front = pareto(candidates(pyramid(), M4, PULL))
    assert all(a.macs < b.macs for a, b in pairwise(front))
    assert all(a.arena_bytes > b.arena_bytes for a, b in pairwise(front))


@settings(derandomize=True, deadline=None, max_examples=15, database=None)
@given(st.integers(8, 40), st.integers(0, 100))
def test_never_worse_than_layer_by_layer(side: int, seed: int) -> None:
    graph = pyramid(side, seed)
    layers = choose(graph, HOST, PlanOptions(schedule="layer")).taken
    best = choose(graph, HOST, PlanOptions()).taken
    assert best.arena_bytes <= layers.arena_bytes and best.macs <= layers.macs


def test_with_room_for_layers_there_are_layers() -> None:
    graph = pyramid()
    layers = taken(graph, PlanOptions(schedule="layer"))
    roomy = taken(graph, PlanOptions(sram=layers.arena_bytes))
    assert roomy.streamed == 0


def test_refused_with_the_least_that_is_needed() -> None:
    graph = pyramid()
    least = min(each.arena_bytes for each in candidates(graph, M4, PlanOptions()))
    with pytest.raises(PlanError, match=f"at least {least:,} bytes") as caught:
        choose(graph, M4, PlanOptions(sram=least - 1))
    assert f"--sram {least}" in (caught.value.hint or "")
    assert "--feed rows" in (caught.value.hint or "")
    assert taken(graph, PlanOptions(sram=least)).arena_bytes == least


def test_too_little_work_is_refused() -> None:
    with pytest.raises(PlanError, match=r"takes at least [0-9,]+ multiply-accumulates"):
        choose(pyramid(), M4, replace(PULL, macs_limit=0.5))


def test_patches_as_asked_for() -> None:
    options = PlanOptions(schedule="patch", patches=(2, 3), patch_ops=4, feed="pull")
    (first, *_) = taken(pyramid(), options).plan.schedule.segments
    assert (len(first.bands), len(first.strips), len(first.nodes)) == (2, 3, 4)
