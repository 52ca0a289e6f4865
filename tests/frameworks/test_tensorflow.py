"""Keras and SavedModel: trained here, converted, built, verified."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import tinyml
from tests.frameworks.common import deploys
from tests.frameworks.conftest import CLASSES, SIZE, blobs, need, saved

need("tensorflow", "ai_edge_quantizer")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = inputs = layers.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.LeakyReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    model = keras.Model(inputs, layers.Softmax()(layers.Dense(CLASSES)(x)))
    data = blobs(1000, 0)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(data.images, data.labels, epochs=12, verbose=0)
    return model


def test_keras_file(network: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "net.keras")
    data = saved(tmp_path, "image", channels_first=False)
    deploys(tmp_path / "net.keras", data, tmp_path)
    network.save(tmp_path / "net.h5")
    out = tmp_path / "from_h5.tflite"
    assert tinyml("convert", tmp_path / "net.h5", "--data", data.train, "-o", out).status == 0
    assert out.read_bytes() == (tmp_path / "int8.tflite").read_bytes()


def test_saved_model(network: Any, tmp_path: Path) -> None:
    network.export(tmp_path / "net", verbose=False)
    deploys(tmp_path / "net", saved(tmp_path, "image", channels_first=False), tmp_path)


def test_int16x8(network: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "net.keras")
    data = saved(tmp_path, "image", channels_first=False)
    out = tmp_path / "out.tflite"
    command = ("convert", tmp_path / "net.keras", "--data", data.train, "-o", out, "--int16x8")
    assert tinyml(*command, "--json").json["activations"] == "int16"
    assert out.stat().st_size > 0


def test_normalisation_behind_resizing_is_that_of_inference(tmp_path: Path) -> None:
    import keras
    from keras import layers

    x = inputs = layers.Input((16, 16, 3), name="image")
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(layers.Resizing(8, 8)(x)))
    model = keras.Model(inputs, layers.ReLU()(layers.BatchNormalization()(x)))
    _deployable(model, tmp_path, image=np.zeros((3, 16, 16, 3), np.float32))


def test_inputs_in_a_dictionary(tmp_path: Path) -> None:
    import keras
    from keras import layers

    a, b = layers.Input((4,), name="a"), layers.Input((6,), name="b")
    joined = layers.Concatenate()([layers.Dense(3)(a), layers.Dense(2)(b)])
    arrays = {"a": np.ones((3, 4), np.float32), "b": np.ones((3, 6), np.float32)}
    _deployable(keras.Model({"b": b, "a": a}, joined), tmp_path, **arrays)


def _deployable(model: Any, folder: Path, **arrays: Any) -> None:
    model.save(folder / "net.keras")
    np.savez(folder / "d.npz", **arrays)
    command = ("convert", folder / "net.keras", "--data", folder / "d.npz")
    outcome = tinyml(*command, "-o", folder / "net.tflite", "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["unsupported"] == ""


def test_an_operator_that_cannot_be_quantised_is_one_line(tmp_path: Path) -> None:
    import keras

    inputs = keras.layers.Input((4,), name="x")
    model = keras.Model(inputs, keras.ops.erfinv(inputs))
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 4), np.float32))
    outcome = tinyml("convert", tmp_path / "net.keras", "--data", tmp_path / "d.npz", "--json")
    assert outcome.status == 2
    assert outcome.json["error"]["kind"] == "ConvertError"
    assert "Erfinv" in " ".join(outcome.json["error"]["log"])
