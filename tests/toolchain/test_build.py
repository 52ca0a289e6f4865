"""Compilers found and missing, builds, their cache, their errors and their sizes."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.emit.nets import many_ends, small
from tests.support.emitted import plan_of, run_tool
from tests.support.graphs import random_inputs
from tests.support.models import model_path
from tinyml.board import load_board
from tinyml.emit import Project, emit
from tinyml.errors import BuildError, MissingToolError, PlanError
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.link import Client
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.runners import open_target
from tinyml.toolchain import build, find_compiler, read_sizes

needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"
)


def project(folder: Path, board: str = "stm32", graph: Graph | None = None) -> Project:
    target = load_board(board)
    plan = plan_of(small() if graph is None else graph, target)
    return emit(plan, target, folder, source=b"model")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("board", "wanted", "names", "hints"),
    [
        ("stm32", "auto", "arm-none-eabi-gcc", ("gcc-arm-none-eabi", "ziglang")),
        ("stm32", "gcc", "arm-none-eabi-gcc", ("gcc-arm-none-eabi",)),
        ("stm32", "zig", "zig", ("pip install ziglang",)),
        ("jetson-nano", "auto", "aarch64-linux-gnu-gcc", ("gcc-aarch64-linux-gnu", "ziglang")),
        ("host", "auto", "C compiler", ("apt-get install gcc", "ziglang")),
    ],
)
def test_missing_compiler(board: str, wanted: str, names: str, hints: tuple[str, ...]) -> None:
    with pytest.raises(MissingToolError) as missing:
        find_compiler(load_board(board), wanted)
    assert names in missing.value.what
    assert all(hint in missing.value.hint for hint in hints)
    assert missing.value.exit_status == 3


def test_unknown_compiler() -> None:
    with pytest.raises(BuildError, match="unknown compiler 'icc'"):
        find_compiler(load_board("host"), "icc")


@needs_zig
def test_zig_is_the_second_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_compiler(load_board("stm32")).family == "gcc"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler(load_board("stm32")).family == "zig"


@pytest.mark.parametrize("board", ["stm32", "qemu-cortex-m0"])
def test_sizes_are_what_size_says(board: str, tmp_path: Path) -> None:
    firmware = build(project(tmp_path, board), "gcc")
    out = run_tool("arm-none-eabi-size", "-A", "-d", firmware.elf).stdout.decode()
    sections = {m[1]: int(m[2]) for m in re.finditer(r"^(\.\S+) +(\d+) ", out, re.MULTILINE)}
    assert firmware.code_bytes == sections[".text"]
    read_only = (".vectors", ".rodata", ".ARM.exidx", ".ARM.extab")
    assert firmware.const_bytes == sum(sections.get(name, 0) for name in read_only)
    assert firmware.stack_bytes == sections[".stack"] == firmware.sizes.stack
    ram = sections.get(".data", 0) + sections[".bss"] + sections[".arena"]
    assert firmware.sram_bytes == ram
    assert firmware.sram_bytes >= firmware.project.manifest.arena_bytes
    binary = tmp_path / "firmware.bin"
    run_tool("arm-none-eabi-objcopy", "-O", "binary", firmware.elf, binary)
    assert abs(firmware.flash_bytes - binary.stat().st_size) <= 16
    assert "arm-none-eabi-gcc" in firmware.compiler


def test_a_second_build_compiles_only_what_changed(tmp_path: Path) -> None:
    made = project(tmp_path)
    first = build(made).elf.read_bytes()
    objects = tmp_path / "build" / "objects"
    before = {path: path.stat().st_mtime_ns for path in objects.iterdir()}
    assert len(before) == len(made.sources)
    build(made)
    assert {path: path.stat().st_mtime_ns for path in objects.iterdir()} == before
    main = tmp_path / "main.c"
    main.write_text(main.read_text() + "\n/* mine */\n")
    build(made)
    after = set(objects.iterdir())
    assert len(after - before.keys()) == 1
    assert len(after) == len(before)
    header = tmp_path / "runtime/include/tinyml.h"
    header.write_text(header.read_text() + "\n")
    build(made)
    assert not set(objects.iterdir()) & before.keys()
    assert first[:4] == b"\x7fELF"


@pytest.mark.parametrize("board", ["stm32", "host"])
def test_the_same_firmware_everywhere(board: str, tmp_path: Path) -> None:
    one = build(project(tmp_path / "one", board), "gcc").elf.read_bytes()
    two = build(project(tmp_path / "far" / "away", board), "gcc").elf.read_bytes()
    assert one == two
    assert str(tmp_path).encode() not in one


def test_compiler_errors_name_the_place(tmp_path: Path) -> None:
    made = project(tmp_path)
    elf = build(made).elf
    (tmp_path / "main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(BuildError) as refused:
        build(made)
    assert refused.value.what.startswith("main.c: ")
    assert "'nothing' undeclared" in refused.value.what
    assert not elf.exists()
    assert "\n" not in refused.value.what


def test_linker_errors_are_told(tmp_path: Path) -> None:
    made = project(tmp_path)
    main = tmp_path / "main.c"
    main.write_text(
        main.read_text()
        .replace("tinyml_port_init();", "elsewhere();")
        .replace("int main", "void elsewhere(void);\nint main")
    )
    with pytest.raises(BuildError, match="undefined reference to `elsewhere'"):
        build(made, "gcc")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "main.c").unlink()
    with pytest.raises(BuildError, match=r"cannot read .*main\.c"):
        build(made)


@pytest.mark.parametrize(
    "compiler", ["gcc", pytest.param("zig", marks=[needs_zig, pytest.mark.slow])]
)
def test_what_overflows_when_linked_does_not_fit(compiler: str, tmp_path: Path) -> None:
    made = project(tmp_path)
    script = tmp_path / "linker.ld"
    text = script.read_text()
    assert "LENGTH = 131072" in text
    script.write_text(text.replace("LENGTH = 131072", "LENGTH = 5000"))
    with pytest.raises(PlanError, match=r"region 'sram' is \d+ bytes too small"):
        build(made, compiler)


def test_no_elf(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not an ELF file")
    with pytest.raises(BuildError, match="cannot read"):
        read_sizes(tmp_path / "x")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "mcunet_vww_80_int8"])
def test_real_models_build_for_cortex_m4(name: str, tmp_path: Path) -> None:
    path = model_path(name)
    board = load_board("stm32")
    plan = plan_of(optimize(load(path)), board)
    firmware = build(emit(plan, board, tmp_path, source=path.read_bytes()), "gcc")
    manifest = firmware.project.manifest
    assert firmware.const_bytes >= manifest.const_bytes
    assert manifest.arena_bytes <= firmware.sram_bytes <= board.region("arena").bytes


@needs_zig
@pytest.mark.slow
@pytest.mark.parametrize("board", ["stm32", "qemu-cortex-m0", "qemu-cortex-m55", "host"])
def test_zig_builds_with_the_same_warnings(board: str, tmp_path: Path) -> None:
    firmware = build(project(tmp_path, board, many_ends()), "zig")
    assert firmware.compiler.startswith("zig ")
    assert firmware.code_bytes > 1000
    if board != "host":
        assert firmware.sizes.stack == firmware.stack_bytes


@needs_zig
@pytest.mark.slow
@pytest.mark.parametrize("board", ["stm32", "qemu-cortex-m0"])
def test_what_zig_builds_runs(board: str, tmp_path: Path) -> None:
    firmware = build(project(tmp_path, board), "zig")
    graph = plan_of(small()).graph
    inputs = random_inputs(graph, 3)
    with open_target(load_board(board), firmware.elf) as stream:
        outputs = Client(stream).infer([inputs[name].tobytes() for name in graph.inputs])
    expected = run(graph, inputs)
    assert outputs == [expected[name].tobytes() for name in graph.outputs]
