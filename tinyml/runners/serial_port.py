"""A board on a serial port, by any address that pyserial understands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import serial
from serial.tools import list_ports

from tinyml.errors import LinkError
from tinyml.runners.stream import Stream

_WRITE_SECONDS = 10.0
_READ_AT_MOST = 65536


class _SerialStream:
    """A stream over an open pyserial port."""

    def __init__(self, port: Any, name: str) -> None:
        self._port = port
        self._name = name

    def read(self, seconds: float) -> bytes:
        """See Stream."""
        try:
            self._port.timeout = max(0.0, seconds)
            data: bytes = self._port.read(1)
            # socket:// does not know how many bytes wait, only whether there are any.
            while data and len(data) < _READ_AT_MOST and (waiting := self._port.in_waiting):
                data += self._port.read(waiting)
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self._name}: {error}", hint="was the board unplugged?") from error
        return data

    def write(self, data: bytes) -> None:
        """See Stream."""
        try:
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self._name}: {error}", hint="was the board unplugged?") from error


@contextmanager
def run(port: str, baud: int) -> Iterator[Stream]:
    """Open `port` (a device name, or a URL such as socket://host:1234)."""
    try:
        opened = serial.serial_for_url(port, baudrate=baud, write_timeout=_WRITE_SECONDS)
    except (serial.SerialException, OSError, ValueError) as error:
        present = ", ".join(sorted(info.device for info in list_ports.comports()))
        raise LinkError(
            f"cannot open {port}: {error}",
            hint=f"ports here: {present}" if present else "no serial port is connected",
        ) from error
    with opened:
        yield _SerialStream(opened, port)
