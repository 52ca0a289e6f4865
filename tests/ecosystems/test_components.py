"""ESP-IDF components and pico-sdk libraries: compiled for their cores, run on stand-ins.

Nothing here is linked with either SDK: see forms.py.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.ecosystems.forms import CROSS, STANDINS, cmake, runs_bit_exact
from tests.ecosystems.test_zephyr import chain
from tinyml import pipeline
from tinyml.board import load_board
from tinyml.emit import Project, open_project
from tinyml.errors import MissingToolError

ESP = {"esp32-c3": "esp32c3", "esp32-s3": "esp32s3"}
MANIFEST_KEYS = {
    *("version", "targets", "dependencies", "description", "maintainers", "license", "url"),
    *("repository", "documentation", "issues", "discussion", "tags", "files", "examples"),
}
"""What an idf_component.yml may say, by the IDF component manager's reference."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain(tmp_path_factory.mktemp("model"))


def written(model: Path, board: str, root: Path, **arguments: str) -> Project:
    """The project, which is complete also where there is no compiler for it."""
    if load_board(board).tested == "data":
        with pytest.raises(MissingToolError, match="no Debian package"):
            pipeline.build(model, board, root, **arguments)  # type: ignore[arg-type]
    else:
        pipeline.build(model, board, root, **arguments)  # type: ignore[arg-type]
    return open_project(root)


def idf(project: Project, build: Path, *arguments: str) -> None:
    root = str(STANDINS / "esp-idf")
    source = project.root / "examples/verify"
    cmake(source, build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *arguments, IDF_PATH=root)


def pico(project: Project, build: Path, *arguments: str) -> None:
    root = str(STANDINS / "pico")
    cmake(project.root, build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *arguments, PICO_SDK_PATH=root)


def commands(project: Project, build: Path) -> dict[str, str]:
    entries = json.loads((build / "compile_commands.json").read_text())
    root = project.root.resolve()
    paths = {Path(entry["file"]).resolve(): entry["command"] for entry in entries}
    return {str(p.relative_to(root)): c for p, c in paths.items() if p.is_relative_to(root)}


@pytest.mark.parametrize("board", ESP)
def test_the_manifest_of_a_component(board: str, model: Path, tmp_path: Path) -> None:
    project = written(model, board, tmp_path / "chain")
    said = yaml.safe_load((project.root / "idf_component.yml").read_text())
    assert set(said) <= MANIFEST_KEYS
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", said["version"]) and said["targets"] == [ESP[board]]
    assert said["dependencies"] == {"idf": ">=5.0"}
    lines = (project.root / "examples/verify/sdkconfig.defaults").read_text().splitlines()
    assert all(re.fullmatch(r"CONFIG_\w+=\w+|#.*", line) for line in lines)


@pytest.mark.parametrize("feed", ["whole", "rows", "pull"])
def test_a_component_runs_bit_exact_on_a_stand_in(feed: str, model: Path, tmp_path: Path) -> None:
    io = "model" if feed == "whole" else "int8"
    project = written(model, "esp32-c3", tmp_path / "chain", feed=feed, io=io)
    idf(project, tmp_path / "out")
    assert commands(project, tmp_path / "out").keys() == set(project.sources)
    assert runs_bit_exact(project, tmp_path / "out/main/main")


def test_a_component_that_computes_with_no_compiler_of_its_own(model: Path, tmp_path: Path) -> None:
    """The ESP32-S3 has the portable kernels: those run here as everywhere."""
    project = written(model, "esp32-s3", tmp_path / "chain")
    idf(project, tmp_path / "out")
    assert runs_bit_exact(project, tmp_path / "out/main/main")


def test_a_component_compiles_for_the_esp32_c3(model: Path, tmp_path: Path) -> None:
    project = written(model, "esp32-c3", tmp_path / "chain")
    # As ESP-IDF has them for this chip; its compiler adds the extension for CSRs, unused here.
    flags = (
        *("-march=rv32imc", "-mabi=ilp32", "-std=gnu17", "-ffunction-sections", "-fdata-sections"),
        *("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-sign-compare"),
        *("-fno-jump-tables", "-fno-tree-switch-conversion", "--specs=picolibc.specs"),
    )
    compiler = "-DCMAKE_C_COMPILER=riscv64-unknown-elf-gcc"
    idf(project, tmp_path / "out", *CROSS, compiler, f"-DCMAKE_C_FLAGS={' '.join(flags)}")
    assert commands(project, tmp_path / "out").keys() == set(project.sources)


@pytest.mark.parametrize("feed", ["whole", "rows", "pull"])
def test_a_pico_program_runs_bit_exact_on_a_stand_in(
    feed: str, model: Path, tmp_path: Path
) -> None:
    io = "model" if feed == "whole" else "int8"
    project = written(model, "rp2040", tmp_path / "chain", feed=feed, io=io)
    pico(project, tmp_path / "out")
    assert commands(project, tmp_path / "out").keys() == set(project.sources)
    assert runs_bit_exact(project, tmp_path / "out/chain_verify")


def test_another_pico_project_gets_the_model_alone(model: Path, tmp_path: Path) -> None:
    """As the README says, for the processor of the RP2040."""
    project = written(model, "rp2040", tmp_path / "chain")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(mine C CXX ASM)\n"
        "add_library(yours STATIC main.c)\nadd_subdirectory(chain)\n"
        "target_link_libraries(yours chain)\n"
    )
    (tmp_path / "main.c").write_text('#include "chain.h"\nint size(void);\nint size(void) {\n'
                                     "  return CHAIN_ARENA_BYTES;\n}\n")  # fmt: skip
    compilers = ("-DCMAKE_C_COMPILER=arm-none-eabi-gcc", "-DCMAKE_CXX_COMPILER=arm-none-eabi-g++")
    flags = "-DCMAKE_C_FLAGS=-mcpu=cortex-m0plus -mthumb -Wall -Wextra -Werror"
    out = tmp_path / "out"
    cmake(tmp_path, out, *CROSS, *compilers, flags, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    built = commands(project, out)
    assert built.keys() == {path for path in project.sources if not path.startswith("verify/")}
