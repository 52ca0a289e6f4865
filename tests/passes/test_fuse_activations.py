import numpy as np
import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant
from tinyml.ir.ops import Activation
from tinyml.passes import optimize
from tinyml.passes.fuse_activations import fuse_activations
from tinyml.passes.rewrite import FUSING

Q = per_tensor(0.05, -30)
SIX = 90
"""The real 6 in `Q`."""


def make(b: GraphBuilder, kind: str, activation: Activation = Activation.NONE) -> str:
    """A node of each kind that can clamp, with output quantisation `Q`."""
    x = b.input((1, 4, 4, 2), Q)
    match kind:
        case "CONV_2D":
            return b.conv(x, 3, activation=activation, quant=Q)
        case "DEPTHWISE_CONV_2D":
            return b.depthwise(x, activation=activation, quant=Q)
        case "FULLY_CONNECTED":
            return b.dense(x, 5, activation=activation, quant=Q)
        case "AVERAGE_POOL_2D":
            return b.node(ops.AveragePool2D(filter=(2, 2), activation=activation), (x,))
        case "MAX_POOL_2D":
            return b.node(ops.MaxPool2D(filter=(2, 2), activation=activation), (x,))
        case "ADD":
            return b.node(ops.Add(activation=activation), (x, b.input((1, 4, 4, 2))), Q)
        case "SUB":
            return b.node(ops.Sub(activation=activation), (x, b.input((1, 4, 4, 2))), Q)
        case "MUL":
            return b.node(ops.Mul(activation=activation), (x, b.input((1, 4, 4, 2))), Q)
    raise ValueError(kind)


KINDS = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "ADD",
    "SUB",
    "MUL",
)


def bound(b: GraphBuilder, value: int, shape: tuple[int, ...] = (), quant: Quant = Q) -> str:
    return b.const(np.full(shape, value, np.int8), quant)


def activation_of(graph: Graph, index: int = -1) -> Activation:
    op = graph.nodes[index].op
    assert isinstance(op, FUSING)
    return op.activation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", [ops.Relu(), ops.Relu6()], ids=lambda op: op.kind)
def test_into_every_op_that_clamps(kind: str, op: ops.Op) -> None:
    b = GraphBuilder()
    graph = b.graph(b.node(op, (make(b, kind),), output="y"))
    fused = fuse_activations(graph)
    assert kinds(fused) == [kind] and fused.nodes[0].outputs == ("y",)
    assert activation_of(fused) is Activation[op.kind]
    assert_equivalent(graph, fused)


def test_minimum_and_maximum_with_the_bounds_of_an_activation() -> None:
    for order in (0, 1):
        b = GraphBuilder()
        y = make(b, "CONV_2D")
        steps = [(ops.Maximum(), Q.zero_point), (ops.Minimum(), SIX)]
        for op, value in steps[::-1] if order else steps:
            y = b.node(op, (bound(b, value, (1, 1, 3)), y))
        graph = b.graph(y)
        fused = optimize(graph)
        assert_equivalent(graph, fused)
        assert kinds(fused) == ["CONV_2D"] and activation_of(fused) is Activation.RELU6


def test_clamps_of_clamps() -> None:
    b = GraphBuilder()
    y = make(b, "ADD", Activation.RELU)
    y = b.node(ops.Relu(), (y,))
    y = b.node(ops.Relu6(), (y,))
    y = b.node(ops.Relu(), (y,))
    graph = b.graph(y)
    fused = fuse_activations(graph)
    assert kinds(fused) == ["ADD"] and activation_of(fused) is Activation.RELU6
    assert_equivalent(graph, fused)


def test_a_clamp_behind_a_detour() -> None:
    b = GraphBuilder()
    y = b.node(ops.Relu(), (make(b, "CONV_2D"),))
    y = b.node(ops.Quantize(), (b.node(ops.Dequantize(), (y,), dtype=DType.FLOAT32),), Q)
    graph = b.graph(y)
    fused = fuse_activations(graph)
    assert kinds(fused) == ["CONV_2D"] and activation_of(fused) is Activation.RELU
    assert_equivalent(graph, fused)


