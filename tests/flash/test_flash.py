"""`tinyml flash`: which tool, which device, which command, and every way in which that fails."""

import contextlib
import dataclasses
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS, tinyml
from tests.flash.conftest import Bench
from tests.toolchain.test_uf2 import link, read
from tinyml import pipeline
from tinyml.board import Flash, list_boards, load_board
from tinyml.emit import Project, open_project
from tinyml.errors import BoardError, LinkError, MissingToolError
from tinyml.flash import flash_project
from tinyml.resources import boards_dir
from tinyml.runners.flash_tools import Device, command, read_tools, tools

ST_LINK = (0x0483, 0x374B)
OBJCOPY = shutil.which("arm-none-eabi-objcopy")
TOOLS = read_tools(boards_dir() / "tools.toml")


@pytest.fixture(scope="module")
def nucleo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with space") / "digits"
    pipeline.build(DIGITS, "nucleo-f446re", folder)
    return folder


def test_the_first_tool_that_is_installed(nucleo: Path, bench: Bench) -> None:
    bench.plug("/dev/ttyACM0", ST_LINK, "066CFF")
    bench.plug("/dev/ttyS0", None)
    bench.install("st-flash")
    outcome = tinyml("flash", nucleo)
    assert outcome.status == 0
    assert f"tinyml verify {nucleo} --port /dev/ttyACM0" in outcome.stdout
    image = str(nucleo / "build/firmware.bin")
    assert bench.called == [
        "st-flash",
        "--reset",
        "--serial",
        "066CFF",
        "write",
        image,
        "0x08000000",
    ]
    bench.install("openocd")
    tinyml("flash", nucleo)
    assert bench.called[0] == "openocd"
    bench.install("pyocd")
    tinyml("flash", nucleo, "--json")
    elf = str(nucleo / "build/firmware.elf")
    assert bench.called == ["pyocd", "flash", "--target", "stm32f446retx", "--uid", "066CFF", elf]
    tinyml("flash", nucleo, "--tool", "openocd")
    config = ["-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg"]
    program = f"program {{{elf}}} verify reset exit"
    assert bench.called == ["openocd", *config, "-c", "adapter serial 066CFF", "-c", program]


def test_the_image_is_what_make_makes(nucleo: Path, bench: Bench, tmp_path: Path) -> None:
    bench.install("st-flash")
    tinyml("flash", nucleo)
    made = tmp_path / "made.bin"
    assert OBJCOPY
    subprocess.run([OBJCOPY, "-O", "binary", nucleo / "build/firmware.elf", made], check=True)
    assert (nucleo / "build/firmware.bin").read_bytes() == made.read_bytes()


def test_a_dry_run_prints_the_command_and_does_nothing(nucleo: Path, bench: Bench) -> None:
    bench.install("pyocd")
    outcome = tinyml("flash", nucleo, "--dry-run")
    elf = str(nucleo / "build/firmware.elf")
    assert shlex.split(outcome.stdout) == ["pyocd", "flash", "--target", "stm32f446retx", elf]
    assert outcome.stdout.count("\n") == 1, "one line, for a shell"
    assert not bench.log.exists()
    report = tinyml("flash", nucleo, "--dry-run", "--json").json
    assert (report["tool"], report["done"], report["port"]) == ("pyocd", False, "")


def test_a_dry_run_needs_no_tool(nucleo: Path, bench: Bench) -> None:
    assert tinyml("flash", nucleo, "--dry-run").stdout.startswith("pyocd flash ")
    assert tinyml("flash", nucleo, "--dry-run", "--tool", "st-flash").stdout.startswith("st-flash ")


def test_without_a_tool_one_line_says_how_to_install_it(nucleo: Path, bench: Bench) -> None:
    tinyml("flash", nucleo).fails(3, "pyocd is not installed", "openocd, st-flash", "pip install")
    tinyml("flash", nucleo, "--tool", "st-flash").fails(3, "apt-get install stlink-tools")
    tinyml("flash", nucleo, "--tool", "avrdude").fails(2, "not flashed by avrdude", "pyocd")


