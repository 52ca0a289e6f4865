"""A child process that is the target: started, watched, and never left behind."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

_KEPT_STDERR = 2000
_GRACE_SECONDS = 2.0


class Child:
    """A running target and what it has to say about its end."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, errors: IO[bytes]) -> None:
        self.process = process
        self.name = name
        self._errors = errors

    def describe_end(self) -> str:
        """One line: how the process ended, and the end of its standard error."""
        try:
            status = self.process.wait(timeout=_GRACE_SECONDS)
            cause = f"{self.name} ended with status {status}"
        except subprocess.TimeoutExpired:
            cause = f"{self.name} closed the link"
        self._errors.seek(0, 2)
        self._errors.seek(max(0, self._errors.tell() - _KEPT_STDERR))
        said = " | ".join(self._errors.read().decode(errors="replace").split("\n")).strip(" |")
        return f"{cause}: {said}" if said else cause


@contextmanager
def child(
    command: Sequence[str],
    name: str,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    gently: bool = False,
) -> Iterator[Child]:
    """Run `command` for as long as the context lasts, then kill it.

    `environment` is added to that of this process.

    `gently` asks it to end first, so that it can write what it has gathered.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            pass_fds=pass_fds,
            env={**os.environ, **(environment or {})},
            bufsize=0,
        )
        try:
            yield Child(process, name, errors)
        finally:
            if gently:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_SECONDS)
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
