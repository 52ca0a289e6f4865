"""Networks of the zoo: built, quantised, deployed on this computer, compared byte for byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import tinyml
from tests.frameworks.conftest import CLASSES, SIZE, need, saved
from tinyml import importers, passes, reference
from tinyml.zoo.catalog import ENTRIES
from tinyml.zoo.drawn import drawn_inputs

need("tensorflow", "ai_edge_quantizer")

pytestmark = pytest.mark.slow

SMALL = {"size": 32, "classes": 4}
SIZES = {"ds-cnn": {"size": 25}, "tc-resnet8": {"size": 40}, "autoencoder": {"size": 64}}
"""What is small for a network that does not take images."""


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_each_network_runs_as_the_reference_says(name: str, tmp_path: Path) -> None:
    model, project = tmp_path / "net.tflite", tmp_path / "project"
    given = [word for key, value in SIZES.get(name, SMALL).items() for word in (f"--{key}", value)]
    outcome = tinyml("zoo", "build", name, "-o", model, *given, "--seed", 3, "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["unsupported"] == "" and outcome.json["parameters"] > 1000
    outcome = tinyml("build", model, "--board", "host", "-o", project)
    assert outcome.status == 0, outcome.stderr
    assert tinyml("verify", project, "--inputs", 3, "--json").json["bit_exact"] is True

    graph = passes.optimize(importers.load(model))
    tensor = graph.tensors[graph.inputs[0]]
    found = []
    for sample in drawn_inputs(8, tensor.shape, 5):
        steps = np.round(sample / tensor.q.scale) + tensor.q.zero_point
        values = np.clip(steps, -128, 127).astype(np.int8)
        (output,) = reference.run(graph, {tensor.name: values}).values()
        found.append(output.astype(int).ravel())
    spread = np.std(found, axis=0)
    assert (spread > 1).mean() > 0.5, "most of what comes out depends on what goes in"


def test_branches_become_one_convolution(tmp_path: Path) -> None:
    """MobileOne computes with one convolution each what it was trained with."""
    import keras

    from tinyml.zoo.catalog import Spec
    from tinyml.zoo.nets import mobileone
    from tinyml.zoo.scale import settle

    keras.utils.set_random_seed(0)
    for size in (32, 37):
        spec = Spec((size, size, 3), 4, 0.25)
        trained, samples = mobileone.branched(spec), drawn_inputs(8, (size, size, 3), 0)
        settle(trained, samples, 0)
        single = mobileone.fused(trained, spec)
        np.testing.assert_allclose(single(samples), trained(samples), rtol=1e-2, atol=1e-3)
        assert len(single.layers) < len(trained.layers) / 2


@pytest.mark.parametrize("form", [".keras", ".tflite"])
def test_training(form: str, tmp_path: Path) -> None:
    data, out = saved(tmp_path, "image", channels_first=False), tmp_path / f"net{form}"
    outcome = tinyml(
        *("zoo", "train", "resnet-8", "--data", data.test, "-o", out),
        *("--epochs", 12, "--json"),
    )
    assert outcome.status == 0, outcome.stderr
    found = outcome.json
    assert found["shape"] == [SIZE, SIZE, 3] and found["trained"] == 175 and found["tested"] == 25
    assert found["accuracy"] > 0.7, f"{CLASSES} classes of bright spots"
    if form == ".tflite":
        outcome = tinyml("evaluate", out, "--data", data.train, "--json")
        assert outcome.json["int8_score"]["accuracy"] > 0.7
    else:
        again = tmp_path / "again.tflite"
        assert tinyml("convert", out, "--data", data.train, "-o", again).status == 0


def test_training_tells_what_the_data_lack(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 32, 32, 3), np.float32))
    out = tmp_path / "net.keras"
    train = ("zoo", "train", "resnet-8", "-o", out, "--data", tmp_path / "a.npz")
    tinyml(*train).fails(2, "labels")
    images = np.zeros((4, 32, 32, 3), np.float32)
    np.savez(tmp_path / "a.npz", x=images, labels=np.array([0, 1, 2, 7]))
    tinyml(*train, "--classes", 3).fails(2, "from 0 to 7", "--classes")
    tinyml(*train, "--size", 16).fails(2, "[1, 16, 16, 3]")


def _uneven() -> Any:
    """A network with channels a hundred times as large as others, evened out behind."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    x = inputs = layers.Input((8, 8, 2), name="image")
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(x)))
    x = layers.DepthwiseConv2D(3, activation="relu")(x)
    x = layers.Conv2D(4, 1)(layers.MaxPooling2D()(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    norm = next(each for each in model.layers if isinstance(each, layers.BatchNormalization))
    norm.gamma.assign([1e-3, 1e-2, 0.1, 0.3, 0.6, -0.5])
    return model


def test_equalised_weights_compute_the_same_in_float(tmp_path: Path) -> None:
    """But for the mean error of rounding, which is small; ranges on both sides are the same."""
    from tinyml.convert.equalize import equalised

    model = _uneven()
    samples = np.random.default_rng(0).random((40, 1, 8, 8, 2), np.float32)
    before = np.asarray(model(samples[:, 0]))
    equalised(model, [samples])
    after = np.asarray(model(samples[:, 0]))
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()
    depthwise = next(layer for layer in model.layers if layer.name.startswith("depthwise"))
    pointwise = model.layers[model.layers.index(depthwise) + 2]
    left = np.abs(depthwise.get_weights()[0]).max((0, 1, 3))
    right = np.abs(pointwise.get_weights()[0]).max((0, 1, 3))
    np.testing.assert_allclose(left, right, rtol=1e-3)


def test_equalised_models_are_deployed(tmp_path: Path) -> None:
    _uneven().save(tmp_path / "net.keras")
    samples = np.random.default_rng(0).random((40, 8, 8, 2), np.float32)
    np.savez(tmp_path / "d.npz", image=samples)
    found = {}
    for name, more in (("plain", ()), ("equal", ("--equalize",))):
        out = tmp_path / f"{name}.tflite"
        command = ("convert", tmp_path / "net.keras", "--data", tmp_path / "d.npz", "-o", out)
        outcome = tinyml(*command, *more, "--json")
        assert outcome.status == 0, outcome.stderr
        assert json.loads(outcome.stdout)["unsupported"] == ""
        found[name] = out.read_bytes()
    assert found["plain"] != found["equal"]
