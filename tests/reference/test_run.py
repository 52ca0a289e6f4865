"""The interpreter's contract, and what a .tflite cannot say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import CASES, Case
from tests.support.strategies.base import case, tensor
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Quant
from tinyml.reference import run

QUANT = Quant((0.5,), (3,))


def _relu_twice() -> Graph:
    tensors = {name: tensor(name, (2, 3), QUANT) for name in ("x", "m", "y")}
    nodes = (Node("a", ops.Relu(), ("x",), ("m",)), Node("b", ops.Relu(), ("m",), ("y",)))
    return Graph("twice", tensors, nodes, ("x",), ("y",))


def test_keep_returns_every_activation() -> None:
    x = np.arange(-3, 3, dtype=np.int8).reshape(2, 3)
    assert set(run(_relu_twice(), {"x": x})) == {"y"}
    kept = run(_relu_twice(), {"x": x}, keep=True)
    assert set(kept) == {"x", "m", "y"}
    np.testing.assert_array_equal(kept["m"], np.maximum(x, 3))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "takes the inputs"),
        ({"x": np.zeros((2, 3), np.int8), "z": np.zeros(1, np.int8)}, "takes the inputs"),
        ({"x": np.zeros((3, 2), np.int8)}, r"takes int8\[2, 3\], not int8\[3, 2\]"),
        ({"x": np.zeros((2, 3), np.uint8)}, "not uint8"),
    ],
)
def test_refuses_inputs_that_do_not_fit(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(_relu_twice(), feeds)


@pytest.mark.parametrize("op", [ops.Relu(), ops.ResizeBilinear((2, 2)), ops.AveragePool2D()])
def test_refuses_element_types_without_a_reference(op: ops.Op) -> None:
    shape = (1, 2, 2, 1)
    x, y = (tensor(name, shape, None, DType.FLOAT32) for name in "xy")
    made = case(op, (x,), (y,), {"x": np.zeros(shape, np.float32)})
    with pytest.raises(UnsupportedError, match=rf"{op.kind} 'node' from float32.*'y'"):
        run(made.graph, made.inputs)


EXPLICIT = st.tuples(*[st.integers(0, 2)] * 4).map(lambda p: ops.Pads(*p))


def _with_pads(made: Case, pads: ops.Pads) -> Case:
    """The same window over explicit pads, which may be lopsided."""
    (node,) = made.graph.nodes
    op = replace(node.op, pads=pads)
    shapes = tuple(None if t is None else t.shape for t in made.graph.operands(node))
    (y,) = made.graph.results(node)
    (shape,) = op.infer(shapes)
    tensors = {**made.graph.tensors, y.name: replace(y, shape=shape)}
    return Case(made.graph.rebuilt((replace(node, op=op),), tensors), made.inputs)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_pads_are_zero_points_around_the_input(kind: str) -> None:
    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(CASES[kind], EXPLICIT)
    def agrees(made: Case, pads: ops.Pads) -> None:
        try:
            padded = _with_pads(made, pads)
        except ValueError:  # the window does not fit
            return
        (node,) = padded.graph.nodes
        x = made.graph.tensors["x"]
        border = ((0, 0), (pads.top, pads.bottom), (pads.left, pads.right), (0, 0))
        data = np.pad(made.inputs["x"], border, constant_values=x.q.zero_point)
        bare = padded.graph.rebuilt(
            (replace(node, op=replace(node.op, pads=ops.Pads())),),
            {**padded.graph.tensors, "x": replace(x, shape=data.shape)},
        )
        expected = run(bare, {"x": data})["y"]
        np.testing.assert_array_equal(run(padded.graph, padded.inputs)["y"], expected)

    agrees()


def test_float_inputs_beyond_int32_saturate() -> None:
    data = np.array([np.inf, -np.inf, 1e30, -1e30, np.nan, 3e38], np.float32)
    x, y = tensor("x", (6,), None, DType.FLOAT32), tensor("y", (6,), Quant((1e-3,), (5,)))
    made = case(ops.Quantize(), (x,), (y,), {"x": data})
    np.testing.assert_array_equal(run(made.graph, made.inputs)["y"], [127, -128, 127, -128, 5, 127])
