"""The plain image of a firmware, for tools that take no ELF file."""

from pathlib import Path

from elftools.elf.elffile import ELFFile

from tinyml.board import Region


def image(elf: Path, flash: Region) -> bytes:
    """What `flash` is to hold, from its first byte on; gaps are zeros, as objcopy leaves them."""
    content = bytearray()
    with elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            at, data = segment["p_paddr"] - flash.origin, segment.data()
            if data and 0 <= at < flash.bytes:
                content.extend(bytes(max(0, at + len(data) - len(content))))
                content[at : at + len(data)] = data
    return bytes(content)
