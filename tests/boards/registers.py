"""A register file in place of a chip's: it models ready bits, and notes what is written.

The port is compiled for this computer with `REG32` calling back here at every access. What was
written through the pointer of one access is seen at the next.
"""

import ctypes
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tinyml.board import Board
from tinyml.resources import runtime_dir

_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
_REGISTER = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
_STAND_IN = """
#define REG32(address) (*sim_register((uint32_t)(address)))
extern volatile uint32_t *(*sim_register)(uint32_t address);
"""
_HARNESS = """
#include <stdint.h>
#include "cortexm/cortexm.h"
volatile uint32_t *(*sim_register)(uint32_t address);
uint32_t sim_clock_hz;
void tinyml_port_counter_init(uint32_t clock_hz) { sim_clock_hz = clock_hz; }
"""


@dataclass(frozen=True, slots=True)
class Ready:
    """Bits of a register that become `value` when they are read often enough after `cause` holds.

    Without its cause, a ready bit is as it was at reset.
    """

    name: str
    address: int
    mask: int
    cause: Callable[["Registers"], int | None]
    """What the bits become; None while nothing asks for it."""
    polls: int = 3


@dataclass
class Registers:
    """The registers, all of which exist; those not named in `reset` are 0 at reset."""

    reset: dict[int, int]
    ready: Iterable[Ready] = ()
    log: list[tuple[int, int]] = field(default_factory=list)
    """(address, value) of every write that changed something."""
    reads: int = 0

    def __post_init__(self) -> None:
        self._cells: dict[int, ctypes.c_uint32] = {}
        self._shadow: dict[int, int] = {}
        self._polls: dict[str, int] = {}
        self._last: int | None = None

    def __getitem__(self, address: int) -> int:
        self._note()
        return self._cell(address).value

    def __setitem__(self, address: int, value: int) -> None:
        self._cell(address).value = value
        self._shadow[address] = value

    def access(self, address: int) -> int:
        """What the port's REG32 calls: where the register is now."""
        self._note()
        self.reads += 1
        assert self.reads < 10**6, "the port waits for ever"
        for bit in self.ready:
            if bit.address == address:
                self._update(bit)
        self._last = address
        return ctypes.addressof(self._cell(address))

    def writes(self, address: int) -> list[int]:
        """The values that a register was given, in order."""
        self._note()
        return [value for at, value in self.log if at == address]

    def first(self, address: int, mask: int, value: int) -> int:
        """Position in the log of the first write after which the bits `mask` are `value`."""
        self._note()
        return next(
            i for i, (at, new) in enumerate(self.log) if at == address and new & mask == value
        )

    def _cell(self, address: int) -> ctypes.c_uint32:
        if address not in self._cells:
            assert address % 4 == 0
            self._cells[address] = ctypes.c_uint32(self.reset.get(address, 0))
            self._shadow[address] = self._cells[address].value
        return self._cells[address]

    def _note(self) -> None:
        if self._last is None:
            return
        cell, before = self._cell(self._last), self._shadow[self._last]
        fixed = sum({bit.mask for bit in self.ready if bit.address == self._last})
        cell.value = now = cell.value & ~fixed | before & fixed  # ready bits cannot be written
        if now != before:
            self._shadow[self._last] = now
            self.log.append((self._last, now))

    def _update(self, bit: Ready) -> None:
        wanted = bit.cause(self)
        self._polls[bit.name] = 0 if wanted is None else self._polls.get(bit.name, 0) + 1
        old = self[bit.address]
        at_reset = self.reset.get(bit.address, 0) & bit.mask
        if wanted is None:
            self[bit.address] = old & ~bit.mask | at_reset
        elif self._polls[bit.name] > bit.polls:
            self[bit.address] = old & ~bit.mask | wanted


def compiled(board: Board, folder: Path) -> Path:
    """The board's port as a library of this computer, but for what belongs to the core."""
    root = folder / "port"
    header = (runtime_dir() / "port/cortexm/cortexm.h").read_text()
    register = "#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))\n"
    barrier = '#define BARRIER() __asm volatile("dsb\\n isb" ::: "memory")\n'
    assert register in header and barrier in header
    header = header.replace(register, _STAND_IN).replace(barrier, "#define BARRIER() (void)0\n")
    (root / "cortexm").mkdir(parents=True)
    (root / "cortexm/cortexm.h").write_text(header)
    (root / "harness.c").write_text(_HARNESS)
    sources = [root / "harness.c"]
    for name in board.port:
        if name == "cortexm":
            continue
        (root / name).mkdir()
        for path in (runtime_dir() / "port" / name).iterdir():
            (root / name / path.name).write_text(path.read_text())
        sources += sorted((root / name).glob("*.c"))
    library = folder / f"{board.name}.so"
    flags = [*_STRICT, "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    command = ["cc", *flags, "-shared", "-fPIC", f"-I{runtime_dir() / 'include'}", f"-I{root}"]
    command += [*board.define_flags, *map(str, sources), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return library


class Port:
    """A compiled port on simulated registers."""

    def __init__(self, library: Path, registers: Registers) -> None:
        self.c = ctypes.CDLL(str(library))
        self._callback = _REGISTER(registers.access)
        ctypes.c_void_p.in_dll(self.c, "sim_register").value = ctypes.cast(
            self._callback, ctypes.c_void_p
        ).value

    def init(self) -> int:
        """Runs tinyml_port_init; the core clock that it says it has set up."""
        self.c.tinyml_port_init()
        return ctypes.c_uint32.in_dll(self.c, "sim_clock_hz").value
