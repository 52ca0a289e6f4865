"""The firmware as a process: the link runs over its standard input and output.

A program of another processor runs in an emulator of that processor's instructions.
"""

import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.board import UserEmulator
from tinyml.errors import LinkError, MissingToolError
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream, Stream


def command(program: Path, emulator: UserEmulator | None) -> list[str]:
    """The command line that runs `program`; MissingToolError without the emulator it needs."""
    if emulator is None or platform.machine() == emulator.machine:
        return [str(program)]
    found = shutil.which(emulator.program)
    if found is None:
        raise MissingToolError(
            f"{emulator.program} is not installed",
            hint=f"sudo apt-get install {emulator.package}",
        )
    return [found, *emulator.args, str(program)]


@contextmanager
def run(program: Path, emulator: UserEmulator | None = None) -> Iterator[Stream]:
    """Run `program` for as long as the context lasts; in the emulator where it has to be."""
    pipe = subprocess.PIPE
    line = command(program, emulator)
    try:
        with child(line, program.name, stdin=pipe, stdout=pipe) as target:
            stdin, stdout = target.process.stdin, target.process.stdout
            assert stdin is not None and stdout is not None
            yield FileStream(stdout.fileno(), stdin.fileno(), target.describe_end)
    except OSError as error:
        raise LinkError(f"{program} does not start: {error.strerror}") from error
