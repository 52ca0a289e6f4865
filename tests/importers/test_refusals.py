"""Models that cannot be deployed: all causes at once, each with its tensors and a way out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.importers.common import activation, convolutional, integers
from tests.support.builder import GraphBuilder, frozen
from tests.support.tflite_writer import edited, write, write_operator
from tinyml.errors import ModelError, TinymlError, UnsupportedError
from tinyml.importers import load
from tinyml.importers.tflite import read
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant, Tensor


def refusal(data: bytes) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        read(data, "m")
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    return caught.value


def damage(data: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read(data, "m")
    assert "\n" not in str(caught.value)
    return caught.value


def as_float(graph: Graph) -> Graph:
    """The graph with float32 wherever it has int8 or a bias."""
    tensors = {}
    for name, tensor in graph.tensors.items():
        data = None if tensor.data is None else frozen(tensor.data.astype(np.float32))
        tensors[name] = Tensor(name, tensor.shape, DType.FLOAT32, None, data)
    return replace(graph, tensors=tensors)


def test_every_unsupported_operator_is_listed() -> None:
    """Unknown, custom and float operators in one model, among sound ones."""
    b = GraphBuilder("mixed", seed=5)
    x = b.conv(b.input((1, 6, 6, 2), name="in"), 4, output="kept")
    x = b.node(ops.Tanh(), (x,), Quant((1 / 128,), (0,)), output="first")
    x = b.node(ops.Logistic(), (x,), Quant((1 / 256,), (-128,)), output="second")
    x = b.node(ops.Relu(), (x,), output="third")

    def change(model: Any) -> None:
        for code in model.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.TANH:
                code.builtinCode = schema.BuiltinOperator.GELU
            if code.builtinCode == schema.BuiltinOperator.LOGISTIC:
                code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
                code.customCode = "MyOwn\nOp"
            if code.builtinCode == schema.BuiltinOperator.RELU:
                code.builtinCode = schema.BuiltinOperator.RELU_N1_TO_1
                code.deprecatedBuiltinCode = code.builtinCode

    error = refusal(edited(write(b.graph(x)), change))
    assert [(item.op, item.tensors, item.reason) for item in error.items] == [
        ("GELU", ("first",), "is not supported"),
        ("MyOwn_Op", ("second",), "is a custom operator"),
        ("RELU_N1_TO_1", ("third",), "is not supported"),
    ]
    assert "3 of 4 operators cannot be deployed" in error.what
    for word in ("GELU 'first'", "MyOwn_Op 'second'", "RELU_N1_TO_1 'third'"):
        assert word in error.what
    assert "'kept'" not in error.what


def test_float_model() -> None:
    graph = as_float(convolutional())
    error = refusal(write(graph))
    assert len(error.items) == len(graph.nodes)
    assert {item.reason for item in error.items} == {"computes in floating point"}
    assert {item.tensors for item in error.items} == {node.outputs for node in graph.nodes}
    assert "full int8" in error.hint
    assert "representative_dataset" in error.hint


def test_weights_that_are_quantised_alone() -> None:
    """Dynamic-range quantisation: int8 weights, float32 activations."""
    graph = convolutional()
    floats = as_float(graph)
    weights = {n.inputs[1] for n in graph.nodes if isinstance(n.op, ops.Conv2D)}
    tensors = {
        name: graph.tensors[name] if name in weights else tensor
        for name, tensor in floats.tensors.items()
    }
    error = refusal(write(replace(floats, tensors=tensors)))
    assert "full int8" in error.hint


def test_half_precision_weights() -> None:
    """Weights in float16 that a DEQUANTIZE widens."""

    def change(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[0]
        tensor.type = schema.TensorType.FLOAT16

    x, y = activation("x", (1, 4), DType.FLOAT32), activation("y", (1, 4), DType.FLOAT32)
    error = refusal(edited(write_operator("DEQUANTIZE", [x], [y]), change))
    assert error.items[0].reason == "computes in floating point"


def first_input(model: Any) -> Any:
    return model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]


def open_height(model: Any) -> None:
    first_input(model).shapeSignature = [1, -1, 8, 3]


def open_batch_of_several(model: Any) -> None:
    first_input(model).shapeSignature = [-1, 8, 8, 3]
    first_input(model).shape = [2, 8, 8, 3]


def empty_dimension(model: Any) -> None:
    first_input(model).shape = [1, 0, 8, 3]


@pytest.mark.parametrize("change", [open_height, open_batch_of_several, empty_dimension])
def test_dynamic_shapes(change: Callable[[Any], None]) -> None:
    error = refusal(edited(write(convolutional()), change))
    assert "dynamic shape" in error.what
    assert "fixed input shape" in error.hint


def test_an_open_batch_is_one() -> None:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.buffer == 0:
                tensor.shapeSignature = [-1, *tensor.shape[1:]]

    graph = read(edited(write(convolutional()), change), "m")
    assert graph.tensors[graph.inputs[0]].shape == (1, 8, 8, 3)


def sparse(tensor: Any) -> None:
    tensor.sparsity = schema.SparsityParametersT()


def variable(tensor: Any) -> None:
    tensor.isVariable = True


def external(tensor: Any) -> None:
    tensor.externalBuffer = 1


def int4(tensor: Any) -> None:
    tensor.type = schema.TensorType.INT4


def custom_quantisation(tensor: Any) -> None:
    tensor.quantization.detailsType = schema.QuantizationDetails.CustomQuantization
    tensor.quantization.details = schema.CustomQuantizationT()


@pytest.mark.parametrize(
    ("oddity", "words"),
    [
        (sparse, "is sparse"),
        (variable, "is a variable that keeps its value between runs"),
        (external, "is stored in another file"),
        (int4, "has elements of type INT4"),
        (custom_quantisation, "has a custom quantisation"),
    ],
)
def test_odd_tensors(oddity: Callable[[Any], None], words: str) -> None:
    """Weights of another kind are named, with the operator that reads them."""
    graph = convolutional()
    weights = graph.nodes[0].inputs[1]

    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.name.decode() == weights:
                oddity(tensor)

    (item,) = refusal(edited(write(graph), change)).items
    assert (item.op, item.tensors) == ("CONV_2D", graph.nodes[0].outputs)
    assert item.reason == f"tensor '{weights}' {words}"


def test_several_subgraphs() -> None:
    def change(model: Any) -> None:
        model.subgraphs = [*model.subgraphs, schema.SubGraphT(name="other")]

    assert "2 subgraphs" in refusal(edited(write(convolutional()), change)).what


def test_control_flow_is_named() -> None:
    def change(model: Any) -> None:
        model.subgraphs = [*model.subgraphs, schema.SubGraphT(name="body")]

    x, y = activation("x", (1, 4)), activation("y", (1, 4))
    (item,) = refusal(edited(write_operator("WHILE", [x], [y]), change)).items
    assert (item.op, item.tensors) == ("WHILE", ("y",))


@pytest.mark.parametrize("name", ["TANH", "SIGN_BIT"])
def test_fused_activation(name: str) -> None:
    x, y = activation("x", (1, 4, 4, 2)), activation("y", (1, 4, 4, 2))
    options = schema.AddOptionsT(getattr(schema.ActivationFunctionType, name))
    (item,) = refusal(write_operator("ADD", [x, x], [y], options)).items
    assert item.reason == f"fused activation {name} is not supported"


def shuffled() -> bytes:
    options = schema.FullyConnectedOptionsT(weightsFormat=1)
    w = Tensor("w", (2, 4), DType.INT8, Quant((0.5,), (0,)), frozen(np.ones((2, 4), np.int8)))
    operands = [activation("x", (1, 4)), w, None]
    return write_operator("FULLY_CONNECTED", operands, [activation("y", (1, 2))], options)


def weights_at_run_time() -> bytes:
    operands = [activation("x", (1, 4)), activation("w", (2, 4), quant=Quant((0.5,), (0,))), None]
    options = schema.FullyConnectedOptionsT()
    return write_operator("FULLY_CONNECTED", operands, [activation("y", (1, 2))], options)


def axes_at_run_time() -> bytes:
    operands = [activation("x", (1, 4)), activation("axes", (1,), DType.INT32)]
    options = schema.ReducerOptionsT()
    return write_operator("MEAN", operands, [activation("y", (1,))], options)


def asymmetric_weights() -> bytes:
    w = Tensor(
        "w", (2, 1, 1, 4), DType.INT8, Quant((0.5,), (1,)), frozen(np.ones((2, 1, 1, 4), np.int8))
    )
    operands = [activation("x", (1, 2, 2, 4)), w, None]
    options = schema.Conv2DOptionsT(schema.Padding.VALID, 1, 1)
    return write_operator("CONV_2D", operands, [activation("y", (1, 2, 2, 2))], options)


def pool_that_rescales() -> bytes:
    options = schema.Pool2DOptionsT(schema.Padding.VALID, 1, 1, 2, 2)
    y = activation("y", (1, 1, 1, 3), quant=Quant((0.25,), (3,)))
    return write_operator("MAX_POOL_2D", [activation("x", (1, 2, 2, 3))], [y], options)


def concatenation_of_unlike() -> bytes:
    x, y = activation("x", (1, 2)), activation("x2", (1, 2), quant=Quant((0.25,), (3,)))
    options = schema.ConcatenationOptionsT(1)
    return write_operator("CONCATENATION", [x, y], [activation("y", (1, 4))], options)


def softmax_of_another_scale() -> bytes:
    x, y = activation("x", (1, 4)), activation("y", (1, 4))
    return write_operator("SOFTMAX", [x], [y], schema.SoftmaxOptionsT(1.0))


def unquantised() -> bytes:
    x, y = activation("x", (1, 4), quant=None), activation("y", (1, 4))
    return write_operator("RELU", [x], [y])


def arg_max_in_64_bits() -> bytes:
    operands = [activation("x", (1, 4)), integers("axis", 1)]
    y = activation("y", (1,), DType.INT64)
    return write_operator("ARG_MAX", operands, [y], schema.ArgMaxOptionsT(4))


def pad_value_at_run_time() -> bytes:
    operands = [
        activation("x", (1, 4)),
        integers("pads", [0, 0, 1, 1]),
        activation("value", ()),
    ]
    return write_operator("PADV2", operands, [activation("y", (1, 6))])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (shuffled, "weights are stored shuffled"),
        (weights_at_run_time, "weights 'w' are computed at run time"),
        (axes_at_run_time, "its list of axes, tensor 'axes', is computed at run time"),
        (asymmetric_weights, "'w' are quantised asymmetrically"),
        (pool_that_rescales, "'x' and 'y' are quantised differently"),
        (concatenation_of_unlike, "'x2' and 'y' are quantised differently"),
        (softmax_of_another_scale, "not quantised by 1/256, -128"),
        (unquantised, "tensor 'x' is not quantised"),
        (arg_max_in_64_bits, "tensor 'y' is int64, not int32"),
        (pad_value_at_run_time, "its value, tensor 'value', is computed at run time"),
    ],
)
def test_unsupported_forms(model: Callable[[], bytes], reason: str) -> None:
    (item,) = refusal(model()).items
    assert reason in item.reason
    assert item.reason.startswith(("tensor", "tensors", "weights", "its"))
    assert item.tensors == ("y",)


def no_options(model: Any) -> None:
    for operator in model.subgraphs[0].operators:
        operator.builtinOptionsType, operator.builtinOptions = 0, None


def other_options(model: Any) -> None:
    for operator in model.subgraphs[0].operators:
        operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        operator.builtinOptions = schema.SoftmaxOptionsT(1.0)


def stride_zero(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptions.strideH = 0


def wrong_version(model: Any) -> None:
    model.version = 2


def no_subgraph(model: Any) -> None:
    model.subgraphs = []


def short_constant(model: Any) -> None:
    buffer = next(buffer for buffer in model.buffers if buffer.data is not None)
    buffer.data = buffer.data[:-1]


def missing_buffer(model: Any) -> None:
    model.subgraphs[0].tensors[0].buffer = 999


def missing_operator_code(model: Any) -> None:
    model.subgraphs[0].operators[0].opcodeIndex = 99


def missing_tensor(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [9999]


def missing_operand(model: Any) -> None:
    operator = model.subgraphs[0].operators[0]
    operator.inputs = [-1, *operator.inputs[1:]]


def wrong_shape(model: Any) -> None:
    first_input(model).shape = [1, 9, 9, 3]


def negative_shape(model: Any) -> None:
    first_input(model).shape = [1, 8, -8, 3]


def enormous_shape(model: Any) -> None:
    first_input(model).shape = [1, 2**31 - 1, 2**31 - 1, 3]


def many_dimensions(model: Any) -> None:
    first_input(model).shape = [1] * 2000


def wrong_order(model: Any) -> None:
    operators = model.subgraphs[0].operators
    operators[0], operators[1] = operators[1], operators[0]


def output_from_nowhere(model: Any) -> None:
    model.subgraphs[0].operators.pop()


def scale_zero(model: Any) -> None:
    first_input(model).quantization.scale = np.array([0], np.float32)


def scale_not_a_number(model: Any) -> None:
    first_input(model).quantization.scale = np.array([np.nan], np.float32)


def zero_point_too_large(model: Any) -> None:
    first_input(model).quantization.zeroPoint = np.array([128], np.int64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_options, "has no Conv2DOptions"),
        (other_options, "has no Conv2DOptions"),
        (stride_zero, "stride (0, 2)"),
        (wrong_version, "schema version 2"),
        (no_subgraph, "no subgraph"),
        (short_constant, "bytes"),
        (missing_buffer, "buffer 999"),
        (missing_operator_code, "operator code 99"),
        (missing_tensor, "a tensor index"),
        (missing_operand, "operand 0 is missing"),
        (wrong_shape, "computed is"),
        (negative_shape, "has no elements"),
        (enormous_shape, "is too large"),
        (many_dimensions, "2000 dimensions"),
        (wrong_order, "before it is computed"),
        (output_from_nowhere, "neither computed, nor an input, nor constant"),
        (scale_zero, "0.0 is no scale"),
        (scale_not_a_number, "nan is no scale"),
        (zero_point_too_large, "zero point 128 is no int8"),
    ],
)
def test_contradictions(change: Callable[[Any], None], words: str) -> None:
    error = damage(edited(write(convolutional()), change))
    assert words in error.what
    assert error.what.startswith("model 'm': ")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_options_that_are_no_numbers(value: float) -> None:
    x, y = activation("x", (1, 4)), activation("y", (1, 4))
    data = write_operator("LEAKY_RELU", [x], [y], schema.LeakyReluOptionsT(value))
    assert "its alpha is" in damage(data).what
    data = write_operator("SOFTMAX", [x], [y], schema.SoftmaxOptionsT(value))
    assert "its beta is" in damage(data).what


def test_constants_behind_the_flatbuffer() -> None:
    """Large files keep constants behind the tables, at an offset."""
    x, y = activation("x", (1, 4)), activation("y", (1, 4))
    values = Tensor("c", (4,), DType.INT8, Quant((0.5,), (3,)), frozen(np.arange(4, dtype=np.int8)))

    def moved(size: int, offset: int) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            model.buffers[1].data = None
            model.buffers[1].offset, model.buffers[1].size = offset, size

        return change

    data = write_operator("ADD", [x, values], [y], schema.AddOptionsT())
    end = len(edited(data, moved(4, 2**40)))
    found = read(edited(data, moved(4, end)) + bytes([9, 8, 7, 6]), "m")
    assert found.tensors["c"].values.tolist() == [9, 8, 7, 6]
    assert "ends behind the file" in damage(edited(data, moved(4, 2**40))).what


def test_files(tmp_path: Path) -> None:
    for name, words in (("model.onnx", "no model file by its name"), ("m.tflite", "cannot read")):
        with pytest.raises(ModelError, match=words) as caught:
            load(tmp_path / name)
        assert name in str(caught.value)
    path = tmp_path / "named.TFLITE"
    path.write_bytes(write(convolutional()))
    assert load(path).name == "named"
    path.write_bytes(b"")
    with pytest.raises(TinymlError, match="'named'"):
        load(path)
