"""The instructions of a firmware, disassembled from its ELF file (with Capstone)."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import capstone
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

_OWN = ("tinyml_link_", "tinyml_port_", "tinyml_frame_", "tinyml_fill_", "tinyml_crc")
"""Functions that serve the link, not the model."""

_OWN_FILES = ("link", "frame.c", "fill.c", "port.c", "startup.c", "systick.c", "main.c")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, as far as its timing depends on it."""

    mnemonic: str
    """Without condition and width."""
    reads: frozenset[int]
    writes: frozenset[int]
    registers: int
    """How many are loaded or stored, in an instruction that does that."""


class Code:
    """The functions of a firmware."""

    def __init__(self, elf: Path) -> None:
        self._decoder = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        )
        self._decoder.detail = True
        with elf.open("rb") as file:
            image = ELFFile(file)
            self._sections = [
                (section["sh_addr"], section.data())
                for section in image.iter_sections()
                if section["sh_flags"] & 4 and section["sh_type"] == "SHT_PROGBITS"
            ]
            self._functions = sorted(_functions(image.get_section_by_name(".symtab")))
        self._starts = [start for start, _, _ in self._functions]

    def function(self, address: int) -> tuple[str, bool]:
        """The function at `address`, and whether it serves the model (not the link)."""
        at = bisect_right(self._starts, address) - 1
        return self._functions[at][1:] if at >= 0 else ("", False)

    def block(self, address: int, count: int) -> list[Instruction]:
        """`count` instructions from `address` on."""
        for start, data in self._sections:
            if start <= address < start + len(data):
                code = data[address - start : address - start + 4 * count]
                found = self._decoder.disasm(code, address, count)
                return [instruction(each) for each in found]
        return []


def _functions(table: Section | None) -> Iterator[tuple[int, str, bool]]:
    """Address, name, and whether a function serves the model."""
    if not isinstance(table, SymbolTableSection):
        return
    file = ""
    for symbol in table.iter_symbols():
        kind, bind = symbol["st_info"]["type"], symbol["st_info"]["bind"]
        if kind == "STT_FILE":
            file = symbol.name
        elif kind == "STT_FUNC":
            local = bind == "STB_LOCAL" and file.startswith(_OWN_FILES)
            serves = not (local or symbol.name.startswith(_OWN) or symbol.name == "main")
            yield symbol["st_value"] & ~1, symbol.name, serves


def instruction(each: capstone.CsInsn) -> Instruction:
    """What its timing depends on."""
    reads, writes = each.regs_access()
    mnemonic = each.mnemonic.split(".")[0]
    conditional = each.cc not in (capstone.arm.ARM_CC_AL, capstone.arm.ARM_CC_INVALID)
    if conditional and not mnemonic.startswith(("it", "cb")):
        mnemonic = mnemonic[:-2] or mnemonic
    registers = sum(op.type == capstone.arm.ARM_OP_REG for op in each.operands)
    return Instruction(mnemonic, frozenset(reads), frozenset(writes), registers)
