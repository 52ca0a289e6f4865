"""Starts the worker, keeps what it prints, and turns what went wrong into an error."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import tinyml
from tinyml import errors
from tinyml.convert.job import ConvertJob, RunJob, ZooJob
from tinyml.errors import ConvertError, TinymlError

LOG_LINES = 30
"""Of what a failed worker printed, these last ones are kept."""

_PROGRESS = "tinyml has done {} of {}"

Job = ConvertJob | RunJob | ZooJob


def say_progress(done: int, total: int) -> None:
    """What the worker prints for `run_worker` to hand on."""
    print(_PROGRESS.format(done, total), flush=True)


def run_worker(job: Job, what: str, progress: Callable[[int, int], None] | None = None) -> None:
    """Does the job in a process of its own; `what` says in messages what could not be done.

    `progress` is called with what `say_progress` was called with.
    Raises the worker's own error, or ConvertError with its last lines of output.
    """
    with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
        request, answer = Path(folder, "job.json"), Path(folder, "answer.json")
        request.write_text(json.dumps({"task": type(job).__name__, **asdict(job)}))
        status, log = _run(
            [sys.executable, "-m", "tinyml.convert.worker", str(request), str(answer)],
            folder,
            progress,
        )
        values = json.loads(answer.read_text()) if answer.is_file() else None
    if values is None:
        raise ConvertError(f"{what}: {_ended(status)}", log=log)
    if "failure" in values:
        first = next(iter(values["failure"].splitlines()), "")
        raise ConvertError(f"{what}: {first}", log=log)
    if values:
        kind = getattr(errors, values["kind"], TinymlError)
        raise kind(values["what"], hint=values["hint"])


def _run(
    command: list[str], folder: str, progress: Callable[[int, int], None] | None
) -> tuple[int, tuple[str, ...]]:
    """The exit status, and the last lines that were printed."""
    pattern = re.compile(_PROGRESS.format(r"(\d+)", r"(\d+)"))
    log: deque[str] = deque(maxlen=LOG_LINES)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                found = pattern.fullmatch(line.rstrip("\n"))
                if found is None:
                    log.append(line.rstrip("\n"))
                elif progress is not None:
                    progress(int(found[1]), int(found[2]))
        except BaseException:
            process.kill()
            raise
    return process.returncode, tuple(log)


def _environment(folder: str) -> dict[str, str]:
    """That of this process, set so that the same job gives the same bytes, without noise."""
    package = str(Path(tinyml.__file__).resolve().parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": folder,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


def _ended(status: int) -> str:
    if status < 0:
        return f"the converter crashed ({signal.Signals(-status).name})"
    return f"the converter ended with status {status}"
