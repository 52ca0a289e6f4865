"""Inputs to try a model with: extremes first, then random ones from a seed."""

from collections.abc import Sequence

import numpy as np

from tinyml.errors import ModelError
from tinyml.ir.graph import Array, DType, Graph, Tensor
from tinyml.ir.ops import Quantize

FLOAT_MARGIN = 1.1
"""Float inputs reach this much beyond the range that their quantisation can hold."""


def draw_samples(graph: Graph, count: int, seed: int) -> list[list[Array]]:
    """`count` samples, each with one array per input of `graph`.

    The first three are the smallest value everywhere, the largest, and real
    zero; the rest are uniform over the whole range. The same arguments give
    the same arrays.
    """
    rng = np.random.default_rng(seed)
    tensors = [graph.tensors[name] for name in graph.inputs]
    return [[_draw(graph, tensor, i, rng) for tensor in tensors] for i in range(count)]


def check_sample(graph: Graph, sample: Sequence[Array]) -> list[Array]:
    """`sample` as the graph's inputs, contiguous; ModelError when it does not fit."""
    tensors = [graph.tensors[name] for name in graph.inputs]
    if len(sample) != len(tensors):
        raise ModelError(f"the model has {len(tensors)} inputs, {len(sample)} arrays were given")
    for tensor, array in zip(tensors, sample, strict=True):
        if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
            raise ModelError(
                f"input '{tensor.name}' takes {tensor.dtype.value}{list(tensor.shape)}, "
                f"the array is {array.dtype}{list(array.shape)}",
                hint="quantise as the input's scale and zero point say: tinyml inspect shows them",
            )
    return [np.ascontiguousarray(array) for array in sample]


def _draw(graph: Graph, tensor: Tensor, index: int, rng: np.random.Generator) -> Array:
    low, high, zero = _range(graph, tensor)
    if index < 3:
        return np.full(tensor.shape, (low, high, zero)[index], tensor.dtype.numpy)
    if tensor.dtype is DType.FLOAT32:
        return rng.uniform(low, high, tensor.shape).astype(np.float32)
    return rng.integers(int(low), int(high) + 1, tensor.shape).astype(tensor.dtype.numpy)


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
