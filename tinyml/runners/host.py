"""The firmware as a process: the link runs over its standard input and output.

A program of another processor runs in an emulator of that processor's instructions.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyml.board import UserEmulator
from tinyml.errors import LinkError, MissingToolError
from tinyml.runners.plugin import compiled
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream, Stream

_COUNTER = "TINYML_COUNTER"
"""Variable that tells a program where to read how many instructions it has run."""

_THREADS = "TINYML_THREADS"
"""Variable that limits the threads of a program; counts repeat only where there is one."""

_HIGH = 400
"""No descriptor that a program opens by itself is as high as those for counting."""


@contextmanager
def run(
    program: Path, emulator: UserEmulator | None = None, *, counting: bool = False
) -> Iterator[Stream]:
    """Run `program` for as long as the context lasts; in the emulator where it has to be.

    With `counting` an emulator counts instructions; without one the program counts
    nanoseconds. MissingToolError when the emulator is not installed.
    """
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        line, counter = [str(program)], _Counter()
        if emulator is not None and platform.machine() != emulator.machine:
            if counting:
                counter = stack.enter_context(_counter())
            line = [_found(emulator), *emulator.args, *counter.args, str(program)]
        try:
            target = stack.enter_context(
                child(
                    line,
                    program.name,
                    stdin=pipe,
                    stdout=pipe,
                    pass_fds=counter.pipe,
                    environment=counter.environment,
                )
            )
        except OSError as error:
            raise LinkError(f"{program} does not start: {error.strerror}") from error
        stdin, stdout = target.process.stdin, target.process.stdout
        assert stdin is not None and stdout is not None
        yield FileStream(stdout.fileno(), stdin.fileno(), target.describe_end)


def _found(emulator: UserEmulator) -> str:
    found = shutil.which(emulator.program)
    if found is None:
        raise MissingToolError(
            f"{emulator.program} is not installed",
            hint=f"sudo apt-get install {emulator.package}",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Counter:
    """How a program learns how many instructions it has run; by default it does not."""

    pipe: tuple[int, ...] = ()
    args: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {_COUNTER: str(self.pipe[0]), _THREADS: "1"} if self.pipe else {}


@contextmanager
def _counter() -> Iterator[_Counter]:
    """The plugin that counts, and the pipe that it tells the program by."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = compiled("count", Path(folder))
        ends = os.pipe()
        high: list[int] = []
        try:
            high += [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _HIGH) for end in ends]
            ask, tell = high
            yield _Counter((ask, tell), ("-plugin", f"{plugin},ask={ask},tell={tell}"))
        finally:
            for end in (*ends, *high):
                os.close(end)
