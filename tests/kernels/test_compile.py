"""The kernels compile without a warning for the host and for Cortex-M, with GCC and Clang."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.kernel_build import STRICT, gcc, include_flags, kernel_files, training_files
from tests.support.strategies.base import case, tensor
from tinyml.board import list_boards, load_board
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Quant
from tinyml.kernels import bind
from tinyml.kernels.registry import kernels
from tinyml.resources import runtime_dir


def compiler(name: str) -> list[str]:
    if name == "clang":
        if importlib.util.find_spec("ziglang") is None:
            pytest.skip("the clang of the package 'ziglang' is not installed")
        return [sys.executable, "-m", "ziglang", "cc"]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return [name]


FREESTANDING = f"-I{runtime_dir() / 'freestanding'}"

SPECIAL = {name: load_board(name).isa for name in list_boards() if len(load_board(name).isa) > 1}
"""The instruction sets of the boards that have more than one."""

REFUSALS = {
    "dsp": ("arm-none-eabi-gcc", ("-mcpu=cortex-m3", "-mthumb"), "the DSP extension"),
    "mve": ("arm-none-eabi-gcc", ("-mcpu=cortex-m33", "-mthumb"), "Helium"),
    "neon": ("gcc", (), "AArch64"),
    "dotprod": ("aarch64-linux-gnu-gcc", ("-mcpu=cortex-a53",), "the dot product"),
    "mul32": ("avr-gcc", ("-mmcu=atmega2560",), "a multiplier of 32 bits"),
}
"""A target without an instruction set, and what the set's kernels say there."""


