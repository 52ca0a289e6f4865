"""The picture of the arena."""

from random import Random

import pytest

from tests.memory.nets import Net, in_order, random_net
from tinyml.memory import plan_memory
from tinyml.memory.draw import draw


def test_picture_of_a_small_plan() -> None:
    net = Net()
    net.input("x", 16)
    net.op("a", ["x"], 32, scratch=8)
    net.op("y", ["a"], 8)
    graph = net.graph("y")
    plan = plan_memory(graph, in_order(graph), net.calls)
    lines = draw(graph, in_order(graph), plan).splitlines()
    assert lines[0] == "arena 56 bytes, the lower bound; column 1 bytes"
    assert [line.split("|")[0].split() for line in lines[2:4]] == [
        ["0", "relu", "56"],
        ["1", "relu", "40"],
    ]
    bars = [line.split("|")[1] for line in lines[2:4]]
    assert [(bar.count("#"), bar.count(".")) for bar in bars] == [(8, 0), (0, 16)]
    assert [line.endswith(" <") for line in lines[2:4]] == [True, False]
    assert lines[4] == "fullest at step 0, 56 bytes:"
    legend = {line.split()[-1]: line.split() for line in lines[5:]}
    assert set(legend) == {"x", "a", "scratch:n_a"}
    assert all(bars[0].count(entry[0]) == int(entry[4]) for entry in legend.values())


@pytest.mark.parametrize(("seed", "nodes", "width"), [(1, 30, 80), (2, 90, 100), (3, 150, 60)])
def test_every_line_fits_the_terminal(seed: int, nodes: int, width: int) -> None:
    rng = Random(seed)
    sizes = [rng.randint(1, 40000) for _ in range(12)]
    graph, calls = random_net(rng, nodes, sizes=sizes, wide=0.1)
    plan = plan_memory(graph, in_order(graph), calls)
    text = draw(graph, in_order(graph), plan, width=width)
    lines = text.splitlines()
    assert text.isascii()
    assert max(map(len, lines)) <= width
    assert sum("|" in line for line in lines) == nodes + 1
    marked = [i - 2 for i, line in enumerate(lines) if line.endswith("| <")]
    assert marked == [i for i, peak in enumerate(plan.peaks) if peak == max(plan.peaks)]


def test_buffers_next_to_each_other_have_different_letters() -> None:
    graph, calls = random_net(Random(5), 60, wide=0.2)
    plan = plan_memory(graph, in_order(graph), calls)
    lines = draw(graph, in_order(graph), plan, width=100).splitlines()[2 : 2 + len(graph.nodes)]
    for step, line in enumerate(lines):
        live = [b for b in plan.buffers if b.first <= step <= b.last and b.tensors]
        letters = set(line.split("|")[1]) - {".", "#"}
        assert len(letters) == len(live) <= 52


def test_graph_without_nodes() -> None:
    net = Net()
    net.input("x", 10)
    graph = net.graph("x")
    plan = plan_memory(graph, in_order(graph), {})
    assert "fullest at step 0, 16 bytes" in draw(graph, in_order(graph), plan)
