"""Runs kernels in a `kernel_server` process and tells what the sanitizers say."""

import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from tests.support.kernel_build import build_library, declarations, sanitizer_library
from tests.support.kernel_server import Function, Request, receive, send

ROOT = Path(__file__).resolve().parents[2]


class KernelClient:
    """Starts a server when one is needed, and another after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = build_library(folder)
        self._declarations = folder / "kernels.i"
        self._declarations.write_text(declarations(folder), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, request: Request | Function) -> tuple[bytes, ...]:
        """The results; AssertionError with the sanitizer's report when the kernel crashes."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            send(_binary(process.stdin), request)
            answer = receive(_binary(process.stdout))
        except (EOFError, BrokenPipeError):
            process.wait()
            self._process = None
            report = self._log.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"'{request.kernel}' crashed:\n{report}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    @property
    def _log(self) -> Path:
        return self._folder / "stderr.txt"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environment = {
                **os.environ,
                "LD_PRELOAD": sanitizer_library(),
                "ASAN_OPTIONS": "detect_leaks=0",
                "UBSAN_OPTIONS": "print_stacktrace=1",
                "PYTHONPATH": str(ROOT),
            }
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "tests.support.kernel_server"),
                        *(str(self._library), str(self._declarations)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    cwd=ROOT,
                )
        return self._process

    def close(self) -> None:
        """Ends the server."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _binary(stream: object) -> BinaryIO:
    return stream  # type: ignore[return-value]
