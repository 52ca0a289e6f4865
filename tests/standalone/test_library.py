"""The Python package and the shared library of a process board, apart from tinyml itself."""

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import DIGITS
from tinyml import importers, passes, pipeline, reference
from tinyml.board import load_board
from tinyml.emit import open_project
from tinyml.toolchain import library_path

NAME = "digits_int8"


@pytest.fixture(scope="module", params=["whole", "rows", "pull"])
def package(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp(request.param) / "project"
    pipeline.build(DIGITS, "host", folder, feed=request.param)
    sys.path.insert(0, str(folder / "python"))
    try:
        yield importlib.import_module(NAME)
    finally:
        sys.path.remove(str(folder / "python"))
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]


def test_results_are_those_of_the_reference(package: ModuleType) -> None:
    model = package.Model()
    graph = passes.int8_io(importers.load(DIGITS))
    source = np.random.default_rng(7)
    given = source.integers(-128, 128, (20, 1, 8, 8, 1), np.int8)
    given[0], given[1] = -128, 127
    for array in given:
        (result,) = model(array)
        expected = reference.run(graph, {graph.inputs[0]: array})[graph.outputs[0]]
        assert result.dtype == expected.dtype and result.tobytes() == expected.tobytes()
    again = given[5][:, ::-1, :, :]
    assert not again.flags["C_CONTIGUOUS"], "any memory layout will do"
    (result,) = model(again)
    assert result.tobytes() == model(again.copy())[0].tobytes()


def test_instances_and_results_are_independent(package: ModuleType) -> None:
    one, two = package.Model(), package.Model()
    low, high = np.full((1, 8, 8, 1), -128, np.int8), np.full((1, 8, 8, 1), 127, np.int8)
    (a,) = one(low)
    kept = a.copy()
    (b,) = two(high)
    (c,) = one(high)
    assert (a == kept).all() and (b == c).all() and (a != b).any()


def test_it_is_the_model_of_the_project(package: ModuleType) -> None:
    project = open_project(Path(str(package.__file__)).parents[2])
    assert package.Model().identity == project.manifest.identity
    ends = (*package.INPUTS, *package.OUTPUTS)
    entries = (*project.manifest.inputs, *project.manifest.outputs)
    for end, entry in zip(ends, entries, strict=True):
        assert (end.name, end.shape, end.dtype) == (entry.name, tuple(entry.shape), entry.dtype)
        assert (end.scale, end.zero_point) == (entry.scale, entry.zero_point)


def test_real_numbers_there_and_back(package: ModuleType) -> None:
    end = package.INPUTS[0]
    real = np.linspace(-1, 2, 64).reshape(end.shape)
    steps = end.quantize(real)
    assert steps.dtype == np.int8 and steps.shape == end.shape
    assert (steps.min(), steps.max()) == (-128, 127), "what is out of range is the nearest in it"
    inside = (real >= 0) & (real <= 1)
    assert np.abs(end.dequantize(steps) - real)[inside].max() <= end.scale / 2 * 1.001


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ((), ValueError, "1 inputs are needed, 0 are given"),
        ((np.zeros((1, 8, 8, 1), np.float32),), TypeError, "takes int8, not float32"),
        ((np.zeros((1, 8, 8), np.int8),), ValueError, r"has the shape \(1, 8, 8, 1\)"),
    ],
)
def test_other_arrays_are_refused(
    package: ModuleType, arrays: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        package.Model()(*arrays)


def test_without_the_library(package: ModuleType, tmp_path: Path) -> None:
    library = sys.modules[f"{NAME}.library"]
    with pytest.raises(OSError, match=r"nothing\.so"):
        library.Library(tmp_path / "nothing.so", NAME, package.INPUTS, package.OUTPUTS)


_USER = """
#include <stdio.h>
#include "digits_int8.h"
static uint8_t arena[DIGITS_INT8_ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
int main(void) {
  digits_int8_t model;
  int8_t input[64], output[10];
  for (int i = 0; i < 64; ++i) input[i] = (int8_t)(i * 37);
  if (digits_int8_init(&model, arena, sizeof arena) != TINYML_OK) return 1;
  if (digits_int8_invoke(&model, input, output) != TINYML_OK) return 2;
  for (int i = 0; i < 10; ++i) printf("%d ", output[i]);
  return 0;
}
"""


@pytest.mark.parametrize("name", ["raspberry-pi-5", "raspberry-pi-armhf"])
def test_a_c_program_links_it(name: str, tmp_path: Path) -> None:
    """For the processor of a Linux board."""
    board, root = load_board(name), tmp_path / "project"
    pipeline.build(DIGITS, board.name, root)
    library = library_path(open_project(root))
    (tmp_path / "user.c").write_text(_USER)
    line = [board.toolchain.gcc[0], "user.c", f"-I{root}/src", f"-I{root}/runtime/include"]
    subprocess.run([*line, "-o", "user", str(library)], check=True, cwd=tmp_path)
    emulator = board.user_emulator
    assert emulator is not None
    run = [str(tmp_path / "user")]
    (system,) = (gcc.removesuffix("-gcc") for gcc in board.toolchain.gcc)
    if platform.machine() != emulator.machine:
        run = [emulator.program, *emulator.args, "-L", f"/usr/{system}", *run]
    paths = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=paths)
    graph = importers.load(DIGITS)
    array = (np.arange(64) * 37).astype(np.uint8).view(np.int8).reshape(1, 8, 8, 1)
    expected = reference.run(graph, {graph.inputs[0]: array})[graph.outputs[0]]
    assert [int(word) for word in done.stdout.split()] == expected.ravel().tolist()


def test_make_builds_it_too(package: ModuleType) -> None:
    root = Path(str(package.__file__)).parents[2]
    library = library_path(open_project(root))
    built = library.read_bytes()
    subprocess.run(["make", "-s", "-C", str(root), "clean"], check=True)
    assert not library.exists()
    subprocess.run(["make", "-s", "-j2", "-C", str(root), library.relative_to(root)], check=True)
    check = (
        "import numpy, digits_int8; model = digits_int8.Model();"
        "print(model.identity, *model(numpy.zeros((1, 8, 8, 1), numpy.int8))[0][0])"
    )
    there = {**os.environ, "PYTHONPATH": str(root / "python")}
    line = [sys.executable, "-c", check]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=there, cwd="/")
    (result,) = package.Model()(np.zeros((1, 8, 8, 1), np.int8))
    assert done.stdout.split() == [package.Model().identity, *map(str, result[0])]
    library.write_bytes(built)
