"""Conversion without TensorFlow or PyTorch: float .tflite files, refusals, reuse."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import DIGITS, tinyml
from tests.support.float_models import float_digits
from tinyml.convert import ConvertOptions, converted_bytes, process
from tinyml.convert.job import RunJob
from tinyml.errors import ConvertError
from tinyml.importers import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network and samples of its input."""
    path = tmp_path_factory.mktemp("float")
    (path / "digits.tflite").write_bytes(float_digits())
    np.save(path / "samples.npy", np.random.default_rng(0).random((30, 8, 8, 1), np.float32))
    return path


def test_a_float_model_is_quantised_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    model, data = folder / "digits.tflite", folder / "samples.npy"
    first, second, floats = (tmp_path / f"{name}.tflite" for name in ("a", "b", "f"))
    outcome = tinyml("convert", model, "--data", data, "-o", first, "--float", floats, "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["samples"] == 30 and outcome.json["unsupported"] == ""
    assert floats.read_bytes() == model.read_bytes()
    assert tinyml("convert", model, "--data", data, "-o", second).status == 0
    assert first.read_bytes() == second.read_bytes()
    found = tinyml("inspect", first, "--json").json
    assert found["inputs"][0]["dtype"] == found["outputs"][0]["dtype"] == "int8"
    assert [op["op"] for op in found["ops"]] == [
        op["op"] for op in tinyml("inspect", DIGITS, "--json").json["ops"]
    ]


def test_weights_are_quantised_per_channel_as_they_were(folder: Path, tmp_path: Path) -> None:
    """The float weights came from int8 ones per channel: these, and their scales, come back."""
    out = tmp_path / "q.tflite"
    tinyml("convert", folder / "digits.tflite", "--data", folder / "samples.npy", "-o", out)
    for ours, theirs in zip(load(out).nodes[:5], load(DIGITS).nodes[:5], strict=True):
        new, old = (
            load(out).tensors[ours.inputs[1] or ""],
            load(DIGITS).tensors[theirs.inputs[1] or ""],
        )
        np.testing.assert_allclose(new.q.scales, old.q.scales, rtol=1e-5)
        np.testing.assert_array_equal(new.values, old.values)


def test_int16x8_is_written_and_what_cannot_be_deployed_is_said(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "q.tflite"
    outcome = tinyml(
        *("convert", folder / "digits.tflite", "--data", folder / "samples.npy"),
        *("-o", out, "--int16x8", "--json"),
    )
    assert outcome.status == 0 and outcome.json["activations"] == "int16"
    deployable = tinyml("inspect", out).status == 0
    assert deployable == (outcome.json["unsupported"] == "")


def test_build_converts_and_then_reuses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "project"
    command = ("build", folder / "digits.tflite", "--data", folder / "samples.npy")
    assert tinyml(*command, "--board", "host", "-o", out).status == 0
    assert tinyml("verify", out, "--inputs", 4, "--json").json["bit_exact"] is True
    first = (out / "model.tflite").read_bytes()
    started = []
    monkeypatch.setattr("tinyml.convert.conversion.run_worker", lambda *job: started.append(job))
    assert tinyml(*command, "--board", "host", "-o", out).status == 0
    assert not started and (out / "model.tflite").read_bytes() == first
    np.save(tmp_path / "other.npy", np.zeros((3, 8, 8, 1), np.float32))
    with pytest.raises(Exception, match="quantised"):  # the worker that did nothing
        converted_bytes(folder / "digits.tflite", ConvertOptions(tmp_path / "other.npy"))
    assert len(started) == 1


@pytest.mark.parametrize(
    ("name", "extra"),
    [("a.keras", "tensorflow"), ("a.h5", "tensorflow"), ("a.onnx", "onnx"), ("a.pt2", "torch")],
)
def test_missing_extras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    (tmp_path / name).write_bytes(b"model")
    np.save(tmp_path / "d.npy", np.zeros((2, 3)))
    for command in (("convert",), ("build", "--board", "host")):
        outcome = tinyml(command[0], tmp_path / name, *command[1:], "--data", tmp_path / "d.npy")
        outcome.fails(3, f"pip install 'tinyml[{extra}]'")


def test_refusals(folder: Path, tmp_path: Path) -> None:
    data = folder / "samples.npy"
    tinyml("convert", DIGITS, "--data", data).fails(2, "quantised already")
    tinyml("convert", tmp_path / "none.onnx", "--data", data).fails(2, "none.onnx")
    tinyml("convert", tmp_path, "--data", data).fails(2, "saved_model.pb")
    for name, words in (("a.bin", (".onnx",)), ("a.pth", ("torch.export",))):
        (tmp_path / name).write_bytes(b"")
        tinyml("convert", tmp_path / name, "--data", data).fails(2, *words)
    model = folder / "digits.tflite"
    tinyml("convert", model, "--data", tmp_path / "none.npz").fails(2, "none.npz")
    tinyml("build", model, "--board", "host", "--pixels", "0..1").fails(2, "--data")
    tinyml("build", model, "--board", "host").fails(2, "floating point", "tinyml convert")
    shutil.copy(data, tmp_path / "wrong.npy")
    np.save(tmp_path / "wrong.npy", np.zeros((3, 7, 8, 1)))
    tinyml("convert", model, "--data", tmp_path / "wrong.npy").fails(2, "[1, 8, 8, 1]")
    out = tmp_path / "no" / "q.tflite"
    tinyml("convert", model, "--data", data, "-o", out).fails(2, "cannot write")


def test_a_worker_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=r"it failed: \w+Error") as caught:
        process.run_worker(RunJob(str(tmp_path / "none"), "", "", ()), "it failed")
    assert any("Traceback" in line for line in caught.value.log)


def test_a_worker_that_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\necho last words\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(crash))
    with pytest.raises(ConvertError, match="SIGSEGV") as caught:
        process.run_worker(RunJob("", "", "", ()), "it failed")
    assert "last words" in caught.value.log
