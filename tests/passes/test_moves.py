"""Merging and moving what only moves bytes, and detours through float32."""

import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml.ir import ops
from tinyml.ir.graph import DType, Quant
from tinyml.passes import optimize
from tinyml.passes.merge_moves import merge_moves
from tinyml.passes.remove_round_trips import remove_round_trips
from tinyml.passes.sink_transposes import sink_transposes

SHAPE = (1, 3, 4, 5)


def test_reshapes_merge_even_if_others_read_the_first() -> None:
    b = GraphBuilder()
    x = b.input(SHAPE)
    y = b.node(ops.Reshape((12, 5)), (x,))
    graph = b.graph(b.node(ops.Reshape((3, 20)), (y,)), b.node(ops.Relu(), (y,)))
    merged = merge_moves(graph)
    assert kinds(merged) == ["RESHAPE", "RESHAPE", "RELU"]
    assert merged.nodes[1].inputs == (x,)
    assert_equivalent(graph, merged)

    b = GraphBuilder()
    y = b.node(ops.Reshape((12, 5)), (b.input(SHAPE),))
    graph = b.graph(b.node(ops.Reshape(SHAPE), (y,)))
    merged = merge_moves(graph)
    assert kinds(merged) == ["RESHAPE"]
    assert_equivalent(graph, merged)


def test_reshapes_whose_scales_drift_apart_stay() -> None:
    b = GraphBuilder()
    scales = [0.05 * (1 + i * 8e-7) for i in range(3)]
    y = b.node(
        ops.Reshape((12, 5)), (b.input(SHAPE, per_tensor(scales[0])),), per_tensor(scales[1])
    )
    graph = b.graph(b.node(ops.Reshape((60,)), (y,), per_tensor(scales[2])))
    assert merge_moves(graph) is graph


def test_transposes_compose() -> None:
    b = GraphBuilder()
    y = b.node(ops.Transpose((0, 3, 1, 2)), (b.input(SHAPE),))
    graph = b.graph(b.node(ops.Transpose((0, 2, 1, 3)), (y,)))
    merged = merge_moves(graph)
    assert kinds(merged) == ["TRANSPOSE"]
    assert_equivalent(graph, merged)


def test_a_transpose_and_its_inverse_vanish() -> None:
    b = GraphBuilder()
    x = b.conv(b.input(SHAPE), 2)
    y = b.node(ops.Transpose((0, 3, 1, 2)), (x,))
    z = b.node(ops.Transpose((0, 2, 3, 1)), (y,))
    graph = b.graph(b.conv(z, 3, (1, 1)))
    optimized = optimize(graph)
    assert kinds(optimized) == ["CONV_2D", "CONV_2D"]
    assert_equivalent(graph, optimized)

    shared = b.graph(b.conv(z, 3, (1, 1)), y)
    optimized = optimize(shared)
    assert kinds(optimized) == ["CONV_2D", "TRANSPOSE", "CONV_2D"]
    assert_equivalent(shared, optimized)


def test_work_is_not_done_twice() -> None:
    for op in (ops.Transpose((0, 3, 1, 2)), ops.Pad(((0, 0), (1, 0), (0, 1), (0, 0)))):
        b = GraphBuilder()
        y = b.node(op, (b.input(SHAPE),))
        graph = b.graph(b.node(op, (y,)), y)
        assert merge_moves(graph) is graph


@pytest.mark.parametrize(
    ("inner", "outer", "merges"), [(None, 3, True), (4, None, False), (4, 4, True)]
)
def test_pads_add_up_where_they_fill_in_the_same(
    inner: int | None, outer: int | None, merges: bool
) -> None:
    b = GraphBuilder()
    y = b.node(
        ops.Pad(((0, 0), (1, 0), (0, 2), (0, 1)), inner), (b.input(SHAPE, per_tensor(1, 3)),)
    )
    graph = b.graph(b.node(ops.Pad(((1, 0), (1, 1), (0, 0), (0, 0)), outer), (y,)))
    merged = merge_moves(graph)
    assert (merged is not graph) == merges
    if merges:
        (pad,) = merged.nodes
        assert isinstance(pad.op, ops.Pad)
        assert pad.op.paddings == ((1, 0), (2, 1), (0, 2), (0, 1))
        assert_equivalent(graph, merged)


