"""An input that a target reads in pieces while it runs: the host answers its questions."""

import struct
import zlib
from typing import Final

from tinyml.errors import LinkError
from tinyml.link.target import Progress

_WANT_FORMAT: Final = struct.Struct("<IIH")


class ServedInput:
    """Serves the bytes of an input, and keeps the account of what it has served.

    The target numbers its questions from 1. It goes on to the next only with the answer to the
    last; so a number that comes again is the same question, whose answer was lost.
    """

    def __init__(self, data: bytes, payload: int, progress: Progress | None) -> None:
        self._data = data
        self._payload = payload
        self._progress = progress
        self._number = 0
        self._asked = b""
        self._reached = 0
        self.bytes = 0
        """Of all answers, each counted once."""
        self.crc = 0
        """CRC-32 of them."""

    def answer(self, question: bytes) -> tuple[bytes, bool] | None:
        """See `Source`; LinkError where a question makes no sense."""
        if len(question) != _WANT_FORMAT.size:
            raise LinkError(f"a question for input has {len(question)} bytes")
        number, offset, size = _WANT_FORMAT.unpack(question)
        if number < self._number:
            return None
        new = number == self._number + 1
        if number > self._number + 1 or (not new and question != self._asked):
            raise LinkError("the target's questions for input come out of turn")
        if not 0 < size <= self._payload or offset + size > len(self._data):
            raise LinkError(
                f"the target wants bytes {offset} to {offset + size} of an input of "
                f"{len(self._data)}"
            )
        piece = self._data[offset : offset + size]
        if new:
            self._number, self._asked = number, question
            self.bytes += size
            self.crc = zlib.crc32(piece, self.crc)
            self._reached = max(self._reached, offset + size)
            if self._progress:
                self._progress(self._reached, len(self._data))
        return struct.pack("<I", number) + piece, new
