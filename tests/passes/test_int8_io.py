"""Float edges cut off: what is left computes the same integers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.models import model_path
from tests.support.tflite_writer import write
from tinyml import importers, pipeline
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import DType, Graph
from tinyml.passes import int8_io
from tinyml.reference import run

MOVES = {
    "none": (),
    "transpose": (ops.Transpose((0, 2, 3, 1)),),
    "other transpose": (ops.Transpose((0, 3, 2, 1)),),
    "reshape": (ops.Reshape((1, 5, 4, 3)),),
    "reshape, transpose": (ops.Reshape((1, 3, 4, 5)), ops.Transpose((0, 2, 3, 1))),
}


def float_net(moves: tuple[ops.Op, ...]) -> Graph:
    """float32 -> moves -> QUANTIZE -> convolution -> DEQUANTIZE -> float32."""
    net = GraphBuilder("edges")
    x = net.input((1, 3, 5, 4), dtype=DType.FLOAT32)
    for move in moves:
        x = net.node(move, [x], dtype=DType.FLOAT32)
    x = net.node(ops.Quantize(), [x], per_tensor(0.1, 3))
    y = net.conv(x, 6)
    return net.graph(net.node(ops.Dequantize(), [y], dtype=DType.FLOAT32))


def quantised(graph: Graph, cut: Graph, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The float inputs of `graph` as the int8 inputs of `cut`."""
    found = {}
    for name, array in values.items():
        tensor = cut.tensors[name]
        reader = name
        while array.shape != tensor.shape:
            (node,) = (node for node in graph.nodes if node.inputs[0] == reader)
            if not isinstance(node.op, ops.Quantize):
                moved = replace(graph, inputs=(reader,), outputs=node.outputs, nodes=(node,))
                array = run(moved, {reader: array})[node.output]
            reader = node.output
        steps = array.astype(np.float32) / np.float32(tensor.q.scale)
        rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps) + tensor.q.zero_point
        found[name] = np.clip(rounded, -128, 127).astype(np.int8)
    return found


def same(graph: Graph, cut: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {n: rng.normal(0, 4, graph.tensors[n].shape).astype("f4") for n in graph.inputs}
    expected, actual = run(graph, values), run(cut, quantised(graph, cut, values))
    for name in graph.outputs:
        q = cut.tensors[name].q
        real = ((actual[name].astype(np.float64) - q.zero_point) * q.scale).astype(np.float32)
        assert real.tobytes() == expected[name].tobytes()


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_cut(moves: tuple[ops.Op, ...]) -> None:
    graph = float_net(moves)
    cut = int8_io(graph)
    check(cut)
    assert (cut.inputs, cut.outputs) == (graph.inputs, graph.outputs)
    names = (*cut.inputs, *cut.outputs)
    assert {cut.tensors[name].dtype for name in names} == {DType.INT8}
    kinds = [node.op.kind for node in cut.nodes]
    assert "QUANTIZE" not in kinds and "DEQUANTIZE" not in kinds
    for seed in range(5):
        same(graph, cut, seed)


def test_nchw_becomes_nhwc() -> None:
    cut = int8_io(float_net(MOVES["transpose"]))
    assert cut.tensors[cut.inputs[0]].shape == (1, 5, 4, 3)
    assert [node.op.kind for node in cut.nodes] == ["CONV_2D"]


def test_a_map_in_another_shape_becomes_the_map() -> None:
    """Of float models and of int8 ones, as often as it takes; then its rows can come one by one."""
    cut = int8_io(float_net(MOVES["reshape"]))
    assert cut.tensors[cut.inputs[0]].shape == (1, 5, 4, 3)
    assert [node.op.kind for node in cut.nodes] == ["CONV_2D"]
    cut = int8_io(float_net(MOVES["reshape, transpose"]))
    assert cut.tensors[cut.inputs[0]].shape == (1, 4, 5, 3)
    assert [node.op.kind for node in cut.nodes] == ["CONV_2D"]
    net = GraphBuilder("line")
    line = net.input((1, 60))
    graph = net.graph(net.conv(net.node(ops.Reshape((1, 5, 4, 3)), [line]), 2))
    cut = int8_io(graph)
    check(cut)
    assert (cut.inputs, cut.tensors[line].shape) == (graph.inputs, (1, 5, 4, 3))
    data = np.random.default_rng(1).integers(-128, 128, 60).astype(np.int8)
    expected = run(graph, {line: data.reshape(1, 60)})
    actual = run(cut, {line: data.reshape(1, 5, 4, 3)})
    assert [a.tobytes() for a in actual.values()] == [e.tobytes() for e in expected.values()]


@pytest.mark.parametrize("shape", [(1, 60), (3, 5, 4), (3, 1, 5, 4)])
def test_what_becomes_no_map_stays(shape: tuple[int, ...]) -> None:
    """An image that a dense layer takes as a line is an image to the application."""
    net = GraphBuilder("flat")
    graph = net.graph(net.node(ops.Reshape(shape), [net.input((1, 5, 4, 3))]))
    y = net.node(ops.Relu(), graph.outputs)
    graph = net.graph(y)
    assert int8_io(graph).nodes == graph.nodes


def test_an_input_of_several_readers_keeps_its_shape() -> None:
    net = GraphBuilder("two readers")
    x = net.input((1, 60))
    y = net.conv(net.node(ops.Reshape((1, 5, 4, 3)), [x]), 2)
    graph = net.graph(y, net.node(ops.Relu(), [x]))
    assert int8_io(graph).nodes == graph.nodes


def test_an_int8_model_stays() -> None:
    net = GraphBuilder("int8")
    graph = net.graph(net.conv(net.input((1, 4, 4, 2)), 3))
    assert int8_io(graph).nodes == graph.nodes


def test_a_float_input_used_otherwise_is_refused() -> None:
    net = GraphBuilder("two")
    x = net.input((1, 4), dtype=DType.FLOAT32)
    fine, coarse = (net.node(ops.Quantize(), [x], per_tensor(s)) for s in (0.1, 0.2))
    with pytest.raises(UnsupportedError, match=r"input 't0'.*more than quantised"):
        int8_io(net.graph(fine, coarse))


def test_an_output_that_is_also_an_int8_output_is_refused() -> None:
    net = GraphBuilder("both")
    y = net.conv(net.input((1, 4, 4, 2)), 3)
    real = net.node(ops.Dequantize(), [y], dtype=DType.FLOAT32)
    with pytest.raises(UnsupportedError, match=r"output .*more than dequantised"):
        int8_io(net.graph(y, real))


@pytest.mark.parametrize("name", ["mcunet_vww_80_int8", "mcunet_person_detection_128x160_int8"])
def test_real_models(name: str) -> None:
    graph = importers.load(model_path(name))
    cut = int8_io(graph)
    check(cut)
    same(graph, cut, seed=1)


def test_in_the_flow(tmp_path: Path) -> None:
    model = tmp_path / "edges.tflite"
    model.write_bytes(write(float_net(MOVES["transpose"])))
    pipeline.build(model, "host", tmp_path / "p", io="int8")
    assert "_INPUT_ZERO_POINT 3\n" in (tmp_path / "p" / "src" / "edges.h").read_text()
    assert pipeline.verify(tmp_path / "p", inputs=5).bit_exact
    assert pipeline.plan(model, "host", io="int8").arena_bytes < (
        pipeline.plan(model, "host").arena_bytes
    )
