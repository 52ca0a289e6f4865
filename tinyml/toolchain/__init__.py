"""Compile, link and measure generated projects."""

from tinyml.toolchain.build import Firmware, build, build_library, elf_path, library_path
from tinyml.toolchain.compilers import Compiler, find_compiler
from tinyml.toolchain.image import image
from tinyml.toolchain.sizes import Sizes, read_sizes
from tinyml.toolchain.uf2 import uf2

__all__ = [
    "Compiler",
    "Firmware",
    "Sizes",
    "build",
    "build_library",
    "elf_path",
    "find_compiler",
    "image",
    "library_path",
    "read_sizes",
    "uf2",
]
