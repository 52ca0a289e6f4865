from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder
from tinyml.ir import ops
from tinyml.passes.remove_dead import remove_dead


def test_whole_branches_go() -> None:
    b = GraphBuilder()
    x, unread = b.input((1, 4, 4, 2)), b.input((1, 2))
    y = b.node(ops.Relu(), (x,))
    b.conv(b.conv(y, 3), 2, (1, 1))
    b.dense(unread, 2)
    graph = b.graph(y)
    cleaned = remove_dead(graph)
    assert kinds(cleaned) == ["RELU"] and set(cleaned.tensors) == {x, unread, y}
    assert_equivalent(graph, cleaned)


def test_a_node_stays_for_one_of_its_outputs() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 2))
    first, last = b.split_node(ops.Split(axis=3, count=2), (x,))
    b.node(ops.Relu(), (first,))
    graph = b.graph(last)
    cleaned = remove_dead(graph)
    assert kinds(cleaned) == ["SPLIT"] and first in cleaned.tensors
    assert_equivalent(graph, cleaned)


def test_an_output_that_others_read_stays() -> None:
    b = GraphBuilder()
    y = b.node(ops.Relu(), (b.input((1, 3)),))
    z = b.dense(y, 2)
    graph = b.graph(z, y)
    assert remove_dead(graph) is graph
