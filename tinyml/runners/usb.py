"""Which serial port a board is on: found by what it is on USB."""

from collections.abc import Callable, Sequence

from serial.tools import list_ports

from tinyml.errors import LinkError
from tinyml.runners.flash_tools import Device

Ask = Callable[[str, Sequence[str]], int]
"""Puts a question and numbered answers to the user; the index of the one taken."""


def connected(usb: Sequence[str]) -> tuple[Device, ...]:
    """What is there of the USB names "vendor:product", by port."""
    return tuple(
        Device(info.device, info.serial_number or "", info.description or "")
        for info in sorted(list_ports.comports(), key=lambda info: str(info.device))
        if info.vid is not None and f"{info.vid:04x}:{info.pid:04x}" in usb
    )


def find(board: str, usb: Sequence[str], port: str | None, ask: Ask | None) -> Device | None:
    """The device of the board called `board`: on `port`, if that is given, or the only one.

    Of several, `ask` lets the user take one; LinkError where there is nobody to ask.
    None where there is no device of these.
    """
    devices = connected(usb)
    if port is not None:
        return next((each for each in devices if each.port == port), Device(port))
    if len(devices) < 2:
        return devices[0] if devices else None
    lines = [f"{each.port} ({each.title} {each.serial})" for each in devices]
    if ask is None:
        raise LinkError(
            f"{len(devices)} devices could be {board}: {', '.join(lines)}",
            hint=f"name one: --port {devices[0].port}",
        )
    return devices[ask(f"Which of them is {board}?", lines)]
