"""Refusals and look-up tables; the numbers themselves are held against the oracle."""

import numpy as np
import pytest

from tests.support.strategies.base import Case, case, tensor
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Quant
from tinyml.quant.params import check_params, conv_params, fully_connected_params, lut
from tinyml.quant.sampling import bilinear, nearest

HALF = Quant((0.5,), (0,))


def _unary(op: ops.Op, x: Quant, y: Quant, shape: tuple[int, ...] = (1, 4, 4, 1)) -> Case:
    (y_shape,) = op.infer((shape,))
    return case(op, (tensor("x", shape, x),), (tensor("y", y_shape, y),), {})


def _pair(op: ops.Op, a: Quant, b: Quant, y: Quant) -> Case:
    (shape,) = op.infer(((2, 2), (2, 2)))
    inputs = (tensor("a", (2, 2), a), tensor("b", (2, 2), b))
    return case(op, inputs, (tensor("y", shape, y),), {})


def _linear(op: ops.Op, weights: Quant, bias_scale: float = 0.25, y: Quant = HALF) -> Case:
    shape = (3, 2) if isinstance(op, ops.FullyConnected) else (3, 1, 1, 2)
    x_shape = (1, 2) if isinstance(op, ops.FullyConnected) else (1, 1, 1, 2)
    w = tensor("w", shape, weights, data=np.ones(shape, np.int8))
    b = tensor("b", (3,), Quant((bias_scale,), (0,)), DType.INT32, np.zeros(3, np.int32))
    (y_shape,) = op.infer((x_shape, shape, (3,)))
    return case(op, (tensor("x", x_shape, HALF), w, b), (tensor("y", y_shape, y),), {})


REFUSED = {
    "pool that requantises": _unary(ops.MaxPool2D(), HALF, Quant((0.25,), (0,))),
    "pool that shifts": _unary(ops.AveragePool2D(), HALF, Quant((0.5,), (1,))),
    "softmax scale": _unary(ops.Softmax(), HALF, Quant((1 / 128,), (-128,))),
    "softmax of nothing": _unary(
        ops.Softmax(), Quant((2.0**-27,), (0,)), Quant((1 / 256,), (-128,))
    ),
    "logistic zero point": _unary(ops.Logistic(), HALF, Quant((1 / 256,), (0,))),
    "tanh of nothing": _unary(ops.Tanh(), Quant((2.0**-30,), (0,)), Quant((1 / 128,), (0,))),
    "hard swish into a finer scale": _unary(ops.HardSwish(), HALF, Quant((2.0**-12,), (0,))),
    "relu beyond int32": _unary(ops.Relu(), Quant((2.0**20,), (0,)), Quant((2.0**-20,), (0,))),
    "both kinds of corners": _unary(ops.ResizeBilinear((2, 2), True, True), HALF, HALF),
    "sum into a far finer scale": _pair(
        ops.Add(), Quant((1024.0,), (0,)), HALF, Quant((2.0**-12,), (0,))
    ),
    "concatenation of other scales": _pair(ops.Concatenation(0), HALF, Quant((0.25,), (0,)), HALF),
    "clamp beyond int32": _pair(
        ops.Mul(ops.Activation.RELU6), HALF, HALF, Quant((2.0**-40,), (0,))
    ),
    "asymmetric convolution": _linear(ops.Conv2D(), Quant((0.5,), (3,))),
    "asymmetric channels": _linear(ops.FullyConnected(), Quant((0.5,) * 3, (0, 1, 0))),
    "channels along another axis": _linear(ops.Conv2D(), Quant((0.5,) * 2, (0,) * 2, 3)),
    "bias of another scale": _linear(ops.FullyConnected(), HALF, 3.0),
    "convolution beyond int32": _linear(ops.Conv2D(), HALF, y=Quant((2.0**-33,), (0,))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_tflite_micro_refuses(name: str) -> None:
    made = REFUSED[name]
    (node,) = made.graph.nodes
    with pytest.raises(
        UnsupportedError, match=rf"^{node.op.kind} 'node', tensor '\w+': "
    ) as caught:
        check_params(made.graph, node)
    assert caught.value.hint


def test_one_multiplier_per_channel_even_when_quantised_per_tensor() -> None:
    for made, params in (
        (_linear(ops.Conv2D(), HALF), conv_params),
        (_linear(ops.FullyConnected(), HALF), fully_connected_params),
    ):
        p = params(made.graph, made.graph.nodes[0])
        np.testing.assert_array_equal(p.multipliers, [2**30] * 3)
        np.testing.assert_array_equal(p.shifts, [0] * 3)
        assert (p.act_min, p.act_max) == (-128, 127)


def test_tables_are_indexed_by_byte() -> None:
    made = _unary(ops.Relu(), HALF, HALF)
    table = lut(made.graph, made.graph.nodes[0])
    assert table.dtype == np.int8 and table.shape == (256,)
    np.testing.assert_array_equal(table[:128], np.arange(128))
    np.testing.assert_array_equal(table[128:], 0)


def test_tables_of_unsigned_bytes_hold_bits() -> None:
    x = tensor("x", (4,), Quant((0.5,), (128,)), DType.UINT8)
    y = tensor("y", (4,), HALF)
    there = case(ops.Quantize(), (x,), (y,), {}).graph
    np.testing.assert_array_equal(
        lut(there, there.nodes[0]), (np.arange(256) - 128).astype(np.int8)
    )
    y = tensor("y", (4,), Quant((0.5,), (128,)), DType.UINT8)
    back = case(ops.Quantize(), (tensor("x", (4,), HALF),), (y,), {}).graph
    np.testing.assert_array_equal(
        lut(back, back.nodes[0]).view(np.uint8), (np.arange(256) + 128) % 256
    )


def test_lut_refuses_wider_elements() -> None:
    x, y = tensor("x", (4,), HALF, DType.INT16), tensor("y", (4,), HALF)
    graph = case(ops.Quantize(), (x,), (y,), {}).graph
    with pytest.raises(ValueError, match="does not map bytes"):
        lut(graph, graph.nodes[0])


@pytest.mark.parametrize(("align", "half"), [(False, False), (True, False), (False, True)])
def test_resize_positions_stay_inside(align: bool, half: bool) -> None:
    for in_size in (1, 2, 3, 7, 100):
        for out_size in (1, 2, 5, 13, 3000):
            lower, upper, weight = bilinear(in_size, out_size, align, half)
            near = nearest(in_size, out_size, align, half)
            for index in (lower, upper, near):
                assert index.shape == (out_size,) and index.min() >= 0 and index.max() < in_size
            inside = lower != upper
            assert np.all((weight[inside] >= 0) & (weight[inside] <= 1024))
