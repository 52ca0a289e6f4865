"""Flatten over an open batch, as Keras exports it: the shape of a RESHAPE is computed."""

from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.support.builder import GraphBuilder
from tests.support.tflite_writer import edited, write
from tinyml.errors import TinymlError, UnsupportedError
from tinyml.importers.tflite import read
from tinyml.ir import ops


def flattened() -> bytes:
    """A convolution, a RESHAPE to [1, 12] and a dense layer."""
    net = GraphBuilder("flat")
    x = net.conv(net.input((1, 4, 5, 3)), 2)
    return write(net.graph(net.dense(net.node(ops.Reshape((1, 12)), [x]), 6)))


class Editor:
    """Adds tensors and operators to the model's only subgraph."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]

    def tensor(self, name: str, shape: list[int], data: list[int] | None = None) -> int:
        buffer = schema.BufferT()
        if data is not None:
            buffer.data = np.frombuffer(np.array(data, np.int32).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, schema.TensorType.INT32
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, 1
        self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        return operator


def open_batch(model: Any, *, source: int | None = None, parts: int = 1) -> None:
    """The RESHAPE's shape becomes PACK(STRIDED_SLICE(SHAPE(x))[0:1], 12)."""
    edit = Editor(model)
    at = next(
        i
        for i, operator in enumerate(edit.graph.operators)
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.RESHAPE
    )
    reshape = edit.graph.operators[at]
    shape = edit.tensor("shape", [4])
    batch, packed = edit.tensor("batch", []), edit.tensor("packed", [2])
    bounds = [edit.tensor(f"bound{i}", [1], [value]) for i, value in enumerate((0, 1, 1))]
    rest = edit.tensor("rest", [], [12])
    slice_options = schema.StridedSliceOptionsT()
    slice_options.shrinkAxisMask = 1
    pack_options = schema.PackOptionsT()
    pack_options.valuesCount = 2
    kinds, names = schema.BuiltinOptions, schema.BuiltinOperator
    read_from = reshape.inputs[0] if source is None else source
    added = [
        edit.operator(names.SHAPE, [read_from], shape, kinds.ShapeOptions, schema.ShapeOptionsT()),
        edit.operator(
            names.STRIDED_SLICE,
            [shape, *bounds],
            batch,
            kinds.StridedSliceOptions,
            slice_options,
        ),
        edit.operator(
            names.PACK, [batch, *[rest] * parts], packed, kinds.PackOptions, pack_options
        ),
    ]
    reshape.inputs = [reshape.inputs[0], packed]
    reshape.builtinOptionsType, reshape.builtinOptions = 0, None
    edit.graph.operators[at:at] = added


def test_the_computed_shape_is_a_constant() -> None:
    plain = read(flattened(), "flat")
    folded = read(edited(flattened(), open_batch), "flat")
    assert [node.op for node in folded.nodes] == [node.op for node in plain.nodes]
    assert {t.shape for t in folded.tensors.values()} == {t.shape for t in plain.tensors.values()}


def test_a_pack_that_does_not_fit_its_result_is_refused() -> None:
    """It is no known shape then, so the RESHAPE that takes it is named with it."""
    with pytest.raises(TinymlError, match=r"RESHAPE.*'packed', is computed at run time"):
        read(edited(flattened(), lambda model: open_batch(model, parts=2)), "flat")


def test_a_shape_that_is_an_output_is_refused() -> None:
    def change(model: Any) -> None:
        open_batch(model)
        graph = model.subgraphs[0]
        graph.outputs = [*graph.outputs, len(graph.tensors) - 6]  # "batch"

    with pytest.raises(UnsupportedError):
        read(edited(flattened(), change), "flat")


def test_values_are_not_shapes() -> None:
    """PACK of activations computes data: it is refused where a shape is declared as its result."""

    def change(model: Any) -> None:
        open_batch(model)
        for operator in model.subgraphs[0].operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.PACK:
                operator.inputs = [model.subgraphs[0].inputs[0]] * 2

    with pytest.raises(UnsupportedError, match="PACK"):
        read(edited(flattened(), change), "flat")
