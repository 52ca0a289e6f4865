"""A project as a library in the form of an ecosystem, such as Arduino's.

An ecosystem is a folder of `codegen/ecosystems/`: `layout.toml` says where the parts of the C
go, and which files there are beside it, each with its template.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from tinyml import __version__
from tinyml.board import Board
from tinyml.emit.flags import gcc_flags
from tinyml.emit.render import render
from tinyml.emit.view import ModelView
from tinyml.errors import BoardError
from tinyml.resources import codegen_dir

_SOURCES = (".c", ".cpp", ".S")


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """The form of a library."""

    name: str
    title: str
    headers: str
    """Folder that all headers go to; "" where each stays beside its sources."""
    firmware: str
    """The program that serves the link, by its path in the library; "" where there is none, of
    a package of the model alone."""
    folders: tuple[tuple[str, str], ...]
    """Folder of a project (`src`, `runtime/src`, `link`, `port`, ...) -> folder of the library."""
    files: tuple[tuple[str, str], ...]
    """Path in the library -> template in the ecosystem's folder. In paths, {name} is the model's,
    and {target} the board's, as file names have it."""
    core: tuple[str, ...]
    """Files and folders of sources that need headers of the ecosystem's own."""
    archive: str
    """File name of the package, with {name} and {version}; "" of one that is a folder."""
    flash: str
    """The command that puts a firmware on a board; "" where `tinyml flash` does."""
    elf: str
    """The firmware that the ecosystem's own build leaves, with {name}; "" where `tinyml build`
    makes it."""

    def needs_core(self, source: str) -> bool:
        """Whether a source of the library is compiled only where the ecosystem is installed."""
        path = PurePosixPath(source)
        return any(path.is_relative_to(each) for each in self.core)


def load_ecosystem(name: str) -> Ecosystem:
    """The ecosystem `name`; BoardError when there is none or its layout is wrong."""
    path = codegen_dir() / "ecosystems" / name / "layout.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        found = Ecosystem(
            name=name,
            title=values.pop("title"),
            headers=values.pop("headers", ""),
            firmware=values.pop("firmware", ""),
            folders=tuple(values.pop("folders").items()),
            files=tuple(values.pop("files").items()),
            core=tuple(values.pop("core", ())),
            archive=values.pop("archive", ""),
            flash=values.pop("flash", ""),
            elf=values.pop("elf", ""),
        )
    except FileNotFoundError:
        known = sorted(each.parent.name for each in path.parents[1].glob("*/layout.toml"))
        raise BoardError(
            f"unknown ecosystem '{name}'", hint=f"ecosystems: {', '.join(known)}"
        ) from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BoardError(f"{path}: {error!r}") from error
    if values:
        raise BoardError(f"{path}: unknown key '{next(iter(values))}'")
    return found


def arranged(files: Mapping[str, bytes], form: Ecosystem) -> dict[str, bytes]:
    """The C of a project where the library has it."""
    placed: dict[str, bytes] = {}
    for path, data in files.items():
        to = _place(PurePosixPath(path), form)
        if to in placed:
            raise BoardError(f"ecosystem '{form.name}': two files would be '{to}'")
        placed[to] = data
    return placed


def additions(
    view: ModelView, board: Board, form: Ecosystem, files: Iterable[str], optimize: str
) -> dict[str, bytes]:
    """What the library has beside the C, whose paths in it are `files`."""
    return rendered(form, view.name, board, files, optimize, model=view, api=Api(view))


def rendered(
    form: Ecosystem, name: str, board: Board, files: Iterable[str], optimize: str, **values: Any
) -> dict[str, bytes]:
    """The files that the form has beside the C of the model `name`, which is made for `optimize`;
    `values` are for templates."""
    level, *code = gcc_flags(replace(board, kind="library"), (), optimize).code
    sources = sorted(path for path in files if path.endswith(_SOURCES))
    values |= {
        "board": board,
        "version": __version__,
        "sources": [path for path in sources if not form.needs_core(path)],
        "firmware_sources": [path for path in sources if form.needs_core(path)],
        "headers": form.headers,
        "level": level,
        "code": code,
    }
    target = board.target.replace("/", "_")
    return {
        path.format(name=name, target=target): render(
            f"ecosystems/{form.name}/{template}", **values
        ).encode()
        for path, template in form.files
    }


def _place(path: PurePosixPath, form: Ecosystem) -> str:
    if path.suffix == ".h" and form.headers:
        return f"{form.headers}/{path.name}"
    parents = [str(parent) for parent in path.parents]
    for parent in parents:  # the longest first
        folder = dict(form.folders).get(parent)
        if folder is not None:
            return str(PurePosixPath(folder) / path.relative_to(parent))
    return str(path)


@dataclass(frozen=True, slots=True)
class Api:
    """The names that a model's header declares, for editors."""

    view: ModelView

    @property
    def functions(self) -> tuple[str, ...]:
        """Those that an application calls."""
        view = self.view
        if view.pushed:
            names = ["init", "push_row", "reset", "invoke"]
        elif view.pulled:
            names = ["init", "pull", "invoke"]
        else:
            names = ["init", "invoke"]
        ends = (*(view.inputs if view.feed is None else ()), *view.outputs)
        return (*(f"{view.name}_{name}" for name in names), *(end.access for end in ends))

    @property
    def macros(self) -> tuple[str, ...]:
        """Sizes, and what the numbers of inputs and outputs mean."""
        view = self.view
        names = [f"{view.macro}_ARENA_BYTES"]
        if view.banked:
            names.append(f"{view.macro}_MORE_ARENA_BYTES")
        for end in (*view.inputs, *view.outputs):
            names += [f"{end.macro}_SHAPE", f"{end.macro}_BYTES"]
            if end.scale is not None:
                names += [f"{end.macro}_SCALE", f"{end.macro}_ZERO_POINT"]
        return tuple(names)
