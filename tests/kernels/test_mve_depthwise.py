"""Depthwise convolutions of 3x3 with Helium, whose code differs with the number of pixels."""

from pathlib import Path

import numpy as np

from tests.kernels.test_dsp import CORES, RELU, check
from tests.support.strategies import Case
from tests.support.strategies.base import case, f32, tensor
from tinyml.board import load_board
from tinyml.ir import ops
from tinyml.ir.graph import DType, Quant
from tinyml.kernels import bind

KERNEL = "depthwise_conv_3x3_s8_mve"

WIDTHS = {1: (*range(1, 17), 20, 24, 26, 29), 2: (*range(1, 15), 21)}
"""Output pixels to a row, by stride: each number that is computed in its own way, and mixtures."""


def depthwise(width: int, stride: int, channels: int, scale: float, *, relu: bool) -> Case:
    """Random weights and inputs, with all sums a byte when they are rescaled by a small scale."""
    rng = np.random.default_rng((width, stride, channels))
    op = ops.DepthwiseConv2D(
        stride=(1, stride),
        pads=ops.Pads(1, 1, 1, 2 - stride),
        activation=RELU if relu else ops.Activation.NONE,
    )
    x = tensor("x", (1, 2, width * stride, channels), Quant((1.0,), (3,)))
    shape = (1, 3, 3, channels)
    weights = rng.integers(-128, 128, shape).astype(np.int8)
    biases = rng.integers(-4000, 4000, channels).astype(np.int32)
    quant = Quant(tuple(f32(scale * s) for s in rng.uniform(0.6, 1, channels)), (0,) * channels, 3)
    w = tensor("w", shape, quant, data=weights)
    b = tensor("b", (channels,), quant, DType.INT32, biases)
    y = tensor("y", (1, 2, width, channels), Quant((1.0,), (-128 if relu else 7,)))
    feed = rng.integers(-128, 128, x.shape).astype(np.int8)
    return case(op, (x, w, b), (y,), {"x": feed})


def exactly(one: Case) -> int:
    call = bind(one.graph, one.graph.nodes[0], load_board(CORES["mve"]).isa)
    assert call.kernel == KERNEL
    assert call.struct is not None
    return int(str(dict(call.struct.fields)["filters.exact"]))


def test_rows_of_every_width(tmp_path: Path) -> None:
    channels = (16, 5, 33, 20)
    some = [
        depthwise(width, stride, channels[i % 4], 0.45 if width in (4, 8) else 2e-3, relu=True)
        for stride, widths in WIDTHS.items()
        for i, width in enumerate(widths)
    ]
    assert not any(map(exactly, some))
    others = [
        depthwise(width, stride, 20, scale, relu=scale > 0.1)
        for stride in WIDTHS
        for width in (3, 6, 9, 24)
        for scale in (2e-3, 1.5)
    ]
    assert all(map(exactly, others))
    runs = check(some + others, load_board(CORES["mve"]), tmp_path)
    assert set(runs) == {KERNEL}
