"""A plan as a folder of C that builds without Python, and as the `Project` that names its parts."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tinyml.board import Board, load_board
from tinyml.emit.cmake import cmake_files
from tinyml.emit.ecosystem import additions, arranged, load_ecosystem
from tinyml.emit.fit import check_fit
from tinyml.emit.flags import LINKER_SCRIPT, SHARED, SHARED_LINK, gcc_flags
from tinyml.emit.manifest import MANIFEST, Manifest, make_manifest, read_manifest
from tinyml.emit.names import model_name
from tinyml.emit.render import render
from tinyml.emit.runtime import runtime_files
from tinyml.emit.tables import TablePool
from tinyml.emit.train_view import TrainView
from tinyml.emit.view import ModelView, model_view
from tinyml.errors import BuildError, ModelError
from tinyml.ir.graph import Tensor
from tinyml.kernels.call import KernelCall
from tinyml.kernels.portable import MUL32
from tinyml.kernels.registry import kernels
from tinyml.options import PlanOptions
from tinyml.planning import Plan
from tinyml.schedule.copies import RECOMPUTED
from tinyml.standalone import library

MODEL_FILE = "model.tflite"
"""The model that the project was made from, so that its folder is enough to verify it."""

_MODEL = ("src/", "runtime/", "storage/", "link/crc32")
"""What the paths begin with of the model itself: the storage of what it learns has checksums."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a project has beside inference, for a model that learns."""

    view: Callable[[TablePool, str], TrainView]
    """From the tables of the project, and the prefix of its names."""
    calls: Collection[KernelCall]
    """Of a training step."""
    record: Mapping[str, Any]
    """For the manifest."""


_C_FILES = (
    ("src/{}.h", "model.h.j2"),
    ("src/{}.c", "model.c.j2"),
    ("src/{}_weights.h", "weights.h.j2"),
    ("src/{}_weights.c", "weights.c.j2"),
)
_TRAIN_FILES = (
    ("src/{}_train.h", "train.h.j2"),
    ("src/{}_train.c", "train.c.j2"),
    ("src/{}_parameters.h", "parameters.h.j2"),
    ("src/{}_parameters.c", "parameters.c.j2"),
)


@dataclass(frozen=True, slots=True)
class Project:
    """A generated project."""

    root: Path
    board: Board
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The model file it was made from."""
        return self.root / MODEL_FILE

    @property
    def sources(self) -> tuple[str, ...]:
        """What to compile, relative to `root`."""
        return _sources(self.manifest.files)

    @property
    def optimize(self) -> str:
        """What its code is made for: "speed" or "size"."""
        return _optimize(self.manifest.options)

    @property
    def hot_sources(self) -> tuple[str, ...]:
        """Those of `sources` in which most time goes by."""
        return _hot(op.kernel for op in self.manifest.ops if op.macs)

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Those of them that are the model and its kernels, without the firmware around them."""
        return _model_sources(self.manifest.files)

    @property
    def include_dirs(self) -> tuple[str, ...]:
        """Where headers are, relative to `root`."""
        return _include_dirs(self.manifest.files)


def library_file(name: str) -> str:
    """Path of the shared library of the model `name`, in the project of a process board."""
    return f"python/{name}/lib{name}.so"


def emit(
    plan: Plan,
    board: Board,
    out_dir: Path,
    *,
    source: bytes,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    training: Training | None = None,
) -> Project:
    """Writes the project of `plan` for `board` into `out_dir`.

    `source` is the model file, `name` the prefix of the generated functions (the
    graph's name if empty), `options` what to record of how the plan was made, `training` how the
    model learns, if it does.
    A project that is already there is replaced: its own files and no others.

    Raises PlanError when the board's memory is too small, BuildError when
    `out_dir` holds anything that is no tinyml project.
    """
    old = _own_files(out_dir)
    view = _view(plan, board, name, training)
    check_fit(plan, view, board)
    calls = (*plan.calls.values(), *(training.calls if training else ()))
    files = _render_all(plan, calls, board, view, source, _optimize(options or {}))
    identity = _identity(files)
    files |= _formed(_model_c(replace(view, identity=identity)), board)
    manifest = make_manifest(
        plan,
        name=view.name,
        board=board.name,
        source=source,
        options={**(options or {}), **_recomputed(plan)},
        const_bytes=view.const_bytes,
        identity=identity,
        files=files,
        arena_bytes=view.arena_bytes,
        training=training.record if training else None,
    )
    for path in sorted(old - files.keys()):
        (out_dir / path).unlink(missing_ok=True)
    # First of all the manifest: after an interruption the folder is known as a project's.
    _write(out_dir / MANIFEST, manifest.to_json().encode())
    for path, data in files.items():
        _write(out_dir / path, data)
    return Project(out_dir, board, manifest)


def _recomputed(plan: Plan) -> dict[str, Any]:
    """What makes the plan's graph of the optimised one, as a manifest's option."""
    return {RECOMPUTED: [each.record() for each in plan.again]} if plan.again else {}


def open_project(root: Path) -> Project:
    """The project in the folder `root`; ModelError when there is none."""
    manifest = read_manifest(root)
    return Project(root, load_board(manifest.board), manifest)


def _view(plan: Plan, board: Board, name: str, training: Training | None) -> ModelView:
    """The view of inference, and of training, which share their tables."""
    if training is None:
        return model_view(plan, name=name, board=board)
    tables = TablePool(model_name(name or plan.graph.name))
    learns = training.view(tables, name)
    return model_view(plan, name=name, board=board, training=learns, tables=tables)


