import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from tinyml.board import IN_FLASH, SECTIONS, list_boards, load_board, read_board
from tinyml.errors import BoardError
from tinyml.resources import boards_dir, runtime_dir

NAMES = [
    "arduino-mega2560",
    "arduino-nano33ble",
    "arduino-portenta-h7",
    "arduino-uno-r4",
    "disco-f746ng",
    "host",
    "jetson-nano",
    "nucleo-f446re",
    "nucleo-h743zi",
    "nucleo-l4r5zi",
    "nucleo-u575zi",
    "qemu-cortex-m0",
    "qemu-cortex-m0-large",
    "qemu-cortex-m3",
    "qemu-cortex-m33",
    "qemu-cortex-m4",
    "qemu-cortex-m55",
    "qemu-cortex-m7",
    "qemu-riscv32",
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "raspberry-pi-armhf",
    "raspberry-pi-zero2w",
    "stm32",
    "stm32-ccm",
]


def test_the_boards_that_are_promised_are_there() -> None:
    assert set(NAMES) <= set(list_boards())


@pytest.mark.parametrize("name", list_boards())
def test_every_board_is_consistent(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.title and board.isa[-1] == "portable"
    for folder in board.port:
        assert sorted((runtime_dir() / "port" / folder).glob("*.c*"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        board.name = "other"  # type: ignore[misc]
    assert board.toolchain.gcc and (board.toolchain.package or board.tested == "data")
    if board.is_process:
        assert not board.regions and not board.clock_hz
        return
    for section in SECTIONS:
        assert board.region(section).kind == ("flash" if section in IN_FLASH else "ram")
    assert f"-DTINYML_PORT_CLOCK_HZ={board.clock_hz}u" in board.define_flags


def test_facts_of_the_stm32() -> None:
    board = load_board("stm32")
    assert (board.region("code").origin, board.region("code").bytes) == (0x0800_0000, 1 << 20)
    assert (board.region("arena").origin, board.region("arena").bytes) == (0x2000_0000, 128 << 10)
    assert board.core == "cortex-m4" and "-mcpu=cortex-m4" in board.gcc_flags
    assert board.emulator is not None
    assert board.emulator.instructions_per_tick == Fraction(1000, 168)
    assert board.emulator.machine == "netduinoplus2"


@pytest.mark.parametrize(
    ("name", "mhz", "memory"),
    [
        ("nucleo-f446re", 180, {"flash": 512, "sram": 128}),
        ("nucleo-l4r5zi", 120, {"flash": 2048, "sram": 640}),
        ("disco-f746ng", 216, {"flash": 1024, "itcm": 16, "dtcm": 64, "sram": 256}),
        (
            "nucleo-h743zi",
            480,
            {"flash": 2048, "itcm": 64, "dtcm": 128, "sram": 512, "sram_d2": 288, "sram_d3": 64},
        ),
        ("nucleo-u575zi", 160, {"flash": 2048, "sram": 768, "sram4": 16}),
    ],
)
def test_facts_of_boards_of_st(name: str, mhz: int, memory: dict[str, int]) -> None:
    board = load_board(name)
    assert board.clock_hz == mhz * 10**6
    assert {r.name: r.bytes >> 10 for r in board.regions if r.name != "backup"} == memory
    assert board.region("code").origin == 0x0800_0000
    assert all(flag in board.gcc_flags for flag in ("-mfloat-abi=hard", "-mthumb"))


def test_facts_of_the_raspberry_pi_5() -> None:
    board = load_board("raspberry-pi-5")
    assert (board.kind, board.core) == ("linux", "cortex-a76")
    assert board.isa == ("dotprod", "neon", "portable")
    assert board.user_emulator is not None and board.emulator is None
    assert board.user_emulator.args == ("-cpu", "cortex-a76")
    assert board.user_emulator.machine == "aarch64"


def test_an_unknown_board_names_the_nearest() -> None:
    with pytest.raises(BoardError, match=r"unknown board 'stm23' \(did you mean stm32\?\)"):
        load_board("stm23")
    with pytest.raises(BoardError, match="boards: " + ", ".join(list_boards())):
        load_board("zzzzzz")


def changed(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A copy of all board data with `old` replaced in the board `name` and its SoC files."""
    root = tmp_path / "boards"
    shutil.copytree(boards_dir(), root)
    hits = 0
    for path in [*root.glob(f"*/{name}/board.toml"), *root.glob("socs/*.toml")]:
        text = path.read_text()
        hits += text.count(old)
        path.write_text(text.replace(old, new))
    assert hits, f"{old!r} is not in the data"
    return next(root.glob(f"*/{name}/board.toml"))


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('soc = "stm32f405"', "", "soc: is missing"),
        ('soc = "stm32f405"', 'soc = "stm32f999"', "stm32f999.toml"),
        ('soc = "stm32f405"', "soc = 4", "soc: must be str"),
        ('title = "STM32F405', 'titel = "STM32F405', "title: is missing"),
        ("[emulator]", "colour = 3\n[emulator]", "defines.colour: must start with TINYML_PORT_"),
        ("counter_hz = 168_000_000", "counter_hz = 0", "emulator.counter_hz: must be at least 1"),
        ("counter_hz = 168_000_000", "counter_hz = true", "emulator.counter_hz: must be int"),
        ('icount = ["-icount", "shift=0"]', "icount = [1]", "icount: must be a list of strings"),
        ('machine = "netduinoplus2"', 'machine = "m"\nx = 1', "emulator.x: is not a key"),
        ("[emulator]", "[emulator", "board.toml: "),
        (
            'kind = "baremetal"',
            'kind = "metal"',
            "kind: must be one of baremetal, library, host, linux",
        ),
        ('kind = "ram"', 'kind = "rom"', "memory.sram.kind: must be one of flash, ram"),
        ('arena = "sram"', 'arena = "dram"', "placement.arena: must be one of"),
        ('arena = "sram"', 'arena = "flash"', "placement.arena: must go to ram"),
        ('constants = "flash"', 'constants = "sram"', "placement.constants: must go to flash"),
        ('stack = "sram"', "", "placement.stack: is missing"),
        ('stack = "sram"', 'stack = ["sram"]', "placement.stack: must be str"),
        ('arena = "sram"', "arena = []", "placement.arena: must be one region, or a list of two"),
        ('arena = "sram"', 'arena = ["sram", "sram"]', "placement.arena: must be one region, or"),
        ('arena = "sram"', 'arena = ["sram", "flash"]', "placement.arena: must go to ram"),
        ('arena = "sram"', 'arena = ["sram", "ram2"]', "placement.arena: must be one of flash"),
        ('arena = "sram"', "arena = [1]", "placement.arena: must be a list of strings"),
        ('constants = "flash"', 'constants = ["flash", "ccm"]', "placement.constants: must go to"),
        ("origin = 0x2000_0000", "origin = 0x0800_1000", "memory.sram.origin: the region overlaps"),
        ("origin = 0x2000_0000", "origin = 0xFFFF_FFF0", "beyond the 32-bit address space"),
        ("origin = 0x2000_0000", "origin = -4", "memory.sram.origin: must be at least 0"),
        ("stack_bytes = 4096", "stack_bytes = 4097", "stack_bytes: must be a multiple of 8"),
        ("stack_bytes = 4096", "stack_bytes = 262144", "stack_bytes: is more than the region"),
        ('isa = ["dsp", "portable"]', 'isa = ["dsp"]', 'isa: must end with "portable"'),
        ('gcc = ["arm-none-eabi-gcc"]', "gcc = []", "toolchain.gcc: must name a compiler"),
        ('objcopy = "arm', 'objdump = "arm', "toolchain.objdump: is not a key"),
        ("clock_hz = 168_000_000", "clock_hz = 1.5", "clock_hz: must be int, not 1.5"),
        ('extends = "cortex-m"', 'extends = "stm32f405"', "extends itself"),
        ('tools = ["pyocd", "openocd", "st-flash"]', "tools = []", "flash.tools: must name a tool"),
        ('"0483:3748"', '"0483-3748"', "flash.usb: must be like 0483:374b, not '0483-3748'"),
        ("pyocd = [", "hammer = [", "flash.arguments.hammer: is none of pyocd, openocd, st-flash"),
        ("[flash]", "[flash]\nhard = true", "flash.hard: is not a key of a board"),
        ('machine = "netduinoplus2"', 'machine = "m"\nserial = -1', "emulator.serial: must be at"),
        ("baud = 115200", "baud = 115200\nbauds = 3", "bauds: is not a key of a board"),
    ],
)
def test_bad_data_is_refused_with_its_place(tmp_path: Path, old: str, new: str, cause: str) -> None:
    path = changed(tmp_path, "stm32", old, new)
    with pytest.raises(BoardError) as caught:
        read_board(path, path.parents[2] / "socs")
    assert cause in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_unchanged_data_is_accepted(tmp_path: Path) -> None:
    path = changed(tmp_path, "stm32", 'soc = "stm32f405"', 'soc = "stm32f405"')
    assert read_board(path, path.parents[2] / "socs") == load_board("stm32")


def test_sections_that_have_two_regions() -> None:
    board = load_board("qemu-cortex-m7")
    more = {section: board.more(section) for section in SECTIONS}
    assert {section for section, region in more.items() if region} == {"arena", "constants"}
    arena, constants = more["arena"], more["constants"]
    assert arena is not None and (arena.name, arena.kind) == ("psram", "ram")
    assert constants is not None and (constants.name, constants.kind) == ("external", "flash")
    assert board.region("arena").name == "sram"
    assert all(load_board("stm32").more(section) is None for section in SECTIONS)


def test_a_list_of_one_region_is_that_region(tmp_path: Path) -> None:
    path = changed(tmp_path, "stm32", 'arena = "sram"', 'arena = ["sram"]')
    assert read_board(path, path.parents[2] / "socs") == load_board("stm32")


def test_a_board_overrides_its_soc_key_by_key(tmp_path: Path) -> None:
    path = changed(tmp_path, "stm32", "[emulator]", "[memory.sram]\nbytes = 0x1_0000\n[emulator]")
    board = read_board(path, path.parents[2] / "socs")
    assert (board.region("arena").origin, board.region("arena").bytes) == (0x2000_0000, 0x1_0000)
