"""Every rule of the IR, broken one at a time in a graph that keeps them all."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, frozen
from tinyml.errors import GraphError
from tinyml.ir import operands, ops
from tinyml.ir.check import check
from tinyml.ir.graph import DType, Graph, Node, Quant, Tensor


def sound() -> Graph:
    """in -> conv -> add(conv, constant) -> split -> out0, out1."""
    b = GraphBuilder("sound", seed=3)
    x = b.conv(b.input((1, 4, 4, 2), name="in"), 4, output="conv")
    x = b.node(ops.Add(), (x, b.random_const((4,))), b.quant(), output="sum")
    return b.graph(*b.split_node(ops.Split(axis=3, count=2), (x,)))


def with_tensor(name: str, **changes: object) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        tensor = replace(graph.tensors[name], **changes)
        return replace(graph, tensors={**graph.tensors, name: tensor})

    return change


def with_node(index: int, **changes: object) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        nodes = list(graph.nodes)
        nodes[index] = replace(nodes[index], **changes)
        return replace(graph, nodes=tuple(nodes))

    return change


def with_operand(index: int, position: int, name: str | None) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        inputs = list(graph.nodes[index].inputs)
        inputs[position] = name
        return with_node(index, inputs=tuple(inputs))(graph)

    return change


def with_operand_tensor(index: int, position: int, **changes: object) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        name = graph.nodes[index].inputs[position]
        assert name is not None
        return with_tensor(name, **changes)(graph)

    return change


def with_extra(graph: Graph) -> Graph:
    extra = Tensor("extra", (1,), DType.INT8)
    return replace(graph, tensors={**graph.tensors, "extra": extra})


def under_another_name(graph: Graph) -> Graph:
    return replace(graph, tensors={**graph.tensors, "alias": graph.tensors["in"]})


def reversed_order(graph: Graph) -> Graph:
    return replace(graph, nodes=tuple(reversed(graph.nodes)))


def cycle(graph: Graph) -> Graph:
    return with_operand(0, 0, graph.outputs[0])(graph)


def computed_twice(graph: Graph) -> Graph:
    again = replace(graph.nodes[0], name="again")
    return replace(graph, nodes=(*graph.nodes, again))


def constant_result(graph: Graph) -> Graph:
    data = frozen(np.zeros((1, 2, 2, 4), np.int8))
    return with_tensor("conv", data=data)(graph)


def constant_input(graph: Graph) -> Graph:
    return with_tensor("in", data=frozen(np.zeros((1, 4, 4, 2), np.int8)))(graph)


def writable(graph: Graph) -> Graph:
    return with_operand_tensor(0, 1, data=np.zeros((4, 3, 3, 2), np.int8))(graph)


def one_part_of_two(graph: Graph) -> Graph:
    return with_node(2, outputs=graph.nodes[2].outputs[:1])(graph)


def weights_as_input(graph: Graph) -> Graph:
    graph = with_operand_tensor(0, 1, data=None)(graph)
    return replace(graph, inputs=(*graph.inputs, "t1"))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (with_extra, "tensor 'extra' is neither computed, nor an input, nor constant"),
        (under_another_name, "tensor 'in' is listed under the name 'alias'"),
        (reversed_order, "SPLIT 'n2': reads tensor 'sum' before it is computed"),
        (cycle, "before it is computed"),
        (computed_twice, "CONV_2D 'again': result 'conv' has a value already"),
        (constant_result, "CONV_2D 'n0': result 'conv' has a value already"),
        (constant_input, "graph input 'in' is constant"),
        (writable, "is writable"),
        (with_node(1, name="n0"), "two nodes are named 'n0'"),
        (with_node(1, name=""), "a ADD has no name"),
        (with_operand(1, 1, "ghost"), "ADD 'n1': tensor 'ghost' is not in the graph"),
        (with_node(1, outputs=("ghost",)), "tensor 'ghost' is not in the graph"),
        (with_operand(1, 1, None), "ADD 'n1': operand 1 is missing"),
        (with_node(1, inputs=("conv",)), "ADD 'n1': has 1 operands, needs 2"),
        (one_part_of_two, "has 1 results, computes 2"),
        (with_node(2, op=ops.Split(axis=3, count=10**9)), "has 2 results, computes 1000000000"),
        (with_node(2, op=ops.Split(axis=2, count=2)), "computed is"),
        (with_node(0, op=ops.Conv2D(stride=(9, 1), pads=ops.Pads(0, 0, 0, 9))), "computed is"),
        (with_node(0, op=ops.Conv2D(dilation=(4, 4))), "exceeds padded size"),
        (lambda g: replace(g, inputs=("in", "ghost")), "graph input 'ghost'"),
        (lambda g: replace(g, outputs=("ghost",)), "graph output 'ghost'"),
        (lambda g: replace(g, outputs=("sum", "sum")), "'sum' is listed twice as graph output"),
        (lambda g: replace(g, inputs=("in", "in")), "'in' is listed twice as graph input"),
        (with_tensor("sum", shape=(1, 2, 2, 5)), "tensor 'sum' is (1, 2, 2, 5)"),
        (with_tensor("in", shape=(1, 0, 4, 2)), "tensor 'in' has no elements"),
        (with_tensor("in", shape=(1, -4, 4, 2)), "tensor 'in' has no elements"),
        (with_tensor("in", shape=(2**16, 2**16)), "tensor 'in' is too large"),
        (with_tensor("in", shape=(1,) * 7), "tensor 'in' has 7 dimensions"),
        (with_tensor("in", quant=None), "CONV_2D 'n0': tensor 'in' is not quantised"),
        (with_tensor("in", quant=Quant((), ())), "0 scales and 0 zero points"),
        (with_tensor("in", quant=Quant((1.0,), (1, 2))), "1 scales and 2 zero points"),
        (with_tensor("in", quant=Quant((0.0,), (0,))), "0.0 is no scale"),
        (with_tensor("in", quant=Quant((-1.0,), (0,))), "-1.0 is no scale"),
        (with_tensor("in", quant=Quant((float("nan"),), (0,))), "nan is no scale"),
        (with_tensor("in", quant=Quant((float("inf"),), (0,))), "inf is no scale"),
        (with_tensor("in", quant=Quant((0.1,), (0,))), "0.1 is no scale in float32"),
        (with_tensor("in", quant=Quant((1e-60,), (0,))), "1e-60 is no scale in float32"),
        (with_tensor("in", quant=Quant((0.5,), (128,))), "zero point 128 is no int8"),
        (with_tensor("in", quant=Quant((0.5,), (-129,))), "zero point -129 is no int8"),
        (with_tensor("in", quant=Quant((0.5, 1.0), (0, 0), 3)), "'in' is quantised per channel"),
        (with_tensor("in", quant=Quant((0.5, 1.0), (0, 0), 1)), "2 scales along dimension 1"),
        (with_tensor("in", quant=Quant((0.5, 1.0), (0, 0), 4)), "2 scales along dimension 4"),
        (with_tensor("in", dtype=DType.FLOAT32), "'in' is float32, yet quantised"),
        (with_tensor("in", dtype=DType.INT16), "CONV_2D 'n0': tensor 'in' is int16, not int8"),
        (weights_as_input, "weights 't1' are computed at run time"),
        (with_operand_tensor(0, 1, quant=None), "weights 't1' are not quantised"),
        (with_operand_tensor(0, 1, quant=Quant((0.5,), (1,))), "'t1' are quantised asymmetric"),
        (
            with_operand_tensor(0, 1, quant=Quant((0.5, 1.0), (0, 0), 3)),
            "weights 't1' are quantised along dimension 3, not 0",
        ),
        (
            with_operand_tensor(0, 1, quant=Quant((0.5,), (0,))),
            "bias 't2' has 4 scales, weights 't1' have 1",
        ),
        (with_operand_tensor(0, 2, shape=(5,), quant=None), "constant 't2' is declared"),
        (with_operand_tensor(0, 2, dtype=DType.INT16), "constant 't2' is declared int16"),
    ],
)
def test_broken(broken: Callable[[Graph], Graph], words: str) -> None:
    graph = sound()
    check(graph)
    with pytest.raises(GraphError) as caught:
        check(broken(graph))
    assert words in str(caught.value)


def node_of(op: ops.Op, operands: list[Tensor], *results: Tensor) -> Graph:
    """A graph of one node; tensors without data are its inputs."""
    return Graph(
        name="one",
        tensors={tensor.name: tensor for tensor in (*operands, *results)},
        nodes=(Node("n", op, tuple(t.name for t in operands), tuple(t.name for t in results)),),
        inputs=tuple(t.name for t in operands if not t.is_const),
        outputs=tuple(t.name for t in results),
    )


Q, OTHER = Quant((0.5,), (3,)), Quant((0.5,), (4,))


def tensor(name: str, dtype: DType, quant: Quant | None = Q, shape: tuple[int, ...] = (1, 4)):
    return Tensor(name, shape, dtype, quant if dtype is not DType.FLOAT32 else None)


I8, U8, I16, I32, F32 = DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.FLOAT32

TYPED = [
    (ops.Reshape((4, 1)), I8, Q, I8, Q, (4, 1), ""),
    (ops.Reshape((4, 1)), F32, None, F32, None, (4, 1), ""),
    (ops.Reshape((4, 1)), I8, Q, I8, OTHER, (4, 1), "quantised differently"),
    (ops.Reshape((4, 1)), I8, Q, I8, None, (4, 1), "only one of"),
    (ops.Reshape((4, 1)), I8, Q, U8, Q, (4, 1), "tensor 'x' is int8, not uint8"),
    (ops.Relu(), I8, Q, I8, OTHER, (1, 4), ""),
    (ops.Relu(), F32, None, F32, None, (1, 4), "tensor 'x' is float32, not int8"),
    (ops.Quantize(), F32, None, I8, Q, (1, 4), ""),
    (ops.Quantize(), F32, None, F32, None, (1, 4), "not int8 or int16"),
    (ops.Quantize(), U8, Q, I8, Q, (1, 4), ""),
    (ops.Quantize(), U8, Q, U8, OTHER, (1, 4), "no conversion from 'x' uint8 to 'y' uint8"),
    (ops.Dequantize(), U8, Q, F32, None, (1, 4), ""),
    (ops.Dequantize(), F32, None, F32, None, (1, 4), "'x' is float32"),
    (ops.Dequantize(), I8, Q, I16, OTHER, (1, 4), "tensor 'y' is int16, not float32"),
    (ops.ArgMax(axis=1), I8, Q, I32, None, (1,), ""),
    (ops.ArgMax(axis=1), I8, Q, I8, Q, (1,), "tensor 'y' is int8, not int32"),
    (ops.Pad(((0, 0), (1, 0))), I16, Q, I16, Q, (1, 5), ""),
    (ops.Pad(((0, 0), (1, 0)), value=5), I16, Q, I16, Q, (1, 5), "int16, not int8"),
    (ops.Pad(((0, 0), (1, 0)), value=200), I8, Q, I8, Q, (1, 5), "pads with 200"),
    (ops.Pad(((0, 0), (1, 0))), I8, Q, I8, OTHER, (1, 5), "quantised differently"),
    (ops.Pad(((0, 0), (-1, 2))), I8, Q, I8, Q, (1, 5), "paddings"),
    (ops.Transpose((0, 0)), I8, Q, I8, Q, (1, 1), "no permutation"),
]


@pytest.mark.parametrize(("op", "x", "x_quant", "y", "y_quant", "shape", "words"), TYPED)
def test_types_and_quantisations(op, x, x_quant, y, y_quant, shape, words: str) -> None:
    graph = node_of(op, [tensor("x", x, x_quant)], tensor("y", y, y_quant, shape))
    if not words:
        check(graph)
        return
    with pytest.raises(GraphError, match=rf"{op.kind} 'n': .*{words}"):
        check(graph)


def test_quantisations_alike_up_to_float_noise() -> None:
    """As TFLite's own check of pools: their bytes are the same either way."""
    near = Quant((float(np.nextafter(np.float32(0.5), np.float32(1))),), (3,))
    check(node_of(ops.Reshape((4,)), [tensor("x", I8)], tensor("y", I8, near, (4,))))


def test_every_op_has_a_rule() -> None:
    """An op that the table of rules forgets would crash the checker."""
    leaves = {
        op
        for op in vars(ops).values()
        if isinstance(op, type) and issubclass(op, ops.Op) and hasattr(op, "kind")
    }
    assert leaves == set(operands._RULES)
