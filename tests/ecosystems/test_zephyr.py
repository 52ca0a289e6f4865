"""Zephyr modules and applications: by Zephyr's rules, compiled with its flags, run on a stand-in.

Nothing here is linked with Zephyr. `standins/zephyr` answers the calls that the generated CMake
files and C make; the application then runs on this computer, over the same link as on a board.
"""

import json
import re
from pathlib import Path

import kconfiglib
import pytest
import yaml

from tests.ecosystems.forms import CROSS, STANDINS, cmake, runs_bit_exact
from tests.support.builder import GraphBuilder
from tests.support.emitted import run_tool
from tests.support.tflite_writer import write
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.emit import Project, open_project
from tinyml.errors import BoardError

BOARDS = [name for name in list_boards() if load_board(name).ecosystem == "zephyr"]
PORTABLE = "zephyr-mps2-an385"

FLAGS = (
    *("-Os", "-g", "-gdwarf-4", "-std=c17", "-fno-common", "-fno-strict-aliasing", "-fno-pic"),
    *("-fno-pie", "-fno-asynchronous-unwind-tables", "-fno-reorder-functions", "-fno-defer-pop"),
    *("--param=min-pagesize=0", "-fno-printf-return-value", "-ffunction-sections"),
    *("-fdata-sections", "-mabi=aapcs", "-mtp=soft", "-Wall", "-Wformat", "-Wformat-security"),
    *("-Wno-format-zero-length", "-Wdouble-promotion", "-Wno-pointer-sign", "-Wpointer-arith"),
    *("-Wexpansion-to-defined", "-Wno-unused-but-set-variable", "-Werror=implicit-int", "-Werror"),
)
"""Of GCC, by cmake/compiler/gcc/compiler_flags.cmake and target_arm.cmake, warnings as errors."""

