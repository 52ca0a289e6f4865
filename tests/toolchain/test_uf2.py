"""UF2: what is read back of a file, by the format's own rules, is what was to be stored."""

import struct
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tinyml.toolchain.uf2 import blocks, pages, uf2

FLASH, FAMILY = 0x1000_0000, 0xE48B_FF56


def read(file: bytes, family: int = FAMILY) -> dict[int, int]:
    """Address -> byte; every rule of the format is checked on the way."""
    memory: dict[int, int] = {}
    count, rest = divmod(len(file), 512)
    assert rest == 0
    last = -1
    for index in range(count):
        block = file[512 * index : 512 * (index + 1)]
        first, second, flags, address, size, number, total, kind = struct.unpack("<8I", block[:32])
        assert block[:4] == b"UF2\n" and (first, second) == (0x0A324655, 0x9E5D5157)
        assert struct.unpack("<I", block[-4:]) == (0x0AB16F30,)
        assert flags == 0x2000 and kind == family, "a family is named, nothing else is special"
        assert (number, total) == (index, count)
        assert size == 256 and address % 256 == 0, "as the bootloader of the RP2040 wants"
        assert not any(block[32 + size : -4])
        assert address > last, "ascending, and none twice"
        last = address
        memory |= {address + i: byte for i, byte in enumerate(block[32 : 32 + size])}
    return memory


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Segments that do not overlap, in any order; some share a page."""
    at, found = FLASH + draw(st.integers(0, 600)), []
    for data in draw(st.lists(st.binary(min_size=1, max_size=700), max_size=5)):
        found.append((at, data))
        at += len(data) + draw(st.integers(0, 900))
    return draw(st.permutations(found))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(segments(), st.integers(0, 2**32 - 1))
def test_every_byte_is_where_it_belongs(given: list[tuple[int, bytes]], family: int) -> None:
    memory = read(blocks(pages(given), family), family)
    wanted = {start + i: byte for start, data in given for i, byte in enumerate(data)}
    assert {at: memory[at] for at in wanted} == wanted
    assert not any(byte for at, byte in memory.items() if at not in wanted)
    touched = {at // 256 for at in wanted}
    assert len(memory) == 256 * len(touched), "no page without content"


def link(elf: Path) -> None:
    """Makes an ELF file with code, a table, and a variable, whose first value is in flash."""
    folder = elf.parent
    (folder / "main.c").write_text(
        "const int table[300] = {1, 2, 3};\nint variable = 7;\nint zero[100];\n"
        "void _start(void) { zero[0] = variable + table[variable]; }\n"
    )
    (folder / "script.ld").write_text(
        "MEMORY {\nflash : ORIGIN = 0x10000000, LENGTH = 1M\n"
        "ram : ORIGIN = 0x20000000, LENGTH = 1M\n}\n"
        "SECTIONS {\n.text : { *(.text*) *(.rodata*) } > flash\n.none : { } > ram\n"
        ".data : { *(.data*) } > ram AT > flash\n.bss : { *(.bss*) } > ram\n}\n"
    )
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-nostdlib", "-Tscript.ld"]
    subprocess.run([*command, "main.c", "-o", elf.name], cwd=folder, check=True)


def test_it_stores_what_the_image_has(tmp_path: Path) -> None:
    elf, plain = tmp_path / "main.elf", tmp_path / "main.bin"
    link(elf)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, plain], check=True)
    memory = read(uf2(elf, FAMILY))
    data = plain.read_bytes()
    assert bytes(memory[FLASH + i] for i in range(len(data))) == data and 7 in data[-4:]
    assert max(memory) < FLASH + len(data) + 256, "nothing of the RAM"
