"""Which compiler builds for a board, and where it is."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from tinyml.board import Board
from tinyml.emit.flags import Flags, gcc_flags, zig_flags
from tinyml.errors import BuildError, MissingToolError

_PIP = "pip install ziglang"
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler driver that is installed."""

    family: Literal["gcc", "zig"]
    command: tuple[str, ...]
    version: str
    """First line of what it says of itself."""

    def flags(self, board: Board, include_dirs: tuple[str, ...], optimize: str) -> Flags:
        """Its arguments for a project on `board`; `optimize` is that of `PlanOptions`."""
        make = zig_flags if self.family == "zig" else gcc_flags
        return make(board, include_dirs, optimize)


def find_compiler(board: Board, wanted: str = "auto") -> Compiler:
    """The compiler for `board`.

    `wanted` is "gcc" (the board's; on a host any of cc, gcc, clang), "zig", or "auto": gcc where it
    is installed, else zig. MissingToolError, with the command that installs it,
    when there is none; BuildError for another name.
    """
    families = {"auto": ("gcc", "zig"), "gcc": ("gcc",), "zig": ("zig",)}.get(wanted)
    if families is None:
        raise BuildError(f"unknown compiler '{wanted}'", hint="choose auto, gcc or zig")
    for family in families:
        command = _gcc(board) if family == "gcc" else _zig(board)
        if command:
            family_name: Literal["gcc", "zig"] = "zig" if family == "zig" else "gcc"
            return Compiler(family_name, command, _version(command, family_name))
    if not board.toolchain.package:
        raise MissingToolError(
            f"{board.toolchain.gcc[0]} is not installed, and no Debian package has it",
            hint="the project is written: its README.md says what builds it",
        )
    apt = f"sudo apt-get install {board.toolchain.package}"
    name = "a C compiler" if board.kind == "host" else board.toolchain.gcc[0]
    if wanted == "zig":
        raise MissingToolError("zig is not installed", hint=_PIP)
    raise MissingToolError(
        f"{name} is not installed", hint=apt if wanted == "gcc" else f"{apt}, or {_PIP}"
    )


def _gcc(board: Board) -> tuple[str, ...]:
    for name in board.toolchain.gcc:
        path = shutil.which(name)
        if path:
            return (path,)
    return ()


def _zig(board: Board) -> tuple[str, ...]:
    if not board.clang_flags and board.kind != "host":
        return ()  # clang has no such processor
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    path = shutil.which("zig")
    return (path, "cc") if path else ()


def _version(command: tuple[str, ...], family: str) -> str:
    try:
        done = subprocess.run(
            (*command, "--version"), capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"'{' '.join(command)} --version' failed: {error}") from error
    first = done.stdout.strip().splitlines() or [family]
    return f"zig {first[0]}" if family == "zig" else first[0]
