"""Boards as data: board and SoC TOML -> a frozen `Board`.

A board file is `boards/<vendor>/<name>/board.toml`; its folder is its name. It
names its chip with `soc = "..."`, and inherits every key of
`boards/socs/<soc>.toml`, which may itself build on a family with
`extends = "..."`. Tables merge key by key, the more specific file wins, and
anything not known here is refused: a typing mistake never becomes a default.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tinyml.errors import BoardError
from tinyml.resources import boards_dir
from tinyml.toml_table import Table, read_toml

SECTIONS: Final = ("vectors", "code", "constants", "data", "arena", "stack")
"""What the linker script places: the vector table; instructions; constant tables;
`.data` and `.bss`; the tensor arena; the stack."""

IN_FLASH: Final = ("vectors", "code", "constants")
"""Sections that must lie in memory that holds its content when the power goes."""

SPREAD: Final = ("arena", "constants")
"""Sections that may have two regions: a fast one, and one for what that has no room for."""

Kind = Literal["baremetal", "library", "host", "linux"]
"""What a program is there: all the software; a library's, in an ecosystem that brings the rest; a
native process; a process of a Linux board."""

Tested = Literal["run", "compiled", "data"]
"""What the tests do with a board's firmware: run it (in an emulator, or here), compile all of it
that comes from here, or nothing but read the board file."""


@dataclass(frozen=True, slots=True)
class Region:
    """One stretch of memory."""

    name: str
    origin: int
    bytes: int
    kind: Literal["flash", "ram"]
    """"flash" is what a reset leaves intact; an emulator may model it by RAM that it loads."""

    @property
    def end(self) -> int:
        """The first address after the region."""
        return self.origin + self.bytes


@dataclass(frozen=True, slots=True)
class Emulator:
    """How to start the board in an emulator, and what its clock means there."""

    program: str
    package: str
    """Debian package that installs `program`."""
    machine: str
    args: tuple[str, ...]
    serial: int
    """Which of the machine's serial ports the link runs over."""
    icount: tuple[str, ...]
    """Arguments that tie virtual time to instructions: one instruction is one nanosecond. None for
    an emulator that counts cycles."""
    counter_hz: int
    """Rate of the port's counter in virtual time: SysTick (processor clock) on a Cortex-M."""

    @property
    def instructions_per_tick(self) -> Fraction:
        """Guest instructions per tick of the counter under `icount`, exactly."""
        return Fraction(10**9, self.counter_hz)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """GCC for a target."""

    gcc: tuple[str, ...]
    """Names of the compiler, the preferred first."""
    objcopy: str
    """What turns an ELF file into a plain image; "" where programs are loaded as they are."""
    package: str
    """Debian packages that install it."""
    libc: tuple[str, ...]
    """What selects the C library (compiling and linking)."""


@dataclass(frozen=True, slots=True)
class UserEmulator:
    """How to run a program of another processor as a process of this computer."""

    program: str
    package: str
    """Debian package that installs `program`."""
    args: tuple[str, ...]
    machine: str
    """What uname calls computers that need no emulator."""


@dataclass(frozen=True, slots=True)
class Flash:
    """How firmware gets on the board."""

    tools: tuple[str, ...]
    """Names in boards/tools.toml, the preferred first."""
    usb: tuple[str, ...]
    """"vendor:product", in lower-case hexadecimal, of what the board is on USB."""
    arguments: tuple[tuple[str, tuple[str, ...]], ...]
    """Tool -> what it is told of the board."""
    uf2_family: int = 0
    """What UF2 calls the chip's family; 0 where no tool takes UF2."""


