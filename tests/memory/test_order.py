"""The order search: against every order on small graphs, and its promises on large ones."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.nets import Net, in_order, random_net
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Alias, KernelCall
from tinyml.memory import plan_memory
from tinyml.schedule.order import STATE_LIMIT, layer_schedule, least_peak_order, reordered
from tinyml.schedule.schedule import SegmentKind


def _orders(graph: Graph) -> Iterator[list[Node]]:
    """Every order in which each node follows what it reads."""

    def extend(done: list[Node], known: set[str]) -> Iterator[list[Node]]:
        if len(done) == len(graph.nodes):
            yield done
        for node in graph.nodes:
            if node not in done and known.issuperset(node.inputs):
                yield from extend([*done, node], known | set(node.outputs))

    yield from extend([], set(graph.inputs))


def _peak(graph: Graph, calls: Mapping[str, KernelCall], order: Sequence[Node]) -> int:
    """The largest sum of live bytes, from the definition: tensor by tensor, step by step."""
    home = {name: name for name in graph.tensors}  # a tensor -> the tensor it is a view of
    for node in graph.nodes:
        if isinstance(calls[node.name].loop, Alias):
            home[node.output] = home[str(node.inputs[0])]
    size = {name: -(-graph.tensors[name].nbytes // 8) * 8 for name in graph.tensors}
    kept = {home[name] for name in graph.outputs}

    def last_use(tensor: str) -> int:
        uses = [i for i, n in enumerate(order) if tensor in {home[str(x)] for x in n.inputs}]
        return max(uses, default=-1)

    live = {home[name] for name in graph.inputs}
    peak = sum(size[name] for name in live)
    for step, node in enumerate(order):
        call = calls[node.name]
        read = [home[str(name)] for name in node.inputs]
        written = [] if isinstance(call.loop, Alias) else list(node.outputs)
        reusable = [
            name
            for name in dict.fromkeys(read)
            if name not in kept
            and last_use(name) == step
            and all(p in call.in_place for p, other in enumerate(read) if other == name)
            and graph.tensors[name].nbytes == graph.tensors[node.outputs[0]].nbytes
        ]
        beside = 0 if len(written) == 1 and reusable else sum(size[name] for name in written)
        scratch = -(-call.scratch_bytes // 8) * 8
        peak = max(peak, sum(size[name] for name in live) + beside + scratch)
        live |= set(written)
        live = {name for name in live if name in kept or last_use(name) > step}
    return peak


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_least_peak_of_all_orders(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_net(rng, rng.randint(1, 7), wide=rng.random())
    best = min(_peak(graph, calls, order) for order in _orders(graph))
    found = least_peak_order(graph, calls)
    assert found.optimal
    assert found.peak == best
    assert _peak(graph, calls, [graph.nodes[i] for i in found.nodes]) == best
    assert plan_memory(graph, layer_schedule(graph, calls), calls).lower_bound == best


@given(st.integers(0, 2**32), st.sampled_from((0, 1, 5, 40)))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_beyond_the_limit_never_worse_than_the_own_order(seed: int, limit: int) -> None:
    rng = Random(seed)
    graph, calls = random_net(rng, rng.randint(8, 40), wide=0.6)
    own = plan_memory(graph, in_order(graph), calls).lower_bound
    exact = least_peak_order(graph, calls)
    found = least_peak_order(graph, calls, state_limit=limit)
    assert sorted(found.nodes) == list(range(len(graph.nodes)))
    assert found.peak == _peak(graph, calls, [graph.nodes[i] for i in found.nodes])
    assert exact.peak <= found.peak <= own
    if found.optimal and exact.optimal:
        assert found.peak == exact.peak


def _two_branches() -> tuple[Graph, dict[str, KernelCall]]:
    """Two branches that shrink; running one to its end before the other halves the peak."""
    net = Net()
    net.input("x", 64)
    for branch in "ab":
        net.op(f"{branch}1", ["x"], 512)
    for branch in "ab":
        net.op(f"{branch}2", [f"{branch}1"], 64)
    net.op("y", ["a2", "b2"], 64)
    return net.graph("y"), net.calls


def _chains(rng: Random, count: int, length: int) -> tuple[Graph, dict[str, KernelCall]]:
    """Chains beside each other that only their ends connect, of maps of any size."""
    net = Net()
    net.input("x", 64)
    for chain in range(count):
        for i in range(length):
            before = f"{chain}_{i - 1}" if i else "x"
            net.op(f"{chain}_{i}", [before], 8 * rng.randint(1, 4000))
    net.op("y", [f"{chain}_{length - 1}" for chain in range(count)], 8)
    return net.graph("y"), net.calls


@pytest.mark.parametrize(("count", "length"), [(1, 400), (2, 139), (3, 25), (4, 10), (13, 1)])
def test_optimal_up_to_the_size_that_is_documented(count: int, length: int) -> None:
    """As many operators as the module says, in the worst of forms."""
    assert (length + 1) ** count <= STATE_LIMIT
    for seed in range(3):
        graph, calls = _chains(Random(seed), count, length)
        assert least_peak_order(graph, calls).optimal


def test_runs_a_branch_to_its_end_first() -> None:
    graph, calls = _two_branches()
    order = least_peak_order(graph, calls)
    assert [graph.nodes[i].output for i in order.nodes] == ["a1", "a2", "b1", "b2", "y"]
    assert (order.peak, order.optimal) == (64 + 512 + 64, True)


def test_beam_search_finds_it_too() -> None:
    graph, calls = _two_branches()
    order = least_peak_order(graph, calls, state_limit=0)
    assert (order.peak, order.optimal) == (64 + 512 + 64, False)  # found, not proven


def test_own_order_stands_where_nothing_is_gained() -> None:
    net = Net()
    net.input("x", 64)
    for name in "cab":
        net.op(name, ["x"], 64)
    net.op("y", ["a", "b", "c"], 64)
    graph = net.graph("y")
    assert layer_schedule(graph, net.calls).order == tuple(node.name for node in graph.nodes)


def test_schedule_has_one_layer_segment_per_node_and_reorders_the_graph() -> None:
    graph, calls = _two_branches()
    schedule = layer_schedule(graph, calls)
    assert all(s.kind is SegmentKind.LAYER and len(s.nodes) == 1 for s in schedule.segments)
    again = reordered(graph, schedule)
    assert tuple(node.name for node in again.nodes) == schedule.order
    assert layer_schedule(again, calls) == schedule


def test_same_result_every_time() -> None:
    graph, calls = random_net(Random(3), 60, wide=0.6)
    assert layer_schedule(graph, calls) == layer_schedule(graph, calls)


def test_graph_without_nodes() -> None:
    net = Net()
    net.input("x", 10)
    order = least_peak_order(net.graph("x"), {})
    assert (order.nodes, order.peak, order.optimal) == ((), 16, True)
