"""Every command: exit status, the promised JSON keys, tables that fit 80 columns."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli import mutants
from tests.cli.conftest import DIGITS, tinyml, tinyml_process

Project = Callable[[str], Path]


def test_inspect() -> None:
    result = tinyml("inspect", DIGITS, "--json").json
    assert {"ops", "macs", "weight_bytes", "inputs", "outputs", "unsupported"} <= result.keys()
    assert [op["op"] for op in result["ops"]] == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"),
        *("MEAN", "FULLY_CONNECTED", "SOFTMAX"),
    ]
    # 8x8 maps: 12 and 9 x 12 and 24 x 12; 4x4 maps: 9 x 24 and 48 x 24; dense 48 x 10.
    assert result["macs"] == 64 * (9 * 12 + 9 * 12 + 24 * 12) + 16 * (9 * 24 + 48 * 24) + 480
    assert result["inputs"][0]["shape"] == [1, 8, 8, 1]
    assert result["unsupported"] == []


def test_plan() -> None:
    result = tinyml("plan", DIGITS, "--board", "stm32", "--json").json
    assert {"peak_sram_bytes", "arena_bytes", "macs", "model_macs", "feed"} <= result.keys()
    assert result["feed"] == "whole"
    assert result["macs"] == result["model_macs"] == sum(x["macs"] for x in result["layers"])
    assert result["peak_sram_bytes"] == max(x["peak_sram_bytes"] for x in result["layers"])
    assert result["arena_bytes"] >= result["peak_sram_bytes"]
    names = [layer["name"] for layer in result["layers"]]
    assert [name for segment in result["segments"] for name in segment["ops"]] == names != []
    assert {segment["kind"] for segment in result["segments"]} == {"stream", "layer"}
    assert result["pareto"]
    both = {each["optimize"]: each for each in result["optimize"]}
    assert both["speed"]["taken"] and not both["size"]["taken"]
    assert both["size"]["code_bytes"] < both["speed"]["code_bytes"]
    for layer in result["layers"]:
        assert {"name", "op", "macs", "peak_sram_bytes"} <= layer.keys()


def test_plan_where_rows_come() -> None:
    whole = tinyml("plan", DIGITS, "--board", "stm32", "--json").json
    rows = tinyml("plan", DIGITS, "--board", "stm32", "--feed", "rows", "--json").json
    assert rows["feed"] == "rows" and rows["macs"] == whole["macs"]
    assert rows["segments"][0]["kind"] == "stream"


def test_schedules_and_edges() -> None:
    layer, stream, auto = (
        tinyml("plan", DIGITS, "--board", "stm32", "--schedule", schedule, "--json").json
        for schedule in ("layer", "stream", "auto")
    )
    assert {segment["kind"] for segment in layer["segments"]} == {"layer"}
    assert auto["arena_bytes"] == min(
        layer["arena_bytes"], stream["arena_bytes"], auto["arena_bytes"]
    )
    assert layer["macs"] == stream["macs"] == auto["macs"], "nothing is computed twice"
    int8 = tinyml("plan", DIGITS, "--board", "stm32", "--io", "int8", "--json").json
    assert int8["arena_bytes"] == auto["arena_bytes"], "this model has no float edges"


def test_build(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = tinyml("build", DIGITS, "--board", "stm32", "-o", out, "--json").json
    assert Path(result["project"]) == out
    assert Path(result["elf"]).is_file()
    for key in ("arena_bytes", "sram_bytes", "flash_bytes", "code_bytes", "const_bytes"):
        assert 0 < result[key] < 2**20, key
    assert result["sram_bytes"] >= result["arena_bytes"]
    assert result["flash_bytes"] >= result["code_bytes"] + result["const_bytes"]
    assert result["stack_bytes"] > 0


@pytest.mark.parametrize("board", ["host", "stm32"])
def test_verify_run_and_profile(project_for: Project, tmp_path: Path, board: str) -> None:
    project = project_for(board)
    result = tinyml("verify", project, "--inputs", 5, "--json").json
    assert result["bit_exact"] is True
    assert result["inputs"] == 5
    assert result["bytes_compared"] == 5 * 10
    assert result["mismatches"] == 0
    assert result["max_abs_diff"] == 0
    assert result["first_mismatch"] is None

    path = tmp_path / "input.npy"
    np.save(path, np.full((1, 8, 8, 1), -128, np.int8))
    (values,) = tinyml("run", project, "--input", path, "--json").json["outputs"].values()
    assert len(values) == 10
    assert sum(values) + 10 * 128 == pytest.approx(256, abs=5)  # a softmax adds up to one

    result = tinyml("profile", project, "--json").json
    assert result["unit"] in ("instructions", "cycles", "nanoseconds")
    assert 0 < sum(layer["count"] for layer in result["layers"]) <= result["total"]
    assert result["arena_bytes_touched"] > 0
    if board == "stm32":
        assert result["unit"] == "instructions"
        assert result["stack_bytes_used"] > 0


def test_verify_finds_a_difference(project_for: Project, tmp_path: Path) -> None:
    """Firmware whose model has other weights than the project's: exit 1, and where it differs."""
    project = tmp_path / "project"
    shutil.copytree(project_for("host"), project)
    (project / "model.tflite").write_bytes(mutants.other_weights())

    outcome = tinyml("verify", project, "--json")
    assert outcome.status == 1
    result = outcome.json
    assert result["bit_exact"] is False
    assert result["mismatches"] > 0
    assert result["max_abs_diff"] > 0
    assert result["first_mismatch"]["kind"] == "CONV_2D"
    assert result["first_mismatch"]["expected"] != result["first_mismatch"]["actual"]
    ops = json.loads((project / "manifest.json").read_text())["ops"]
    assert result["first_mismatch"]["op"] == ops[mutants.OTHER_OPERATOR]["name"]

    outcome = tinyml("verify", project)
    assert outcome.status == 1
    assert "DIFFERENT" in outcome.stdout


