"""What a host can ask of a firmware."""

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from tinyml.errors import LinkError
from tinyml.fill import Fill
from tinyml.link import wire
from tinyml.link.pull import ServedInput
from tinyml.link.target import (
    Counts,
    HighWater,
    Identity,
    Invocation,
    Lesson,
    Progress,
    Record,
    Region,
)
from tinyml.link.wire import InputsLostError, Wire
from tinyml.runners.stream import Stream

_NAME, _IDENTITY, _BUILD, _INPUT_REGIONS, _OUTPUT_REGIONS, _OUTPUT, _ARENA, _RECORDS = (
    *range(5),
    *range(6, 9),
)
_PARAMETERS, _STATE = 9, 10
_TARGET_INPUT, _PARAMETERS_INPUT, _STATE_INPUT = 0xFFFF, 0xFFFE, 0xFFFD
_CHECKSUMS, _STOP, _SERVED, _RESUME = 1, 2, 4, 8

_UNITS: Final = {1: "cycles", 2: "instructions", 3: "nanoseconds"}

_HELLO_FORMAT: Final = struct.Struct("<HHIIIIIIHHHHII")
_RECORD_FORMAT: Final = struct.Struct("<HHIII")
_REGION_FORMAT: Final = struct.Struct("<II")

_CALIBRATIONS: Final = 256
_TABLE_LIMIT: Final = 1 << 21  # more than 65535 records
_PATTERNS: Final = (0xA5, 0x5A)


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
        self._wire = Wire(stream, patience=patience, silence=silence, first_resend=first_resend)
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
            if identity.pulls:
                raise LinkError("the input has no place on the target, which reads it in pieces")
        if len(data) != expected:
            raise LinkError(f"input {index}: {len(data)} bytes given, expected: {expected}")
        self._write(index, data, progress)

    def write_parameters(self, parameters: bytes, state: bytes) -> None:
        """Set what learns, and what is remembered about it (empty where there is nothing)."""
        self._write(_PARAMETERS_INPUT, parameters)
        self._write(_STATE_INPUT, state)

    def read_parameters(self, *, state: bool) -> tuple[bytes, bytes]:
        """What learns, and what is remembered about it, if there is such a thing (`state`)."""
        self.identity()
        return self._read(_PARAMETERS), self._read(_STATE) if state else b""

    def _write(self, index: int, data: bytes, progress: Progress | None = None) -> None:
        self.identity()
        for start in range(0, len(data), self._payload):
            chunk = data[start : start + self._payload]
            self._wire.request(wire.WRITE, struct.pack("<HI", index, start) + chunk)
            if progress:
                progress(start + len(chunk), len(data))

    def fill_input(self, index: int, fill: Fill) -> None:
        """Let the target make input `index` from a recipe, when the model runs or at once."""
        fields = struct.pack("<HBIII", index, fill.kind, fill.seed, fill.first, fill.second)
        self._wire.request(wire.FILL, fields)

    def invoke(
        self,
        inputs: Sequence[bytes | Fill],
        *,
        checksums: bool = False,
        stop_after: tuple[int, int] | None = None,
        stop_bytes: int = 1,
        lesson: Lesson | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Invocation:
        """Write `inputs` (or have the target make them) and run the model on them; with `lesson`,
        learn from them.

        Where the input comes row by row, so does what is written, and the model runs in between;
        where the model reads it in pieces, each is sent when it is asked for.

        `checksums` asks for the CRC-32 of every output of every op. `stop_after`
        (op, output) ends the run as soon as `stop_bytes` bytes of that output are
        there, with the last of them still in the arena: all of them where the op runs
        at once, a row or a part of one where it does not (see `emit.pieces`). What the model
        keeps from one run to the next is reset before, or with `resume` as the last run left it.
        """
        data = self._data(inputs)
        options = (_CHECKSUMS if checksums else 0) | (_STOP if stop_after else 0)
        options |= _RESUME if resume else 0
        fields = struct.pack("<BHHI", options, *(stop_after or (0, 0)), stop_bytes)
        for attempts_left in (2, 1, 0):
            try:
                if self.identity().pulls and not isinstance(inputs[0], Fill):
                    answer = self._serve(data[0], fields, progress)
                elif self.identity().takes_rows and not isinstance(inputs[0], Fill):
                    answer = self._push_rows(data[0], fields, progress)
                else:
                    answer = self._run(inputs, data, fields, lesson, progress)
                return self._invocation(answer, checksums=checksums, learns=lesson is not None)
            except InputsLostError:
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

    def count(self, inputs: Sequence[bytes | Fill], lesson: Lesson | None = None) -> Counts:
        """Run the model (with `lesson` a training step) and say what each op costs, to the
        resolution of the counter (one tick).

        LinkError where ticks are only instructions if an emulator counts them, and it does not:
        instructions repeat exactly from run to run, and time does not.
        """
        identity = self.identity()
        run = self.invoke(inputs, lesson=lesson)
        if identity.unit == "instructions" and (
            run.jitter or (lesson is None and self.invoke(inputs) != run)
        ):
            raise LinkError(
                "the target's counter does not count instructions",
                hint="start the emulator with -icount shift=0",
            )
        count = identity.op_count if lesson is None else 1 + max(r.op for r in run.records)
        ops = [Fraction(0)] * count
        for record in run.records:
            ops[record.op] += max(record.ticks - run.overhead, Fraction(0)) * identity.per_tick
        total = max(run.ticks - len(run.records) * run.overhead, Fraction(0)) * identity.per_tick
        return Counts(identity.unit, round(total), tuple(round(op) for op in ops))

    def high_water(self, inputs: Sequence[bytes | Fill], lesson: Lesson | None = None) -> HighWater:
        """Run the model and find the highest byte of each arena, and the deepest of stack, that
        it touches.

        Two runs over two patterns: a byte that happens to be written with the
        one pattern differs from the other.
        """
        arena = more = stack = 0
        for pattern in _PATTERNS:
            self._wire.request(wire.PAINT, bytes([pattern]))
            self.invoke(inputs, lesson=lesson)
            marks = struct.unpack(
                "<III", self._sized(self._wire.request(wire.MARKS, bytes([pattern])), 12)
            )
            arena, more, stack = map(max, (arena, more, stack), marks)
        return HighWater(arena, more, stack)

    def _ask_identity(self) -> Identity:
        answer = self._wire.request(wire.HELLO, b"")
        if len(answer) < 2 or (protocol := struct.unpack_from("<H", answer)[0]) != wire.PROTOCOL:
            raise LinkError(
                f"the target speaks protocol {protocol if len(answer) >= 2 else '?'}, "
                f"this is {wire.PROTOCOL}",
                hint="build and flash the firmware again",
            )
        fields = _HELLO_FORMAT.unpack(self._sized(answer, _HELLO_FORMAT.size))
        _, self._payload, unit, numerator, denominator, clock_hz, arena, more = fields[:8]
        op_count, inputs, outputs, record_capacity, row_bytes, pixel_bytes = fields[8:]
        if not (self._payload and denominator and unit in _UNITS):
            raise LinkError("the target's identity makes no sense")
        identity = Identity(
            name=self._read(_NAME).decode(errors="replace"),
            identity=self._read(_IDENTITY).decode(errors="replace"),
            build=self._read(_BUILD).decode(errors="replace"),
            arena_bytes=arena,
            more_bytes=more,
            op_count=op_count,
            inputs=_regions(self._read(_INPUT_REGIONS)),
            outputs=_regions(self._read(_OUTPUT_REGIONS)),
            unit=_UNITS[unit],
            per_tick=Fraction(numerator, denominator),
            clock_hz=clock_hz,
            payload=self._payload,
            record_capacity=record_capacity,
            row_bytes=row_bytes,
            pixel_bytes=pixel_bytes,
        )
        if (len(identity.inputs), len(identity.outputs)) != (inputs, outputs) or (
            (row_bytes and (inputs != 1 or identity.inputs[0].bytes % row_bytes))
            or (pixel_bytes and (not row_bytes or row_bytes % pixel_bytes))
            or more > arena
        ):
            raise LinkError("the target's identity makes no sense")
        return identity

    def _run(
        self,
        inputs: Sequence[bytes | Fill],
        data: Sequence[bytes],
        fields: bytes,
        lesson: Lesson | None,
        progress: Progress | None,
    ) -> bytes:
        """Write or fill all inputs, then run the model at once, or a training step; the answer."""
        crc = 0
        for index, (item, expected) in enumerate(zip(inputs, data, strict=True)):
            crc = zlib.crc32(expected, crc)
            if isinstance(item, Fill):
                self.fill_input(index, item)
            else:
                self.write_input(index, item, progress)
        request = struct.pack("<I", crc) + fields
        if lesson is None:
            return self._wire.request(wire.INVOKE, request)
        self._write(_TARGET_INPUT, lesson.target)
        target = zlib.crc32(lesson.target)
        more = struct.pack("<IfII", target, lesson.rate, lesson.seed, lesson.number)
        return self._wire.request(wire.TRAIN, request + more)

    def _serve(self, data: bytes, fields: bytes, progress: Progress | None) -> bytes:
        """Run the model while it reads its input from here; the answer."""
        served = ServedInput(data, self._payload, progress)
        request = struct.pack("<IB", 0, fields[0] | _SERVED) + fields[1:]
        answer = self._sized(
            self._wire.request(wire.INVOKE, request, served), wire.INVOKED_FORMAT.size
        )
        if wire.INVOKED_FORMAT.unpack(answer)[-3:-1] != (served.crc, served.bytes):
            raise InputsLostError("what the target read of its input is not what was sent")
        return answer

    def _push_rows(self, data: bytes, fields: bytes, progress: Progress | None) -> bytes:
        """Write and push one row after the other, until no more are wanted; the last answer."""
        size = self.identity().row_bytes
        answer = b""
        for row, start in enumerate(range(0, len(data), size)):
            piece = data[start : start + size]
            self.write_input(0, piece)
            request = struct.pack("<I", zlib.crc32(piece)) + fields + struct.pack("<H", row)
            answer = self._sized(self._wire.request(wire.PUSH, request), wire.INVOKED_FORMAT.size)
            if progress:
                progress(start + len(piece), len(data))
            if wire.INVOKED_FORMAT.unpack(answer)[2] != wire.MORE:
                break
        return answer

    def _invocation(self, answer: bytes, *, checksums: bool, learns: bool) -> Invocation:
        """What the answer to the last INVOKE or PUSH, and the records that it left, say."""
        answer = self._sized(answer, wire.INVOKED_FORMAT.size)
        low, high, status, count, overhead, jitter, crc, size, loss = wire.INVOKED_FORMAT.unpack(
            answer
        )
        if status == wire.MORE:
            raise LinkError("the target wants more rows than its input has")
        if count > self.identity().record_capacity:
            raise LinkError(
                f"the firmware has room for {self.identity().record_capacity} records, "
                f"and the model has {count} outputs of ops",
                hint="build the firmware again",
            )
        records = tuple(
            Record(op, output, length, check if checksums else None, ticks)
            for op, output, length, check, ticks in _RECORD_FORMAT.iter_unpack(self._read(_RECORDS))
        )
        most = self.identity().record_capacity if learns else self.identity().op_count
        if len(records) != count or any(r.op >= most for r in records):
            raise LinkError("the target's records make no sense")
        ticks = high << 32 | low
        overheads = Fraction(overhead, _CALIBRATIONS)
        return Invocation(records, ticks, overheads, jitter, size, crc, loss)

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
            answer = self._wire.request(wire.READ, fields)
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


def _regions(data: bytes) -> tuple[Region, ...]:
    if len(data) % _REGION_FORMAT.size:
        raise LinkError("the target's identity makes no sense")
    return tuple(Region(*fields) for fields in _REGION_FORMAT.iter_unpack(data))
