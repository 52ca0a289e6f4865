"""Streams that misbehave: the line as it should never be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinyml.runners.stream import Stream


@dataclass(frozen=True)
class Fault:
    """What happens to one write, or to the bytes of one read. `at` is scaled to their number."""

    kind: str
    at: float = 0.0
    garbage: bytes = b""

    def apply(self, data: bytes) -> bytes:
        at = int(self.at * len(data))
        match self.kind:
            case "drop":
                return b""
            case "truncate":
                return data[:at]
            case "behead":
                return data[at:]
            case "flip":
                return data[:at] + bytes([data[at] ^ (1 << len(self.garbage) % 8)]) + data[at + 1 :]
            case "duplicate":
                return data + data
            case "insert":
                return data[:at] + self.garbage + data[at:]
            case _:
                raise AssertionError(self.kind)


class FaultyStream:
    """Passes bytes on, except where a fault is planned; counts reads that brought something."""

    def __init__(
        self, stream: Stream, writes: Mapping[int, Fault], reads: Mapping[int, Fault]
    ) -> None:
        self._stream = stream
        self._faults = {"write": dict(writes), "read": dict(reads)}
        self._calls = {"write": 0, "read": 0}

    def _damage(self, direction: str, data: bytes) -> bytes:
        call = self._calls[direction]
        self._calls[direction] += 1
        fault = self._faults[direction].get(call)
        return fault.apply(data) if fault else data

    def read(self, seconds: float) -> bytes:
        data = self._stream.read(seconds)
        return self._damage("read", data) if data else data

    def write(self, data: bytes) -> None:
        self._stream.write(self._damage("write", data))


class ScriptedStream:
    """A line on which only `chunks` ever arrive, whatever is sent."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.sent = bytearray()

    def read(self, seconds: float) -> bytes:
        del seconds
        return next(self._chunks, b"")

    def write(self, data: bytes) -> None:
        self.sent += data
