"""ONNX: trained here in Keras, written as ONNX (channels first), converted, built, verified."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frameworks.common import deploys
from tests.frameworks.conftest import CLASSES, SIZE, blobs, need, saved

need("tensorflow", "onnx", "onnx2tf")

pytestmark = pytest.mark.slow


def _trained() -> Any:
    """Convolution, depthwise convolution, mean of quarters, dense; pads as ONNX has them."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = inputs = layers.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(6)(x))
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))
    data = blobs(1000, 0)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(data.images, data.labels, epochs=12, verbose=0)
    return model


def _write_onnx(model: Any, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    conv, depthwise, dense = (layer.get_weights() for layer in model.layers if layer.weights)
    # Flattened maps are 2x2x8 here and 8x2x2 there.
    rows = dense[0].reshape(2, 2, 8, CLASSES).transpose(2, 0, 1, 3).reshape(32, CLASSES)
    weights = {
        "w1": conv[0].transpose(3, 2, 0, 1),
        "b1": conv[1],
        "w2": depthwise[0].transpose(2, 3, 0, 1),
        "b2": depthwise[1],
        "w3": rows,
        "b3": dense[1],
    }
    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], **same),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], group=8, **same),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("AveragePool", ["r2"], ["p"], kernel_shape=[6, 6], strides=[6, 6]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["l"]),
        helper.make_node("Softmax", ["l"], ["probabilities"]),
    ]
    edge = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [edge("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [edge("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    onnx.save(made, path)


def test_onnx_file(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    _write_onnx(_trained(), model)
    deploys(model, saved(tmp_path, "image", channels_first=True), tmp_path)
