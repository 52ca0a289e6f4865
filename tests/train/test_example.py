"""The example that learns on an emulated board, cut short."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "learning" / "demo.py"


def test_learns_on_the_board_what_the_host_learns(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
    plot = tmp_path / "plot.svg"
    words = "--updates 12 --every 6 --batch 4 --test 40 --rate 0.002 --plot"
    command = [sys.executable, str(EXAMPLE), *words.split(), str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "bytes as on the host" in done.stdout and "accuracy on 40 test images" in done.stdout
    root = ElementTree.parse(plot).getroot()
    points = [e for e in root.iter() if e.get("class") == "point"]
    assert root.tag.endswith("svg") and len(points) == 3
