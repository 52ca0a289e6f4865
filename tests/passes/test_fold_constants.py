import numpy as np

from tests.passes.common import assert_equivalent, kinds
from tests.support.builder import GraphBuilder, per_tensor
from tinyml import reference
from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.passes import optimize
from tinyml.passes.fold_constants import fold_constants


def test_chains_of_constants_become_one() -> None:
    b = GraphBuilder()
    x, c = b.input((1, 2, 2, 3)), b.random_const((3,))
    c = b.node(ops.Add(), (c, b.random_const((1, 1, 3))), b.quant())
    c = b.node(ops.Tanh(), (c,), per_tensor(1 / 128))
    graph = b.graph(b.node(ops.Mul(), (x, c), b.quant()))
    folded = fold_constants(graph)
    assert kinds(folded) == ["MUL"] and len(folded.tensors) == 3
    data = folded.tensors[c].values
    assert not data.flags.writeable and data.dtype == np.int8
    assert_equivalent(graph, folded)


def test_constants_of_other_types() -> None:
    b = GraphBuilder()
    x = b.input((1, 3))
    real = b.node(ops.Dequantize(), (b.random_const((1, 3)),), dtype=DType.FLOAT32)
    again = b.node(ops.Quantize(), (real,), b.quant())
    graph = b.graph(b.node(ops.Sub(), (x, again), b.quant()))
    folded = fold_constants(graph)
    assert kinds(folded) == ["SUB"]
    assert_equivalent(graph, folded)


def test_every_output_of_a_node() -> None:
    b = GraphBuilder()
    x = b.input((1, 3))
    one, two = b.split_node(ops.Split(axis=0, count=2), (b.random_const((2, 3)),))
    y = b.node(ops.Add(), (x, one), b.quant())
    graph = b.graph(b.node(ops.Add(), (y, two), b.quant()), two)
    folded = fold_constants(graph)
    assert sorted(kinds(folded)) == ["ADD", "ADD", "CONCATENATION"]
    assert_equivalent(graph, folded)


def test_a_constant_output_is_copied_when_the_model_runs() -> None:
    b = GraphBuilder()
    x = b.input((1, 3))
    c = b.node(ops.Relu(), (b.random_const((1, 3)),))
    graph = b.graph(c, b.node(ops.Add(), (x, c), b.quant()))
    folded = optimize(graph)
    (copy, _) = folded.nodes
    assert isinstance(copy.op, ops.Concatenation) and copy.outputs == (c,)
    (source,) = copy.inputs
    assert source is not None
    expected = reference.run(graph, {x: np.zeros((1, 3), np.int8)})[c]
    np.testing.assert_array_equal(folded.tensors[source].values, expected)
    assert_equivalent(graph, folded)
    assert optimize(folded) is folded


def test_a_constant_output_that_cannot_be_copied_keeps_its_node() -> None:
    b = GraphBuilder()
    b.input((1, 3))
    c = b.node(ops.Relu(), (b.random_const((1, 3)),))
    graph = b.graph(b.node(ops.Dequantize(), (c,), dtype=DType.FLOAT32))
    folded = optimize(graph)
    assert kinds(folded) == ["DEQUANTIZE"]
    assert_equivalent(graph, folded)


def test_a_constant_scalar_output_keeps_its_node() -> None:
    b = GraphBuilder()
    b.input((1, 3))
    graph = b.graph(b.node(ops.Relu(), (b.random_const(()),)))
    folded = optimize(graph)
    assert kinds(folded) == ["RELU"]
    assert_equivalent(graph, folded)


def test_a_concatenation_of_one_constant_is_folded_inside() -> None:
    b = GraphBuilder()
    c = b.node(ops.Concatenation(axis=0), (b.random_const((1, 3)),))
    graph = b.graph(b.node(ops.Add(), (b.input((1, 3)), c), b.quant()))
    folded = fold_constants(graph)
    assert kinds(folded) == ["ADD"]
    assert_equivalent(graph, folded)


def test_what_depends_on_an_input_stays() -> None:
    b = GraphBuilder()
    graph = b.graph(b.dense(b.input((1, 4)), 3))
    assert fold_constants(graph) is graph
