"""Boards in QEMU: the emulator is a child process, its serial port one end of a socket pair.

A socket pair needs no port number, so parallel runs never meet, and nothing is
left behind when either side dies.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.board import Board, Emulator
from tinyml.errors import BoardError, MissingToolError
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream, Stream


def command(
    emulator: Emulator, elf: Path, serial_fd: int, *, counting: bool, plugin: str = ""
) -> list[str]:
    """The command line that boots `elf` with its serial port on the descriptor `serial_fd`.

    `plugin` is a plugin of the emulator's, with its arguments.
    """
    program = shutil.which(emulator.program)
    if program is None:
        raise MissingToolError(
            f"{emulator.program} is not installed",
            hint=f"sudo apt-get install {emulator.package}",
        )
    return [
        program,
        *("-machine", emulator.machine),
        *("-display", "none"),
        *("-monitor", "none"),
        *("-parallel", "none"),
        *("-nodefaults", "-no-user-config"),
        *("-chardev", f"socket,id=link,fd={serial_fd}"),
        *("-serial", "null") * emulator.serial,
        *("-serial", "chardev:link"),
        *(emulator.icount if counting else ()),
        *(("-plugin", plugin) if plugin else ()),
        *emulator.args,
        *("-kernel", str(elf)),
    ]


@contextmanager
def run(board: Board, elf: Path, *, counting: bool = False, plugin: str = "") -> Iterator[Stream]:
    """Boot `elf` on `board`; with `counting`, time is tied to instructions (and slower).

    A `plugin` (`command`) has time to write its results at the end.
    """
    if board.emulator is None:
        raise BoardError(
            f"board {board.name} has no emulator", hint="give the serial port of a board: --port"
        )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = command(board.emulator, elf, theirs.fileno(), counting=counting, plugin=plugin)
        name, fds = board.emulator.program, (theirs.fileno(),)
        with child(line, name, pass_fds=fds, gently=bool(plugin)) as target:
            theirs.close()  # the emulator holds it now: when it dies, the link ends
            yield FileStream(ours.fileno(), ours.fileno(), target.describe_end)
