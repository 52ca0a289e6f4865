"""What the zoo says without Keras: its list, what it refuses, the inputs that it draws."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinyml as tinyml_package
from tests.cli.conftest import tinyml
from tinyml.zoo.catalog import ENTRIES, find
from tinyml.zoo.drawn import drawn_inputs

NETS = Path(tinyml_package.__file__).parent / "zoo" / "nets"


def test_the_list_has_what_it_builds() -> None:
    models = tinyml("zoo", "list", "--json").json["models"]
    assert [each["name"] for each in models] == [entry.name for entry in ENTRIES]
    assert len({each["name"] for each in models}) == len(models)
    text = tinyml("zoo", "list").stdout
    assert all(each["name"] in text and each["source"] in text for each in models)
    for entry in ENTRIES:
        for function in filter(None, (entry.builder, entry.fuser)):
            module, _, name = function.partition(".")
            assert f"def {name}(" in (NETS / f"{module}.py").read_text()
        assert entry.spec().shape, "its own defaults are sound"


def test_without_keras_there_is_a_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 32, 32, 3), np.float32), labels=[0, 1])
    out = tmp_path / "net.keras"
    tinyml("zoo", "build", "vww", "-o", out).fails(3, "pip install 'tinyml[tensorflow]'")
    train = ("zoo", "train", "resnet-8", "--data", tmp_path / "d.npz", "-o", out)
    tinyml(*train).fails(3, "pip install 'tinyml[tensorflow]'")
    assert tinyml("zoo", "list").status == 0 and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "resnet8"), ("no 'resnet8'", "zoo build resnet-8")),
        (("build", "zzz"), ("no 'zzz'", "tinyml zoo list")),
        (("build", "yolo-like", "--size", 50), ("a multiple of 32", "--size 32")),
        (("build", "autoencoder", "--classes", 3), ("no classes",)),
        (("build", "vww", "--classes", 1), ("--classes 2",)),
        (("build", "vww", "--alpha", 0), ("--alpha 0", "above 0")),
        (("train", "yolo-like", "--data", "d.npz"), ("detector", "zoo build yolo-like")),
        (("train", "vww", "--data", "d.npz"), ("d.npz", "not there")),
    ],
)
def test_refusals(tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]) -> None:
    tinyml("zoo", *arguments, "-o", tmp_path / "net.keras").fails(2, *words)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    tinyml("zoo", "build", "vww", "-o", tmp_path / "net.onnx").fails(2, "net.onnx", ".tflite")


def test_equalising_is_for_keras_models(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(b"")
    np.save(tmp_path / "d.npy", np.zeros((2, 3)))
    outcome = tinyml("convert", model, "--data", tmp_path / "d.npy", "--equalize")
    outcome.fails(2, "net.onnx", "ONNX", "leave out --equalize")


@pytest.mark.parametrize("shape", [(32, 32, 3), (49, 10, 1), (640,), (7, 1, 40)])
def test_drawn_inputs_differ_in_more_than_noise(shape: tuple[int, ...]) -> None:
    found = drawn_inputs(16, shape, 1)
    assert found.shape == (16, *shape) and found.dtype == np.float32
    np.testing.assert_array_equal(found, drawn_inputs(16, shape, 1))
    assert (found != drawn_inputs(16, shape, 2)).any()
    flat = found.reshape(16, -1)
    assert flat.mean(1).std() > 0.1 and flat.std(1).std() > 0.1, "brightness and contrast"
    assert 0.2 < flat.std() < 1.5


def test_sizes_of_samples_are_taken() -> None:
    entry = find("resnet-8")
    assert entry.spec(shape=(12, 12, 3), classes=4).shape == (12, 12, 3)
    assert entry.spec(size=48).shape == (48, 48, 3)
    assert find("ds-cnn").spec(size=30).shape == (30, 10, 1)