CORES = {
    "zephyr-qemu-cortex-m3": ("-mcpu=cortex-m3", "-mthumb"),
    "zephyr-mps2-an385": ("-mcpu=cortex-m3", "-mthumb"),
    "zephyr-mps2-an521": ("-mcpu=cortex-m33+nodsp", "-mthumb"),
    "zephyr-nucleo-f446re": (
        *("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        "-mfp16-format=ieee",
    ),
    "zephyr-nrf52840dk": (
        *("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        "-mfp16-format=ieee",
    ),
}
"""What Zephyr adds for the processor of each board."""

KCONFIG = {"SERIAL", "CONSOLE", "UART_CONSOLE", "PRINTK", "BOOT_BANNER", "LOG", "FPU"}
KCONFIG_OF_ALL = {"MAIN_STACK_SIZE": "int", "THREAD_STACK_INFO": "bool"}
"""Options of Zephyr's that applications here set."""

MODULE_KEYS = {
    "": {"name", "build", "tests", "samples", "boards", "blobs"},
    "build": {
        *("cmake", "kconfig", "cmake-ext", "kconfig-ext", "sysbuild-cmake", "sysbuild-kconfig"),
        *("sysbuild-cmake-ext", "sysbuild-kconfig-ext", "depends", "settings"),
    },
}
"""What a module.yml may say, by scripts/zephyr_module.py."""


def chain(folder: Path) -> Path:
    net = GraphBuilder("chain")
    x = net.conv(net.input((1, 8, 8, 3)), 6, kernel=(3, 3))
    x = net.conv(net.depthwise(x, kernel=(3, 3)), 5)
    path = folder / "chain.tflite"
    path.write_bytes(write(net.graph(net.dense(x, 5))))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=BOARDS)
def module(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    root = tmp_path_factory.mktemp("module") / "chain"
    pipeline.build(model, request.param, root)
    return open_project(root)


def zephyr(project: Project, build: Path, *arguments: str) -> None:
    """Configures and builds the application as `west build` does, by the stand-in."""
    app, settled = project.root / "app", build.parent / ".config"
    configuration(project, build.parent, (app / "prj.conf").read_text()).write_config(str(settled))
    cmake(
        app,
        build,
        f"-DZephyr_DIR={STANDINS / 'zephyr'}",
        f"-DAPPLICATION_CONFIG={settled}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        *arguments,
    )


def test_module_yml_says_what_zephyr_knows(module: Project) -> None:
    said = yaml.safe_load((module.root / "zephyr/module.yml").read_text())
    assert set(said) <= MODULE_KEYS[""] and set(said["build"]) <= MODULE_KEYS["build"]
    assert re.fullmatch(r"\w+", said["name"])
    assert (module.root / said["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (module.root / said["build"]["kconfig"]).is_file()


def configuration(project: Project, folder: Path, conf: str) -> kconfiglib.Kconfig:
    """What Kconfig makes of `conf`, with the module where Zephyr includes it."""
    options = dict.fromkeys(KCONFIG, "bool") | KCONFIG_OF_ALL
    lines = [f'config {name}\n\t{kind} "Zephyr\'s"\n' for name, kind in options.items()]
    kconfig = (project.root / "zephyr/Kconfig").resolve()
    lines.append(
        f'menu "chain"\nosource "{kconfig}"\nconfig ZEPHYR_CHAIN_MODULE\n\tbool\nendmenu\n'
    )
    (folder / "Kconfig").write_text("\n".join(lines))
    (folder / "prj.conf").write_text(conf)
    found = kconfiglib.Kconfig(str(folder / "Kconfig"), warn_to_stderr=False)
    found.warn_assign_undef = True
    found.load_config(str(folder / "prj.conf"))
    return found


def test_kconfig(module: Project, tmp_path: Path) -> None:
    conf = (module.root / "app/prj.conf").read_text()
    found = configuration(module, tmp_path, conf)
    assert found.warnings == []
    for name, value in re.findall(r"^CONFIG_(\w+)=(.*)$", conf, re.MULTILINE):
        assert found.syms[name].str_value == value, name
    assert found.syms["CHAIN"].str_value == "y" and found.syms["CHAIN_LEVEL"].str_value == "y"
    assert ("CONFIG_FPU=y" in conf) == ("-mfloat-abi=hard" in CORES[module.board.name])
    off = configuration(module, tmp_path, "CONFIG_CHAIN=n\n")
    assert off.syms["CHAIN_LEVEL"].str_value == "n"
    wrong = configuration(module, tmp_path, "CONFIG_CHIAN=y\n")
    assert len(wrong.warnings) == 1 and "CHIAN" in wrong.warnings[0]


def test_the_overlay_is_for_this_board_and_a_devicetree(module: Project, tmp_path: Path) -> None:
    name = module.board.target.replace("/", "_")
    overlays = list((module.root / "app/boards").iterdir())
    assert [path.name for path in overlays] == [f"{name}.overlay"]
    before = f"/dts-v1/;\n/ {{ soc {{ {module.board.serial}: serial {{ status = 'x'; }}; }}; }};\n"
    tree = tmp_path / "tree.dts"
    tree.write_text(before.replace("'", '"') + overlays[0].read_text())
    done = run_tool("dtc", "-I", "dts", "-O", "dts", tree)
    text = done.stdout.decode()
    assert "zephyr,console = " in text
    assert 'status = "okay"' in text and "current-speed = <0x1c200>" in text


def test_all_of_it_compiles_with_the_flags_of_zephyr(module: Project, tmp_path: Path) -> None:
    flags = (*FLAGS, *CORES[module.board.name])
    (tmp_path / "autoconf.h").write_text("")
    listed = ";".join((*flags, "--specs=nano.specs", f"-imacros{tmp_path / 'autoconf.h'}"))
    cross = (*CROSS, "-DCMAKE_C_COMPILER=arm-none-eabi-gcc", f"-DZEPHYR_STANDIN_FLAGS={listed}")
    zephyr(module, tmp_path / "out", *cross)
    commands = json.loads((tmp_path / "out/compile_commands.json").read_text())
    built = {
        str(Path(entry["file"]).resolve().relative_to(module.root.resolve())): entry["command"]
        for entry in commands
    }
    assert built.keys() == set(module.sources)
    for source, command in built.items():
        words = command.split()
        assert set(flags) <= set(words)
        # The network is made for speed, whatever the application is.
        levels = [word for word in words if word in ("-O2", "-Os")]
        assert levels == (["-Os", "-O2"] if source.startswith("src/") else ["-Os"])


@pytest.mark.parametrize("feed", ["whole", "rows", "pull"])
def test_the_application_runs_bit_exact_on_a_stand_in(
    feed: str, model: Path, tmp_path: Path
) -> None:
    io = "model" if feed == "whole" else "int8"
    pipeline.build(model, PORTABLE, tmp_path / "chain", feed=feed, io=io)
    project = open_project(tmp_path / "chain")
    zephyr(project, tmp_path / "out")
    assert runs_bit_exact(project, tmp_path / "out/app")


def test_a_wrong_network_is_found_out(model: Path, tmp_path: Path) -> None:
    pipeline.build(model, PORTABLE, tmp_path / "chain")
    weights = tmp_path / "chain/src/chain_weights.c"
    pattern = r"(int32_t \w+_channels\[\d+\] = \{\n\s+)(-?\d+)"
    changed = re.sub(pattern, r"\g<1>99999", weights.read_text(), count=1)
    assert changed != weights.read_text()
    weights.write_text(changed)
    project = open_project(tmp_path / "chain")
    zephyr(project, tmp_path / "out")
    assert not runs_bit_exact(project, tmp_path / "out/app")


def test_an_application_without_the_option_has_no_network(model: Path, tmp_path: Path) -> None:
    pipeline.build(model, PORTABLE, tmp_path / "chain")
    project = open_project(tmp_path / "chain")
    conf = project.root / "app/prj.conf"
    conf.write_text(conf.read_text().replace("CONFIG_CHAIN=y", "CONFIG_CHAIN=n"))
    with pytest.raises(AssertionError, match=r"chain\.h"):
        zephyr(project, tmp_path / "out")


def test_flashing_is_left_to_west(module: Project) -> None:
    with pytest.raises(BoardError, match="by its ecosystem's own tool"):
        pipeline.flash(module.root, dry_run=True)