@dataclass(frozen=True, slots=True)
class Board:
    """Everything the planner, the emitter, the toolchain and the runners know of a target."""

    name: str
    title: str
    kind: Kind
    ecosystem: str
    """Of a library: the folder in codegen/ecosystems that gives it its form; "" elsewhere."""
    target: str
    """What the ecosystem itself calls the board; "" elsewhere."""
    serial: str
    """What it calls the serial port of the link; "" where that goes without saying."""
    tested: Tested
    soc: str
    core: str
    cores: int
    """How many a Linux board has; 1 on others."""
    isa: tuple[str, ...]
    """Kernel instruction sets in order of preference; the last is "portable"."""
    gcc_flags: tuple[str, ...]
    """What selects the CPU for GCC (compiling and linking)."""
    clang_flags: tuple[str, ...]
    """The same for clang and `zig cc`."""
    port: tuple[str, ...]
    """Folders under runtime_c/port; every C file in them is part of the firmware."""
    toolchain: Toolchain
    defines: tuple[tuple[str, int], ...]
    """C macros that tell the port its addresses and rates."""
    regions: tuple[Region, ...]
    placement: tuple[tuple[str, str], ...]
    """Section (see SECTIONS) -> name of the region it goes to; empty for a process."""
    spill: tuple[tuple[str, str], ...]
    """Section (see SPREAD) -> name of the slower region that takes what the first has no room
    for; without those that have none."""
    harvard: bool
    """Whether data pointers do not reach constants (runtime_c/include/tinyml_flash.h)."""
    stack_bytes: int
    clock_hz: int
    """Processor clock that the port sets up on hardware; 0 for a process."""
    baud: int
    emulator: Emulator | None
    user_emulator: UserEmulator | None
    flash: Flash | None

    @property
    def is_process(self) -> bool:
        """Whether its programs are processes, which an operating system gives memory."""
        return self.kind in ("host", "linux")

    def region(self, section: str) -> Region:
        """The region that `section` (one of SECTIONS) is placed in. Not for processes."""
        return self._named(dict(self.placement)[section])

    def more(self, section: str) -> Region | None:
        """The second region of `section`; None where it has none."""
        name = dict(self.spill).get(section)
        return None if name is None else self._named(name)

    def _named(self, name: str) -> Region:
        return next(region for region in self.regions if region.name == name)

    @property
    def define_flags(self) -> tuple[str, ...]:
        """`defines`, and the clock facts of this board, as compiler arguments."""
        facts = dict(self.defines)
        if not self.is_process:
            facts |= {"TINYML_PORT_CLOCK_HZ": self.clock_hz, "TINYML_PORT_BAUD": self.baud}
        if self.emulator and self.emulator.icount:
            ratio = self.emulator.instructions_per_tick
            facts |= {
                "TINYML_PORT_INSTRUCTIONS_NUMERATOR": ratio.numerator,
                "TINYML_PORT_INSTRUCTIONS_DENOMINATOR": ratio.denominator,
            }
        return tuple(f"-D{name}={value}u" for name, value in facts.items())


def list_boards() -> list[str]:
    """Names of all boards, sorted."""
    return sorted(_board_files())


def load_board(name: str) -> Board:
    """The board called `name`; BoardError if there is none or its data is wrong."""
    files = _board_files()
    if name not in files:
        close = difflib.get_close_matches(name, files, n=1)
        hint = f"did you mean {close[0]}?" if close else "boards: " + ", ".join(sorted(files))
        raise BoardError(f"unknown board {name!r}", hint=hint)
    return read_board(files[name], boards_dir() / "socs")


def read_board(path: Path, socs: Path) -> Board:
    """The board described by the file `path`, whose SoC files are in the folder `socs`."""
    own = Table(path, "", read_toml(path))
    soc = own.take("soc", str)
    merged = _merge(_read_soc(socs, soc, seen=()), own.values)
    return _board(path.parent.name, soc, Table(path, "", merged))


def _board_files() -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(boards_dir().glob("*/*/board.toml")):
        name = path.parent.name
        if name in files:
            raise BoardError(f"{path}: a second board named {name!r}; the first is {files[name]}")
        files[name] = path
    return files