def _render_all(
    plan: Plan,
    calls: Collection[KernelCall],
    board: Board,
    view: ModelView,
    source: bytes,
    optimize: str,
) -> dict[str, bytes]:
    """Every file of the project but the manifest; `calls` are those of `plan` and of training."""
    learns = view.training is not None
    files = runtime_files(calls, board, training=learns)
    templates = (*_C_FILES, *(_TRAIN_FILES if learns else ()))
    files |= {path.format(view.name): _text(template, view) for path, template in templates}
    if board.kind == "library":
        files = _formed(files, board)
        files |= additions(view, board, load_ecosystem(board.ecosystem), files, optimize)
        return dict(sorted({**files, MODEL_FILE: source}.items()))
    files["main.c"] = _text("project/main.c.j2", view, board=board)
    sources, model_sources = _sources(files), _model_sources(files)
    flags = gcc_flags(board, _include_dirs(files), optimize)
    hot_sources = _hot(op.kernel for op in view.ops if op.macs)
    files["Makefile"] = _text(
        f"project/{'process' if board.is_process else 'baremetal'}/Makefile.j2",
        view,
        board=board,
        sources=sources,
        model_sources=model_sources,
        library=library_file(view.name),
        shared=(SHARED, SHARED_LINK),
        flags=flags,
        hot_sources=hot_sources,
    )
    if board.is_process:
        files |= _python_package(plan, view)
    else:
        files[LINKER_SCRIPT] = _text("project/linker.ld.j2", view, board=board)
        files |= cmake_files(
            view,
            board,
            sources=sources,
            model_sources=model_sources,
            hot_sources=hot_sources,
            include_dirs=_include_dirs(files),
            flags=flags,
        )
    files["README.md"] = _text(
        "project/README.md.j2", view, board=board, library=library_file(view.name)
    )
    files[MODEL_FILE] = source
    return dict(sorted(files.items()))


def _python_package(plan: Plan, view: ModelView) -> dict[str, bytes]:
    """The model for Python, by its shared library: what all have in common, and its own names."""
    folder, ends = f"python/{view.name}", (plan.graph.inputs, plan.graph.outputs)
    inputs, outputs = ([_end(plan.graph.tensors[name]) for name in names] for names in ends)
    template = "project/process/package.py.j2"
    return {
        f"{folder}/__init__.py": _text(template, view, inputs=inputs, outputs=outputs),
        f"{folder}/library.py": Path(library.__file__).read_bytes(),
    }


def _end(tensor: Tensor) -> library.End:
    name, shape, dtype = tensor.name, tuple(tensor.shape), tensor.dtype.value
    if tensor.quant is None or len(tensor.quant.scales) != 1:
        return library.End(name, shape, dtype)
    return library.End(name, shape, dtype, float(tensor.q.scale), int(tensor.q.zero_point))


def _formed(files: dict[str, bytes], board: Board) -> dict[str, bytes]:
    """C files where the board's projects have them."""
    return arranged(files, load_ecosystem(board.ecosystem)) if board.ecosystem else files


def _model_c(view: ModelView) -> dict[str, bytes]:
    return {f"src/{view.name}.c": _text("model.c.j2", view)}


def _text(template: str, view: ModelView, **values: Any) -> bytes:
    return render(template, model=view, **values).encode()


def _optimize(options: Mapping[str, Any]) -> str:
    """That of `PlanOptions`."""
    return str(options.get("optimize", PlanOptions().optimize))


def _hot(names: Iterable[str]) -> tuple[str, ...]:
    """Of the kernels called so, which multiply and accumulate, the sources whose loops are left to
    the compiler: those for SIMD are written down as instructions or nearly so."""
    called = frozenset(names)
    found = {k.source for k in kernels() if k.name in called and k.isa in ("portable", MUL32)}
    return tuple(sorted(f"runtime/src/{source}" for source in found))


def _identity(files: Mapping[str, bytes]) -> str:
    """SHA-256 over all files (model, generated C with an empty identity, runtime) and paths."""
    digest = hashlib.sha256()
    for path, data in sorted(files.items()):
        digest.update(f"{path}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _sources(files: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(path for path in files if path.endswith((".c", ".cpp", ".S"))))


def _model_sources(files: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(path for path in _sources(files) if path.startswith(_MODEL))


def _include_dirs(files: Mapping[str, Any]) -> tuple[str, ...]:
    folders = {str(PurePosixPath(path).parent) for path in files if path.endswith(".h")}
    return tuple(sorted(folders))


def _own_files(out_dir: Path) -> set[str]:
    """Files of the project that is in `out_dir`; BuildError when something else is there."""
    hint = "choose another folder, or empty this one"
    if out_dir.exists() and not out_dir.is_dir():
        raise BuildError(f"'{out_dir}' is not a folder", hint=hint)
    if not out_dir.is_dir() or not any(out_dir.iterdir()):
        return set()
    try:
        files = read_manifest(out_dir).files
    except ModelError as error:
        raise BuildError(f"'{out_dir}' is not empty and not a tinyml project", hint=hint) from error
    for path in files:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            raise BuildError(f"'{out_dir / MANIFEST}' names a file outside: '{path}'", hint=hint)
    return set(files)


def _write(path: Path, data: bytes) -> None:
    """Replaces the file in one step; leaves it alone, and its time, if it is the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == data:
            return
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise BuildError(f"cannot write '{path}': {error.strerror or error}") from error
