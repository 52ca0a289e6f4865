"""What emulators need of the project's own (`runtime_c/plugin/`), compiled for this computer."""

import shutil
import subprocess
from pathlib import Path

from tinyml.errors import BuildError, MissingToolError
from tinyml.resources import runtime_dir

_SECONDS = 60
_FLAGS = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2")


def compiled(name: str, folder: Path) -> Path:
    """The plugin of `runtime_c/plugin/NAME.c` for QEMU as a library in `folder`.

    MissingToolError without a compiler, BuildError when it refuses the plugin.
    """
    return _compiled(name, folder / f"{name}.so", ("-fPIC", "-shared"), ())


def program(name: str, folder: Path, libraries: tuple[str, ...]) -> Path:
    """The same for a program, which needs these libraries."""
    return _compiled(name, folder / name, (), libraries)


def _compiled(name: str, result: Path, flags: tuple[str, ...], libraries: tuple[str, ...]) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MissingToolError(
            "a C compiler for this computer is not installed, which the emulator needs",
            hint="sudo apt-get install gcc libc6-dev",
        )
    source = runtime_dir() / "plugin" / f"{name}.c"
    done = subprocess.run(
        (compiler, *_FLAGS, *flags, str(source), "-o", str(result), *libraries),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"'{source.name}' does not compile: {done.stderr.strip()[:500]}")
    return result
