"""The host side of the serial link: framed requests that survive a bad line.

The protocol is described in `runtime_c/include/tinyml_link.h`. A request is
repeated under its sequence number until its answer comes or patience runs out;
damaged, stale and foreign frames are dropped. No call here can hang.
"""

import itertools
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tinyml.errors import LinkError
from tinyml.fill import Fill
from tinyml.frame import decode, encode
from tinyml.runners.stream import Stream

PROTOCOL: Final = 3

_HELLO, _READ, _WRITE, _INVOKE, _PAINT, _MARKS, _FILL, _PUSH = range(1, 9)
_BUSY, _FAULT, _ANSWER = 0x7E, 0x7F, 0x80

_NAME, _IDENTITY, _BUILD, _INPUT_REGIONS, _OUTPUT_REGIONS, _OUTPUT, _ARENA, _RECORDS = (
    *range(5),
    *range(6, 9),
)
_CHECKSUMS, _STOP = 1, 2

_OK, _BAD_INPUTS, _MODEL_ERROR, _BAD_ROW = 0, 4, 5, 6
_MORE: Final = 2  # TINYML_MORE
_STATUS_NAMES: Final = {
    1: "it does not know the command",
    2: "the request has a wrong length",
    3: "an index or offset is out of range",
    4: "the inputs in its memory are not those that were sent",
    5: "the model refused to run",
    6: "a row of the input comes out of turn",
}
_UNITS: Final = {1: "cycles", 2: "instructions", 3: "nanoseconds"}

_HELLO_FORMAT: Final = struct.Struct("<HHIIIIIHHHHI")
_INVOKED_FORMAT: Final = struct.Struct("<IIhHII")
_RECORD_FORMAT: Final = struct.Struct("<HHIII")
_REGION_FORMAT: Final = struct.Struct("<II")

_CALIBRATIONS: Final = 256
_NOISE_LIMIT: Final = 1 << 16
_TABLE_LIMIT: Final = 1 << 21  # more than 65535 records
_STACK_LIMIT_FAULT: Final = 1 << 20  # CFSR.STKOF of Armv8-M
_PATTERNS: Final = (0xA5, 0x5A)

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes to do in all."""


@dataclass(frozen=True, slots=True)
class Region:
    """A byte range of the arena."""

    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a target says about itself."""

    name: str
    identity: str
    """64 hex digits over model, plan and generator."""
    build: str
    arena_bytes: int
    op_count: int
    inputs: tuple[Region, ...]
    outputs: tuple[Region, ...]
    unit: str
    """What its counter counts: "cycles", "instructions" or "nanoseconds"."""
    per_tick: Fraction
    """Units per tick of the counter."""
    clock_hz: int
    """The processor clock that runs; 0 if the target does not know it."""
    payload: int
    """Data bytes per frame."""
    record_capacity: int
    row_bytes: int
    """Of the only input, where it comes row by row; 0 where inputs lie in the arena."""


@dataclass(frozen=True, slots=True)
class Record:
    """One output of one op, as observed while the model ran: at once, or row by row."""

    op: int
    output: int
    bytes: int
    """As many as there were when the run ended."""
    crc: int | None
    """CRC-32 of the output's bytes, if it was asked for."""
    ticks: int


@dataclass(frozen=True, slots=True)
class Invocation:
    """One inference: what it cost, and a record of every output of every op."""

    records: tuple[Record, ...]
    ticks: int
    overhead: Fraction
    """Ticks that the act of counting adds to every record."""
    jitter: int
    """By how many ticks that varies: instructions do not, time does."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The cost of one inference, in `unit`."""

    unit: str
    total: int
    ops: tuple[int, ...]
    """By index of the op; what runs after the last op is only in the total."""


@dataclass(frozen=True, slots=True)
class HighWater:
    """The memory that an inference really touches, in bytes; stack 0 where it is not known."""

    arena_bytes: int
    stack_bytes: int


class _InputsLostError(LinkError):
    """The inputs that the target has are not those the host sent, or a row is missing."""


