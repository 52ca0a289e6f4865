"""A firmware that computes anything else than the reference is found out, and where."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.builder import GraphBuilder
from tests.support.tflite_writer import write
from tinyml import pipeline, toolchain
from tinyml.emit import open_project
from tinyml.errors import CheckFailedError, ModelError
from tinyml.results import VerifyReport
from tinyml.verify import _mismatch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = GraphBuilder("chain")
    x = net.input((1, 6, 6, 3))
    x = net.conv(x, 4)
    x = net.conv(x, 5)
    path = tmp_path_factory.mktemp("model") / "chain.tflite"
    path.write_bytes(write(net.graph(net.dense(x, 7))))
    return path


def tampered(
    model: Path,
    out: Path,
    pattern: str,
    replacement: str,
    schedule: str = "auto",
    feed: str = "whole",
) -> VerifyReport:
    """Verifies a project whose generated C was changed after it was generated."""
    pipeline.build(model, "host", out, schedule=schedule, feed=feed)
    changed = 0
    for path in (out / "src").glob("*.c"):
        text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.DOTALL)
        path.write_text(text)
        changed += count
    assert changed == 1, "the pattern is in exactly one file"
    toolchain.build(open_project(out))
    return pipeline.verify(out, inputs=6)


def test_an_honest_firmware(model: Path, tmp_path: Path) -> None:
    pipeline.build(model, "host", tmp_path / "p")
    seen: list[tuple[int, int]] = []
    report = pipeline.verify(tmp_path / "p", inputs=6, progress=lambda *step: seen.append(step))
    assert report.bit_exact and report.first_mismatch is None and report.max_abs_diff == 0
    assert (report.inputs, report.bytes_compared, report.op_outputs_compared) == (6, 42, 18)
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("schedule", ["layer", "stream"])
@pytest.mark.parametrize("op", [0, 1, 2])
def test_the_op_that_differs_is_named(model: Path, tmp_path: Path, op: int, schedule: str) -> None:
    """An output zero point off by one is a wrong op, however little reaches the output."""
    plan = pipeline.plan(model, "host", schedule=schedule)
    assert {segment.kind for segment in plan.segments} >= {schedule}
    names = [node.name for node in plan.layers]
    pattern = rf"(\bop{op}_\w+\(uint8_t \*arena[^)]*\) \{{.*?output_zero_point = )(-?\d+)"
    report = tampered(model, tmp_path / "p", pattern, r"\1 1 + \2", schedule)
    assert not report.bit_exact
    first = report.first_mismatch
    assert first is not None and first.op == names[op] and first.expected != first.actual


@pytest.mark.parametrize("op", [0, 1])
def test_the_row_that_differs_is_named_where_rows_come(
    model: Path, tmp_path: Path, op: int
) -> None:
    """As above, of a firmware that takes its input row by row."""
    plan = pipeline.plan(model, "host", schedule="stream", feed="rows")
    assert plan.feed == "rows" and plan.segments[0].kind == "stream"
    pattern = rf"(\bop{op}_\w+\(uint8_t \*arena[^)]*\) \{{.*?output_zero_point = )(-?\d+)"
    report = tampered(model, tmp_path / "p", pattern, r"\1 1 + \2", "stream", "rows")
    assert not report.bit_exact
    first = report.first_mismatch
    assert first is not None and first.op == plan.layers[op].name


def test_a_firmware_that_takes_rows(model: Path, tmp_path: Path) -> None:
    """Verified on drawn inputs and on given ones, which are sent; profiled; run."""
    out = tmp_path / "p"
    pipeline.build(model, "host", out, feed="rows")
    manifest = open_project(out).manifest
    assert (manifest.options["feed"], manifest.options["io"]) == ("rows", "int8")
    assert manifest.inputs[0].row_bytes == 18 and manifest.inputs[0].ring_rows in range(6)
    assert pipeline.verify(out, inputs=6).bit_exact
    rng = np.random.default_rng(0)
    samples = [[rng.integers(-128, 128, (1, 6, 6, 3)).astype(np.int8)] for _ in range(4)]
    report = pipeline.verify(out, samples=samples, labels=[0] * 4)
    assert report.bit_exact and report.op_outputs_compared == 4 * len(manifest.ops)
    profile = pipeline.profile(out)
    assert 0 <= profile.arena_bytes - profile.arena_bytes_touched < 8
    assert len(profile.layers) == len(manifest.ops)
    whole = tmp_path / "w"
    pipeline.build(model, "host", whole)
    assert pipeline.run(out, samples[0]).outputs == pipeline.run(whole, samples[0]).outputs


def test_a_changed_weight_is_found(model: Path, tmp_path: Path) -> None:
    report = tampered(model, tmp_path / "p", r"(_weights\[\d+\] = \{\s*)(-?\d+)", r"\1 1 ^ \2")
    assert not report.bit_exact and report.first_mismatch is not None


def test_an_older_firmware_is_not_compared(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    pipeline.build(model, "host", out)
    manifest = out / "manifest.json"
    identity = open_project(out).manifest.identity
    manifest.write_text(manifest.read_text().replace(identity, "f" * 64))
    with pytest.raises(CheckFailedError, match="another firmware"):
        pipeline.verify(out)


def test_samples_and_labels(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    pipeline.build(model, "host", out)
    rng = np.random.default_rng(0)
    samples = [[rng.integers(-128, 128, (1, 6, 6, 3)).astype(np.int8)] for _ in range(4)]
    guesses = [
        int(np.argmax(next(iter(pipeline.run(out, sample).outputs.values())))) for sample in samples
    ]
    wrong = [(guess + 1) % 7 for guess in guesses]
    assert pipeline.verify(out, samples=samples, labels=guesses).accuracy == 1
    assert pipeline.verify(out, samples=samples, labels=[*guesses[:3], wrong[3]]).accuracy == 0.75
    with pytest.raises(ModelError, match="3 labels"):
        pipeline.verify(out, samples=samples, labels=guesses[:3])
    with pytest.raises(ModelError, match="takes int8"):
        pipeline.verify(out, samples=[[np.zeros((6, 6, 3), np.int8)]])
    with pytest.raises(ModelError, match="2 arrays"):
        pipeline.run(out, [samples[0][0], samples[0][0]])


def test_minus_zero_is_not_zero() -> None:
    """Floats are compared as bytes: what compares equal may still differ."""
    zero = np.zeros((2, 2), np.float32)
    minus = np.array([[0, 0], [-0.0, 0]], np.float32)
    found = _mismatch(0, None, "x", zero, minus)
    assert found is not None and found.index == 2
    assert _mismatch(0, None, "x", zero, zero.copy()) is None