def _read_soc(socs: Path, name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    path = socs / f"{name}.toml"
    if name in seen:
        raise BoardError(f"{path}: extends itself: {' -> '.join((*seen, name))}")
    table = Table(path, "", read_toml(path))
    base = table.take("extends", str, default="")
    if not base:
        return table.values
    return _merge(_read_soc(socs, base, (*seen, name)), table.values)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: tables key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _board(name: str, soc: str, table: Table) -> Board:
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    kind = kinds[table.one_of("kind", tuple(kinds))]
    bare = kind in ("baremetal", "library")
    tested: dict[str, Tested] = {tested: tested for tested in get_args(Tested)}
    isa = table.strings("isa")
    if not isa or isa[-1] != "portable":
        raise table.error("isa", 'must end with "portable", which has every kernel')
    regions = _regions(table.table("memory", optional=not bare))
    placement = _placement(table.table("placement", optional=not bare), regions, bare=bare)
    board = Board(
        name=name,
        title=table.take("title", str),
        kind=kind,
        ecosystem=table.take("ecosystem", str) if kind == "library" else "",
        target=table.take("target", str) if kind == "library" else "",
        serial=table.take("serial", str, "") if kind == "library" else "",
        tested=tested[table.one_of("tested", tuple(tested))],
        soc=soc,
        core=table.take("core", str),
        cores=table.positive("cores") if kind == "linux" else 1,
        isa=isa,
        gcc_flags=table.strings("gcc_flags"),
        clang_flags=table.strings("clang_flags"),
        port=table.strings("port"),
        toolchain=_toolchain(table.table("toolchain")),
        defines=_defines(table.table("defines", optional=True)),
        regions=regions,
        placement=tuple((section, names[0]) for section, names in placement),
        spill=tuple((section, names[1]) for section, names in placement if len(names) > 1),
        harvard=table.take("harvard", bool, default=False),
        stack_bytes=table.positive("stack_bytes"),
        clock_hz=table.positive("clock_hz") if bare else 0,
        baud=table.positive("baud") if bare else 0,
        emulator=_emulator(table.table("emulator")) if "emulator" in table.values else None,
        user_emulator=_user_emulator(table.table("user_emulator"))
        if "user_emulator" in table.values
        else None,
        flash=_flash(table.table("flash")) if "flash" in table.values else None,
    )
    if board.stack_bytes % 8:
        raise table.error("stack_bytes", "must be a multiple of 8, as the ABI wants")
    if bare and board.region("stack").bytes < board.stack_bytes:
        raise table.error("stack_bytes", "is more than the region that holds the stack")
    table.done()
    return board


def _regions(table: Table) -> tuple[Region, ...]:
    regions: list[Region] = []
    for name in list(table.values):
        entry = table.table(name)
        region = Region(
            name=name,
            origin=entry.positive("origin", least=0),
            bytes=entry.positive("bytes"),
            kind="flash" if entry.one_of("kind", ("flash", "ram")) == "flash" else "ram",
        )
        entry.done()
        if region.end > 2**32:
            raise entry.error("bytes", "the region ends beyond the 32-bit address space")
        for other in regions:
            if region.origin < other.end and other.origin < region.end:
                raise entry.error("origin", f"the region overlaps {other.name!r}")
        regions.append(region)
    return tuple(regions)


def _placement(
    table: Table, regions: tuple[Region, ...], *, bare: bool
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Section -> its regions, the first choice first."""
    if not bare:
        table.done()
        return ()
    kinds = {region.name: region.kind for region in regions}
    placement = []
    for section in SECTIONS:
        if section in SPREAD and isinstance(table.values.get(section), list):
            names = table.strings(section)
        else:
            names = (table.take(section, str),)
        if not 1 <= len(set(names)) == len(names) <= 2:
            raise table.error(section, "must be one region, or a list of two, the faster one first")
        wanted = "flash" if section in IN_FLASH else "ram"
        for name in names:
            if name not in kinds:
                raise table.error(section, f"must be one of {', '.join(kinds)}, not {name!r}")
            if kinds[name] != wanted:
                raise table.error(section, f"must go to {wanted}, and {name!r} is {kinds[name]}")
        placement.append((section, names))
    table.done()
    return tuple(placement)


def _defines(table: Table) -> tuple[tuple[str, int], ...]:
    names = list(table.values)
    for name in names:
        if not name.startswith("TINYML_PORT_"):
            raise table.error(name, "must start with TINYML_PORT_")
    return tuple((name, table.positive(name, least=0)) for name in names)


def _toolchain(table: Table) -> Toolchain:
    toolchain = Toolchain(
        gcc=table.strings("gcc"),
        objcopy=table.take("objcopy", str, ""),
        package=table.take("package", str),
        libc=table.strings("libc", []),
    )
    if not toolchain.gcc:
        raise table.error("gcc", "must name a compiler")
    table.done()
    return toolchain


def _flash(table: Table) -> Flash:
    arguments = table.table("arguments", optional=True)
    flash = Flash(
        tools=table.strings("tools"),
        usb=table.strings("usb"),
        arguments=tuple((name, arguments.strings(name)) for name in list(arguments.values)),
        uf2_family=table.positive("uf2_family", 0, least=0),
    )
    if not flash.tools:
        raise table.error("tools", "must name a tool of boards/tools.toml")
    for name in flash.usb:
        if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", name):
            raise table.error("usb", f"must be like 0483:374b, not {name!r}")
    for name, _ in flash.arguments:
        if name not in flash.tools:
            raise table.error(f"arguments.{name}", f"is none of {', '.join(flash.tools)}")
    table.done()
    return flash


def _user_emulator(table: Table) -> UserEmulator:
    emulator = UserEmulator(
        program=table.take("program", str),
        package=table.take("package", str),
        args=table.strings("args", []),
        machine=table.take("machine", str),
    )
    table.done()
    return emulator


def _emulator(table: Table) -> Emulator:
    icount = table.strings("icount", [])
    emulator = Emulator(
        program=table.take("program", str),
        package=table.take("package", str),
        machine=table.take("machine", str),
        args=table.strings("args", []),
        serial=table.positive("serial", 0, least=0),
        icount=icount,
        counter_hz=table.positive("counter_hz") if icount else 1,
    )
    table.done()
    return emulator
