"""STM32 families as the test double knows them: their ready bits, and what their clock registers
mean. Written down from the reference manuals a second time, apart from the port."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.boards.registers import Ready, Registers

Cause = Callable[[Registers], int | None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """What registers say that runs; in Hz."""

    core: int
    uart: int
    pll_input: int = 0
    """0 where the internal oscillator runs."""
    vco: int = 0


@dataclass(frozen=True, slots=True)
class Chip:
    """One family."""

    rcc: int
    flash_acr: int
    latency: int
    """Wait states at full speed."""
    reset: dict[int, int]
    ready: tuple[Ready, ...]
    internal: int
    """Hz of what runs after reset."""
    switch: tuple[int, int, int]
    """Address, mask and value of what switches to the PLL."""
    pll_input: tuple[float, float]
    """MHz, as `vco`: what the PLL works with."""
    vco: tuple[int, int]
    decode: Callable[[Registers, int], Clocks]
    """Of the registers and the Hz of the external clock."""


def when(address: int, mask: int, then: int) -> Cause:
    """The bits become `then` once those of `mask` are set at `address`."""
    return lambda r: then if r[address] & mask == mask else None


def ready_bits(rcc: int) -> tuple[Ready, ...]:
    return (
        Ready("HSE", rcc, 1 << 17, when(rcc, 1 << 16, 1 << 17), polls=200),
        Ready("PLL", rcc, 1 << 25, when(rcc, 1 << 24, 1 << 25), polls=50),
    )


def switched(address: int, select: int, status: int, bits: int) -> Ready:
    mask = (1 << bits) - 1
    return Ready(
        "SW",
        address,
        mask << status,
        lambda r: ((r[address] >> select) & mask) << status,
    )


def _f4(r: Registers, hse: int) -> Clocks:
    pll, cfgr = r[0x40023804], r[0x40023808]
    if (cfgr >> 2) & 3 != 2:
        return Clocks(16_000_000, 16_000_000)
    source = hse if pll >> 22 & 1 else 16_000_000
    pll_input = source // (pll & 63)
    vco = pll_input * (pll >> 6 & 511)
    core = vco // (2 * (pll >> 16 & 3) + 2)
    bus = {0x40011000: cfgr >> 13, 0x40004400: cfgr >> 10}
    uart = next(shift for base, shift in bus.items() if r.writes(base + UART_BRR[r.reset[base]]))
    return Clocks(core, core // {0: 1, 4: 2, 5: 4}[uart & 7], pll_input, vco)


UART_BRR: Final = {0xC0: 0x08, 0: 0x0C}
"""What the first register of a serial port is at reset (status or control) -> where BRR is."""


def _l4(r: Registers, hse: int) -> Clocks:
    pll, cfgr = r[0x4002100C], r[0x40021008]
    if (cfgr >> 2) & 3 != 3:
        return Clocks(4_000_000, 4_000_000)
    assert cfgr >> 4 & 15 == 0 and cfgr >> 8 & 63 == 0, "no divider is left"
    source = {2: 16_000_000, 3: hse}[pll & 3]
    pll_input = source // ((pll >> 4 & 15) + 1)
    vco = pll_input * (pll >> 8 & 127)
    assert pll >> 24 & 1, "output R is on"
    core = vco // (2 * (pll >> 25 & 3) + 2)
    return Clocks(core, core, pll_input, vco)


def _h7(r: Registers, hse: int) -> Clocks:
    if r[0x58024410] >> 3 & 7 != 3:
        assert r[0x58024418] == r[0x5802441C] == 0
        return Clocks(64_000_000, 64_000_000)
    choice, config, dividers = r[0x58024428], r[0x5802442C], r[0x58024430]
    source = {0: 64_000_000, 2: hse}[choice & 3]
    pll_input = source // (choice >> 4 & 63)
    vco = pll_input * ((dividers & 511) + 1)
    assert config >> 16 & 1 and config >> 1 & 1 == 0
    assert config >> 2 & 3 == 1 and 2_000_000 <= pll_input <= 4_000_000
    core = vco // ((dividers >> 9 & 127) + 1)
    assert r[0x58024418] >> 8 & 15 == 0 and r[0x58024418] & 15 == 8, "AHB at half the core"
    assert r[0x5802441C] >> 4 & 7 == 4, "APB1 at half of AHB"
    return Clocks(core, core // 4, pll_input, vco)


def _u5(r: Registers, hse: int) -> Clocks:
    if r[0x46020C1C] >> 2 & 3 != 3:
        return Clocks(4_000_000, 4_000_000)
    config, dividers = r[0x46020C28], r[0x46020C34]
    source = {2: 16_000_000, 3: hse}[config & 3]
    assert 4_000_000 <= source <= 16_000_000 and config >> 12 & 15 == 0, "the booster's clock"
    pll_input = source // ((config >> 8 & 15) + 1)
    assert config >> 2 & 3 == 0 and config >> 18 & 1
    vco = pll_input * ((dividers & 511) + 1)
    assert r[0x46020C20] == 0, "no divider is left"
    core = vco // ((dividers >> 24 & 127) + 1)
    return Clocks(core, core, pll_input, vco)


_OVERDRIVE = (
    Ready("OD", 0x40007004, 1 << 16, when(0x40007000, 1 << 16, 1 << 16)),
    Ready("ODSW", 0x40007004, 1 << 17, when(0x40007000, 3 << 16, 1 << 17)),
)
_HSI16 = 1 << 10


def _f4_chip(latency: int, uart: int, *extra: Ready) -> Chip:
    rcc = 0x40023800
    return Chip(
        rcc=rcc,
        flash_acr=0x40023C00,
        latency=latency,
        reset={rcc: 0x83, rcc + 4: 0x24003010, 0x40011000: uart, 0x40004400: uart},
        ready=(*ready_bits(rcc), switched(rcc + 8, 0, 2, 2), *extra),
        internal=16_000_000,
        switch=(rcc + 8, 3, 2),
        pll_input=(1, 2),
        vco=(100, 432),
        decode=_f4,
    )


CHIPS: Final = {
    "stm32f405": _f4_chip(5, 0xC0),
    "stm32f446": _f4_chip(5, 0xC0, *_OVERDRIVE),
    "stm32f746": _f4_chip(7, 0, *_OVERDRIVE),
    "stm32l4r5": Chip(
        rcc=0x40021000,
        flash_acr=0x40022000,
        latency=5,
        reset={0x40021000: 0x63, 0x40007080: 0x100, 0x40022000: 0x600},
        ready=(
            *ready_bits(0x40021000),
            Ready("HSI", 0x40021000, _HSI16, when(0x40021000, 1 << 8, _HSI16)),
            switched(0x40021008, 0, 2, 2),
        ),
        internal=4_000_000,
        switch=(0x40021008, 3, 3),
        pll_input=(2.66, 8),
        vco=(96, 344),
        decode=_l4,
    ),
    "stm32h743": Chip(
        rcc=0x58024400,
        flash_acr=0x52002000,
        latency=4,
        reset={
            0x58024400: 0x25,
            0x5802442C: 0x01FF0000,
            0x58024430: 0x01010280,
            0x5802480C: 6,
            0x52002000: 0x37,
            0x5C001000: 0x20036450,
        },
        ready=(
            *ready_bits(0x58024400),
            Ready("ACTVOS", 0x58024804, 1 << 13, lambda r: 1 << 13 if r[0x5802480C] == 2 else None),
            Ready("VOS", 0x58024818, 1 << 13, when(0x58024818, 3 << 14, 1 << 13)),
            switched(0x58024410, 0, 3, 3),
        ),
        internal=64_000_000,
        switch=(0x58024410, 7, 3),
        pll_input=(1, 16),
        vco=(192, 960),
        decode=_h7,
    ),
    "stm32u575": Chip(
        rcc=0x46020C00,
        flash_acr=0x40022000,
        latency=4,
        reset={0x46020C00: 0x35, 0x40030404: 1},
        ready=(
            *ready_bits(0x46020C00),
            Ready("HSI", 0x46020C00, _HSI16, when(0x46020C00, 1 << 8, _HSI16)),
            Ready("VOS", 0x4602080C, 1 << 15, when(0x4602080C, 3 << 16, 1 << 15)),
            Ready("BOOST", 0x4602080C, 1 << 14, when(0x4602080C, 1 << 18, 1 << 14)),
            Ready("ICACHE", 0x40030404, 1, lambda r: 0),
            switched(0x46020C1C, 0, 2, 2),
        ),
        internal=4_000_000,
        switch=(0x46020C1C, 3, 3),
        pll_input=(4, 16),
        vco=(128, 544),
        decode=_u5,
    ),
}
