"""Compile, link and measure generated projects."""

from tinyml.toolchain.build import Firmware, build, elf_path
from tinyml.toolchain.compilers import Compiler, find_compiler
from tinyml.toolchain.sizes import Sizes, read_sizes

__all__ = ["Compiler", "Firmware", "Sizes", "build", "elf_path", "find_compiler", "read_sizes"]
