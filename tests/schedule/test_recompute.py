"""Maps that are computed twice: the same bytes, for more multiplications and less memory."""

from dataclasses import replace
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builder import GraphBuilder, random_inputs
from tests.support.graphs import graphs
from tests.support.squeeze import SQUEEZES, Block, gated, inverted, mobile_net
from tinyml import memory
from tinyml.errors import ModelError
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.schedule.copies import Again, with_copies
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.recompute import COUNT, Recomputed, recomputations, recomputed, storing_at_most
from tinyml.schedule.schedule import Feed, Schedule
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule

Calls = dict[str, KernelCall]


def bound(graph: Graph, *, flatten: bool = True) -> Calls:
    return {node.name: bind(graph, node, flatten=flatten) for node in graph.nodes}


def calls_for(made: Recomputed, layers: Calls, rows: Calls) -> tuple[Calls, Calls]:
    return made.calls(layers, bind), made.calls(rows, partial(bind, flatten=False))


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
    x = b.input((1, rng.randint(4, 20), rng.randint(4, 12), rng.randint(1, 6)))
    for _ in range(rng.randint(1, 3)):
        channels = b.tensors[x].shape[3]
        how = rng.choice(SQUEEZES)
        if rng.random() < 0.3:
            x = b.conv(x, rng.randint(1, 6), (1, 1))
        if rng.random() < 0.2:
            x = gated(b, x, how, dense=rng.random() < 0.5)
            continue
        block = Block(
            wide=rng.randint(4, 24),
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
    expected = {**feed, **run(graph, feed, keep=True)}
    nodes = {node.name: node for node in graph.nodes}
    for each in found:
        check(each.graph)
        assert each.graph.outputs == graph.outputs
        assert {node.name for node in each.graph.nodes} > set(nodes)
        assert each.macs == sum(map(each.graph.macs, each.graph.nodes)) - sum(
            map(graph.macs, graph.nodes)
        )
        values = run(each.graph, feed, keep=True)
        for name in expected.keys() - feed.keys():
            assert values[name].tobytes() == expected[name].tobytes()
        kept = {each.tensor: each.kept for each in each.chosen}
        for copy in (node for node in each.graph.nodes if node.name not in nodes):
            name, kind = copy.name.rsplit(" (", 1)
            original = nodes[name]
            whole, value = expected[original.output], values[copy.output]
            if kind == "rest)":
                whole = expected[graph.activations(original)[0]]
            if kind == "kept)":
                wanted = whole[:, : kept[original.output]]
            else:
                wanted = whole[:, whole.shape[1] - value.shape[1] :]
            assert value.tobytes() == wanted.tobytes()
            assert (value.shape == whole.shape) or kind != "joined)"
            consts = [n for n in original.inputs if n is None or graph.tensors[n].is_const]
            assert kind != "again)" or [n for n in copy.inputs if n in consts] == consts


@given(st.integers(0, 2**32))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_candidates_of_gated_networks(seed: int) -> None:
    graph = squeezing(seed)
    rows = bound(graph, flatten=False)
    options = recomputations(graph, rows)
    found = list(recomputed(graph, rows))
    assert bool(options) == bool(found)
    assert len(found) <= COUNT
    assert [each.macs for each in found] == sorted(each.macs for each in found)
    check_candidates(graph, found)
    for each in options:
        assert each.needed < each.most and 0 < each.saved < each.stored
        same = [other for other in options if other.again.tensor == each.again.tensor]
        assert same == sorted(same, key=lambda other: -other.needed)
        assert same == sorted(same, key=lambda other: len(other.again.nodes))
    base = sum(map(graph.macs, graph.nodes))
    for each in recomputed(graph, rows, macs_limit=base + base // 5):
        assert 0 <= each.macs <= base // 5 and each.chosen
    for each in recomputed(graph, rows, whole_input=False):
        copies = [node for node in each.graph.nodes if node.name not in rows]
        assert not any(name in graph.inputs for node in copies for name in node.inputs)


@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_no_more_than_is_needed_is_computed_again(seed: int, part: float) -> None:
    graph = squeezing(seed)
    rows = bound(graph, flatten=False)
    options = {each.again.tensor: each for each in recomputations(graph, rows)}
    limit = int(part * max((each.most for each in options.values()), default=0))
    made = storing_at_most(graph, rows, limit)
    check_candidates(graph, [made] if made.chosen else [])
    chosen = {each.tensor: each for each in made.chosen}
    for tensor, option in options.items():
        if option.most <= limit:
            assert tensor not in chosen
    for each in made.chosen:
        option = options[each.tensor]
        if each.nodes == option.again.nodes and each.kept:
            assert option.needed + each.kept * option.row_bytes <= limit
            more = option.needed + (each.kept + 1) * option.row_bytes
            assert each.kept == option.height - 1 or more > limit
    assert storing_at_most(graph, rows, 10**9).chosen == ()
    assert with_copies(graph, made.chosen).nodes == made.graph.nodes
    assert [Again.recorded(each.record()) for each in made.chosen] == list(made.chosen)


def test_there_are_candidates() -> None:
    """The property above is not about nothing."""
    found = [squeezing(seed) for seed in range(60)]
    made = [list(recomputed(g, bound(g, flatten=False))) for g in found]
    assert sum(map(bool, made)) > 20
    kept = [each.kept for candidates in made for one in candidates for each in one.chosen]
    assert kept.count(0) > 20 and len(kept) - kept.count(0) > 20
    assert any(len(one.chosen) > 1 for candidates in made for one in candidates)


@given(graphs(for_tflm=True))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_candidates_of_any_network(graph: Graph) -> None:
    graph = optimize(graph)
    check_candidates(graph, list(recomputed(graph, bound(graph, flatten=False))))


@given(st.integers(0, 2**32))
@settings(max_examples=15, derandomize=True, deadline=None)
def test_plans_of_candidates(seed: int) -> None:
    """The checker accepts them."""
    graph = squeezing(seed)
    layers, rows = bound(graph), bound(graph, flatten=False)
    for each in recomputed(graph, rows, count=2):
        pair = calls_for(each, layers, rows)
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
    assert (option.again.tensor, option.saved) == (tensor, large)
    assert (option.stored, option.after) == (small + large + 32, small)
    assert option.rings == (3 + 1 + 2) * 12 * 32
    names = option.again.nodes
    assert [type(n.op) for n in graph.nodes if n.name in names] == [
        ops.Conv2D,
        ops.DepthwiseConv2D,
    ]
    assert option.macs == 144 * 32 * (8 + 9)
    before = arena(graph, best_schedule(graph, layers, rows), layers, rows)
    assert before >= option.stored
    for limit in (0, option.needed, 4000, 5000, 5500):
        made = storing_at_most(graph, rows, limit)
        pair = calls_for(made, layers, rows)
        after = arena(made.graph, best_schedule(made.graph, *pair), *pair)
        # About: the sums, and the values that the gate is made of, are there as well.
        assert after <= max(limit, option.needed) + 5 * 32 < before
        rest = 12 - made.chosen[0].kept
        assert rest / 12 <= made.macs / option.macs <= (rest + 1) / 12


def test_a_mobile_network() -> None:
    """Fed row by row, where nothing else needs as much as its gates."""
    graph = optimize(mobile_net(224, "means"))
    layers, rows = bound(graph), bound(graph, flatten=False)
    base = sum(map(graph.macs, graph.nodes))

    (least,) = recomputed(graph, rows, whole_input=False, macs_limit=base * 103 // 100, count=1)
    assert 0 < least.macs <= base * 3 // 100

    def needed(each: Graph, calls: tuple[Calls, Calls]) -> int:
        return arena(each, best_schedule(each, *calls, feed=Feed.ROWS), *calls)

    before, after = (
        needed(graph, (layers, rows)),
        needed(least.graph, calls_for(least, layers, rows)),
    )
    assert after < 0.85 * before


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
    assert list(recomputed(graph, rows))
    assert not list(recomputed(graph, rows, whole_input=False))


def test_names_that_are_taken() -> None:
    """A model that has a node or tensor of the copy's name keeps it; nothing is renamed."""
    graph, tensor = gate()
    (name,) = (node.name for node in graph.nodes if node.output == tensor)
    for suffix in ("again", "kept", "rest", "joined"):
        last = replace(graph.nodes[-1], name=f"{name} ({suffix})")
        taken = replace(graph, nodes=(*graph.nodes[:-1], last))
        assert recomputations(taken, bound(taken, flatten=False)) == ()


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
        names = [name for again in each.chosen for name in again.nodes]
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


def test_where_copies_run() -> None:
    """Rows are kept right after they were computed, and the rest follows right before the gate."""
    graph, tensor = gate()
    rows = bound(graph, flatten=False)
    (option,) = recomputations(graph, rows)
    own = [node.name for node in graph.nodes]
    first, last = option.again.nodes
    (product,) = (node.name for node in graph.nodes if isinstance(node.op, ops.Mul))
    made = with_copies(graph, [option.again])
    again = [f"{first} (again)", f"{last} (again)"]
    at = own.index(product)
    assert [node.name for node in made.nodes] == [*own[:at], *again, *own[at:]]
    made = with_copies(graph, [replace(option.again, kept=5)])
    cut = own.index(last) + 1
    assert [node.name for node in made.nodes] == [
        *own[:cut],
        f"{last} (kept)",
        *own[cut:at],
        f"{first} (rest)",
        *again,
        f"{last} (joined)",
        *own[at:],
    ]
    (gated_map,) = (node for node in made.nodes if node.name == product)
    assert gated_map.inputs[0] == f"{tensor} (joined)"


def test_a_damaged_record() -> None:
    graph, _ = gate()
    with pytest.raises(ModelError, match="damaged"):
        Again.recorded({"tensor": "x"})
    with pytest.raises(ModelError, match="has no 'nothing'"):
        with_copies(graph, [Again("x", (graph.nodes[0].name,), ("nothing",))])