@pytest.mark.parametrize(
    ("name", "flags", "isas"),
    [
        ("gcc", (), ("portable",)),
        ("clang", (), ("portable",)),
        ("arm-none-eabi-gcc", ("-mcpu=cortex-m0", "-mthumb"), ("portable",)),
        *(
            (load_board(board).toolchain.gcc[0], load_board(board).gcc_flags, isas)
            for board, isas in SPECIAL.items()
        ),
        *(
            ("clang", (*load_board(board).clang_flags, FREESTANDING), isas[:-1])
            for board, isas in SPECIAL.items()
        ),
    ],
)
def test_no_warnings(
    name: str, flags: tuple[str, ...], isas: tuple[str, ...], tmp_path: Path
) -> None:
    command = [*compiler(name), *STRICT, "-O2", "-ffp-contract=off", *flags, *include_flags()]
    files = [*map(str, kernel_files(*isas)), *map(str, training_files())]
    done = subprocess.run(
        [*command, "-c", *files], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_header_is_cpp_and_one_file_is_one_kernel(tmp_path: Path) -> None:
    source = tmp_path / "use.cpp"
    source.write_text('#include "tinyml_kernels.h"\nint main() { return 0; }\n')
    command = [gcc(), "-x", "c++", "-Wall", "-Wextra", "-Werror", *include_flags(), "-c"]
    subprocess.run([*command, str(source), "-o", str(tmp_path / "use.o")], check=True)
    sources = {runtime_dir() / "src" / kernel.source for kernel in kernels()}
    sources |= set(training_files())
    assert sources == set((runtime_dir() / "src").rglob("*.c"))


@pytest.mark.parametrize("isa", sorted({k.isa for k in kernels()} - {"portable"}))
def test_kernels_refuse_cores_without_their_instruction_set(isa: str, tmp_path: Path) -> None:
    name, flags, says = REFUSALS[isa]
    for path in kernel_files(isa):
        done = subprocess.run(
            [*compiler(name), *flags, *include_flags(), "-c", str(path)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert says in done.stderr, path


@pytest.mark.parametrize("isa", sorted({k.isa for k in kernels()}))
def test_kernels_need_no_heap_no_libm_and_no_state(isa: str, tmp_path: Path) -> None:
    """Undefined symbols are memcpy and memset (and the compiler's own); no writable data."""
    files = [str(path) for path in kernel_files(isa)]
    flags = [*include_flags(), "-std=c99", "-O2", "-fno-stack-protector", "-c"]
    command = [gcc()]
    if isa != "portable":
        board = next(load_board(name) for name, isas in SPECIAL.items() if isas[0] == isa)
        command = [*compiler(board.toolchain.gcc[0]), *board.gcc_flags]
    subprocess.run([*command, *flags, *files], cwd=tmp_path, check=True)
    objects = sorted(tmp_path.glob("*.o"))
    assert len(objects) == len(files)
    symbols = subprocess.run(
        ["nm", *map(str, objects)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    entries = [line.split()[-2:] for line in symbols if len(line.split()) >= 2]
    undefined = {name for kind, name in entries if kind == "U"}
    assert undefined <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
    assert not [name for kind, name in entries if kind in "dDbBCsS"]
    public = {name for kind, name in entries if kind == "T"}
    assert public == {
        f"tinyml_{kernel.name}{step}"
        for kernel in kernels()
        if kernel.isa == isa
        for step in (("_begin", "_row", "_end") if kernel.style == "accumulate" else ("",))
    }


QUANT = Quant((0.5,), (3,))


def mean_graph(channels: int) -> Graph:
    x, y = tensor("x", (1, 5, 4, channels), QUANT), tensor("y", (1, channels), QUANT)
    return case(ops.Mean((1, 2)), (x,), (y,), {}).graph


def conv_graph(channels: int) -> Graph:
    x, y = tensor("x", (1, 5, 4, channels), QUANT), tensor("y", (1, 4, 2, 7), QUANT)
    data = np.ones((7, 2, 3, channels), np.int8)
    w = tensor("w", data.shape, Quant((0.5,), (0,)), data=data)
    return case(ops.Conv2D(), (x, w), (y,), {}).graph


def pointwise_graph(channels: int) -> Graph:
    x, y = tensor("x", (1, 5, 4, channels), QUANT), tensor("y", (1, 5, 4, 7), QUANT)
    data = np.ones((7, 1, 1, channels), np.int8)
    w = tensor("w", data.shape, Quant((0.5,), (0,)), data=data)
    return case(ops.Conv2D(), (x, w), (y,), {}).graph


def depthwise_graph(channels: int) -> Graph:
    x, y = tensor("x", (1, 5, 14, channels), QUANT), tensor("y", (1, 1, 12, channels), QUANT)
    data = np.ones((1, 5, 3, channels), np.int8)
    w = tensor("w", data.shape, Quant((0.5,), (0,)), data=data)
    return case(ops.DepthwiseConv2D(), (x, w), (y,), {}).graph


def wide_depthwise_graph(channels: int) -> Graph:
    return depthwise_graph(channels + 16)


@pytest.mark.parametrize("channels", [1, 3, 64])
@pytest.mark.parametrize(
    ("make", "isa"),
    [
        (mean_graph, "portable"),
        (conv_graph, "portable"),
        (conv_graph, "dsp"),
        (pointwise_graph, "dsp"),
        (conv_graph, "mve"),
        (depthwise_graph, "mve"),
        (conv_graph, "neon"),
        (wide_depthwise_graph, "neon"),
        (conv_graph, "mul32"),
        (pointwise_graph, "mul32"),
    ],
)
def test_scratch_macro(
    make: Callable[[int], Graph], isa: str, channels: int, tmp_path: Path
) -> None:
    """The header's macro asks for exactly what the binding asks for."""
    graph = make(channels)
    call = bind(graph, graph.nodes[0], (isa, "portable"))
    assert call.scratch_bytes > 0
    source = tmp_path / "scratch.c"
    source.write_text(
        '#include "tinyml_kernels.h"\n'
        f'_Static_assert({call.scratch_macro} == {call.scratch_bytes}, "scratch");\n'
    )
    command = [gcc(), "-std=c11", *include_flags(), "-c", str(source)]
    subprocess.run(command, check=True, cwd=tmp_path)


def test_scratch_is_declared_for_every_kernel_that_takes_it() -> None:
    for kernel in kernels():
        text = (runtime_dir() / "src" / kernel.source).read_text()
        takes = "void *scratch" in text or kernel.style == "accumulate"
        assert bool(kernel.scratch) == takes, kernel.name
