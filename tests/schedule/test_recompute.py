"""Maps that are computed twice: the same bytes, for more multiplications and less memory."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builder import GraphBuilder, random_inputs
from tests.support.graphs import graphs
from tests.support.squeeze import SQUEEZES, Block, gated, inverted, mobile_net
from tinyml import memory
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops import Pads
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.recompute import (
    Recomputed,
    original_name,
    recomputations,
    recomputed,
    with_copies,
)
from tinyml.schedule.schedule import Schedule
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule

Calls = dict[str, KernelCall]


def bound(graph: Graph, *, flatten: bool = True) -> Calls:
    return {node.name: bind(graph, node, flatten=flatten) for node in graph.nodes}


def arena(graph: Graph, schedule: Schedule, layers: Calls, rows: Calls) -> int:
    """What the schedule really needs, by a checked plan."""
    graph, calls = reordered(graph, schedule), calls_of(schedule, layers, rows)
    placed = memory.plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, placed)
    return placed.arena_bytes


def squeezing(seed: int) -> Graph:
    """A few blocks with gates: strides, residual connections, exports of all kinds."""
    rng = Random(seed)
    b = GraphBuilder("squeezing", seed)
    x = b.input((1, rng.randint(4, 14), rng.randint(4, 14), rng.randint(1, 6)))
    for _ in range(rng.randint(1, 3)):
        channels = b.tensors[x].shape[3]
        how = rng.choice(SQUEEZES)
        if rng.random() < 0.3:
            x = b.conv(x, rng.randint(1, 6), (1, 1))
        if rng.random() < 0.2:
            x = gated(b, x, how, dense=rng.random() < 0.5)
            continue
        block = Block(
            wide=rng.randint(1, 24),
            out=rng.choice((channels, rng.randint(1, 8))),
            kernel=rng.choice((1, 3, 5)),
            stride=rng.choice((1, 1, 2)),
            gated=rng.random() < 0.8,
            smooth=rng.random() < 0.4,
        )
        x = inverted(b, x, block, how, dense=rng.random() < 0.5)
    return optimize(b.graph(x))


def check_candidates(graph: Graph, found: list[Recomputed]) -> None:
    """Valid graphs, of the same bytes; a copy is what it is a copy of, and costs what it says."""
    feed = random_inputs(graph, 1)
    expected = run(graph, feed, keep=True)
    nodes = {node.name: node for node in graph.nodes}
    for each in found:
        check(each.graph)
        copies = [node for node in each.graph.nodes if node.name not in nodes]
        assert copies
        assert {node.name for node in each.graph.nodes} > set(nodes)
        assert each.macs == sum(map(each.graph.macs, each.graph.nodes)) - sum(
            map(graph.macs, graph.nodes)
        )
        values = run(each.graph, feed, keep=True)
        for name in expected:
            assert values[name].tobytes() == expected[name].tobytes()
        for copy in copies:
            original = nodes[original_name(copy.name, nodes)]
            assert values[copy.output].tobytes() == expected[original.output].tobytes()
            assert copy.inputs[1:] == original.inputs[1:] or len(each.graph.activations(copy)) > 1


@given(st.integers(0, 2**32))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_candidates_of_gated_networks(seed: int) -> None:
    graph = squeezing(seed)
    rows = bound(graph, flatten=False)
    options = recomputations(graph, rows)
    found = list(recomputed(graph, rows))
    assert bool(options) == bool(found)
    assert len(found) <= 2 * len({each.tensor for each in options})
    check_candidates(graph, found)
    for each in options:
        assert 0 < each.saved < each.stored
        same = [other for other in options if other.tensor == each.tensor]
        assert same == sorted(same, key=lambda other: other.saved)
        assert same == sorted(same, key=lambda other: len(other.nodes))
    base = sum(map(graph.macs, graph.nodes))
    within = list(recomputed(graph, rows, macs_limit=base + base // 5))
    assert all(each.macs <= base // 5 for each in within)
    assert {each.chosen for each in within} <= {each.chosen for each in found}
    fed = list(recomputed(graph, rows, whole_input=False))
    for each in fed:
        copies = [node for node in each.graph.nodes if node.name not in rows]
        assert not any(name in graph.inputs for node in copies for name in node.inputs)


def test_there_are_candidates() -> None:
    """The property above is not about nothing."""
    found = [squeezing(seed) for seed in range(60)]
    with_any = [g for g in found if recomputations(g, bound(g, flatten=False))]
    assert len(with_any) > 20
    assert any(len(list(recomputed(g, bound(g, flatten=False)))) > 1 for g in with_any)


@given(graphs(for_tflm=True))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_candidates_of_any_network(graph: Graph) -> None:
    graph = optimize(graph)
    check_candidates(graph, list(recomputed(graph, bound(graph, flatten=False))))


@given(st.integers(0, 2**32))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_plans_of_candidates(seed: int) -> None:
    """The checker accepts them; calls of copies are those of the originals."""
    graph = squeezing(seed)
    layers, rows = bound(graph), bound(graph, flatten=False)
    for each in recomputed(graph, rows):
        pair = each.calls(layers), each.calls(rows)
        assert pair[0].keys() == {node.name for node in each.graph.nodes}
        for make in (best_schedule, stream_schedule):
            assert arena(each.graph, make(each.graph, *pair), *pair) > 0


def gate(how: str = "mean", *, dense: bool = False) -> tuple[Graph, str]:
    """A 12x12 map of 8 channels, widened to 32, that is gated; and the map before the gate."""
    b = GraphBuilder("gate")
    x = b.conv(b.input((1, 12, 12, 3)), 8, pads=Pads(1, 1, 1, 1))
    y = inverted(b, x, Block(32, 8), how, dense=dense)
    (product,) = (node for node in b.nodes if isinstance(node.op, ops.Mul))
    assert product.inputs[0] is not None
    return optimize(b.graph(y)), product.inputs[0]


@pytest.mark.parametrize("how", SQUEEZES)
@pytest.mark.parametrize("dense", [False, True])
def test_the_map_before_a_gate_is_not_stored(how: str, dense: bool) -> None:
    graph, tensor = gate(how, dense=dense)
    layers, rows = bound(graph), bound(graph, flatten=False)
    (option,) = recomputations(graph, rows)
    # The map that the residual connection adds is there anyway: x and t, less t.
    small, large = 12 * 12 * 8, 12 * 12 * 32
    assert (option.tensor, option.saved) == (tensor, large)
    assert option.stored == small + large + 32
    assert [type(n.op) for n in graph.nodes if n.name in option.nodes] == [
        ops.Conv2D,
        ops.DepthwiseConv2D,
    ]
    assert option.macs == 144 * 32 * (8 + 9)
    (each,) = recomputed(graph, rows)
    before = arena(graph, best_schedule(graph, layers, rows), layers, rows)
    pair = each.calls(layers), each.calls(rows)
    after = arena(each.graph, best_schedule(each.graph, *pair), *pair)
    assert before >= option.stored
    assert after < before - large // 2


def test_a_mobile_network() -> None:
    """The figures of `tests.support.squeeze.mobile_net`, fed row by row."""
    graph = optimize(mobile_net(224, "means"))
    layers, rows = bound(graph), bound(graph, flatten=False)
    base = sum(map(graph.macs, graph.nodes))

    def least(each: Graph, layers: Calls, rows: Calls) -> int:
        return arena(each, best_schedule(each, layers, rows, fed=True), layers, rows)

    made = recomputed(graph, rows, whole_input=False, macs_limit=base * 6 // 5)
    found = [
        (0, least(graph, layers, rows)),
        *((m.macs, least(m.graph, m.calls(layers), m.calls(rows))) for m in made),
    ]
    assert [round(100 * macs / base, 1) for macs, _ in found] == [0, 4.7, 11.1, 17.8]
    peaks = [peak for _, peak in found]
    assert peaks[1] < 0.9 * peaks[0] and peaks[2] < 0.8 * peaks[0]


def test_nothing_to_compute_again() -> None:
    """No gate; a gate on what a constant copy cannot avoid; a map that is an output."""
    b = GraphBuilder("plain")
    x = b.conv(b.input((1, 12, 12, 3)), 8)
    plain = b.graph(b.dense(b.node(ops.Mean((1, 2)), (x,), b.quant()), 4))
    b = GraphBuilder("gated input")
    x = b.input((1, 12, 12, 8))
    of_input = b.graph(gated(b, x, "mean"))
    graph, tensor = gate()
    wanted = replace(graph, outputs=(*graph.outputs, tensor))
    for each in (plain, of_input, wanted):
        assert recomputations(each, bound(each, flatten=False)) == ()


def test_an_input_that_comes_once_has_no_second_reader() -> None:
    b = GraphBuilder("from the input")
    x = b.input((1, 12, 12, 2))
    graph = optimize(b.graph(b.conv(gated(b, b.conv(x, 16), "mean"), 4)))
    rows = bound(graph, flatten=False)
    (option,) = recomputations(graph, rows)
    assert option.from_input
    assert len(list(recomputed(graph, rows))) == 1
    assert not list(recomputed(graph, rows, whole_input=False))


def test_names_that_are_taken() -> None:
    """A model that has a node or tensor of the copy's name keeps it; nothing is renamed."""
    graph, tensor = gate()
    (name,) = (node.name for node in graph.nodes if node.output == tensor)
    renamed = {node.name: node.name for node in graph.nodes} | {
        graph.nodes[-1].name: f"{name} (again)"
    }
    taken = replace(
        graph, nodes=tuple(replace(node, name=renamed[node.name]) for node in graph.nodes)
    )
    assert recomputations(taken, bound(taken, flatten=False)) == ()
    assert original_name(f"{name} (again)", renamed) == name
    assert original_name(f"{name} (again)", dict.fromkeys(renamed.values())) == f"{name} (again)"
    assert original_name("neither", renamed) == "neither"