@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0)])
@pytest.mark.parametrize("axes", [(2, 3), (1,), (2,), (3,), (0, 1, 2)])
def test_transposes_sink_behind_means(
    perm: tuple[int, ...], axes: tuple[int, ...], keep_dims: bool
) -> None:
    b = GraphBuilder()
    y = b.node(ops.Transpose(perm), (b.input(SHAPE),))
    graph = b.graph(b.node(ops.Mean(axes=axes, keep_dims=keep_dims), (y,), b.quant()))
    sunk = sink_transposes(graph)
    assert kinds(sunk) == ["MEAN", "TRANSPOSE"]
    assert_equivalent(graph, sunk)


def test_channels_first_means_need_no_transpose() -> None:
    b = GraphBuilder()
    y = b.node(ops.Transpose((0, 3, 1, 2)), (b.input(SHAPE),))
    y = b.node(ops.Mean(axes=(3,)), (y,), b.quant())
    graph = b.graph(b.dense(b.node(ops.Mean(axes=(2,)), (y,), b.quant()), 2))
    optimized = optimize(graph)
    assert kinds(optimized) == ["MEAN", "MEAN", "FULLY_CONNECTED"]
    assert_equivalent(graph, optimized)


def test_a_transpose_that_others_read_stays() -> None:
    b = GraphBuilder()
    y = b.node(ops.Transpose((0, 3, 1, 2)), (b.input(SHAPE),))
    mean = b.node(ops.Mean(axes=(2, 3)), (y,), b.quant())
    for graph in (b.graph(mean, y), b.graph(mean, b.node(ops.Relu(), (y,)))):
        assert sink_transposes(graph) is graph


def round_trip(before: Quant, after: Quant) -> tuple[GraphBuilder, str, str]:
    """x -> float32 -> int8; the builder, the float32 tensor, the result."""
    b = GraphBuilder()
    x = b.depthwise(b.input(SHAPE), quant=before)
    real = b.node(ops.Dequantize(), (x,), dtype=DType.FLOAT32)
    return b, real, b.node(ops.Quantize(), (real,), after)


@pytest.mark.parametrize("scale", [0.05, 1 / 3, 2.0**-20, 1e4])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_round_trips_through_float_vanish(scale: float, zero_point: int) -> None:
    q = per_tensor(scale, zero_point)
    b, real, y = round_trip(q, q)
    graph = b.graph(b.node(ops.Tanh(), (y,), per_tensor(1 / 128)))
    optimized = optimize(graph)
    assert kinds(optimized) == ["DEPTHWISE_CONV_2D", "TANH"]
    assert_equivalent(graph, optimized)

    seen = b.graph(y, real)
    optimized = optimize(seen)
    assert kinds(optimized) == ["DEPTHWISE_CONV_2D", "DEQUANTIZE"]
    assert_equivalent(seen, optimized)


def test_round_trips_that_change_a_byte_or_its_meaning_stay() -> None:
    q = per_tensor(0.05, 3)
    for other in (per_tensor(0.05, 4), per_tensor(0.0501, 3), per_tensor(0.05 * (1 + 1e-5), 3)):
        b, _, y = round_trip(q, other)
        graph = b.graph(b.node(ops.Tanh(), (y,), per_tensor(1 / 128)))
        assert remove_round_trips(graph) is graph


@pytest.mark.filterwarnings("ignore:overflow")
def test_round_trips_beyond_the_range_of_float32_stay() -> None:
    q = per_tensor(2e36, -128)
    b = GraphBuilder()
    x = b.node(ops.Reshape(SHAPE), (b.input((60,), q),))
    y = b.node(ops.Quantize(), (b.node(ops.Dequantize(), (x,), dtype=DType.FLOAT32),), q)
    graph = b.graph(y)
    assert remove_round_trips(graph) is graph


def test_float_edges_stay() -> None:
    b = GraphBuilder()
    x = b.node(ops.Quantize(), (b.input(SHAPE, dtype=DType.FLOAT32),), b.quant())
    graph = b.graph(b.node(ops.Dequantize(), (b.conv(x, 2),), dtype=DType.FLOAT32))
    assert optimize(graph) is graph
