"""Inputs to try a model with: extremes first, then random ones from a seed."""

from collections.abc import Sequence

import numpy as np

from tinyml.errors import ModelError
from tinyml.fill import Fill, constant, random_floats, random_words
from tinyml.ir.graph import Array, DType, Graph, Tensor
from tinyml.ir.ops import Quantize

FLOAT_MARGIN = 1.1
"""Float inputs reach this much beyond the range that their quantisation can hold."""

_SEED_STEP = 1_000_003
"""Between the seeds of two inputs: more than the words of any one, and prime."""


def draw_samples(graph: Graph, count: int, seed: int) -> list[list[Fill]]:
    """`count` samples, each with one recipe per input of `graph`.

    The first three are the smallest value everywhere, the largest, and real
    zero; the rest are uniform over the whole range. The same arguments give
    the same samples.
    """
    tensors = [graph.tensors[name] for name in graph.inputs]
    base = seed * count
    return [
        [
            _draw(graph, tensor, i, (base + i) * len(tensors) + place)
            for place, tensor in enumerate(tensors)
        ]
        for i in range(count)
    ]


def as_arrays(graph: Graph, sample: Sequence[Array | Fill]) -> list[Array]:
    """`sample` as the graph's inputs, contiguous; ModelError when it does not fit."""
    tensors = [graph.tensors[name] for name in graph.inputs]
    if len(sample) != len(tensors):
        raise ModelError(f"the model has {len(tensors)} inputs, {len(sample)} arrays were given")
    return [_as_array(tensor, given) for tensor, given in zip(tensors, sample, strict=True)]


def _as_array(tensor: Tensor, given: Array | Fill) -> Array:
    if isinstance(given, Fill):
        data = given.data(tensor.nbytes)
        return np.frombuffer(data, tensor.dtype.numpy).reshape(tensor.shape)
    if given.shape != tensor.shape or given.dtype != tensor.dtype.numpy:
        raise ModelError(
            f"input '{tensor.name}' takes {tensor.dtype.value}{list(tensor.shape)}, "
            f"the array is {given.dtype}{list(given.shape)}",
            hint="quantise as the input's scale and zero point say: tinyml inspect shows them",
        )
    return np.ascontiguousarray(given)


def _draw(graph: Graph, tensor: Tensor, index: int, seed: int) -> Fill:
    low, high, zero = _range(graph, tensor)
    if index < 3:
        value = np.array((low, high, zero)[index], tensor.dtype.numpy)
        # Eight bytes do not fit a word: such inputs are indices, and all zero is a valid one.
        return constant(value.tobytes()) if value.itemsize <= 4 else constant(b"\0")
    if tensor.dtype is DType.FLOAT32:
        return random_floats(seed * _SEED_STEP % 2**32, low, high)
    mask = 0x0101_0101 if tensor.dtype is DType.BOOL else 0xFFFF_FFFF
    return random_words(seed * _SEED_STEP % 2**32, mask)


def _range(graph: Graph, tensor: Tensor) -> tuple[float, float, float]:
    """Smallest and largest value of an input, and its zero."""
    if tensor.dtype is DType.BOOL:
        return 0, 1, 0
    if tensor.dtype is not DType.FLOAT32:
        info = np.iinfo(tensor.dtype.value)
        zero = tensor.quant.zero_point if tensor.quant else 0
        return int(info.min), int(info.max), zero
    for node in graph.consumers()[tensor.name]:
        if isinstance(node.op, Quantize):
            result = graph.tensors[node.output]
            info, q = np.iinfo(result.dtype.value), result.q
            low, high = ((edge - q.zero_point) * q.scale for edge in (info.min, info.max))
            return low * FLOAT_MARGIN, high * FLOAT_MARGIN, 0.0
    return -1.0, 1.0, 0.0
