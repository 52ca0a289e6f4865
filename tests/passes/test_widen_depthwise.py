import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml.ir.ops import Pads
from tinyml.passes import optimize
from tinyml.passes.widen_depthwise import widen_depthwise


@pytest.mark.parametrize("multiplier", [1, 2, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_one_channel(multiplier: int, per_channel: bool) -> None:
    b = GraphBuilder()
    x = b.input((1, 6, 5, 1), per_tensor(0.05, 7))
    y = b.depthwise(
        x, multiplier, (3, 2), stride=(2, 1), pads=Pads(1, 0, 0, 2), per_channel=per_channel
    )
    graph = b.graph(y)
    widened = widen_depthwise(graph)
    assert kinds(widened) == ["CONV_2D"]
    assert graph.macs(graph.nodes[0]) == widened.macs(widened.nodes[0])
    assert_equivalent(graph, widened)
    assert_equivalent(graph, optimize(graph))


def test_several_channels_stay_apart() -> None:
    b = GraphBuilder()
    graph = b.graph(b.depthwise(b.input((1, 6, 5, 2), per_tensor(0.05, 7)), 4))
    assert widen_depthwise(graph) is graph
