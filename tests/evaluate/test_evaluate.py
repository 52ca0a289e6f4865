"""`tinyml evaluate` on the demo's network: its known accuracy, its layers, a firmware."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli import mutants
from tests.cli.conftest import DIGITS, tinyml
from tests.support.float_models import float_digits

sys.path.insert(0, str(DIGITS.parent))
from dataset import load

sys.path.pop(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("evaluate")
    _, test = load()
    np.savez(path / "test.npz", image=test.images, labels=test.labels)
    (path / "float.tflite").write_bytes(float_digits())
    yield path


def test_accuracy_of_both_models_and_noise_of_layers(folder: Path) -> None:
    result = tinyml(
        *("evaluate", DIGITS, "--data", folder / "test.npz"),
        *("--float", folder / "float.tflite", "--json"),
    ).json
    # As README shows it, of the same 450 images on the target.
    assert result["int8_score"]["accuracy"] == pytest.approx(0.97556, abs=1e-5)
    assert result["int8_score"]["samples"] == 450
    assert result["float_score"]["accuracy"] == pytest.approx(0.975, abs=0.005)
    assert result["agreement"] > 0.99
    assert len(result["layers"]) == 8 and not result["unmatched"]
    assert all(25 < layer["snr_db"] < 60 for layer in result["layers"])
    assert all(30 < layer["own_snr_db"] < 60 for layer in result["layers"])
    assert result["hurting"] == []


def test_the_layer_that_hurts_is_named(folder: Path, tmp_path: Path) -> None:
    """A network one of whose layers has other weights than its float model."""
    model = tmp_path / "other.tflite"
    model.write_bytes(mutants.other_weights())
    outcome = tinyml(
        *("evaluate", model, "--data", folder / "test.npz", "--limit", 20),
        *("--float", folder / "float.tflite", "--json"),
    )
    result = outcome.json
    worst = result["layers"][mutants.OTHER_OPERATOR]
    assert result["hurting"] == [worst["name"]]
    assert worst["own_snr_db"] < 10
    assert result["layers"][-1]["snr_db"] < 10 < 30 < result["layers"][-1]["own_snr_db"]


def test_a_firmware(folder: Path, tmp_path: Path) -> None:
    result = tinyml(
        *("evaluate", DIGITS, "--data", folder / "test.npz", "--board", "host", "--json")
    ).json
    assert result["target_score"]["bit_exact"] is True
    assert result["target_score"]["score"]["samples"] == 20
    project = tmp_path / "project"
    tinyml("build", DIGITS, "--board", "host", "-o", project)
    arguments = ("--data", folder / "test.npz", "--limit", 40, "--project", project)
    result = tinyml("evaluate", DIGITS, *arguments, "--json").json
    assert result["target_score"]["score"] == result["int8_score"]
    assert "bit-exact" in tinyml("evaluate", DIGITS, *arguments).stdout

    (project / "model.tflite").write_bytes(mutants.other_weights())
    manifest = json.loads((project / "manifest.json").read_text())
    outcome = tinyml("evaluate", project / "model.tflite", *arguments)
    outcome.fails(2, "another model")
    digest = hashlib.sha256(mutants.other_weights()).hexdigest()
    (project / "manifest.json").write_text(json.dumps(manifest | {"source_sha256": digest}))
    outcome = tinyml("evaluate", project / "model.tflite", *arguments)
    assert outcome.status == 1 and "DIFFERENT" in outcome.stdout


def test_targets(folder: Path, tmp_path: Path) -> None:
    _, test = load()
    path = tmp_path / "targets.npz"
    np.savez(path, image=test.images[:30], targets=np.eye(10, dtype=np.float32)[test.labels[:30]])
    score = tinyml("evaluate", DIGITS, "--data", path, "--json").json["int8_score"]
    assert score["accuracy"] is None
    assert 0 < score["mean_squared_error"] < score["mean_absolute_error"] < 0.1


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    data = folder / "test.npz"
    tinyml("evaluate", folder / "float.tflite", "--data", data).fails(2, "floating point")
    command = ("evaluate", DIGITS, "--data", data, "--board", "host", "--project", tmp_path)
    tinyml(*command).fails(2, "--project")
    np.savez(tmp_path / "l.npz", image=np.zeros((2, 8, 8, 1)), labels=np.array([3, 10]))
    tinyml("evaluate", DIGITS, "--data", tmp_path / "l.npz").fails(2, "label 10")
    np.savez(tmp_path / "t.npz", image=np.zeros((2, 8, 8, 1)), targets=np.zeros((2, 3)))
    tinyml("evaluate", DIGITS, "--data", tmp_path / "t.npz").fails(2, "10")
