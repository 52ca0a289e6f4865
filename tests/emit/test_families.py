"""Networks of the families that need more than convolutions, as generated C: every byte."""

from functools import partial
from pathlib import Path

import pytest

from tests.emit.test_bit_exact import assert_models
from tests.support.builder import SOFTMAX_QUANT, GraphBuilder, per_tensor, random_inputs
from tests.support.emitted import Models
from tests.support.streamed import Scheduler, best_schedule, planned, stream_schedule
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph
from tinyml.ir.ops import Pads
from tinyml.schedule.schedule import SegmentKind


def layer_norm() -> Graph:
    """(x - mean) / sqrt(variance), times a gain, as converters write it."""
    b = GraphBuilder("layer_norm", 1)
    x = b.input((1, 6, 16), per_tensor(0.02, 3))
    mean = b.node(ops.Mean((2,), True), (x,), per_tensor(0.01, 3))
    squares = b.node(ops.SquaredDifference(), (x, mean), per_tensor(0.03, -128))
    variance = b.node(ops.Mean((2,), True), (squares,), per_tensor(0.02, -128))
    inverse = b.node(ops.Rsqrt(), (variance,), per_tensor(0.03, -128))
    centred = b.node(ops.Sub(), (x, mean), per_tensor(0.02, 0))
    normal = b.node(ops.Mul(), (centred, inverse), per_tensor(0.02, -5))
    gained = b.node(ops.Mul(), (normal, b.random_const((16,), per_tensor(0.01))))
    return b.graph(b.node(ops.Abs(), (gained,), per_tensor(0.015, -128)))


def attention() -> Graph:
    """Embedded tokens attend to each other in two heads, whose results are packed."""
    b = GraphBuilder("attention", 2)
    tokens = b.input((5,), dtype=DType.INT32, name="tokens")
    table = b.random_const((9, 8), per_tensor(0.02))
    x = b.node(ops.Gather(), (tokens, table), per_tensor(0.02))
    heads = []
    for part in b.split_node(ops.SplitV(1, (3, 5)), (x,), per_tensor(0.02)):
        scores = b.node(ops.BatchMatMul(adj_y=True), (part, part), per_tensor(0.02, -4))
        weights = b.node(ops.Softmax(), (scores,), SOFTMAX_QUANT)
        mixed = b.node(ops.BatchMatMul(), (weights, part), per_tensor(0.015, 2))
        heads.append(b.node(ops.ReduceMax((1,)), (mixed,)))
    first, second = heads
    second = b.node(ops.Quantize(), (second,), b.tensors[first].q)
    packed = b.node(ops.Pack(0), (first, second))
    least = b.node(ops.ArgMin(1), (packed,), dtype=DType.INT32)
    return b.graph(packed, least)


def decoder() -> Graph:
    """A map is made small and large again, twice, with row after row in the stream."""
    b = GraphBuilder("decoder", 3)
    x = b.input((1, 12, 10, 3), name="x")
    x = b.conv(x, 8, (3, 3), stride=(2, 2), pads=Pads(0, 1, 0, 1))
    for kernel, pads, size in ((2, Pads(), (12, 10)), (4, Pads(1, 1, 1, 1), (24, 20))):
        shape = (6, kernel, kernel, b.tensors[x].shape[3])
        weights = b.random_const(shape, per_tensor(0.01))
        op = ops.TransposeConv(size, (2, 2), pads)
        x = b.node(op, (x, weights, None), per_tensor(0.1, 4))
        x = b.node(ops.Elu(), (x,), per_tensor(0.06, -100))
    return b.graph(b.conv(x, 2, (1, 1)))


def choices() -> Graph:
    """Booleans of comparisons, and what they make of each other."""
    b = GraphBuilder("choices", 4)
    x = b.input((1, 4, 6, 4), per_tensor(0.02, 5), name="x")
    deep = b.node(ops.SpaceToDepth(2), (x,))
    low = b.node(ops.ReduceMin((1, 2), True), (deep,))
    wide = b.node(ops.BroadcastTo((1, 2, 3, 16)), (low,))
    above = b.node(ops.Greater(), (deep, low), dtype=DType.BOOL)
    same = b.node(ops.Equal(), (deep, wide), dtype=DType.BOOL)
    either = b.node(ops.LogicalOr(), (above, same), dtype=DType.BOOL)
    neither = b.node(ops.LogicalNot(), (either,), dtype=DType.BOOL)
    both = b.node(ops.LogicalAnd(), (above, neither), dtype=DType.BOOL)
    shallow = b.node(ops.DepthToSpace(2), (deep,))
    columns = b.split_node(ops.Unpack(2, 6), (shallow,))
    return b.graph(either, both, *columns)


NETWORKS = (layer_norm, attention, decoder, choices)


@pytest.mark.parametrize("scheduler", [best_schedule, stream_schedule])
def test_families(scheduler: Scheduler, tmp_path: Path) -> None:
    networks = [make() for make in NETWORKS]
    models = Models(networks, tmp_path, planner=partial(planned, scheduler=scheduler))
    assert_models(models, networks, [[random_inputs(g, seed) for seed in (1, 2)] for g in networks])
    if scheduler is stream_schedule:
        streamed = [
            segment.nodes
            for segment in models.plans[NETWORKS.index(decoder)].schedule.segments
            if segment.kind is SegmentKind.STREAM
        ]
        assert max(map(len, streamed)) >= 5  # both transposed convolutions among them
