"""The demo's network in float32, as an exporter would have written it before quantisation."""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"
_INTEGERS = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}


def float_digits() -> bytes:
    """Every weight is the real number that the int8 network's stands for; with a signature."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(DIGITS.read_bytes(), 0))
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        quant = tensor.quantization
        if quant is None or quant.scale is None:
            continue  # the axes of MEAN stay integers
        data = model.buffers[tensor.buffer].data
        if data is not None:
            floats = _real(np.frombuffer(bytes(data), _INTEGERS[tensor.type]), tensor)
            model.buffers[tensor.buffer].data = np.frombuffer(floats.tobytes(), np.uint8)
        tensor.type = schema.TensorType.FLOAT32
        tensor.quantization = None
    model.signatureDefs = [_signature(graph)]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _real(values: Any, tensor: Any) -> Any:
    quant, shape = tensor.quantization, tensor.shape
    along = [1] * len(shape)
    if len(quant.scale) > 1:
        along[quant.quantizedDimension] = -1
    scales = np.asarray(quant.scale, np.float32).reshape(along)
    return (values.reshape(shape).astype(np.float32) * scales).astype(np.float32)


def _signature(graph: Any) -> Any:
    found = schema.SignatureDefT()
    found.signatureKey, found.subgraphIndex = b"serving_default", 0
    found.inputs = [_entry(b"image", graph.inputs[0])]
    found.outputs = [_entry(b"digit", graph.outputs[0])]
    return found


def _entry(name: bytes, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