def test_a_clamp_wider_than_the_producers_goes() -> None:
    b = GraphBuilder()
    y = make(b, "CONV_2D", Activation.RELU6)
    graph = b.graph(b.node(ops.Minimum(), (y, bound(b, SIX + 5))))
    fused = fuse_activations(graph)
    assert kinds(fused) == ["CONV_2D"] and activation_of(fused) is Activation.RELU6
    assert_equivalent(graph, fused)


@pytest.mark.parametrize(
    ("op", "value"), [(ops.Maximum(), Q.zero_point + 1), (ops.Minimum(), SIX), (ops.Minimum(), 0)]
)
def test_not_a_clamp_that_no_activation_is(op: ops.Op, value: int) -> None:
    b = GraphBuilder()
    graph = b.graph(b.node(op, (make(b, "CONV_2D"), bound(b, value))))
    assert fuse_activations(graph) is graph


def test_not_with_a_bound_per_channel() -> None:
    b = GraphBuilder()
    bounds = b.const(np.array([-30, -30, -29], np.int8), Q)
    graph = b.graph(b.node(ops.Maximum(), (make(b, "CONV_2D"), bounds)))
    assert fuse_activations(graph) is graph


def test_not_a_bound_that_broadcasts_the_input() -> None:
    b = GraphBuilder()
    y = make(b, "FULLY_CONNECTED")
    graph = b.graph(b.node(ops.Maximum(), (y, bound(b, Q.zero_point, (2, 5)))))
    assert fuse_activations(graph) is graph


@pytest.mark.parametrize("other", [per_tensor(0.05, -31), per_tensor(0.025, -30)])
def test_not_where_the_activation_rescales(other: Quant) -> None:
    for op in (ops.Relu(), ops.Relu6()):
        b = GraphBuilder()
        graph = b.graph(b.node(op, (make(b, "CONV_2D"),), other))
        assert fuse_activations(graph) is graph


def test_not_where_others_need_the_unclamped_result() -> None:
    b = GraphBuilder()
    y = make(b, "CONV_2D")
    relu = b.node(ops.Relu(), (y,))
    graph = b.graph(relu, y)
    assert fuse_activations(graph) is graph

    both = b.graph(b.node(ops.Add(), (y, relu), Q))
    assert fuse_activations(both) is both


def test_not_a_comparison_with_another_activation() -> None:
    b = GraphBuilder()
    y = make(b, "CONV_2D")
    graph = b.graph(b.node(ops.Maximum(), (y, b.input((), Q))))
    assert fuse_activations(graph) is graph


def test_not_into_ops_that_do_not_clamp_nor_functions_that_are_no_clamps() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 2), Q)
    padded = b.node(ops.Pad(((0, 0), (1, 1), (0, 0), (0, 0))), (x,))
    graph = b.graph(b.node(ops.Relu(), (padded,)))
    assert fuse_activations(graph) is graph

    b = GraphBuilder()
    graph = b.graph(b.node(ops.LeakyRelu(alpha=0.5), (make(b, "CONV_2D"),)))
    assert fuse_activations(graph) is graph


def test_not_a_function_that_only_has_the_range_of_an_activation() -> None:
    b = GraphBuilder()
    y = b.node(ops.Relu(), (make(b, "CONV_2D", Activation.RELU),))
    coarse = b.node(ops.Quantize(), (y,), per_tensor(0.1, -30))
    graph = b.graph(b.node(ops.Quantize(), (coarse,), Q))
    fused = fuse_activations(graph)
    assert kinds(fused) == ["CONV_2D", "QUANTIZE", "QUANTIZE"]
    assert_equivalent(graph, fused)


def test_scales_that_no_activation_can_express_are_no_obstacle() -> None:
    b = GraphBuilder()
    tiny = per_tensor(1e-10, 0)
    y = b.conv(b.input((1, 3, 3, 1), tiny), 1, quant=tiny)
    graph = b.graph(b.node(ops.Maximum(), (y, bound(b, 5, quant=tiny))))
    assert fuse_activations(graph) is graph
