"""What no kernel computes is refused when it is bound, with op, tensor, cause and way out."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.strategies.base import case, tensor
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant, Tensor
from tinyml.kernels import bind, kernel_sources
from tinyml.kernels.call import Alias

Q = Quant((0.5,), (3,))
PROBABILITY = Quant((1 / 256,), (-128,))


def graph(op: ops.Op, inputs: tuple[Tensor, ...], output: Tensor) -> Graph:
    return case(op, inputs, (output,), {}).graph


def weights(*shape: int, dtype: DType = DType.INT8) -> Tensor:
    return tensor("w", shape, Quant((0.5,), (0,)), dtype, np.ones(shape, dtype.numpy))


X = tensor("x", (1, 4, 4, 2), Q)
WIDE = replace(X, dtype=DType.INT16)
Y = tensor("y", (1, 4, 4, 2), Q)

REFUSED = {
    "type": (graph(ops.Add(), (WIDE, WIDE), replace(Y, dtype=DType.INT16)), "int16 to int16"),
    "mixed types": (graph(ops.Maximum(), (X, replace(WIDE, name="b")), Y), "needs int8, not int16"),
    "weights": (
        graph(ops.Conv2D(), (X, tensor("w", (2, 1, 1, 2), Quant((0.5,), (0,)))), Y),
        "computed at run time",
    ),
    "weight type": (graph(ops.Conv2D(), (X, weights(2, 1, 1, 2, dtype=DType.INT16)), Y), "int16"),
    "padding": (
        graph(
            ops.AveragePool2D(pads=ops.Pads(top=1), filter=(1, 1)),
            (X,),
            tensor("y", (1, 5, 4, 2), Q),
        ),
        "wholly in the padding",
    ),
    "depth": (
        graph(ops.Softmax(), (tensor("x", (1, 4096), Q),), tensor("y", (1, 4096), PROBABILITY)),
        "overflow the sum",
    ),
    "broadcast": (
        graph(
            ops.Mul(),
            (tensor("x", (2, 1, 2, 1, 2), Q), tensor("b", (1, 2, 1, 2, 1), Q)),
            tensor("y", (2, 2, 2, 2, 2), Q),
        ),
        "more than 4 dimensions",
    ),
    "wide pad": (
        graph(
            ops.Pad(((0, 1),)),
            (tensor("x", (3,), None, DType.INT64),),
            tensor("y", (4,), None, DType.INT64),
        ),
        "8 bytes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    wrong, cause = REFUSED[name]
    with pytest.raises(UnsupportedError, match=cause) as caught:
        bind(wrong, wrong.nodes[0])
    (node,) = wrong.nodes
    assert node.op.kind in caught.value.what and "'node'" in caught.value.what
    assert any(f"'{t}'" in caught.value.what for t in wrong.tensors)
    assert caught.value.hint


def test_unknown_instruction_set() -> None:
    good = graph(ops.Tanh(), (X,), tensor("y", X.shape, Quant((1 / 128,), (0,))))
    with pytest.raises(UnsupportedError):
        bind(good, good.nodes[0], isa=("none",))
    assert bind(good, good.nodes[0], isa=("none", "portable")).kernel == "lut_8"


def test_unsupported_constants_are_seen() -> None:
    """Constant operands go along as tables; the rest are the activations, in order."""
    b = tensor("b", (2,), Q, data=np.array([1, -5], np.int8))
    mixed = graph(ops.Mul(), (b, X), Y)
    call = bind(mixed, mixed.nodes[0])
    assert [a.constant is not None for a in call.loop.inputs] == [True, False]
    assert call.in_place == (1,)


@pytest.mark.parametrize(
    "op",
    [
        ops.Reshape((4, 8)),
        ops.Split(3, 1),
        ops.Concatenation(3),
        ops.Transpose((3, 1, 2, 0)),
        ops.StridedSlice((0, 0, 0, 0), (1, 4, 4, 1), (1, 1, 1, 1), (16,)),
    ],
)
def test_moves_that_move_nothing(op: ops.Op) -> None:
    x = tensor("x", (1, 4, 4, 1) if op.kind in ("TRANSPOSE", "STRIDED_SLICE") else (1, 4, 4, 2), Q)
    (shape,) = op.infer((x.shape,))
    alias = graph(op, (x,), tensor("y", shape, Q))
    call = bind(alias, alias.nodes[0])
    assert isinstance(call.loop, Alias)
    assert kernel_sources([call]) == ()


def test_sources() -> None:
    relu = graph(ops.Relu(), (X,), Y)
    call = bind(relu, relu.nodes[0])
    assert kernel_sources([call, call]) == ("src/elementwise/lut_8.c",)
