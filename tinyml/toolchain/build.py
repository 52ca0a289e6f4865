"""Compiles and links a project; what is unchanged since the last time is not compiled again."""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tinyml.emit.project import Project, library_file
from tinyml.errors import BuildError, PlanError
from tinyml.toolchain.arduino import sketch_recipe
from tinyml.toolchain.recipe import Recipe, firmware_recipe, library_recipe, shared_recipe
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


def library_path(project: Project) -> Path:
    """Where the shared library of a process board's `project` is, once it has been built."""
    return project.root.resolve() / library_file(project.manifest.name)


def build(project: Project, compiler: str = "auto", *, sketch: str = "") -> Firmware:
    """Builds `project` into its folder `build/`; `compiler` is as for `find_compiler`.

    A library becomes a firmware where its ecosystem's core is installed (which brings its own
    compiler); elsewhere all of its C is compiled, into one object. `sketch` is another program
    of the library's than the one that serves the link, by its path.

    Raises MissingToolError without a compiler, BuildError when it refuses the
    code, PlanError when the firmware turns out larger than the board's memory.
    """
    if project.board.kind != "library":
        return _build(project, firmware_recipe(project, compiler), elf_path(project))
    recipe = _SKETCHES[project.board.ecosystem](project, sketch)
    if recipe is not None:
        return _build(project, recipe, elf_path(project))
    return _build(project, library_recipe(project, compiler), elf_path(project).with_suffix(".o"))


_SKETCHES: dict[str, Callable[[Project, str], Recipe | None]] = {"arduino": sketch_recipe}
"""What builds the firmware of a library, by ecosystem."""


def build_library(project: Project, compiler: str = "auto") -> Path:
    """Builds the model of a process board's `project` as a shared library; its path.

    Errors as for `build`.
    """
    library = library_path(project)
    _make(project, shared_recipe(project, compiler), library, "shared")
    return library


def _build(project: Project, recipe: Recipe, product: Path) -> Firmware:
    _make(project, recipe, product, "objects")
    sizes = read_sizes(product)
    if project.board.harvard:  # tables are in the section of the instructions
        tables = project.manifest.const_bytes
        sizes = replace(sizes, code=sizes.code - tables, constants=sizes.constants + tables)
    return Firmware(project, product, recipe.compiler, sizes)


def _make(project: Project, recipe: Recipe, product: Path, folder: str) -> None:
    """Follows the recipe, with the objects in `folder`."""
    root = project.root.resolve()
    objects = root / "build" / folder
    objects.mkdir(parents=True, exist_ok=True)
    # A build that fails leaves no firmware of an earlier one behind.
    product.unlink(missing_ok=True)
    headers = _digest(
        [recipe.compiler],
        (root / path for path in project.manifest.files if path.endswith(".h")),
    )

    def compile_one(source: str) -> Path:
        command = recipe.compile(source, "OBJECT")
        result = objects / f"{_digest([headers, *command], [root / source])}.o"
        if not result.is_file():
            # No other build, nor an interrupted one, leaves half an object under this name.
            part = result.with_suffix(f".{os.getpid()}.part")
            try:
                _run(recipe.compile(source, str(part.relative_to(root))), root, source, project)
                part.replace(result)
            finally:
                part.unlink(missing_ok=True)
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = list(pool.map(compile_one, recipe.sources))
    for stale in set(objects.glob("*.o")) - set(compiled):
        stale.unlink(missing_ok=True)
    paths = [str(path.relative_to(root)) for path in compiled]
    for command in recipe.link(paths, str(product.relative_to(root))):
        _run(command, root, "the link", project)


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
