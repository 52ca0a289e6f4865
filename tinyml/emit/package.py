"""The model of a project, without the firmware around it, as a package of another build system."""

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tinyml import __version__
from tinyml.board import Board
from tinyml.emit.ecosystem import Ecosystem, arranged, load_ecosystem, rendered
from tinyml.emit.project import Project
from tinyml.errors import BoardError, BuildError

FORMS: Final = ("cmake", "cmsis-pack")
"""Folders of codegen/ecosystems whose libraries are the model alone, for any board."""

_OF_THE_LINK: Final = ("tinyml_link.h", "tinyml_port.h")
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_CORE_NAMES: Final = {"cortex-m0plus": "Cortex-M0+"}


def write_package(project: Project, form_name: str, out: Path) -> tuple[Path, int]:
    """Writes the package into the folder `out`; its path, and how many files it has.

    Raises as `package`, and BuildError where something else is in its place.
    """
    name, files = package(project, form_name)
    target = out / name
    try:
        if load_ecosystem(form_name).archive:
            out.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive(files))
            return target, len(files)
        there = {p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir()}
        if other := sorted(there - files.keys()):
            raise BuildError(f"'{target}' holds '{other[0]}'", hint="choose another folder: --out")
        for path, data in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(data)
    except OSError as error:
        raise BuildError(f"cannot write '{target}': {error.strerror or error}") from error
    return target, len(files)


def package(project: Project, form_name: str) -> tuple[str, dict[str, bytes]]:
    """The package's name (a folder, or an archive's file name) and its files: path -> content.

    Raises BuildError for a project that is a library already, or another form than FORMS,
    BoardError for a board that the form is not for.
    """
    if form_name not in FORMS:
        raise BuildError(f"unknown form '{form_name}'", hint=f"forms: {', '.join(FORMS)}")
    board, manifest = project.board, project.manifest
    if board.kind == "library":
        raise BuildError(
            f"'{project.root}' is a library already, of {board.ecosystem}",
            hint="package a project for a board without an ecosystem, such as host or stm32",
        )
    form = load_ecosystem(form_name)
    files = arranged({path: _read(project.root / path) for path in _model_files(project)}, form)
    values: dict[str, Any] = {"model": manifest}
    if form_name == "cmsis-pack":
        values["core"] = _cmsis_core(board)
        # Other cores have the extension always, or never.
        values["needs_dsp"] = board.core == "cortex-m33" and "dsp" in board.isa
    files |= rendered(form, manifest.name, board, tuple(files), project.optimize, **values)
    return _name(project, form), dict(sorted(files.items()))


def archive(files: dict[str, bytes]) -> bytes:
    """The files as a ZIP archive that depends on nothing else: no times, no compression."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for path, data in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _ZIP_EPOCH)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, data)
    return target.getvalue()


def _name(project: Project, form: Ecosystem) -> str:
    name = project.manifest.name
    return form.archive.format(name=name, version=__version__) if form.archive else name


def _model_files(project: Project) -> list[str]:
    """The model's sources, the headers beside them, and those that all of these share."""
    # The checksums are for what a model has learnt.
    learns = any(path.startswith("storage/") for path in project.model_sources)
    sources = [path for path in project.model_sources if learns or not path.startswith("link/")]
    folders = {str(PurePosixPath(path).parent) for path in sources} - {"link"}
    beside = {str(PurePosixPath(path).with_suffix(".h")) for path in sources}
    kept = []
    for path in project.manifest.files:
        pure = PurePosixPath(path)
        near = str(pure.parent) in folders or path.startswith("runtime/") or path in beside
        if pure.suffix == ".h" and near and pure.name not in _OF_THE_LINK:
            kept.append(path)
    return [*sources, *kept]


def _cmsis_core(board: Board) -> str:
    """What the pack's schema calls the processor, such as Cortex-M4."""
    if not board.core.startswith("cortex-m"):
        raise BoardError(
            f"a CMSIS-Pack is for Cortex-M, and board {board.name} has {board.core}",
            hint="--form cmake",
        )
    return _CORE_NAMES.get(board.core, board.core.title())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildError(
            f"cannot read '{path}': {error.strerror or error}", hint="generate the project anew"
        ) from error
