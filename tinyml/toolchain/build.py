"""Compiles and links a project; what is unchanged since the last time is not compiled again."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tinyml.emit.project import Project
from tinyml.errors import BuildError, PlanError
from tinyml.toolchain.compilers import find_compiler
from tinyml.toolchain.sizes import Sizes, read_sizes

_SECONDS = 600
"""After which a compiler counts as hung."""

_OVERFLOW = re.compile(r"region [`'](\w+)'(?:: | )overflowed by (\d+) bytes")
_ERROR = re.compile(r"(?:error|Error|undefined reference|multiple definition)[: ]")


@dataclass(frozen=True, slots=True)
class Firmware:
    """A built project."""

    project: Project
    elf: Path
    compiler: str
    sizes: Sizes

    @property
    def code_bytes(self) -> int:
        """Instructions."""
        return self.sizes.code

    @property
    def const_bytes(self) -> int:
        """Constants, beside what `.data` starts with."""
        return self.sizes.constants

    @property
    def flash_bytes(self) -> int:
        """All that has to be stored: instructions, constants, initial values."""
        return self.sizes.code + self.sizes.constants + self.sizes.data

    @property
    def sram_bytes(self) -> int:
        """Arena and all other variables; no stack."""
        return self.sizes.data + self.sizes.zeroed

    @property
    def stack_bytes(self) -> int:
        """The stack that the board reserves."""
        return self.project.board.stack_bytes


def elf_path(project: Project) -> Path:
    """Where the firmware of `project` is, once it has been built."""
    name = "firmware" if project.board.is_process else "firmware.elf"
    return project.root.resolve() / "build" / name


def build(project: Project, compiler: str = "auto") -> Firmware:
    """Builds `project` into its folder `build/`; `compiler` is as for `find_compiler`.

    Raises MissingToolError without a compiler, BuildError when it refuses the
    code, PlanError when the firmware turns out larger than the board's memory.
    """
    tool = find_compiler(project.board, compiler)
    flags = tool.flags(project.board, project.include_dirs, project.optimize)
    root = project.root.resolve()
    objects = root / "build" / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    elf = elf_path(project)
    # A build that fails leaves no firmware of an earlier one behind.
    elf.unlink(missing_ok=True)
    common = _digest(
        [*tool.command, tool.version, *flags.compile],
        (root / path for path in project.manifest.files if path.endswith(".h")),
    )
    # Debug information tells no one where the project was built, and so is the same everywhere,
    # as are the names of what is optimised over all files at once.
    nowhere = f"-ffile-prefix-map={root}=."
    command = (*tool.command, *flags.compile, nowhere, "-c")

    def compile_one(source: str) -> Path:
        hot = flags.hot if source in project.hot_sources else ()
        result = objects / f"{_digest([common, source, *hot], [root / source])}.o"
        if not result.is_file():
            # No other build, nor an interrupted one, leaves half an object under this name.
            part = result.with_suffix(f".{os.getpid()}.part")
            try:
                _run(
                    (*command, *hot, f"-frandom-seed={source}", source, "-o", str(part)),
                    root,
                    source,
                    project,
                )
                part.replace(result)
            finally:
                part.unlink(missing_ok=True)
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = list(pool.map(compile_one, project.sources))
    for stale in set(objects.glob("*.o")) - set(compiled):
        stale.unlink(missing_ok=True)
    paths = [str(path.relative_to(root)) for path in compiled]
    target = str(elf.relative_to(root))
    link = (*tool.command, *flags.link, nowhere, *paths, *flags.libraries, "-o", target)
    _run(link, root, "the link", project)
    return Firmware(project, elf, tool.version, read_sizes(elf))


def _digest(words: Iterable[str], files: Iterable[Path]) -> str:
    """Of the words and of the files' names and contents; BuildError when one cannot be read."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{len(word)}:{word}".encode())
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BuildError(
                f"cannot read '{path}': {error.strerror or error}",
                hint="generate the project anew",
            ) from error
        digest.update(f"{path.name}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _run(command: Sequence[str], root: Path, what: str, project: Project) -> None:
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{what}: cannot run '{command[0]}': {error}") from error
    if done.returncode == 0:
        return
    overflow = _OVERFLOW.search(done.stderr)
    if overflow:
        region, surplus = overflow.groups()
        raise PlanError(
            f"model '{project.manifest.model}' does not fit board '{project.board.name}': region "
            f"'{region}' is {surplus} bytes too small",
            hint="choose a larger board ('tinyml boards') or a smaller model",
        )
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)] or lines or ["no message"]
    raise BuildError(f"{what}: the compiler failed: {'; '.join(errors[:3])}")
