"""Builds an Arduino sketch with its core and library, as the Arduino IDE does.

The commands are the core's own recipes: `platform.txt` and `boards.txt`, whose properties
refer to each other in braces (Arduino's platform specification). A core is looked for where
Debian's packages and where the Arduino tools put it; its compiler is on the path.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.board import Board
from tinyml.emit.ecosystem import load_ecosystem
from tinyml.emit.project import Project
from tinyml.errors import BoardError, BuildError, MissingToolError
from tinyml.toolchain.recipe import Command, Recipe

SYSTEM = Path("/usr/share/arduino/hardware")
"""Where Debian's packages put cores: VENDOR/ARCHITECTURE."""

IDE_VERSION = "10819"
"""What sketches are told to be built by: the last version 1 of the IDE."""

_REFERENCE = re.compile(r"\{([\w.-]+)\}")
_ROUNDS = 20
"""How deep properties may refer to each other."""
_SOURCES = {".c", ".cpp", ".S"}
_BUILD = "build"


@dataclass(frozen=True, slots=True)
class Core:
    """An installed core, for one board."""

    folder: Path
    properties: Mapping[str, str]
    """Of platform and board, and what the IDE adds; not expanded."""

    def expanded(self, key: str, **values: str) -> str:
        """The property `key` with all references replaced; unknown ones become ""."""
        known = {**self.properties, **values}
        text = known.get(key, "")
        for _ in range(_ROUNDS):
            text, count = _REFERENCE.subn(lambda found: known.get(found[1], ""), text)
            if not count:
                return text
        raise BuildError(f"'{self.folder}': property '{key}' refers to itself")

    @property
    def sources(self) -> tuple[Path, ...]:
        """What of the core is compiled."""
        folders = (self.path("core"), self.path("variant"))
        return tuple(
            path
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.suffix in _SOURCES
        )

    def path(self, what: str) -> Path:
        """The folder of the board's `core` or `variant`."""
        return self.folder / f"{what}s" / self.expanded(f"build.{what}")


def find_core(board: Board) -> Core | None:
    """The core that `board` needs; None where it is not installed.

    `board.target` is a fully qualified board name: VENDOR:ARCHITECTURE:BOARD[:MENU=OPTION,...].
    """
    parts = board.target.split(":")
    if len(parts) not in (3, 4):
        raise BoardError(f"board {board.name}: '{board.target}' is no fully qualified board name")
    vendor, architecture, name, *menus = parts
    folder = SYSTEM / vendor / architecture
    if not (folder / "platform.txt").is_file():
        return None
    boards = _properties(folder / "boards.txt")
    own = _below(boards, f"{name}.")
    if not own:
        raise BuildError(f"'{folder / 'boards.txt'}' has no board '{name}'")
    for choice in menus[0].split(",") if menus else ():
        own |= _below(own, f"menu.{choice.replace('=', '.')}.")
    runtime = {
        "runtime.ide.version": IDE_VERSION,
        "runtime.platform.path": str(folder),
        "build.arch": architecture.upper(),
        "build.path": _BUILD,
        # Debian's avr-gcc 5 has it in <float.h> for C alone, and cores since 1.8.6 want it.
        "compiler.cpp.extra_flags": "-DDECIMAL_DIG=__DECIMAL_DIG__",
    }
    return Core(folder, _properties(folder / "platform.txt") | own | runtime)


def sketch_recipe(project: Project, sketch: str = "") -> Recipe | None:
    """The recipe of a sketch in `project` (by default the one that serves the link), of the library
    and of the core; None where the core is not installed."""
    core = find_core(project.board)
    if core is None:
        return None
    sketch = sketch or load_ecosystem(project.board.ecosystem).firmware
    ino = _preprocessed(project, sketch)
    own = (ino, *project.sources)
    folders = (str(core.path("core")), str(core.path("variant")), *project.include_dirs)
    includes = " ".join(shlex.quote(f"-I{folder}") for folder in folders)

    def compile_one(source: str, result: str) -> Command:
        kind = Path(source).suffix.removeprefix(".")
        paths = {"source_file": source, "object_file": result, "includes": includes}
        return _command(core, f"recipe.{kind}.o.pattern", **paths)

    def link(objects: Sequence[str], product: str) -> tuple[Command, ...]:
        # The library is an archive (its dot_a_linkage), and the core is another.
        (main, *library), parts = objects[: len(own)], objects[len(own) :]
        archives = {f"{_BUILD}/library.a": library, f"{_BUILD}/core.a": list(parts)}
        commands = [("rm", "-f", *archives)]
        for archive, members in archives.items():
            for member in members:
                paths = {"archive_file_path": archive, "object_file": member}
                commands.append(_command(core, "recipe.ar.pattern", **paths))
        paths = {
            "object_files": f'"{main}" "{_BUILD}/library.a"',
            "archive_file": "core.a",
            "build.project_name": Path(product).stem,
        }
        return (*commands, _command(core, "recipe.c.combine.pattern", **paths))

    sources = (*own, *map(str, core.sources))
    return Recipe(_version(core), sources, compile_one, link)


def _command(core: Core, recipe: str, **values: str) -> Command:
    words = shlex.split(core.expanded(recipe, **values))
    if not words:
        raise BuildError(f"'{core.folder / 'platform.txt'}' has no '{recipe}'")
    return tuple(words)


def _preprocessed(project: Project, sketch: str) -> str:
    """The sketch as C++, as the IDE makes it; returns its path.

    The prototypes that the IDE adds are left out: the project's sketches need none.
    """
    text = (project.root / sketch).read_text(encoding="utf-8")
    path = Path(_BUILD) / "sketch" / f"{Path(sketch).name}.cpp"
    target = project.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f'#include <Arduino.h>\n#line 1 "{sketch}"\n{text}', encoding="utf-8")
    return str(path)


def _version(core: Core) -> str:
    name = core.expanded("compiler.path") + core.expanded("compiler.c.cmd")
    command = shutil.which(name)
    if command is None:
        raise MissingToolError(
            f"'{name}' is not installed, which {core.expanded('name')} compiles with",
            hint="sudo apt-get install gcc-avr avr-libc",
        )
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.splitlines()[0]}, {core.expanded('name')} {core.expanded('version')}"


def _properties(path: Path) -> dict[str, str]:
    """The key=value lines of a file."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, separator, value in pairs if separator}


def _below(properties: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {k.removeprefix(prefix): v for k, v in properties.items() if k.startswith(prefix)}
