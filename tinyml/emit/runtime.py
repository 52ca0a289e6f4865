"""Which files of the C runtime a project carries: those that it uses, and no others."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from tinyml.board import Board
from tinyml.emit.flags import FREESTANDING
from tinyml.kernels import kernel_sources
from tinyml.kernels.call import KernelCall
from tinyml.resources import runtime_dir

_BEGIN = "src/train/begin.c"
"""What every training step begins with."""

THREADS = "threads/threads.c"
"""What runs the rows of a layer in threads."""

_QUOTED_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def runtime_files(
    calls: Collection[KernelCall], board: Board, *, training: bool = False
) -> dict[str, bytes]:
    """Path in the project -> content.

    `runtime/` keeps the tree of the runtime's headers and kernels, `port/` has
    the board's port, `link/` the serial link. With `training`, `storage/` has where the board can
    keep parameters.
    """
    root = runtime_dir()
    wanted: dict[Path, str] = {}
    if any(call.workers > 1 for call in calls):
        wanted[root / THREADS] = f"runtime/{THREADS}"
    for source in kernel_sources(calls):
        wanted[root / source] = f"runtime/{source}"
    for path in _files(root / "link"):
        wanted[path] = f"link/{path.name}"
    if training:
        wanted[root / _BEGIN] = f"runtime/{_BEGIN}"
        for name in _storages(board):
            wanted[root / "storage" / name] = f"storage/{name}"
    for folder in board.port:
        for path in _files(root / "port" / folder):
            wanted[path] = f"port/{folder}/{path.name}"
    if board.kind == "baremetal":
        for path in _files(root / FREESTANDING):
            wanted[path] = f"{FREESTANDING}/{path.name}"
    for name in ("tinyml.h", "tinyml_generated.h"):
        wanted[root / "include" / name] = f"runtime/include/{name}"
    content = {path: path.read_bytes() for path in wanted}
    for header in _included(content, root):
        wanted[header] = f"runtime/{header.relative_to(root).as_posix()}"
        content[header] = header.read_bytes()
    return {wanted[path]: content[path] for path in sorted(content, key=lambda p: wanted[p])}


def _storages(board: Board) -> tuple[str, ...]:
    """The storage itself, and its drivers that the board can run."""
    drivers = ("file",) if board.is_process else tuple(p for p in board.port if p == "stm32f4")
    return tuple(f"{name}.c" for name in ("storage", "ram", *drivers))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".c", ".cpp", ".h", ".S"})


def _included(content: Mapping[Path, bytes], root: Path) -> set[Path]:
    """Headers of `include/` and `src/` that the given files include, directly or not."""
    known = {p.name: p for folder in ("include", "src") for p in (root / folder).rglob("*.h")}
    found: set[Path] = set()
    queue = [text.decode() for text in content.values()]
    while queue:
        for name in _QUOTED_INCLUDE.findall(queue.pop()):
            header = known.get(Path(name).name)
            if header is not None and header not in found and header not in content:
                found.add(header)
                queue.append(header.read_text())
    return found
