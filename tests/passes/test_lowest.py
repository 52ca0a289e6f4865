import numpy as np
import pytest
from hypothesis import given

from tests.passes.test_random import bounded
from tests.support.builder import GraphBuilder, per_tensor
from tests.support.graphs import NetworkCase, cases, graphs
from tinyml import reference
from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.ir.ops import Activation
from tinyml.passes.lowest import lowest

Q = per_tensor(0.05, -30)


@bounded
@given(cases(graphs()))
def test_nothing_is_lower(case: NetworkCase) -> None:
    bounds = lowest(case.graph)
    for name, data in reference.run(case.graph, case.inputs, keep=True).items():
        if case.graph.tensors[name].dtype is DType.INT8:
            assert bounds[name] <= int(data.min()), name


def rectified(b: GraphBuilder) -> str:
    """A convolution's result, at least -30."""
    return b.conv(b.input((1, 4, 4, 2)), 2, activation=Activation.RELU, quant=Q, bias=False)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (ops.Transpose((0, 3, 1, 2)), -30),
        (ops.Pad(((0, 0), (1, 1), (0, 0), (0, 0))), -30),
        (ops.Pad(((0, 0), (1, 1), (0, 0), (0, 0)), -31), -31),
        (ops.MaxPool2D(filter=(2, 2)), -30),
        (ops.MaxPool2D(filter=(2, 2), activation=Activation.RELU_N1_TO_1), -30),
        (ops.AveragePool2D(filter=(2, 2)), -128),
        (ops.AveragePool2D(filter=(2, 2), activation=Activation.RELU_N1_TO_1), -50),
        (ops.LeakyRelu(alpha=0.5), -30),
        (ops.Mean(axes=(1, 2)), -128),
    ],
)
def test_what_follows_from_an_activation(op: ops.Op, expected: int) -> None:
    b = GraphBuilder()
    graph = b.graph(b.node(op, (rectified(b),)))
    assert lowest(graph)[graph.outputs[0]] == expected


def test_a_pool_that_clamps_below_what_it_reads() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 4, 2), Q)
    x = b.node(ops.Maximum(), (x, b.const(np.array(50, np.int8), Q)))
    pool = ops.MaxPool2D(filter=(2, 2), activation=Activation.RELU_N1_TO_1)
    graph = b.graph(b.node(pool, (x,)))
    assert lowest(graph)[x] == 50
    assert lowest(graph)[graph.outputs[0]] == -10


def test_constants_and_inputs() -> None:
    b = GraphBuilder()
    x = b.input((1, 2), Q)
    c = b.const(np.array([[3, -4]], np.int8), Q)
    graph = b.graph(b.node(ops.Concatenation(axis=1), (rectified_vector(b), c)), x)
    assert lowest(graph)[x] == -128
    assert lowest(graph)[c] == -4
    assert lowest(graph)[graph.outputs[0]] == -30


def rectified_vector(b: GraphBuilder) -> str:
    return b.dense(b.input((1, 3)), 2, activation=Activation.RELU, quant=Q)