def test_several_devices_are_listed_and_asked_for(nucleo: Path, bench: Bench) -> None:
    bench.install("pyocd")
    bench.plug("/dev/ttyACM1", ST_LINK, "B")
    bench.plug("/dev/ttyACM0", (0x0483, 0x374E), "A")
    bench.plug("/dev/ttyUSB0", (0x10C4, 0xEA60), "C")
    outcome = tinyml("flash", nucleo)
    outcome.fails(2, "2 devices", "/dev/ttyACM0", "/dev/ttyACM1", "--port /dev/ttyACM0")
    assert "ttyUSB0" not in outcome.stderr
    assert not bench.log.exists()
    tinyml("flash", nucleo, "--port", "/dev/ttyACM1")
    assert "B" in bench.called
    asked: list[str] = []

    def ask(question: str, answers: object) -> int:
        asked.append(f"{question} {answers}")
        return 0

    pipeline.flash(nucleo, ask=ask)
    assert "A" in bench.called and "/dev/ttyACM1" in asked[0]


def test_the_user_answers_by_number(
    nucleo: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install("pyocd")
    bench.plug("/dev/ttyACM0", ST_LINK, "A")
    bench.plug("/dev/ttyACM1", ST_LINK, "B")
    given = iter([7, 0, 2])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(given))
    outcome = tinyml("flash", nucleo)
    assert "1  /dev/ttyACM0" in outcome.stderr and "2  /dev/ttyACM1" in outcome.stderr
    assert "B" in bench.called, "numbers that are none of the answers are asked again"


def test_a_tool_that_fails(nucleo: Path, bench: Bench) -> None:
    bench.install("pyocd", status=4)
    tinyml("flash", nucleo).fails(2, "pyocd ended with status 4")
    (bench.bin / "pyocd").write_text("no program")
    tinyml("flash", nucleo).fails(2, "does not start")


def test_what_is_not_built_is_not_flashed(nucleo: Path, bench: Bench, tmp_path: Path) -> None:
    bench.install("pyocd")
    project = open_project(nucleo)
    elsewhere = Project(tmp_path, project.board, project.manifest)
    with pytest.raises(Exception, match=r"there is no .*firmware\.elf.*tinyml build"):
        flash_project(elsewhere, port=None, tool=None, dry_run=False, ask=None)
    assert not bench.log.exists()


@pytest.mark.parametrize("board", ["qemu-cortex-m4", "host"])
def test_boards_that_nothing_is_flashed_to(nucleo: Path, board: str) -> None:
    project = open_project(nucleo)
    other = Project(project.root, load_board(board), project.manifest)
    with pytest.raises(BoardError, match=f"board {board} is") as caught:
        flash_project(other, port=None, tool=None, dry_run=True, ask=None)
    assert caught.value.hint


def with_tool(project: Project, name: str, *arguments: str) -> Project:
    flash = Flash((name,), ("2341:0042",), ((name, arguments),))
    return dataclasses.replace(project, board=dataclasses.replace(project.board, flash=flash))


def test_a_tool_that_works_on_a_port_needs_one(nucleo: Path, bench: Bench) -> None:
    mega = dataclasses.replace(open_project(nucleo), board=load_board("arduino-mega2560"))
    bench.install("avrdude")
    with pytest.raises(LinkError, match="no serial port is of USB 2341:0010, 2341:0042") as caught:
        flash_project(mega, port=None, tool=None, dry_run=False, ask=None)
    assert "--port" in caught.value.hint
    bench.plug("/dev/ttyACM3", (0x2341, 0x0042))
    flash_project(mega, port=None, tool=None, dry_run=False, ask=None)
    image = f"flash:w:{nucleo / 'build/firmware.elf'}:e"
    chip = ["-p", "atmega2560", "-c", "wiring", "-b", "115200"]
    line = ["-P", "/dev/ttyACM3", "-D", "-U", image]
    assert bench.called == ["avrdude", *chip, *line]
    flash_project(mega, port="/dev/ttyS7", tool=None, dry_run=False, ask=None)
    assert "/dev/ttyS7" in bench.called, "a port that is named need not be on USB"


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_gives_a_command(name: str, nucleo: Path) -> None:
    project = with_tool(open_project(nucleo), name, "--board-word")
    assert project.board.flash is not None
    (tool,) = tools(project.board.flash)
    alone = command(tool, project.board, Path("f"), None if not tool.needs_port else Device("/p"))
    chosen = command(tool, project.board, Path("f"), Device("/p", "S1"))
    for line in (alone, chosen):
        assert line[0] == tool.program and any("f" in word for word in line)
        assert not any(word in text for text in line for word in ("{port}", "{file}", "{board}"))
    assert ("--board-word" in alone) == ("{board}" in tool.args)
    assert tool.needs_port or any("S1" in word for word in chosen) != any("S1" in w for w in alone)
    assert tool.install


