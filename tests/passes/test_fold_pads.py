import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Activation, Pads
from tinyml.passes import optimize
from tinyml.passes.fold_pads import fold_pads

AROUND = ((0, 0), (1, 2), (2, 1), (0, 0))


def pads_of(graph: Graph, index: int = -1) -> Pads:
    op = graph.nodes[index].op
    assert isinstance(op, ops.Conv2D | ops.DepthwiseConv2D | ops.MaxPool2D)
    return op.pads


def build(
    value: int | None = None, paddings: tuple[tuple[int, int], ...] = AROUND
) -> tuple[GraphBuilder, str]:
    """A builder, and a padded input of zero point 7."""
    b = GraphBuilder()
    x = b.input((1, 5, 4, 3), per_tensor(0.05, 7))
    return b, b.node(ops.Pad(paddings, value), (x,))


@pytest.mark.parametrize("value", [None, 7])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_into_convolutions_on_top_of_their_own_pads(
    value: int | None, stride: tuple[int, int]
) -> None:
    for make in ("conv", "depthwise"):
        b, padded = build(value)
        pads = Pads(1, 0, 0, 3)
        if make == "conv":
            y = b.conv(padded, 4, stride=stride, pads=pads, dilation=(2, 1))
        else:
            y = b.depthwise(padded, 2, stride=stride, pads=pads)
        graph = b.graph(y)
        folded = fold_pads(graph)
        assert len(folded.nodes) == 1 and folded.nodes[0].inputs[0] == graph.inputs[0]
        assert pads_of(folded) == Pads(2, 2, 2, 4)
        assert_equivalent(graph, folded)


def test_a_pad_wider_than_the_kernel() -> None:
    b, padded = build(paddings=((0, 0), (3, 3), (4, 0), (0, 0)))
    graph = b.graph(b.conv(padded, 2, (1, 1)))
    folded = fold_pads(graph)
    assert kinds(folded) == ["CONV_2D"]
    assert_equivalent(graph, folded)


def test_pads_in_a_row() -> None:
    b, padded = build()
    padded = b.node(ops.Pad(((0, 0), (1, 0), (0, 0), (0, 0)), 7), (padded,))
    graph = b.graph(b.conv(padded, 4))
    optimized = optimize(graph)
    assert kinds(optimized) == ["CONV_2D"] and pads_of(optimized) == Pads(2, 2, 2, 1)
    assert_equivalent(graph, optimized)


def test_into_all_readers_or_none() -> None:
    b, padded = build()
    graph = b.graph(b.conv(padded, 4), b.depthwise(padded))
    folded = fold_pads(graph)
    assert kinds(folded) == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert_equivalent(graph, folded)

    b, padded = build()
    graph = b.graph(b.conv(padded, 4), b.node(ops.Relu(), (padded,)))
    assert fold_pads(graph) is graph


def test_not_where_it_fills_in_another_value() -> None:
    b, padded = build(value=6)
    graph = b.graph(b.conv(padded, 4))
    assert fold_pads(graph) is graph


def test_not_along_channels_or_batches() -> None:
    for paddings in (((0, 0), (1, 1), (1, 1), (0, 1)), ((1, 0), (1, 1), (1, 1), (0, 0))):
        b, padded = build(paddings=paddings)
        graph = b.graph(b.conv(padded, 4))
        assert fold_pads(graph) is graph


def test_not_where_it_is_an_output() -> None:
    b, padded = build()
    graph = b.graph(b.conv(padded, 4), padded)
    assert fold_pads(graph) is graph


def test_not_where_the_scale_changes() -> None:
    b = GraphBuilder()
    x = b.input((1, 5, 4, 3), per_tensor(0.05, 7))
    padded = b.node(ops.Pad(AROUND), (x,), per_tensor(0.05 * (1 + 5e-7), 7))
    assert b.tensors[padded].q != b.tensors[x].q
    graph = b.graph(b.conv(padded, 4))
    assert fold_pads(graph) is graph


def test_not_into_average_pools() -> None:
    b, padded = build(value=-128)
    graph = b.graph(b.node(ops.AveragePool2D(filter=(3, 3)), (padded,)))
    assert fold_pads(graph) is graph


def max_pool(b: GraphBuilder, x: str, activation: Activation = Activation.NONE) -> Graph:
    op = ops.MaxPool2D(filter=(3, 3), stride=(2, 2), activation=activation)
    return b.graph(b.node(op, (x,)))


def test_into_a_max_pool_that_cannot_see_it() -> None:
    """The filled-in value takes part in the maximum: nothing may be below it."""
    b, padded = build()
    graph = max_pool(b, padded)
    assert fold_pads(graph) is graph

    b, padded = build(value=-128)
    graph = max_pool(b, padded)
    folded = fold_pads(graph)
    assert kinds(folded) == ["MAX_POOL_2D"] and pads_of(folded) == Pads(1, 2, 2, 1)
    assert_equivalent(graph, folded)


@pytest.mark.parametrize("through", ["nothing", "reshape", "pool", "relu"])
def test_into_a_max_pool_after_an_activation(through: str) -> None:
    b = GraphBuilder()
    x = b.input((1, 6, 6, 3))
    low = Activation.NONE if through == "relu" else Activation.RELU
    y = b.conv(x, 4, activation=low, quant=per_tensor(0.04, -20))
    if through == "relu":
        y = b.node(ops.Relu(), (y,))
    elif through == "pool":
        y = b.node(ops.MaxPool2D(filter=(1, 2)), (y,))
    elif through == "reshape":
        y = b.node(ops.Reshape((1, 2, 8, 4)), (y,))
    y = b.node(ops.Pad(AROUND), (y,))
    graph = max_pool(b, y)
    folded = fold_pads(graph)
    assert "PAD" not in kinds(folded)
    assert_equivalent(graph, folded)


def test_into_a_max_pool_with_an_activation() -> None:
    b, padded = build()
    graph = max_pool(b, padded, Activation.RELU)
    folded = fold_pads(graph)
    assert kinds(folded) == ["MAX_POOL_2D"]
    assert_equivalent(graph, folded)


def test_not_into_a_max_pool_with_a_window_of_padding_only() -> None:
    for paddings in (((0, 0), (3, 0), (0, 0), (0, 0)), ((0, 0), (0, 0), (0, 4), (0, 0))):
        b, padded = build(value=-128, paddings=paddings)
        graph = max_pool(b, padded)
        assert fold_pads(graph) is graph
