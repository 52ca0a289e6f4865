from collections.abc import Callable

import numpy as np
import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml.ir import ops
from tinyml.ir.graph import Quant, Shape
from tinyml.ir.ops import Activation, Pads
from tinyml.passes import optimize
from tinyml.passes.remove_noops import remove_noops

Q = per_tensor(0.05, -128)
SHAPE = (1, 4, 1, 6)

NOOPS: list[ops.Op] = [
    ops.Quantize(),
    ops.Relu(),
    ops.Reshape(SHAPE),
    ops.Transpose((0, 1, 2, 3)),
    ops.Transpose((2, 1, 0, 3)),
    ops.Pad(((0, 0),) * 4, 5),
    ops.StridedSlice((0, 0, 0, 0), SHAPE, (1, 1, 2, 1), SHAPE),
    ops.Split(axis=1, count=1),
    ops.Concatenation(axis=2),
    ops.MaxPool2D(filter=(1, 1)),
    ops.AveragePool2D(filter=(1, 1)),
    ops.Mean(axes=(0, 2), keep_dims=True),
    *(
        kind(size=(4, 1), align_corners=align, half_pixel_centers=half)
        for kind in (ops.ResizeNearestNeighbor, ops.ResizeBilinear)
        for align, half in ((False, False), (True, False), (False, True))
    ),
]

VIEWS: list[ops.Op] = [
    ops.Transpose((1, 0, 2, 3)),
    ops.Transpose((0, 2, 1, 3)),
    ops.Transpose((2, 1, 3, 0)),
    ops.StridedSlice((0, 0, 0, 0), SHAPE, (1, 1, 1, 1), (4, 6)),
    ops.Mean(axes=(2,)),
]

WORK: list[ops.Op] = [
    ops.Relu6(),
    ops.Transpose((0, 3, 2, 1)),
    ops.Pad(((0, 0), (0, 0), (0, 1), (0, 0))),
    ops.StridedSlice((0, 3, 0, 0), SHAPE, (1, -1, 1, 1), SHAPE),
    ops.StridedSlice((0, 1, 0, 0), (1, 3, 1, 6), (1, 1, 1, 1), (1, 3, 1, 6)),
    ops.MaxPool2D(filter=(2, 1), pads=Pads(bottom=1)),
    ops.AveragePool2D(filter=(1, 1), activation=Activation.RELU6),
    ops.MaxPool2D(filter=(1, 1), stride=(2, 1)),
    ops.Mean(axes=(1, 2)),
    ops.ResizeNearestNeighbor(size=(4, 2)),
]


def label(op: ops.Op) -> str:
    return op.kind


@pytest.mark.parametrize("op", NOOPS, ids=label)
@pytest.mark.parametrize("place", ["inside", "output"])
def test_no_ops_go(op: ops.Op, place: str) -> None:
    b = GraphBuilder()
    x = b.depthwise(b.input(SHAPE), kernel=(1, 1), quant=Q)
    (y,) = b.split_node(op, (x,))
    graph = b.graph(b.conv(y, 2, (1, 1)) if place == "inside" else y)
    cleaned = remove_noops(graph)
    assert len(cleaned.nodes) == len(graph.nodes) - 1
    assert op.kind not in kinds(cleaned)
    assert_equivalent(graph, cleaned)


@pytest.mark.parametrize("op", NOOPS, ids=label)
def test_between_an_input_and_an_output_a_view_stays(op: ops.Op) -> None:
    b = GraphBuilder()
    x = b.input(SHAPE, Q)
    (y,) = b.split_node(op, (x,))
    graph = b.graph(y)
    cleaned = remove_noops(graph)
    assert kinds(cleaned) == ["RESHAPE"]
    assert_equivalent(graph, cleaned)
    assert optimize(cleaned) is cleaned