def test_overlapping_recomputations_are_not_combined() -> None:
    """Two gated branches of one stem: both would copy it."""
    b = GraphBuilder("branches")
    x = b.conv(b.input((1, 12, 12, 1)), 16, (1, 1))
    one = b.conv(gated(b, b.depthwise(x, 1), "mean"), 2, (1, 1))
    two = b.conv(gated(b, b.depthwise(x, 1), "mean"), 2, (1, 1))
    graph = optimize(b.graph(one, two))
    rows = bound(graph, flatten=False)
    found = list(recomputed(graph, rows))
    check_candidates(graph, found)
    for each in found:
        names = [name for one in each.chosen for name in one.nodes]
        assert len(names) == len(set(names))


def test_the_gate_scales_in_place() -> None:
    """Layer by layer the product lies where its map was: the larger tensor is there once."""
    graph, tensor = gate()
    calls = bound(graph)
    (product,) = (node for node in graph.nodes if isinstance(node.op, ops.Mul))
    assert calls[product.name].in_place == (0,)
    schedule = layer_schedule(graph, calls)
    placed = memory.plan_memory(reordered(graph, schedule), schedule, calls)
    check_plan(reordered(graph, schedule), schedule, calls, placed)
    assert placed.offset_of(product.output) == placed.offset_of(tensor)
    # And so that plan needs less than both maps and what else lives then.
    peak = placed.peaks[schedule.order.index(product.name)]
    assert peak < 2 * graph.tensors[tensor].nbytes


def test_a_node_is_read_by_its_copies_name() -> None:
    graph, _ = gate()
    rows = bound(graph, flatten=False)
    made = with_copies(graph, recomputations(graph, rows))
    by_name: dict[str, Node] = {node.name: node for node in made.nodes}
    (product,) = (node for node in made.nodes if isinstance(node.op, ops.Mul))
    order = list(by_name)
    copies = [name for name in order if name not in rows]
    at = order.index(product.name)
    assert order[at - len(copies) : at] == copies
    assert product.inputs[0] == by_name[copies[-1]].output
