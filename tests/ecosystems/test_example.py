"""The commands of the examples for boards, as they stand in their READMEs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import DIGITS
from tests.ecosystems.forms import runs_bit_exact
from tests.ecosystems.test_zephyr import zephyr
from tinyml import importers, pipeline, reference
from tinyml.emit import open_project

ROOT = Path(__file__).resolve().parents[2]
SET_UP = ("scripts/install_tools.sh python3 python ", "make setup", ". .venv/bin/activate")
SECONDS = 120


def blocks(example: str) -> list[list[str]]:
    """The commands: first those that need no board, then those that do."""
    text = (ROOT / "examples" / example / "README.md").read_text()
    found = [re.findall(r"^    (\S.*)$", part, re.MULTILINE) for part in re.split(r"\n\n", text)]
    without, with_board = [lines for lines in found if lines]
    assert len(without + with_board) <= 10
    for line, start in zip(without[:3], SET_UP, strict=True):
        assert line.startswith(start)
    return [without[3:], with_board]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the commands see of the project, and a folder `build/` of their own."""
    for name in ("examples", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "build").mkdir()
    # Python for another processor is fetched once.
    (ROOT / "build" / "arm64").mkdir(parents=True, exist_ok=True)
    (tmp_path / "build" / "arm64").symlink_to(ROOT / "build" / "arm64")
    tinyml = tmp_path / "bin" / "tinyml"
    tinyml.parent.mkdir()
    tinyml.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tinyml "$@"\n')
    tinyml.chmod(0o755)
    return tmp_path


def environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}


def run_ours(example: str, checkout: Path) -> str:
    """What the commands say that need no board; an emulator that goes on for ever is left out."""
    said = ""
    for line in blocks(example)[0]:
        if not line.startswith("qemu-system"):
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=checkout,
                env=environment(checkout),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
            said += done.stdout
    return said


def seen() -> Iterator[str]:
    """What the programs print, by the reference."""
    graph = importers.load(DIGITS)
    text = (ROOT / "examples/drawings/drawings.inc").read_text()
    rows = re.findall(r'^"(.{8})"$', text, re.MULTILINE)
    grey = {" ": 0, "+": 0x99, "#": 0xFF}
    images = np.array([[grey[pixel] for pixel in row] for row in rows]).reshape(-1, 1, 8, 8, 1)
    for index, image in enumerate(images - 128):
        given = {graph.inputs[0]: image.astype(np.int8)}
        (output,) = reference.run(graph, given)[graph.outputs[0]]
        assert output.argmax() == index, "they are drawn so that the network knows them"
        yield f"drawing {index} is a {index}: {' '.join(map(str, output))}"


def test_arduino(checkout: Path) -> None:
    said = run_ours("arduino", checkout)
    assert "BIT-EXACT on arduino-mega2560" in said and "cycles" in said


def test_stm32(checkout: Path) -> None:
    """The emulator runs for ever, and so does the application: the second round is the first."""
    assert "BIT-EXACT on nucleo-f446re" in run_ours("stm32", checkout)
    line = next(line for line in blocks("stm32")[0] if line.startswith("qemu-system"))
    expected = [*seen()] * 2
    emulator = subprocess.Popen(
        ["timeout", str(SECONDS), *shlex.split(line)],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with emulator:
        assert emulator.stdout is not None
        printed = [emulator.stdout.readline().strip() for _ in expected]
        emulator.terminate()
    assert printed == expected


def test_raspberry_pi(checkout: Path) -> None:
    said = run_ours("raspberry-pi", checkout)
    assert "BIT-EXACT on raspberry-pi-4" in said
    assert [line for line in said.splitlines() if line.startswith("drawing")] == [*seen()]


def test_jetson_nano(checkout: Path) -> None:
    """What is to run on the board, too: there the compiler is `gcc`, and there is no emulator."""
    said = run_ours("jetson-nano", checkout)
    assert "BIT-EXACT on jetson-nano" in said
    assert [line for line in said.splitlines() if line.startswith("drawing")] == [*seen()]
    (there,) = re.findall(r"make -C .* run", blocks("jetson-nano")[1][-1])
    arguments = shlex.split(there.replace("CC=gcc", "-n"))
    done = subprocess.run(arguments, cwd=checkout, capture_output=True, text=True, check=True)
    assert "../../build/digits/recognise" in map(str.strip, done.stdout.splitlines())


def test_zephyr(checkout: Path, tmp_path: Path) -> None:
    """`west build` is done by the stand-in, for a board whose kernels this computer runs, too."""
    board = "zephyr-mps2-an385"
    west = next(line for line in blocks("zephyr")[1] if line.startswith("west build"))
    assert "flash " in run_ours("zephyr", checkout)
    project = open_project(checkout / "build/digits")
    words = shlex.split(west)
    assert words[words.index("-b") + 1] == project.board.target
    assert (checkout / words[-1]).is_dir()
    text = (ROOT / "examples/zephyr/README.md").read_text()
    assert board in text and f"CONFIG_{project.manifest.name.upper()}=y" in text
    pipeline.build(project.model_path, board, tmp_path / "portable")
    portable = open_project(tmp_path / "portable")
    zephyr(portable, tmp_path / "out")
    assert runs_bit_exact(portable, tmp_path / "out/app")
