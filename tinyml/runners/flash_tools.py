"""Programs that put firmware on boards, as data (boards/tools.toml), and their command lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyml.board import Board, Flash
from tinyml.errors import BoardError
from tinyml.resources import boards_dir
from tinyml.toml_table import Table, read_toml


@dataclass(frozen=True, slots=True)
class FlashTool:
    """One program; for the words in braces see boards/tools.toml."""

    name: str
    program: str
    install: str
    """The command that installs it."""
    file: str
    """What it takes, in the folder of the firmware: build/, of a project that is built here."""
    args: tuple[str, ...]
    probe: tuple[str, ...]
    """Arguments that choose one of several probes."""
    within: bool
    """Whether it runs in the folder of the file."""

    @property
    def needs_port(self) -> bool:
        """Whether it works on a port that has to be named."""
        return any("{port}" in arg for arg in self.args)


@dataclass(frozen=True, slots=True)
class Device:
    """A USB device with a serial port, or a port that was named."""

    port: str
    serial: str = ""
    """Its USB serial number; "" where it has none, or is not known."""
    title: str = ""


def tools(flash: Flash) -> tuple[FlashTool, ...]:
    """Those that the board names, the preferred first; BoardError for one that is not there."""
    known = read_tools(boards_dir() / "tools.toml")
    for name in flash.tools:
        if name not in known:
            raise BoardError(
                f"unknown flash tool '{name}'", hint=f"boards/tools.toml has {', '.join(known)}"
            )
    return tuple(known[name] for name in flash.tools)


def read_tools(path: Path) -> dict[str, FlashTool]:
    """All tools of the file, by name."""
    table = Table(path, "", read_toml(path))
    found = {}
    for name in list(table.values):
        entry = table.table(name)
        found[name] = FlashTool(
            name=name,
            program=entry.take("program", str),
            install=entry.take("install", str),
            file=entry.take("file", str),
            args=entry.strings("args"),
            probe=entry.strings("probe", []),
            within=entry.take("within", bool, default=False),
        )
        entry.done()
    return found


def command(tool: FlashTool, board: Board, file: Path, device: Device | None) -> tuple[str, ...]:
    """The command line that flashes `file`; `device` is what it is to work on, if that is known."""
    assert board.flash is not None
    spliced: Mapping[str, tuple[str, ...]] = {
        "{board}": dict(board.flash.arguments).get(tool.name, ()),
        "{probe}": tool.probe if device and device.serial else (),
    }
    words = {
        "{file}": str(file),
        "{address}": f"0x{board.region('code').origin:08x}",
        "{port}": device.port if device else "",
        "{serial}": device.serial if device else "",
    }
    line = [tool.program]
    for arg in tool.args:
        line += [_filled(each, words) for each in spliced.get(arg, (arg,))]
    return tuple(line)


def _filled(arg: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        arg = arg.replace(word, value)
    return arg
