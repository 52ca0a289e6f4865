"""Runners: they start a target and give the stream that the link talks over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyml.board import Board
from tinyml.errors import BoardError, BuildError
from tinyml.runners import host, qemu, serial_port
from tinyml.runners.stream import Stream

__all__ = ["Stream", "Target", "open_target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A running target."""

    stream: Stream
    exact_counts: bool
    """Whether its counter means something: a board, or an emulator that counts instructions."""


@contextmanager
def open_target(
    board: Board, elf: Path, port: str | None = None, *, counting: bool = False
) -> Iterator[Target]:
    """A target that runs `elf`: the board on `port`, else the board's emulator or a process.

    With `port` the firmware is expected to be on the board already. `counting`
    makes an emulator count instructions, which slows it down.
    """
    if port is not None:
        if board.kind == "host":
            raise BoardError(f"board {board.name} has no serial port", hint="leave out --port")
        with serial_port.run(port, board.baud) as stream:
            yield Target(stream, exact_counts=True)
        return
    if not elf.is_file():
        raise BuildError(f"there is no firmware {elf}", hint="build it first: tinyml build")
    if board.kind == "host":
        with host.run(elf) as stream:
            yield Target(stream, exact_counts=False)
    else:
        with qemu.run(board, elf, counting=counting) as stream:
            yield Target(stream, exact_counts=counting)
