"""Runners: they start a target and give the stream that the link talks over."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.board import Board
from tinyml.errors import BoardError, BuildError
from tinyml.runners import host, qemu, serial_port, simavr, ssh
from tinyml.runners.stream import Stream

__all__ = ["Stream", "open_target"]


@contextmanager
def open_target(
    board: Board, elf: Path, port: str | None = None, *, counting: bool = False
) -> Iterator[Stream]:
    """A target that runs `elf`: the board on `port`, else the board's emulator or a process.

    `port` is a serial port or, for a Linux board, ssh://user@host.

    With `port` the firmware is expected to be on the board already. `counting`
    makes an emulator count instructions, which slows it down.
    """
    remote = port is not None and port.startswith(ssh.SCHEME)
    if port is not None and board.is_process and not (remote and board.kind == "linux"):
        hint = "leave out --port" + (", or --port ssh://user@host" * (board.kind == "linux"))
        raise BoardError(f"board {board.name} has no serial port", hint=hint)
    if remote and board.kind != "linux":
        raise BoardError(f"board {board.name} does not run Linux", hint="--port is a serial port")
    if port is None and not board.is_process and board.emulator is None:
        raise BoardError(
            f"board {board.name} has no emulator", hint="give the serial port of a board: --port"
        )
    if port is None and not elf.is_file():
        raise BuildError(f"there is no firmware {elf}", hint="build it first: tinyml build")
    if port is not None and remote:
        target = ssh.run(port, elf)
    elif port is not None:
        target = serial_port.run(port, board.baud)
    elif board.is_process:
        target = host.run(elf, board.user_emulator, counting=counting)
    elif board.emulator is not None and board.emulator.program == simavr.PROGRAM:
        target = simavr.run(board, elf)
    else:
        target = qemu.run(board, elf, counting=counting)
    with target as stream:
        yield stream
