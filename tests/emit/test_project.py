"""The project folder: what is in it, and what happens to what was there before."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from tests.emit.nets import many_ends, small
from tests.support.emitted import plan_of, run_tool
from tinyml.board import load_board
from tinyml.emit import Project, emit, open_project
from tinyml.emit.manifest import MANIFEST, read_manifest
from tinyml.errors import BuildError, ModelError
from tinyml.ir.graph import Graph


def project(folder: Path, graph: Graph | None = None, board: str = "stm32") -> Project:
    graph = small() if graph is None else graph
    target = load_board(board)
    return emit(plan_of(graph, target), target, folder, source=b"model", options={"feed": "whole"})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_emits_the_same_bytes_every_time(tmp_path: Path) -> None:
    project(tmp_path / "one")
    project(tmp_path / "another" / "place")
    one, two = contents(tmp_path / "one"), contents(tmp_path / "another" / "place")
    assert one == two
    for path, data in one.items():
        assert str(tmp_path).encode() not in data, path


def test_emits_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tests.emit.test_project import project\n"
        "project(pathlib.Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    for seed in ("1", "2"):
        variables = {**os.environ, "PYTHONHASHSEED": seed}
        run_tool(sys.executable, "-c", program, tmp_path / seed, cwd=root, env=variables)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_manifest_lists_every_file_and_reads_back(tmp_path: Path) -> None:
    made = project(tmp_path, many_ends())
    files = contents(tmp_path)
    del files[MANIFEST]
    assert {p: hashlib.sha256(d).hexdigest() for p, d in files.items()} == made.manifest.files
    found = open_project(tmp_path)
    assert found == made
    manifest = found.manifest
    assert (manifest.name, manifest.model, manifest.board) == ("many_ends", "many ends", "stm32")
    assert [t.dtype for t in manifest.outputs] == ["int8", "float32", "int32"]
    assert {op.kind for op in manifest.ops} == {"ADD", "QUANTIZE", "DEQUANTIZE", "ARG_MAX"}
    assert manifest.source_sha256 == hashlib.sha256(b"model").hexdigest()
    assert found.model_path.read_bytes() == b"model"
    assert manifest.identity in (tmp_path / "src/many_ends.c").read_text()


def test_carries_only_the_runtime_it_uses(tmp_path: Path) -> None:
    files = project(tmp_path).manifest.files
    kernels = {Path(path).stem for path in files if path.startswith("runtime/src/")}
    assert {"conv_s8_dsp", "fully_connected_s8_dsp"} <= kernels
    assert not {"conv_s8", "fully_connected_s8", "softmax_s8", "max_pool_s8"} & kernels
    ports = {path.split("/")[1] for path in files if path.startswith("port/")}
    assert ports == set(load_board("stm32").port)


def test_identity_follows_the_model(tmp_path: Path) -> None:
    same = project(tmp_path / "a").manifest.identity
    assert len(same) == 64
    assert project(tmp_path / "b").manifest.identity == same
    assert project(tmp_path / "c", small(seed=1)).manifest.identity != same
    assert project(tmp_path / "d", board="qemu-cortex-m7").manifest.identity != same


def test_replaces_its_own_files_and_no_others(tmp_path: Path) -> None:
    project(tmp_path, small("before"))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "kept").write_text("object")
    runtime = tmp_path / "runtime/include/tinyml.h"
    written = runtime.stat().st_mtime_ns
    project(tmp_path, small("after"), board="host")
    assert not (tmp_path / "src/before.c").exists()
    assert not (tmp_path / "linker.ld").exists()
    assert (tmp_path / "src/after.c").is_file()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "build/kept").is_file()
    assert runtime.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "manifest", [None, "", "[]", "{}", '{"tinyml": 2}', '{"tinyml": 99}', '{"tinyml": 2, "ops": 3}']
)
def test_leaves_a_foreign_folder_alone(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    before = contents(tmp_path)
    with pytest.raises(BuildError, match="not empty and not a tinyml project"):
        project(tmp_path)
    assert contents(tmp_path) == before
    with pytest.raises(ModelError):
        open_project(tmp_path)


def test_never_removes_what_lies_outside(tmp_path: Path) -> None:
    made = tmp_path / "made"
    project(made)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    values = json.loads((made / MANIFEST).read_text())
    values["files"]["../victim"] = ""
    (made / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(BuildError, match="outside"):
        project(made)
    assert victim.is_file()


def test_refuses_a_file_and_a_place_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="not a folder"):
        project(tmp_path / "file")
    with pytest.raises(BuildError, match="cannot write"):
        project(tmp_path / "file" / "below")


def test_a_folder_without_a_project(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tinyml project"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(("board", "result"), [("host", "firmware"), ("stm32", "firmware.elf")])
def test_builds_without_python(tmp_path: Path, board: str, result: str) -> None:
    made = project(tmp_path, board=board)
    run_tool("make", "-C", made.root, "-j2")
    assert (tmp_path / "build" / result).is_file()
    again = run_tool("make", "-C", made.root)
    assert b"Nothing to be done" in again.stdout
