"""The CMake project of a board: it builds what make builds, and is a library for other projects."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS
from tests.support.emitted import run_tool
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.emit import open_project
from tinyml.emit.cmake import cmake_files
from tinyml.emit.flags import gcc_flags

APPLICATION = """
cmake_minimum_required(VERSION 3.22)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS "-mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard -Os -Wall")
set(CMAKE_EXE_LINKER_FLAGS "--specs=nosys.specs -Wl,--gc-sections -Wl,-z,noexecstack")
project(blinky C)
add_executable(${CMAKE_PROJECT_NAME} main.c)
add_subdirectory(digits)
target_link_libraries(${CMAKE_PROJECT_NAME} digits_int8)
"""
MAIN = """
#include "digits_int8.h"
static uint8_t arena[DIGITS_INT8_ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
int8_t input[DIGITS_INT8_INPUT_BYTES], output[DIGITS_INT8_OUTPUT_BYTES];
int main(void) {
  digits_int8_t model;
  digits_int8_init(&model, arena, sizeof arena);
  return digits_int8_invoke(&model, input, output);
}
"""


def configure_and_build(folder: Path) -> None:
    run_tool("cmake", "--preset", "firmware", cwd=folder)
    run_tool("cmake", "--build", "--preset", "firmware", "--parallel", "2", cwd=folder)


def symbols(path: Path) -> set[str]:
    done = subprocess.run(
        ["arm-none-eabi-nm", "--defined-only", path], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in done.stdout.splitlines()}


@pytest.fixture(scope="module")
def nucleo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a place") / "digits"
    pipeline.build(DIGITS, "nucleo-f446re", folder)
    return folder


def test_what_cmake_builds_runs_bit_exact(nucleo: Path) -> None:
    before = symbols(nucleo / "build/firmware.elf")
    (nucleo / "build/firmware.elf").unlink()
    configure_and_build(nucleo)
    assert symbols(nucleo / "build/firmware.elf") == before
    assert pipeline.verify(nucleo, inputs=2).bit_exact
    assert (nucleo / "build/firmware.bin").stat().st_size > 10_000
    commands = json.loads((nucleo / "build/cmake/compile_commands.json").read_text())
    project = open_project(nucleo)
    flags = set(gcc_flags(project.board, ()).compile)
    built = {str(Path(entry["file"]).relative_to(nucleo)): entry["command"] for entry in commands}
    assert built.keys() == set(project.sources)
    for source, command in built.items():
        # Addresses of the board are for the port alone.
        needed = flags - set(project.board.define_flags if source in project.model_sources else ())
        assert needed <= set(command.split()), source


@pytest.mark.parametrize("name", ["nucleo-h743zi", "qemu-riscv32"])
def test_two_memories_and_another_compiler(name: str, tmp_path: Path) -> None:
    pipeline.build(DIGITS, name, tmp_path / "digits")
    elf = tmp_path / "digits/build/firmware.elf"
    before = symbols(elf)
    elf.unlink()
    configure_and_build(tmp_path / "digits")
    assert symbols(elf) == before


def test_another_project_gets_the_model_alone(nucleo: Path, tmp_path: Path) -> None:
    """As the README says for STM32CubeMX; the processor is that project's."""
    (tmp_path / "CMakeLists.txt").write_text(APPLICATION)
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "digits").symlink_to(nucleo, target_is_directory=True)
    run_tool("cmake", "-S", ".", "-B", "out", cwd=tmp_path)
    run_tool("cmake", "--build", "out", "--parallel", "2", cwd=tmp_path)
    found = symbols(tmp_path / "out/blinky")
    assert {"digits_int8_invoke", "main"} <= found
    assert not {"tinyml_link_serve", "tinyml_port_init", "vectors"} & found
    lines = (nucleo / "README.md").read_text()
    for line in APPLICATION.splitlines()[-2:]:
        assert line.replace("digits)", "digits_int8) # the folder's name") in lines or line in lines


def test_editors_get_sound_files(nucleo: Path) -> None:
    tasks = json.loads((nucleo / ".vscode/tasks.json").read_text())["tasks"]
    launch = json.loads((nucleo / ".vscode/launch.json").read_text())["configurations"]
    labels = {task["label"] for task in tasks}
    assert {"build", "flash", "verify"} == labels
    assert {each["servertype"] for each in launch} == {"openocd", "pyocd"}
    for each in launch:
        assert each["preLaunchTask"] in labels
        assert (nucleo / each["executable"]).is_file()
    assert launch[0]["configFiles"] == ["interface/stlink.cfg", "target/stm32f4x.cfg"]


def test_a_board_that_is_only_emulated_has_nothing_to_launch(nucleo: Path) -> None:
    board = load_board("qemu-cortex-m4")
    files = cmake_files(
        _View(),  # type: ignore[arg-type]
        board,
        sources=("main.c", "src/m.c"),
        model_sources=("src/m.c",),
        hot_sources=(),
        include_dirs=("src",),
        flags=gcc_flags(board, ("src",)),
    )
    assert ".vscode/launch.json" not in files and "CMakeLists.txt" in files
    assert b"flash" not in files[".vscode/tasks.json"]


class _View:
    name = "m"
    more_const_bytes = 0


@pytest.mark.parametrize("name", [n for n in list_boards() if "stm32" in load_board(n).port])
def test_every_stm32_board_has_debug_servers(name: str) -> None:
    board = load_board(name)
    assert board.flash is not None
    assert {"openocd", "pyocd"} <= set(dict(board.flash.arguments))
