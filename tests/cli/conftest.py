"""Runs the command line and looks at what it says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinyml import cli

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


def tinyml(*arguments: object) -> Outcome:
    """`tinyml ARGUMENTS`, in this process; no outcome may ever be a bug."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert isinstance(stop.value.code, int)
    return _checked(Outcome(stop.value.code, out.getvalue(), err.getvalue()))


def tinyml_process(*arguments: object, **environment: str) -> Outcome:
    """The same as a process of its own, in another environment."""
    done = subprocess.run(
        [sys.executable, "-m", "tinyml", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return _checked(Outcome(done.returncode, done.stdout, done.stderr))


def _checked(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.stdout + outcome.stderr, outcome.stderr
    assert outcome.status in (0, 1, 2, 3), outcome.stderr
    return outcome


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
