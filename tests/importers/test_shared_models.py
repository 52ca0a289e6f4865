"""The real models, against the figures that come with them."""

from collections import Counter

import numpy as np
import pytest

from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir.check import check
from tinyml.ir.graph import DType

MACS = {
    "ad01_int8": 264_192,
    "hello_world_int8": 288,
    "kws_ref_model": 2_656_768,
    "mcunet_person_detection_128x160_int8": 18_296_320,
    "mcunet_vww_80_int8": 11_578_816,
    "mcunetv2_large_224_int8": 216_815_264,
    "micro_speech_quantized": 336_000,
    "person_detect": 7_157_888,
    "resnet8_cifar10_int8": 12_501_632,
    "vww_96_int8": 7_489_664,
}

OPS = {
    "ad01_int8": {"FULLY_CONNECTED": 10},
    "hello_world_int8": {"FULLY_CONNECTED": 3},
    "kws_ref_model": {
        "CONV_2D": 5,
        "DEPTHWISE_CONV_2D": 4,
        "AVERAGE_POOL_2D": 1,
        "RESHAPE": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    },
    "mcunet_person_detection_128x160_int8": {
        "QUANTIZE": 1,
        "PAD": 5,
        "CONV_2D": 39,
        "DEPTHWISE_CONV_2D": 16,
        "ADD": 11,
        "RESIZE_NEAREST_NEIGHBOR": 2,
        "MAX_POOL_2D": 2,
        "DEQUANTIZE": 3,
    },
    "mcunet_vww_80_int8": {
        "QUANTIZE": 1,
        "PAD": 4,
        "CONV_2D": 30,
        "DEPTHWISE_CONV_2D": 15,
        "ADD": 8,
        "TRANSPOSE": 1,
        "MEAN": 2,
        "FULLY_CONNECTED": 1,
        "DEQUANTIZE": 1,
    },
    "mcunetv2_large_224_int8": {
        "QUANTIZE": 1,
        "PAD": 5,
        "CONV_2D": 61,
        "DEPTHWISE_CONV_2D": 16,
        "MEAN": 28,
        "ADD": 23,
        "MUL": 26,
        "TRANSPOSE": 1,
        "FULLY_CONNECTED": 1,
        "DEQUANTIZE": 1,
    },
    "micro_speech_quantized": {
        "RESHAPE": 1,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    },
    "person_detect": {
        "DEPTHWISE_CONV_2D": 14,
        "CONV_2D": 14,
        "AVERAGE_POOL_2D": 1,
        "RESHAPE": 1,
        "SOFTMAX": 1,
    },
    "resnet8_cifar10_int8": {
        "CONV_2D": 9,
        "ADD": 3,
        "AVERAGE_POOL_2D": 1,
        "RESHAPE": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    },
    "vww_96_int8": {
        "CONV_2D": 14,
        "DEPTHWISE_CONV_2D": 13,
        "AVERAGE_POOL_2D": 1,
        "RESHAPE": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_import(name: str) -> None:
    graph = load(model_path(name))
    check(graph)
    assert graph.name == name
    assert sum(graph.macs(node) for node in graph.nodes) == MACS[name]
    assert Counter(node.op.kind for node in graph.nodes) == OPS[name]


def test_person_detect_keeps_its_biases() -> None:
    """Their axis lies outside their shape; it says nothing, so it must not matter."""
    graph = load(model_path("person_detect"))
    biases = [graph.operands(n)[2] for n in graph.nodes if n.op.kind == "CONV_2D"]
    assert all(b is not None and b.dtype is DType.INT32 and np.any(b.values) for b in biases)


def test_layers_are_named_after_the_layer_that_works() -> None:
    graph = load(model_path("kws_ref_model"))
    assert [node.name for node in graph.nodes][:4] == [
        "conv2d",
        "depthwise_conv2d",
        "conv2d_1",
        "depthwise_conv2d_1",
    ]
    assert graph.nodes[-2].name == "dense"
