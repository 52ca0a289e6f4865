"""Bad input: one clear line, the right exit status, never a traceback."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli import mutants
from tests.cli.conftest import DIGITS, tinyml, tinyml_process

Project = Callable[[str], Path]


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 2000, 11000, 11800])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(DIGITS.read_bytes()[:kept])
    tinyml("plan", path, "--board", "stm32").fails(2, "cut")


@pytest.mark.parametrize("seed", range(5))
def test_bit_flips(tmp_path: Path, seed: int) -> None:
    """A flip in a weight gives another sound model, a flip elsewhere an error: never a bug."""
    rng = np.random.default_rng(seed)
    good = np.frombuffer(DIGITS.read_bytes(), np.uint8)
    path = tmp_path / "flipped.tflite"
    statuses = set()
    for _ in range(40):
        data = good.copy()
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data.tobytes())
        statuses.add(tinyml("plan", path, "--board", "stm32", "--no-compare", "--json").status)
    assert statuses == {0, 2}


def test_open_batch_dimension_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "open.tflite"
    path.write_bytes(mutants.open_batch_model())
    assert tinyml("plan", path, "--board", "stm32").status == 0


def test_random_bytes(tmp_path: Path) -> None:
    path = tmp_path / "noise.tflite"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    tinyml("inspect", path).fails(2, "noise")


def test_missing_file(tmp_path: Path) -> None:
    tinyml("inspect", tmp_path / "none.tflite").fails(2, "none.tflite")


def test_folder_instead_of_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder.tflite"
    folder.mkdir()
    tinyml("inspect", folder).fails(2, "folder.tflite")


def test_unknown_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    shutil.copy(DIGITS, path)
    tinyml("inspect", path).fails(2, "model.bin", ".tflite")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (mutants.float_model, ("floating point", "int8")),
        (mutants.dynamic_model, ("dynamic",)),
        (mutants.unsupported_model, ("LOG_SOFTMAX", "SUM")),
    ],
)
def test_refused_models(tmp_path: Path, model: Callable[[], bytes], words: tuple[str, ...]) -> None:
    path = tmp_path / "refused.tflite"
    path.write_bytes(model())
    tinyml("build", path, "--board", "stm32", "-o", tmp_path / "out").fails(2, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "word"), [(mutants.much_sram, "SRAM"), (mutants.much_flash, "flash")]
)
def test_model_too_large(tmp_path: Path, model: Callable[[], bytes], word: str) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(model())
    tinyml("build", path, "--board", "stm32", "-o", tmp_path / "out").fails(2, word, "bytes")


def test_sram_limit_names_the_least(tmp_path: Path) -> None:
    every = tinyml("plan", DIGITS, "--board", "stm32", "--json").json["pareto"]
    least = min(point["arena_bytes"] for point in every)
    limit = tinyml("plan", DIGITS, "--board", "stm32", "--sram", least, "--json")
    assert limit.json["arena_bytes"] == least
    tinyml("plan", DIGITS, "--board", "stm32", "--sram", least - 1).fails(2, f"{least:,}")


def test_unknown_board_suggests_one() -> None:
    tinyml("plan", DIGITS, "--board", "stm23").fails(2, "stm23", "stm32")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--schedule", "magic"), ("--feed", "drip"), ("--io", "float16"), ("--sram", "0")],
)
def test_options_this_version_does_not_have(option: str, value: str) -> None:
    tinyml("plan", DIGITS, "--board", "stm32", option, value).fails(2, option)


def test_options_that_exclude_each_other() -> None:
    arguments = ("plan", DIGITS, "--board", "stm32", "--feed", "rows", "--schedule", "layer")
    tinyml(*arguments).fails(2, "whole input", "--schedule auto")


def test_grid_that_is_none() -> None:
    patches = ("plan", DIGITS, "--board", "stm32", "--schedule", "patch", "--patches")
    tinyml(*patches, "4").fails(2, "--patches 4", "such as 4x4")
    tinyml(*patches, "40x40", "--feed", "pull").fails(2, "40x40")


def test_folder_that_is_no_project(tmp_path: Path) -> None:
    tinyml("verify", tmp_path).fails(2, str(tmp_path))
    tinyml("verify", tmp_path / "nothing").fails(2, "nothing")


def test_output_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    tinyml("build", DIGITS, "--board", "host", "-o", tmp_path).fails(2, str(tmp_path))
    assert (tmp_path / "letter.txt").read_text() == "keep me"


def test_no_compiler(tmp_path: Path) -> None:
    """Neither arm-none-eabi-gcc nor ziglang: exit 3 and the command that installs one."""
    hide_ziglang = "import sys; sys.modules['ziglang'] = None"
    (tmp_path / "sitecustomize.py").write_text(hide_ziglang)
    outcome = tinyml_process(
        *("build", DIGITS, "--board", "stm32", "-o", tmp_path / "out"),
        PATH=str(tmp_path),
        PYTHONPATH=str(tmp_path),
    )
    outcome.fails(3, "arm-none-eabi-gcc", "install")


def test_no_emulator(project_for: Project, tmp_path: Path) -> None:
    project = project_for("stm32")
    tinyml_process("verify", project, PATH=str(tmp_path)).fails(3, "qemu-system-arm", "install")


def test_doctor_without_tools(tmp_path: Path) -> None:
    outcome = tinyml_process("doctor", "--json", PATH=str(tmp_path))
    assert outcome.status == 3
    missing = {check["name"] for check in outcome.json["checks"] if not check["found"]}
    assert {"arm-none-eabi-gcc", "qemu-system-arm"} <= missing


def test_port_that_is_not_there(project_for: Project) -> None:
    tinyml("verify", project_for("stm32"), "--port", "/dev/ttyNONE9").fails(2, "/dev/ttyNONE9")


def test_port_that_nobody_listens_on(project_for: Project) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = f"socket://127.0.0.1:{unused.getsockname()[1]}"
        tinyml("verify", project_for("stm32"), "--port", port).fails(2, port)


def test_port_that_stays_silent(project_for: Project) -> None:
    """A dead board is an error within seconds; the runner's time-out would fail the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        tinyml("verify", project_for("stm32"), "--port", port).fails(2)


def test_input_file_of_another_shape(project_for: Project, tmp_path: Path) -> None:
    path = tmp_path / "input.npy"
    np.save(path, np.zeros((1, 3, 3, 1), np.int8))
    tinyml("run", project_for("host"), "--input", path).fails(2, "[1, 3, 3, 1]", "[1, 8, 8, 1]")
    path.write_bytes(b"no array")
    tinyml("run", project_for("host"), "--input", path).fails(2, "input.npy")


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", DIGITS),
        ("verify",),
        ("nonsense",),
        ("verify", "x", "--inputs", "0"),
        ("verify", "x", "--inputs", "many"),
    ],
)
def test_wrong_usage(arguments: tuple[object, ...]) -> None:
    tinyml(*arguments).fails(2)


def test_unsupported_operators_as_data(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(mutants.unsupported_model())
    outcome = tinyml("inspect", path, "--json")
    assert outcome.status == 2
    items = outcome.json["error"]["unsupported"]
    assert {item["op"] for item in items} == {"SUM", "LOG_SOFTMAX"}
    assert all(item["tensors"] and item["reason"] for item in items)
