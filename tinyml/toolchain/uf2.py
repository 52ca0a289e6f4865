"""A firmware as UF2, the file that bootloaders of mass storage take (github.com/microsoft/uf2).

A file is a row of blocks of 512 bytes, each with the address of what it carries.
"""

import struct
from pathlib import Path
from typing import Final

from elftools.elf.elffile import ELFFile

BLOCK: Final = 512
PAGE: Final = 256
"""Bytes that a block carries: a page of the flash, which is written as a whole."""

_MAGIC: Final = (0x0A324655, 0x9E5D5157)
_END: Final = 0x0AB16F30
_FAMILY_FOLLOWS: Final = 0x2000
_HEADER: Final = struct.Struct("<8I")
"""Two magic numbers, flags, address, bytes, index of the block, blocks, family of the chip."""


def uf2(elf: Path, family: int) -> bytes:
    """What the ELF file stores in memory, for chips of `family`; zeros fill up pages."""
    with elf.open("rb") as file:
        every = [(s["p_paddr"], s.data()) for s in ELFFile(file).iter_segments("PT_LOAD")]
    return blocks(pages([each for each in every if each[1]]), family)


def pages(segments: list[tuple[int, bytes]]) -> dict[int, bytes]:
    """Address of each page with content -> PAGE bytes, by address; segments, none of them empty,
    may share a page."""
    found: dict[int, bytearray] = {}
    for start, data in segments:
        for address in range(start - start % PAGE, start + len(data), PAGE):
            page = found.setdefault(address, bytearray(PAGE))
            first, last = max(start, address), min(start + len(data), address + PAGE)
            page[first - address : last - address] = data[first - start : last - start]
    return {address: bytes(page) for address, page in sorted(found.items())}


def blocks(content: dict[int, bytes], family: int) -> bytes:
    """The file: a block for each page."""
    file = bytearray()
    for index, (address, page) in enumerate(content.items()):
        head = _HEADER.pack(
            *_MAGIC, _FAMILY_FOLLOWS, address, len(page), index, len(content), family
        )
        file += head + page.ljust(BLOCK - len(head) - 4, b"\0") + struct.pack("<I", _END)
    return bytes(file)
