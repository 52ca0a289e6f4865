"""Requests over a line that may lose or damage anything, and what their answers mean."""

import itertools
import os
import struct
import time
from collections.abc import Iterator
from typing import Final, Protocol

from tinyml.errors import LinkError
from tinyml.frame import decode, encode
from tinyml.runners.stream import Stream

PROTOCOL: Final = 7

HELLO, READ, WRITE, INVOKE, PAINT, MARKS, FILL, PUSH, SERVE, TRAIN = range(1, 11)
_WANT, _BUSY, _FAULT, _ANSWER = 0x7D, 0x7E, 0x7F, 0x80

MORE: Final = 2  # TINYML_MORE
_OK, _BAD_INPUTS, _MODEL_ERROR, _BAD_ROW = 0, 4, 5, 6
_STATUS_NAMES: Final = {
    1: "it does not know the command",
    2: "the request has a wrong length",
    3: "an index or offset is out of range",
    4: "the inputs in its memory are not those that were sent",
    5: "the model refused to run",
    6: "a row of the input comes out of turn",
}

INVOKED_FORMAT: Final = struct.Struct("<IIhHIIIIf")

_NOISE_LIMIT: Final = 1 << 16
_STACK_LIMIT_FAULT: Final = 1 << 20  # CFSR.STKOF of Armv8-M


class InputsLostError(LinkError):
    """The inputs that the target has are not those the host sent, or a row is missing."""


class Source(Protocol):
    """What answers questions of a target while it runs."""

    def answer(self, question: bytes) -> tuple[bytes, bool] | None:
        """The fields of a SERVE for those of a WANT, and whether it came for the first time.

        None for a question of before, which a bad line has repeated.
        """


class Wire:
    """Sends requests until they are answered, or patience runs out."""

    def __init__(
        self, stream: Stream, *, patience: float, silence: float, first_resend: float
    ) -> None:
        """Time-outs in seconds, as those of `Client`."""
        self._stream = stream
        self._patience = patience
        self._silence = max(silence, patience)
        self._first_resend = first_resend
        # A stale answer to an earlier client must not look like one to this one.
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._received = bytearray()

    def request(self, command: int, fields: bytes, source: Source | None = None) -> bytes:
        """Send one request, repeating it until its answer comes; the answer's payload.

        Meanwhile `source` answers what the target asks. LinkError where it refuses, is silent for
        too long, or has crashed; InputsLostError where the inputs it has are not those it should.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        frame = encode(command, self._sequence, fields)
        started = time.monotonic()
        deadline = started + self._patience
        intervals = _intervals(self._first_resend)
        while time.monotonic() < deadline:
            self._stream.write(frame)
            resend = time.monotonic() + next(intervals)
            while (now := time.monotonic()) < min(resend, deadline):
                for kind, sequence, payload in self._frames(min(resend, deadline) - now):
                    if kind == _FAULT:
                        raise _fault(payload)
                    if sequence != self._sequence:
                        continue
                    if kind == _BUSY:
                        deadline = time.monotonic() + self._silence
                    elif kind == _WANT and source and self._serve(source, payload):
                        deadline = time.monotonic() + self._silence
                        intervals = _intervals(self._first_resend)
                        resend = time.monotonic() + next(intervals)
                    elif kind == command | _ANSWER and payload:
                        return _checked(payload)
        raise LinkError(
            f"the target does not answer ({time.monotonic() - started:.1f} s)",
            hint="is the right firmware on it, and is this its serial port?",
        )

    def _serve(self, source: Source, question: bytes) -> bool:
        """Answer a question; whether it is a new one, so that the target has come further."""
        found = source.answer(question)
        if found is None:
            return False
        fields, new = found
        self._stream.write(encode(SERVE, self._sequence, fields))
        return new

    def _frames(self, seconds: float) -> Iterator[tuple[int, int, bytes]]:
        """The sound frames among the bytes that arrive within `seconds`."""
        self._received += self._stream.read(seconds)
        *frames, rest = self._received.split(b"\0")
        # A line that carries only noise must not fill the memory.
        self._received = rest if len(rest) <= _NOISE_LIMIT else bytearray()
        for frame in frames:
            decoded = decode(bytes(frame))
            if decoded:
                yield decoded


def _intervals(first: float) -> Iterator[float]:
    """Seconds to wait before each repetition: doubling up to eight times the first."""
    return (first * min(2**attempt, 8) for attempt in itertools.count())


def _checked(payload: bytes) -> bytes:
    """What follows the status; LinkError if it is not OK."""
    status, rest = payload[0], payload[1:]
    if status == _OK:
        return rest
    what = f"the target refused a request: {_STATUS_NAMES.get(status, f'status {status}')}"
    if status in (_BAD_INPUTS, _BAD_ROW):
        raise InputsLostError(what)
    if status == _MODEL_ERROR and len(rest) == INVOKED_FORMAT.size:
        what += f" (tinyml_status {INVOKED_FORMAT.unpack(rest)[2]})"
    raise LinkError(what)


def _fault(payload: bytes) -> LinkError:
    if len(payload) != 12:
        return LinkError("the target crashed")
    pc, lr, cause = struct.unpack("<III", payload)
    exhausted = not (pc or lr) or cause & _STACK_LIMIT_FAULT
    where = "with its stack exhausted" if exhausted else f"at pc {pc:#010x}, lr {lr:#010x}"
    return LinkError(
        f"the target crashed {where} (fault status {cause:#010x})",
        hint="raise stack_bytes in the board's data"
        if exhausted
        else "arm-none-eabi-addr2line -e firmware.elf PC names the line",
    )