@pytest.mark.parametrize("op", VIEWS, ids=label)
def test_what_only_changes_the_shape_is_a_view(op: ops.Op) -> None:
    b = GraphBuilder()
    graph = b.graph(b.node(op, (b.input(SHAPE, Q),)))
    cleaned = remove_noops(graph)
    assert kinds(cleaned) == ["RESHAPE"]
    assert_equivalent(graph, cleaned)


@pytest.mark.parametrize("op", WORK, ids=label)
def test_what_changes_a_byte_stays(op: ops.Op) -> None:
    b = GraphBuilder()
    x = b.depthwise(b.input(SHAPE), kernel=(1, 1), quant=Q)
    graph = b.graph(b.node(op, (x,)))
    assert remove_noops(graph) is graph


def requantized(build: Callable[[GraphBuilder, str, Quant], str], target: Quant) -> list[str]:
    b = GraphBuilder()
    x = b.depthwise(b.input(SHAPE), kernel=(1, 1), quant=Q)
    graph = b.graph(b.conv(build(b, x, target), 2, (1, 1)))
    cleaned = remove_noops(graph)
    assert_equivalent(graph, cleaned)
    return kinds(cleaned)[1:-1]


def test_requantisation_by_how_much() -> None:
    def quantize(b: GraphBuilder, x: str, target: Quant) -> str:
        return b.node(ops.Quantize(), (x,), target)

    def mean(b: GraphBuilder, x: str, target: Quant) -> str:
        return b.node(ops.Mean(axes=(2,), keep_dims=True), (x,), target)

    for build, kind in ((quantize, "QUANTIZE"), (mean, "MEAN")):
        assert requantized(build, Q) == []
        # The last bit of the scale: the same bytes, and a view takes that.
        assert requantized(build, per_tensor(0.05 * (1 + 1e-7), -128)) == ["RESHAPE"]
        # The same bytes still, yet not the same numbers: later ops must know.
        assert requantized(build, per_tensor(0.05 * (1 + 1e-5), -128)) == [kind]
        assert requantized(build, per_tensor(0.051, -128)) == [kind]
        assert requantized(build, per_tensor(0.05, -127)) == [kind]


def test_other_readers_and_outputs_follow() -> None:
    b = GraphBuilder()
    x = b.depthwise(b.input(SHAPE), kernel=(1, 1), quant=Q)
    y = b.node(ops.Quantize(), (x,))
    z = b.node(ops.Add(), (x, y), b.quant())
    graph = b.graph(y, z)
    cleaned = remove_noops(graph)
    assert kinds(cleaned) == ["DEPTHWISE_CONV_2D", "ADD"]
    assert_equivalent(graph, cleaned)

    both = b.graph(x, y, z)
    cleaned = remove_noops(both)
    assert kinds(cleaned) == ["DEPTHWISE_CONV_2D", "RESHAPE", "ADD"]
    assert_equivalent(both, cleaned)


def test_a_part_of_a_split_can_become_the_output() -> None:
    b = GraphBuilder()
    parts = b.split_node(ops.Split(axis=1, count=2), (b.input(SHAPE),))
    graph = b.graph(b.node(ops.Reshape((1, 2, 1, 6)), (parts[1],), output="y"), parts[0])
    cleaned = remove_noops(graph)
    assert cleaned.nodes[0].outputs == (parts[0], "y")
    assert_equivalent(graph, cleaned)


def test_an_operand_that_broadcasts_to_the_other_stays() -> None:
    b = GraphBuilder()
    x = b.dense(b.input((1, 3)), 5)
    lowest = b.const(np.full((2, 5), -128, np.int8), b.tensors[x].q)
    graph = b.graph(b.node(ops.Maximum(), (x, lowest)))
    assert remove_noops(graph) is graph


def test_mean_over_everything_is_left_alone() -> None:
    shape: Shape = (1, 1)
    b = GraphBuilder()
    graph = b.graph(b.node(ops.Mean(axes=(0, 1)), (b.input(shape),)))
    assert remove_noops(graph) is graph