@pytest.mark.parametrize("name", [n for n in list_boards() if load_board(n).flash])
def test_boards_name_tools_that_there_are(name: str) -> None:
    flash = load_board(name).flash
    assert flash is not None
    for tool in tools(flash):
        assert ("{board}" in tool.args) == (tool.name in dict(flash.arguments))


def test_a_tool_that_there_is_not(nucleo: Path) -> None:
    project = with_tool(open_project(nucleo), "hammer")
    with pytest.raises(BoardError, match=r"unknown flash tool 'hammer' \(boards/tools.toml has"):
        flash_project(project, port=None, tool=None, dry_run=True, ask=None)


def test_ssh_is_for_boards_with_linux(nucleo: Path, bench: Bench) -> None:
    tinyml("flash", nucleo, "--port", "ssh://me@there").fails(2, "does not run Linux")
    tinyml("verify", nucleo, "--port", "ssh://me@there").fails(2, "does not run Linux")


def test_missing_tool_is_its_own_status() -> None:
    assert MissingToolError.exit_status == 3


# ---- Firmware that an ecosystem's own build has left --------------------------------------------


def left_behind(board: str, root: Path, elf: str) -> Project:
    """A project with the ELF file, at `elf`, that the ecosystem would have built."""
    with contextlib.suppress(MissingToolError):  # no compiler of ours builds for Xtensa
        pipeline.build(DIGITS, board, root)
    (root / elf).parent.mkdir(parents=True)
    link(root / elf)
    return open_project(root)


def test_a_pico_gets_uf2(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{alone}:/usr/bin:/bin")
    project = left_behind("rp2040", tmp_path / "digits", "build/pico/digits_int8_verify.elf")
    monkeypatch.setenv("PATH", alone)
    file = project.root / "build/pico/firmware.uf2"
    line = ["picotool", "load", "-f", "-v", "-x", str(file)]
    outcome = tinyml("flash", project.root, "--dry-run")
    assert shlex.split(outcome.stdout) == line and not file.exists()
    bench.install("picotool")
    assert tinyml("flash", project.root).status == 0
    assert bench.called == line
    assert read(file.read_bytes())[0x1000_0000] is not None
    bench.plug("/dev/ttyACM0", (0x2E8A, 0x000A), "E6614")
    tinyml("flash", project.root)
    assert bench.called[3:5] == ["--ser", "E6614"]
    file.with_name("digits_int8_verify.elf").unlink()
    tinyml("flash", project.root).fails(2, "there is no", "digits_int8_verify.elf", "README.md")


@pytest.mark.parametrize(("board", "chip"), [("esp32-c3", "esp32c3"), ("esp32-s3", "esp32s3")])
def test_an_esp32_gets_what_its_build_lists(
    board: str, chip: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{alone}:/usr/bin:/bin")
    elf = "examples/verify/build/digits_int8_verify.elf"
    project = left_behind(board, tmp_path / "a b" / "digits", elf)
    monkeypatch.setenv("PATH", alone)
    listed = project.root / "examples/verify/build/flash_args"
    line = ["esptool", "--chip", chip, "--port", "/dev/ttyUSB0", "write_flash", f"@{listed}"]
    outcome = tinyml("flash", project.root, "--port", "/dev/ttyUSB0", "--dry-run")
    assert shlex.split(outcome.stdout) == ["cd", str(listed.parent), "&&", *line]
    bench.install("esptool")
    tinyml("flash", project.root, "--port", "/dev/ttyUSB0").fails(2, "there is no", "flash_args")
    listed.write_text("0x0 bootloader.bin\n")
    (bench.bin / "esptool").write_text(f'#!/bin/sh\npwd > "{bench.log}"\n')
    assert tinyml("flash", project.root, "--port", "/dev/ttyUSB0").status == 0
    assert bench.called == [str(listed.parent)], "where the names in the list lead somewhere"
    tinyml("flash", project.root).fails(2, "no serial port is of USB 303a:1001")


def test_uf2_needs_the_family_of_the_chip(nucleo: Path) -> None:
    project = with_tool(open_project(nucleo), "picotool")
    with pytest.raises(BoardError, match="takes UF2, and what that calls nucleo-f446re's chip"):
        flash_project(project, port=None, tool=None, dry_run=True, ask=None)
