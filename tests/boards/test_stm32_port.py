"""The port of every STM32 board on simulated registers.

Full speed where all becomes ready, the internal oscillator where something does not, and the right
baud rate on the right pins in either case.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boards.registers import Port, Registers, compiled
from tests.boards.stm32_chips import CHIPS, Chip
from tinyml.board import Board, list_boards, load_board

BOARDS = [name for name in list_boards() if "stm32" in load_board(name).port]
NEVER = [(name, bit.name) for name in BOARDS for bit in CHIPS[load_board(name).soc].ready]
OPTIONAL = {"HSE", "ICACHE"}
"""What full speed does not need: another source takes its place, or the flash is slower."""

Get = Callable[[str], Path]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Get:
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = compiled(load_board(name), tmp_path_factory.mktemp(name))
        return made[name]

    return get


def registers(chip: Chip, *, never: str = "", all_dead: bool = False) -> Registers:
    """Those of `chip`, of which no ready bit comes, or all but one."""
    ready = () if all_dead else (bit for bit in chip.ready if bit.name != never)
    return Registers(dict(chip.reset), tuple(ready))


def defines(board: Board) -> dict[str, int]:
    return {name.removeprefix("TINYML_PORT_"): value for name, value in board.defines}


def check_uart(board: Board, r: Registers, clock_hz: int) -> None:
    """The serial port has the baud rate, at `clock_hz`, and the two pins."""
    given = defines(board)
    base, first = given["UART_BASE"], given["UART_GENERATION"] == 1
    fine = 256 if given["UART_LOW_POWER"] else 1
    divider = r[base + (0x08 if first else 0x0C)]
    assert abs(fine * clock_hz / divider / board.baud - 1) < 0.011, "within what a UART takes"
    assert not given["UART_LOW_POWER"] or 0x300 <= divider < 1 << 20
    assert r[base + (0x0C if first else 0x00)] == (1 << 13 if first else 1) | 0xC
    assert r[given["UART_ENABLE"]] >> given["UART_ENABLE_BIT"] & 1
    for pin in (given["TX_PIN"], given["RX_PIN"]):
        port, number = given["GPIO_BASE"] + 0x400 * (pin // 16), pin % 16
        assert r[given["GPIO_ENABLE"]] >> (pin // 16) & 1, "the port has its clock"
        assert r[port] >> 2 * number & 3 == 2, "alternate function"
        function = r[port + 0x20 + 4 * (number // 8)] >> 4 * (number % 8) & 15
        assert function == given["UART_FUNCTION"]
        assert r[port + 0x0C] >> 2 * number & 3 == 1, "pulled up"


@pytest.mark.parametrize("name", BOARDS)
def test_full_speed(name: str, library: Get) -> None:
    board = load_board(name)
    chip, external = CHIPS[board.soc], defines(board)["HSE_HZ"]
    r = registers(chip)
    assert Port(library(name), r).init() == board.clock_hz
    clocks = chip.decode(r, external)
    assert clocks.core == board.clock_hz
    assert chip.pll_input[0] <= clocks.pll_input / 1e6 <= chip.pll_input[1]
    assert chip.vco[0] <= clocks.vco / 1e6 <= chip.vco[1]
    assert bool(r[chip.rcc] >> 16 & 1) == bool(external), "the external clock, where there is one"
    assert r[chip.rcc] >> 18 & 1 == defines(board)["HSE_BYPASS"]
    assert r[chip.flash_acr] & 15 == chip.latency
    slower = r.first(chip.flash_acr, 15, chip.latency)
    assert slower < r.first(*chip.switch), "flash is ready for a fast core before there is one"
    check_uart(board, r, clocks.uart)


@pytest.mark.parametrize(("name", "bit"), NEVER)
def test_what_never_becomes_ready_is_done_without(name: str, bit: str, library: Get) -> None:
    board = load_board(name)
    chip = CHIPS[board.soc]
    r = registers(chip, never=bit)
    core = Port(library(name), r).init()
    clocks = chip.decode(r, defines(board)["HSE_HZ"])
    assert core == clocks.core, "what it says is what runs"
    needed = bit not in OPTIONAL and not (bit == "HSI" and defines(board)["HSE_HZ"])
    assert core == (chip.internal if needed else board.clock_hz)
    if needed:
        assert not r[chip.rcc] >> 24 & 1, "the PLL is off again"
    if bit == "ICACHE":
        assert not r[0x40030400] & 1, "a cache that is still busy stays off"
    check_uart(board, r, clocks.uart)


@pytest.mark.parametrize("name", BOARDS)
def test_an_rcc_that_is_dead_does_not_hang(name: str, library: Get) -> None:
    board = load_board(name)
    chip = CHIPS[board.soc]
    r = registers(chip, all_dead=True)
    assert Port(library(name), r).init() == chip.internal
    check_uart(board, r, chip.decode(r, 0).uart)


@pytest.mark.parametrize("name", BOARDS)
def test_flash_that_does_not_slow_down_is_not_overtaken(name: str, library: Get) -> None:
    chip = CHIPS[load_board(name).soc]
    r = registers(chip)
    kept = chip.reset.get(chip.flash_acr, 0)
    plain = r.access

    def stubborn(address: int) -> int:
        where = plain(address)
        if address == chip.flash_acr:
            r[address] = kept
        return where

    r.access = stubborn  # type: ignore[method-assign]
    assert Port(library(name), r).init() == chip.internal
    assert not any(value & chip.switch[1] == chip.switch[2] for value in r.writes(chip.switch[0]))


def test_a_first_revision_of_the_h743_runs_slower(library: Get) -> None:
    chip = CHIPS["stm32h743"]
    r = registers(dataclasses.replace(chip, reset={**chip.reset, 0x5C001000: 0x10036450}))
    assert Port(library("nucleo-h743zi"), r).init() == 400_000_000
    assert chip.decode(r, 8_000_000).core == 400_000_000
    assert r[0x51008108] == 1, "the erratum of its AXI SRAM"
    assert not r.writes(0x5800042C), "VOS0 is not for it"


@pytest.mark.parametrize(
    ("name", "address", "mask", "value"),
    [
        ("nucleo-f446re", 0x40007000, 0xF << 14, 0xF << 14),
        ("disco-f746ng", 0x40007000, 0xF << 14, 0xF << 14),
        ("nucleo-l4r5zi", 0x40007080, 1 << 8, 0),
        ("nucleo-h743zi", 0x5800042C, 1, 1),
        ("nucleo-u575zi", 0x4602080C, 7 << 16, 7 << 16),
    ],
)
def test_the_voltage_is_raised_before_the_clock(
    name: str, address: int, mask: int, value: int, library: Get
) -> None:
    r = registers(CHIPS[load_board(name).soc])
    Port(library(name), r).init()
    switch = CHIPS[load_board(name).soc].switch
    assert r.first(address, mask, value) < r.first(*switch)


def test_port_g_of_the_l4r5_has_its_supply(library: Get) -> None:
    r = registers(CHIPS["stm32l4r5"], never="PLL")
    Port(library("nucleo-l4r5zi"), r).init()
    assert r[0x40007004] >> 9 & 1


@pytest.mark.parametrize(
    ("name", "sets", "ways"), [("disco-f746ng", 32, 4), ("nucleo-h743zi", 128, 4)]
)
def test_caches_are_emptied_and_turned_on(name: str, sets: int, ways: int, library: Get) -> None:
    board = load_board(name)
    r = registers(CHIPS[board.soc])
    r.reset[0xE000ED80] = (sets - 1) << 13 | (ways - 1) << 3 | 1  # lines of 32 bytes
    Port(library(name), r).init()
    lines = [(at, value) for at, value in r.log if at == 0xE000EF60]
    every = {way << 30 | index << 5 for way in range(ways) for index in range(sets)}
    assert {value for _, value in lines} | {0} == every
    assert r[0xE000ED14] == 3 << 16
    on = [i for i, (at, _) in enumerate(r.log) if at == 0xE000ED14]
    last = max(i for i, (at, _) in enumerate(r.log) if at == 0xE000EF60)
    assert len(on) == 2 and on[0] < last < on[1], "the data cache is emptied before it is on"


@pytest.mark.parametrize("name", [name for name in BOARDS if name != "stm32-ccm"])
def test_bytes_in_and_out(name: str, library: Get) -> None:
    board = load_board(name)
    given = defines(board)
    first = given["UART_GENERATION"] == 1
    base = given["UART_BASE"]
    status, data_in, data_out = (
        (base, base + 4, base + 4) if first else (base + 0x1C, base + 0x24, base + 0x28)
    )
    r = registers(CHIPS[board.soc])
    port = Port(library(name), r)
    port.init()
    r[status] = 1 << 5 | 1 << 7
    r[data_in] = 0x1A5
    assert port.c.tinyml_port_read() == 0xA5
    port.c.tinyml_port_write(b"\x01\xfe\x02", 3)
    assert r.writes(data_out)[-3:] == [1, 0xFE, 2]
