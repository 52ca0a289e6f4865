"""AVR boards in simavr: a program of the project's own around its library.

It runs the core cycle by cycle, and its serial port is a pipe.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.board import Board
from tinyml.errors import BuildError, MissingToolError
from tinyml.runners.plugin import program
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream, Stream

PROGRAM = "simavr"
"""What board data calls this emulator."""

_LIBRARIES = ("-lsimavr",)


@contextmanager
def run(board: Board, elf: Path) -> Iterator[Stream]:
    """Boot `elf` on `board`, which has an emulator.

    MissingToolError when simavr, or a C compiler for this computer, is not installed.
    """
    assert board.emulator is not None
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory() as folder:
        try:
            emulator = program("avr", Path(folder), _LIBRARIES)
        except BuildError as error:
            raise MissingToolError(
                f"simavr is not installed completely: {error}",
                hint=f"sudo apt-get install {board.emulator.package}",
            ) from error
        line = [str(emulator), str(elf), board.emulator.machine, str(board.clock_hz)]
        with child(line, PROGRAM, stdin=pipe, stdout=pipe) as target:
            stdin, stdout = target.process.stdin, target.process.stdout
            assert stdin is not None and stdout is not None
            yield FileStream(stdout.fileno(), stdin.fileno(), target.describe_end)
