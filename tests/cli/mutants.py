"""Model files that must be refused, made from the demo's sound one."""

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.cli.conftest import DIGITS
from tests.support.graphs import GraphBuilder
from tests.support.tflite_writer import write
from tinyml.ir.graph import DType

OTHER_OPERATOR = 2

_FLOAT_OF = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}


def float_model() -> bytes:
    """The demo's network with every tensor in float32."""

    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            data = model.buffers[tensor.buffer].data
            if tensor.quantization is None or tensor.quantization.scale is None:
                continue  # the axes of MEAN stay integers
            if data is not None:
                integers = np.frombuffer(bytes(data), _FLOAT_OF[tensor.type])
                floats = integers.astype(np.float32)
                model.buffers[tensor.buffer].data = np.frombuffer(floats.tobytes(), np.uint8)
            tensor.type = schema.TensorType.FLOAT32
            tensor.quantization = None

    return _mutant(change)


def dynamic_model() -> bytes:
    """The demo's network with images of any height."""
    return _opened(axis=1)


def open_batch_model() -> bytes:
    """The demo's network with a free batch dimension, as converters often leave it; sound."""
    return _opened(axis=0)


def _opened(axis: int) -> bytes:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if model.buffers[tensor.buffer].data is None:
                tensor.shapeSignature = list(tensor.shape)
                if len(tensor.shape) > axis:
                    tensor.shapeSignature[axis] = -1

    return _mutant(change)


def unsupported_model() -> bytes:
    """The demo's network with its SOFTMAX and MEAN replaced by operators that are not deployed."""

    def change(model: Any) -> None:
        others = {
            schema.BuiltinOperator.SOFTMAX: schema.BuiltinOperator.LOG_SOFTMAX,
            schema.BuiltinOperator.MEAN: schema.BuiltinOperator.SUM,
        }
        for code in model.operatorCodes:
            if code.builtinCode in others:
                code.builtinCode = others[code.builtinCode]
                code.deprecatedBuiltinCode = code.builtinCode

    return _mutant(change)


def other_weights() -> bytes:
    """The demo's network with the weights of its third operator negated; sound."""

    def change(model: Any) -> None:
        weights = model.subgraphs[0].operators[OTHER_OPERATOR].inputs[1]
        buffer = model.buffers[model.subgraphs[0].tensors[weights].buffer]
        values = np.frombuffer(bytes(buffer.data), np.int8)
        buffer.data = (-values).view(np.uint8)

    return _mutant(change)


def much_sram() -> bytes:
    """A network whose maps take more SRAM than an STM32F405 has."""
    net = GraphBuilder("maps")
    x = net.input((1, 160, 160, 4))
    return write(net.graph(net.conv(x, 8)))


def much_flash() -> bytes:
    """A network whose weights take more flash than an STM32F405 has."""
    net = GraphBuilder("weights")
    x = net.input((1, 1024), dtype=DType.INT8)
    return write(net.graph(net.dense(x, 1100)))


def _mutant(change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(bytearray(DIGITS.read_bytes()), 0)
    change(model)
    builder = flatbuffers.Builder(16384)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
