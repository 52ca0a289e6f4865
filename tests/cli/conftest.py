"""Runs the command line as a user does: as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value

    def fails(self, status: int, *words: str) -> None:
        """Checks an error: its status, one line with all `words`, no traceback."""
        assert self.status == status, self.stderr
        lines = self.stderr.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, self.stderr
        assert all(line.startswith(("error: ", "try: ")) for line in lines), self.stderr
        for word in words:
            assert word.lower() in self.stderr.lower()


def tinyml(*arguments: object, **environment: str) -> Outcome:
    """`tinyml ARGUMENTS` in a process; no outcome may ever be a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "tinyml", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "this is a bug" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def project_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a built project of the digits model for a board, each built once."""
    built: dict[str, Path] = {}

    def get(board: str) -> Path:
        if board not in built:
            folder = tmp_path_factory.mktemp("projects") / board
            outcome = tinyml("build", DIGITS, "--board", board, "-o", folder, "--json")
            assert outcome.status == 0, outcome.stderr
            built[board] = folder
        return built[board]

    return get
