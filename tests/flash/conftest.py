"""Tools and devices that are not there: programs on a PATH of its own, a list of ports."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from serial.tools import list_ports

_RECORD = """#!/bin/sh
printf '%s\\n' "$(basename "$0")" "$@" > "{log}"
echo "words of its own"
exit {status}
"""


@dataclass
class Bench:
    """What a test has on its bench."""

    bin: Path
    log: Path
    ports: list[object] = field(default_factory=list)

    def install(self, program: str, *, status: int = 0) -> None:
        """A program that notes how it was called, and ends with `status`."""
        path = self.bin / program
        path.write_text(_RECORD.format(log=self.log, status=status))
        path.chmod(0o755)

    def plug(self, device: str, usb: tuple[int, int] | None, serial: str = "") -> None:
        """A serial port, on USB or not."""
        self.ports.append(_Port(device, usb and usb[0], usb and usb[1], serial or None, device))

    @property
    def called(self) -> list[str]:
        """The last call: program and arguments."""
        return self.log.read_text().splitlines()


@dataclass(frozen=True, slots=True)
class _Port:
    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    description: str


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """No tool and no device, but what the test adds."""
    found = Bench(tmp_path / "bin", tmp_path / "log")
    found.bin.mkdir()
    for tool in ("sh", "basename"):
        (found.bin / tool).symlink_to(_which(tool))
    monkeypatch.setenv("PATH", str(found.bin))
    monkeypatch.setattr(list_ports, "comports", lambda: list(found.ports))
    return found


def _which(tool: str) -> str:
    folders = [Path(folder) / tool for folder in ("/bin", "/usr/bin")]
    return next(str(path) for path in folders if os.access(path, os.X_OK))
