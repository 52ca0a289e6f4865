"""What a firmware takes of which memory, read from its ELF file."""

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tinyml.errors import BuildError

STACK_SECTION = ".stack"
"""What the linker script reserves for the stack: counted as stack, not as a variable."""

MORE_CONSTANTS_SECTION = ".more_constants"
"""Tables for which the first region of the constants has no room."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes."""

    code: int
    constants: int
    data: int
    """Variables with an initial value, which takes as much flash."""
    zeroed: int
    """Variables without, and the arena."""
    stack: int
    """What is reserved; 0 on a host."""
    more_constants: int = 0
    """Of the constants, those in a second region."""


def read_sizes(elf: Path) -> Sizes:
    """The sizes of an ELF file; BuildError when it is none."""
    code = constants = data = zeroed = stack = more = 0
    try:
        with elf.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                flags, size = section["sh_flags"], section.data_size
                if not flags & SH_FLAGS.SHF_ALLOC:
                    continue
                if section.name == STACK_SECTION:
                    stack += size
                elif section["sh_type"] == "SHT_NOBITS":
                    zeroed += size
                elif flags & SH_FLAGS.SHF_EXECINSTR:
                    code += size
                elif flags & SH_FLAGS.SHF_WRITE:
                    data += size
                else:
                    constants += size
                    more += size if section.name == MORE_CONSTANTS_SECTION else 0
    except (OSError, ELFError) as error:
        raise BuildError(f"cannot read '{elf}': {error}") from error
    return Sizes(code, constants, data, zeroed, stack, more)
