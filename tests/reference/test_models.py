"""Whole models: every tensor of every shared model, bit for bit with TFLite Micro."""

import numpy as np
import pytest

from tests.support.models import NAMES, model_path
from tests.support.oracle import LARGE_ARENA, run_tflm, run_tflm_keeping_all
from tinyml.importers import tflite
from tinyml.ir.graph import Array, DType, Tensor
from tinyml.reference import run

LARGE = frozenset({"mcunetv2_large_224_int8"})


def _input(tensor: Tensor, style: str, rng: np.random.Generator) -> Array:
    if tensor.dtype is DType.FLOAT32:
        scale = {"random": 1.0, "lowest": 0.0, "wide": 50.0}[style]
        return (scale * rng.normal(size=tensor.shape)).astype(np.float32)
    info = np.iinfo(tensor.dtype.numpy)
    if style == "lowest":
        return np.full(tensor.shape, info.min, tensor.dtype.numpy)
    low, high = (info.min // 8, info.max // 8) if style == "random" else (info.min, info.max)
    return rng.integers(low, high, tensor.shape, tensor.dtype.numpy, endpoint=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_agrees(name: str) -> None:
    model = model_path(name).read_bytes()
    graph = tflite.read(model, name)
    rng = np.random.default_rng(0)
    for style in ("wide",) if name in LARGE else ("random", "lowest", "wide"):
        feeds = {t: _input(graph.tensors[t], style, rng) for t in graph.inputs}
        ordered = [feeds[t] for t in graph.inputs]
        actual = run(graph, feeds, keep=True)
        expected = run_tflm_keeping_all(model, ordered)
        computed = [t for node in graph.nodes for t in node.outputs]
        assert set(computed) == set(expected)
        for tensor in computed:
            np.testing.assert_array_equal(
                actual[tensor], expected[tensor], f"{name}, {style} input, tensor {tensor}"
            )
        outputs = run_tflm(model, ordered, LARGE_ARENA)
        for tensor, value in zip(graph.outputs, outputs, strict=True):
            np.testing.assert_array_equal(actual[tensor], value)