def test_boards() -> None:
    names = {board["name"] for board in tinyml("boards", "--json").json["boards"]}
    cores = {f"qemu-cortex-{core}" for core in ("m0", "m3", "m4", "m7", "m33", "m55")}
    assert {"stm32", "host", *cores} <= names


def test_doctor() -> None:
    outcome = tinyml("doctor", "--json")
    assert outcome.status == (0 if outcome.json["ok"] else 3)
    for check in outcome.json["checks"]:
        assert check["install"]
        assert bool(check["version"]) or not check["found"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", DIGITS),
        ("plan", DIGITS, "--board", "stm32"),
        ("boards",),
        ("doctor",),
        ("--help",),
        ("build", "--help"),
    ],
)
def test_tables_fit_80_columns(arguments: tuple[object, ...]) -> None:
    outcome = tinyml_process(*arguments, COLUMNS="80")
    assert outcome.status == 0, outcome.stderr
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    assert outcome.stderr == ""


def test_json_errors_are_json(tmp_path: Path) -> None:
    for arguments in (("inspect", tmp_path / "none.tflite"), ("plan", DIGITS), ("what",)):
        outcome = tinyml(*arguments, "--json")
        assert outcome.status == outcome.json["error"]["exit_status"] == 2
        assert outcome.json["error"]["what"]
        outcome.fails(2)


def test_json_is_the_same_each_time() -> None:
    first, second = (tinyml("plan", DIGITS, "--board", "stm32", "--json") for _ in range(2))
    assert first.stdout == second.stdout
    assert json.loads(first.stdout)


def test_interrupt_is_clean(project_for: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "tinyml", "verify", str(project_for("stm32"))]
        process = subprocess.Popen(
            [*command, "--port", port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Shells start what runs in the background deaf to it, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        connection, _ = server.accept()  # it is running, and waits for an answer
        with connection:
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
