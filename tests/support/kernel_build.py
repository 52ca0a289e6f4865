"""Builds the kernels for the host, with sanitizers, and declares them to cffi."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tinyml.kernels.registry import kernels
from tinyml.resources import runtime_dir

STRICT = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wpedantic",
    "-Werror",
)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def include_flags() -> tuple[str, ...]:
    """Where the public and the internal headers are."""
    root = runtime_dir()
    return (f"-I{root / 'include'}", f"-I{root / 'src'}")


def kernel_files(*isas: str) -> list[Path]:
    """The C files of the kernels of these instruction sets; what this machine has by default."""
    wanted = isas or ("portable",)
    return sorted({runtime_dir() / "src" / k.source for k in kernels() if k.isa in wanted})


def training_files() -> list[Path]:
    """The C files of the kernels of training."""
    return sorted((runtime_dir() / "src" / "train").glob("*.c"))


def gcc() -> str:
    """The host compiler; skips the test when there is none."""
    path = shutil.which("gcc")
    if path is None:
        pytest.skip("gcc is not installed")
    return path


def build_library(folder: Path) -> Path:
    """All portable kernels, and those of training, as one shared library in `folder`."""
    library = folder / "libkernels.so"
    command = [
        gcc(),
        *STRICT,
        *SANITIZE,
        *("-O1", "-g", "-fno-omit-frame-pointer", "-ffp-contract=off", "-fPIC", "-shared"),
        *include_flags(),
        *map(str, (*kernel_files(), *training_files())),
        *("-o", str(library)),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def declarations(folder: Path) -> str:
    """What the public headers declare, preprocessed, without the system's headers."""
    stubs = folder / "stubs"
    stubs.mkdir(exist_ok=True)
    for name in ("stddef.h", "stdint.h", "string.h"):  # cffi knows their types
        (stubs / name).write_text("")
    header = runtime_dir() / "include" / "tinyml_train.h"
    command = [gcc(), "-E", "-P", "-nostdinc", f"-I{stubs}", str(header)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def sanitizer_library() -> str:
    """The path of the address sanitizer's runtime, to be loaded before Python's own libraries."""
    command = [gcc(), "-print-file-name=libasan.so"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
