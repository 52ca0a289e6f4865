"""Models and tensors that the importer's tests share."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from tests.support.builder import SOFTMAX_QUANT, GraphBuilder, frozen
from tests.support.models import MODELS
from tests.support.tflite_writer import write
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant, Shape, Tensor

Q = Quant((0.5,), (3,))


def activation(
    name: str, shape: Shape, dtype: DType = DType.INT8, quant: Quant | None = Q
) -> Tensor:
    """A tensor without data; int8 ones are quantised by 0.5, 3."""
    return Tensor(name, shape, dtype, quant if dtype is DType.INT8 else None)


def integers(name: str, values: Sequence[int] | int, dtype: DType = DType.INT32) -> Tensor:
    """A constant of integers."""
    data = np.array(values, dtype.numpy)
    return Tensor(name, data.shape, dtype, data=frozen(data))


def convolutional() -> Graph:
    """Convolutions, a residual, pools, and both ways to become flat."""
    b = GraphBuilder("convolutional", seed=1)
    x = b.conv(b.input((1, 8, 8, 3)), 4, stride=(2, 2), pads=ops.Pads(0, 1, 0, 1))
    y = b.depthwise(x, pads=ops.Pads(1, 1, 1, 1), activation=ops.Activation.RELU6)
    x = b.node(ops.Add(), (x, y), b.quant())
    x = b.node(ops.Pad(((0, 0), (1, 1), (1, 1), (0, 0))), (x,))
    x = b.node(ops.MaxPool2D(filter=(2, 2), stride=(2, 2)), (x,))
    x = b.node(ops.Mean(axes=(1, 2)), (x,), b.quant())
    return b.graph(b.node(ops.Softmax(), (b.dense(x, 5),), SOFTMAX_QUANT))


def moving() -> Graph:
    """Float edges, and ops whose attributes are constant operands in the file."""
    b = GraphBuilder("moving", seed=2)
    x = b.node(ops.Quantize(), (b.input((1, 4, 6, 2), dtype=DType.FLOAT32),), b.quant())
    x = b.node(ops.Transpose((0, 2, 1, 3)), (x,))
    x = b.node(ops.StridedSlice((0, 5, 1, 0), (1, 3, 2, 2), (1, -2, 1, 1), (1, 3, 2, 2)), (x,))
    x = b.node(ops.ResizeNearestNeighbor(size=(6, 4)), (x,))
    left, right = b.split_node(ops.Split(axis=1, count=2), (x,))
    x = b.node(ops.Concatenation(axis=3), (right, left))
    x = b.node(ops.Pad(((0, 0), (0, 1), (2, 0), (0, 0)), value=-7), (x,))
    x = b.node(ops.Reshape((4, 24)), (x,))
    real = b.node(ops.Dequantize(), (x,), dtype=DType.FLOAT32)
    return b.graph(real, b.node(ops.ArgMax(axis=1), (x,), dtype=DType.INT32))


@cache
def small_models() -> Mapping[str, bytes]:
    """.tflite files of a few kB, and small real ones where they are there."""
    found = {graph.name: write(graph) for graph in (convolutional(), moving())}
    for name in ("hello_world_int8", "micro_speech_quantized"):
        path = MODELS / f"{name}.tflite"
        if path.is_file():
            found[name] = path.read_bytes()
    return found