class Client:
    """Talks to the firmware at the other end of a stream."""

    def __init__(
        self,
        stream: Stream,
        *,
        patience: float = 8.0,
        silence: float = 30.0,
        first_resend: float = 0.5,
    ) -> None:
        """Time-outs, in seconds.

        `patience`: how long a request may stay without an answer; `silence`: how
        long a single op of a running model may take (or, where ops run row by row,
        64 rows); `first_resend`: when a
        request is repeated for the first time (the interval doubles from there).
        """
        self._stream = stream
        self._patience = patience
        self._silence = max(silence, patience)
        self._first_resend = first_resend
        # A stale answer to an earlier client must not look like one to this one.
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._received = bytearray()
        self._payload = 64
        self._identity: Identity | None = None

    def identity(self) -> Identity:
        """Who the target is (asked once). LinkError if it does not speak this protocol."""
        if self._identity is None:
            self._identity = self._ask_identity()
        return self._identity

    def write_input(self, index: int, data: bytes, progress: Progress | None = None) -> None:
        """Fill input `index` (NHWC bytes as the model takes them). An inference overwrites it.

        Where the input comes row by row, `data` is a row of it.
        """
        identity = self.identity()
        regions = identity.inputs
        expected: int | str = "no such input"
        if index < len(regions):
            expected = identity.row_bytes or regions[index].bytes
        if len(data) != expected:
            raise LinkError(f"input {index}: {len(data)} bytes given, expected: {expected}")
        for start in range(0, len(data), self._payload):
            chunk = data[start : start + self._payload]
            self._request(_WRITE, struct.pack("<HI", index, start) + chunk)
            if progress:
                progress(start + len(chunk), len(data))

    def fill_input(self, index: int, fill: Fill) -> None:
        """Let the target make input `index` from a recipe, when the model runs or at once."""
        fields = struct.pack("<HBIII", index, fill.kind, fill.seed, fill.first, fill.second)
        self._request(_FILL, fields)

    def invoke(
        self,
        inputs: Sequence[bytes | Fill],
        *,
        checksums: bool = False,
        stop_after: tuple[int, int] | None = None,
        stop_bytes: int = 1,
        progress: Progress | None = None,
    ) -> Invocation:
        """Write `inputs` (or have the target make them) and run the model on them.

        Where the input comes row by row, so does what is written, and the model runs in between.

        `checksums` asks for the CRC-32 of every output of every op. `stop_after`
        (op, output) ends the run as soon as `stop_bytes` bytes of that output are
        there, with the last of them still in the arena: all of them where the op runs
        at once, a row (see `TensorEntry.row_bytes`) where it runs row by row.
        """
        data = self._data(inputs)
        options = (_CHECKSUMS if checksums else 0) | (_STOP if stop_after else 0)
        fields = struct.pack("<BHHI", options, *(stop_after or (0, 0)), stop_bytes)
        for attempts_left in (2, 1, 0):
            try:
                if self.identity().row_bytes and not isinstance(inputs[0], Fill):
                    answer = self._push_rows(data[0], fields, progress)
                else:
                    answer = self._run(inputs, data, fields, progress)
                return self._invocation(answer, checksums=checksums)
            except _InputsLostError:
                if not attempts_left:
                    raise
        raise AssertionError("unreachable")

    def _data(self, inputs: Sequence[bytes | Fill]) -> list[bytes]:
        """The bytes of all inputs."""
        regions = self.identity().inputs
        if len(inputs) != len(regions):
            raise LinkError(f"{len(inputs)} inputs given, the model has {len(regions)}")
        found = [
            item.data(region.bytes) if isinstance(item, Fill) else item
            for item, region in zip(inputs, regions, strict=True)
        ]
        for index, (data, region) in enumerate(zip(found, regions, strict=True)):
            if len(data) != region.bytes:
                raise LinkError(f"input {index}: {len(data)} bytes given, expected: {region.bytes}")
        return found

    def read_output(self, index: int, progress: Progress | None = None) -> bytes:
        """The bytes of output `index` as the last inference left them."""
        regions = self.identity().outputs
        if index >= len(regions):
            raise LinkError(f"the model has {len(regions)} outputs, and no output {index}")
        return self._exactly(_OUTPUT, index, 0, regions[index].bytes, progress)

    def read_arena(self, offset: int, size: int, progress: Progress | None = None) -> bytes:
        """`size` bytes of the arena from `offset`."""
        return self._exactly(_ARENA, 0, offset, size, progress)

    def infer(
        self, inputs: Sequence[bytes | Fill], progress: Progress | None = None
    ) -> list[bytes]:
        """Run the model on `inputs`; the bytes of all its outputs."""
        self.invoke(inputs, progress=progress)
        return [self.read_output(index) for index in range(len(self.identity().outputs))]

    def count(self, inputs: Sequence[bytes | Fill]) -> Counts:
        """Run the model and say what each op costs, to the resolution of the counter (one tick).

        LinkError where ticks are only instructions if an emulator counts them, and it does not:
        instructions repeat exactly from run to run, and time does not.
        """
        identity = self.identity()
        run = self.invoke(inputs)
        if identity.unit == "instructions" and (run.jitter or self.invoke(inputs) != run):
            raise LinkError(
                "the target's counter does not count instructions",
                hint="start the emulator with -icount shift=0",
            )
        ops = [Fraction(0)] * identity.op_count
        for record in run.records:
            ops[record.op] += max(record.ticks - run.overhead, Fraction(0)) * identity.per_tick
        total = max(run.ticks - len(run.records) * run.overhead, Fraction(0)) * identity.per_tick
        return Counts(identity.unit, round(total), tuple(round(op) for op in ops))

    def high_water(self, inputs: Sequence[bytes | Fill]) -> HighWater:
        """Run the model and find the highest byte of arena, and the deepest of stack, it touches.

        Two runs over two patterns: a byte that happens to be written with the
        one pattern differs from the other.
        """
        arena = stack = 0
        for pattern in _PATTERNS:
            self._request(_PAINT, bytes([pattern]))
            self.invoke(inputs)
            marks = struct.unpack("<II", self._sized(self._request(_MARKS, bytes([pattern])), 8))
            arena, stack = max(arena, marks[0]), max(stack, marks[1])
        return HighWater(arena, stack)

    def _ask_identity(self) -> Identity:
        answer = self._request(_HELLO, b"")
        if len(answer) < 2 or (protocol := struct.unpack_from("<H", answer)[0]) != PROTOCOL:
            raise LinkError(
                f"the target speaks protocol {protocol if len(answer) >= 2 else '?'}, "
                f"this is {PROTOCOL}",
                hint="build and flash the firmware again",
            )
        fields = _HELLO_FORMAT.unpack(self._sized(answer, _HELLO_FORMAT.size))
        _, self._payload, unit, numerator, denominator, clock_hz, arena = fields[:7]
        op_count, inputs, outputs, record_capacity, row_bytes = fields[7:]
        if not (self._payload and denominator and unit in _UNITS):
            raise LinkError("the target's identity makes no sense")
        identity = Identity(
            name=self._read(_NAME).decode(errors="replace"),
            identity=self._read(_IDENTITY).decode(errors="replace"),
            build=self._read(_BUILD).decode(errors="replace"),
            arena_bytes=arena,
            op_count=op_count,
            inputs=_regions(self._read(_INPUT_REGIONS)),
            outputs=_regions(self._read(_OUTPUT_REGIONS)),
            unit=_UNITS[unit],
            per_tick=Fraction(numerator, denominator),
            clock_hz=clock_hz,
            payload=self._payload,
            record_capacity=record_capacity,
            row_bytes=row_bytes,
        )
        if (len(identity.inputs), len(identity.outputs)) != (inputs, outputs) or (
            row_bytes and (inputs != 1 or identity.inputs[0].bytes % row_bytes)
        ):
            raise LinkError("the target's identity makes no sense")
        return identity

    def _run(
        self,
        inputs: Sequence[bytes | Fill],
        data: Sequence[bytes],
        fields: bytes,
        progress: Progress | None,
    ) -> bytes:
        """Write or fill all inputs, then run the model at once; the answer."""
        crc = 0
        for index, (item, expected) in enumerate(zip(inputs, data, strict=True)):
            crc = zlib.crc32(expected, crc)
            if isinstance(item, Fill):
                self.fill_input(index, item)
            else:
                self.write_input(index, item, progress)
        return self._request(_INVOKE, struct.pack("<I", crc) + fields)

    def _push_rows(self, data: bytes, fields: bytes, progress: Progress | None) -> bytes:
        """Write and push one row after the other, until no more are wanted; the last answer."""
        size = self.identity().row_bytes
        answer = b""
        for row, start in enumerate(range(0, len(data), size)):
            piece = data[start : start + size]
            self.write_input(0, piece)
            request = struct.pack("<I", zlib.crc32(piece)) + fields + struct.pack("<H", row)
            answer = self._sized(self._request(_PUSH, request), _INVOKED_FORMAT.size)
            if progress:
                progress(start + len(piece), len(data))
            if _INVOKED_FORMAT.unpack(answer)[2] != _MORE:
                break
        return answer

    def _invocation(self, answer: bytes, *, checksums: bool) -> Invocation:
        """What the answer to the last INVOKE or PUSH, and the records that it left, say."""
        answer = self._sized(answer, _INVOKED_FORMAT.size)
        low, high, status, count, overhead, jitter = _INVOKED_FORMAT.unpack(answer)
        if status == _MORE:
            raise LinkError("the target wants more rows than its input has")
        if count > self.identity().record_capacity:
            raise LinkError(
                f"the firmware has room for {self.identity().record_capacity} records, "
                f"and the model has {count} outputs of ops",
                hint="build the firmware again",
            )
        records = tuple(
            Record(op, output, size, crc if checksums else None, ticks)
            for op, output, size, crc, ticks in _RECORD_FORMAT.iter_unpack(self._read(_RECORDS))
        )
        if len(records) != count or any(r.op >= self.identity().op_count for r in records):
            raise LinkError("the target's records make no sense")
        return Invocation(records, high << 32 | low, Fraction(overhead, _CALIBRATIONS), jitter)

    def _exactly(
        self, space: int, index: int, offset: int, size: int, progress: Progress | None
    ) -> bytes:
        data = self._read(space, index, offset=offset, size=size, progress=progress)
        if len(data) != size:
            raise LinkError(f"the target sent {len(data)} bytes, expected: {size}")
        return data

    def _read(
        self,
        space: int,
        index: int = 0,
        *,
        offset: int = 0,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """`size` bytes of a space from `offset`, or as many as there are."""
        data = bytearray()
        while size is None or len(data) < size:
            want = self._payload if size is None else min(self._payload, size - len(data))
            fields = struct.pack("<BHIH", space, index, offset + len(data), want)
            answer = self._request(_READ, fields)
            if len(answer) < 4 or len(answer) - 4 > want:
                raise LinkError(f"an answer to READ has {len(answer)} bytes")
            end = struct.unpack_from("<I", answer)[0] - offset
            if size is None and end > _TABLE_LIMIT:
                raise LinkError(f"the target announces a table of {end} bytes")
            size = end if size is None else min(size, end)
            data += answer[4:]
            if len(answer) == 4 and len(data) < size:
                raise LinkError("the target sends no data")
            if progress:
                progress(len(data), size)
        return bytes(data)

    def _sized(self, answer: bytes, size: int) -> bytes:
        if len(answer) != size:
            raise LinkError(f"an answer has {len(answer)} bytes, expected: {size}")
        return answer

    def _request(self, command: int, fields: bytes) -> bytes:
        """Send one request, repeating it until its answer comes; the answer's payload."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        frame = encode(command, self._sequence, fields)
        started = time.monotonic()
        deadline = started + self._patience
        for interval in _intervals(self._first_resend):
            self._stream.write(frame)
            resend = time.monotonic() + interval
            while (now := time.monotonic()) < min(resend, deadline):
                for kind, sequence, payload in self._frames(min(resend, deadline) - now):
                    if kind == _FAULT:
                        raise _fault(payload)
                    if sequence != self._sequence:
                        continue
                    if kind == _BUSY:
                        deadline = time.monotonic() + self._silence
                    elif kind == command | _ANSWER and payload:
                        return _checked(payload)
            if now >= deadline:
                break
        raise LinkError(
            f"the target does not answer ({time.monotonic() - started:.1f} s)",
            hint="is the right firmware on it, and is this its serial port?",
        )

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


def _regions(data: bytes) -> tuple[Region, ...]:
    if len(data) % _REGION_FORMAT.size:
        raise LinkError("the target's identity makes no sense")
    return tuple(Region(*fields) for fields in _REGION_FORMAT.iter_unpack(data))


def _checked(payload: bytes) -> bytes:
    """What follows the status; LinkError if it is not OK."""
    status, rest = payload[0], payload[1:]
    if status == _OK:
        return rest
    what = f"the target refused a request: {_STATUS_NAMES.get(status, f'status {status}')}"
    if status in (_BAD_INPUTS, _BAD_ROW):
        raise _InputsLostError(what)
    if status == _MODEL_ERROR and len(rest) == _INVOKED_FORMAT.size:
        what += f" (tinyml_status {_INVOKED_FORMAT.unpack(rest)[2]})"
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
