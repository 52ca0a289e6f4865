"""Plugins of QEMU, of the project's own (`runtime_c/plugin/`), compiled for this computer."""

import shutil
import subprocess
from pathlib import Path

from tinyml.errors import BuildError, MissingToolError
from tinyml.resources import runtime_dir

_SECONDS = 60
_FLAGS = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-fPIC", "-shared")


def compiled(name: str, folder: Path) -> Path:
    """The plugin of `runtime_c/plugin/NAME.c` as a library in `folder`.

    MissingToolError without a compiler, BuildError when it refuses the plugin.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MissingToolError(
            "a C compiler for this computer is not installed, which the plugin of QEMU needs",
            hint="sudo apt-get install gcc libc6-dev",
        )
    source, plugin = runtime_dir() / "plugin" / f"{name}.c", folder / f"{name}.so"
    done = subprocess.run(
        (compiler, *_FLAGS, str(source), "-o", str(plugin)),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"the plugin of QEMU does not compile: {done.stderr.strip()[:500]}")
    return plugin
