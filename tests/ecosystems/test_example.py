"""The commands of the examples for ecosystems, as they stand in their READMEs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.ecosystems.forms import runs_bit_exact
from tests.ecosystems.test_zephyr import zephyr
from tinyml import pipeline
from tinyml.emit import open_project

ROOT = Path(__file__).resolve().parents[2]


def commands(ecosystem: str) -> list[str]:
    text = (ROOT / "examples" / ecosystem / "README.md").read_text()
    found = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    assert 4 <= len(found) <= 10
    return found


def run_ours(ecosystem: str, digits: Path) -> str:
    """What the commands say that need no board, with the project at `digits`."""
    said = ""
    for line in commands(ecosystem):
        if line.startswith("tinyml ") and "--port" not in line:
            words = [word.replace("build/digits", str(digits)) for word in shlex.split(line)]
            command = [sys.executable, "-m", *words]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            said += done.stdout
    return said


def test_arduino(tmp_path: Path) -> None:
    said = run_ours("arduino", tmp_path / "digits")
    assert "BIT-EXACT on arduino-mega2560" in said and "cycles" in said


def test_zephyr(tmp_path: Path) -> None:
    """`west build` is done by the stand-in, for a board whose kernels this computer runs, too."""
    board = "zephyr-mps2-an385"
    west = next(line for line in commands("zephyr") if line.startswith("west build"))
    assert "flash " in run_ours("zephyr", tmp_path / "digits")
    project = open_project(tmp_path / "digits")
    words = shlex.split(west)
    assert words[words.index("-b") + 1] == project.board.target
    assert (tmp_path / "digits" / words[-1].removeprefix("build/digits/")).is_dir()
    text = (ROOT / "examples/zephyr/README.md").read_text()
    assert board in text and f"CONFIG_{project.manifest.name.upper()}=y" in text
    line = next(line for line in commands("zephyr") if line.startswith("tinyml build"))
    model = ROOT / shlex.split(line)[2]
    pipeline.build(model, board, tmp_path / "portable")
    portable = open_project(tmp_path / "portable")
    zephyr(portable, tmp_path / "out")
    assert runs_bit_exact(portable, tmp_path / "out/app")
