"""The client and the C server against each other, over lines of every quality."""

import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.link import toy
from tests.link.faults import Fault, FaultyStream, ScriptedStream
from tinyml.errors import LinkError
from tinyml.frame import decode, encode
from tinyml.link import Client, Region, wire
from tinyml.runners import host
from tinyml.runners.stream import Stream

BOUNDED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def impatient(stream: Stream) -> Client:
    return Client(stream, patience=6.0, silence=6.0, first_resend=0.04)


@given(st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=700))
@settings(BOUNDED, max_examples=200)
def test_frames_survive_coding(command: int, sequence: int, payload: bytes) -> None:
    frame = encode(command, sequence, payload)
    assert frame[0] == frame[-1] == 0 and 0 not in frame[1:-1]
    assert decode(frame[1:-1]) == (command, sequence, payload)


@given(st.binary(max_size=300), st.data())
@settings(BOUNDED, max_examples=200)
def test_a_damaged_frame_is_never_believed(payload: bytes, data: st.DataObject) -> None:
    frame = encode(1, 2, payload)[1:-1]
    at = data.draw(st.integers(0, len(frame) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != frame[at]))
    assert decode(frame[:at] + bytes([value]) + frame[at + 1 :]) is None
    assert decode(frame[:at]) is None


def test_everything_over_a_good_line(host_toy: Path) -> None:
    with host.run(host_toy) as stream:
        client = Client(stream)
        identity = client.identity()
        assert (identity.name, identity.op_count, identity.arena_bytes) == (
            "toy",
            toy.OPS,
            toy.ARENA_BYTES,
        )
        assert identity.identity == "0123456789abcdef" * 4
        assert identity.build.startswith("test ")
        assert identity.inputs == (Region(0, 64), Region(64, 300))
        assert identity.outputs == (Region(*toy.Y), Region(*toy.Z))
        assert identity.unit == "nanoseconds"

        given_ = toy.inputs(1)
        seen: list[tuple[int, int]] = []
        run = client.invoke(given_, checksums=True, progress=lambda *step: seen.append(step))
        observed = [(r.op, r.output, r.bytes, r.crc) for r in run.records]
        assert observed == toy.checksums(given_)
        assert seen == [(64, 64), (192, 300), (300, 300)]  # a frame holds 192 bytes
        assert [client.read_output(i) for i in range(2)] == toy.outputs(given_)

        assert client.invoke(given_).records[0].crc is None
        assert client.high_water(given_).arena_bytes == toy.TOUCHED
        counts = client.count(toy.inputs(turns=200))
        assert counts.unit == "nanoseconds" and len(counts.ops) == toy.OPS
        assert counts.total >= max(counts.ops) == counts.ops[1] > 0


def test_intermediate_tensors(host_toy: Path) -> None:
    given_ = toy.inputs(2)
    x = bytes((byte + 1) & 0xFF for byte in given_[0])
    with host.run(host_toy) as stream:
        client = Client(stream)
        run = client.invoke(given_, stop_after=(0, 0))
        assert [(r.op, r.output) for r in run.records] == [(0, 0)]
        assert client.read_arena(*toy.X) == x
        client.invoke(given_, stop_after=(1, 0))
        assert client.read_arena(*toy.Y) == x, "not yet changed by op 2"
        assert client.read_arena(0, 64) == given_[0], "not yet wiped by op 2"
        run = client.invoke(given_, stop_after=(2, 0))
        assert len(run.records) == 3, "not yet the other output of op 2"
        assert client.read_arena(0, 1024)[toy.Z[0] :][: toy.Z[1]] == toy.outputs(given_)[1]


def test_rows(host_toy: Path) -> None:
    given_ = toy.inputs(6)
    p, q = toy.rows(given_)
    with host.run(host_toy) as stream:
        client = Client(stream)
        for stop_bytes, there in ((0, 2), (1, 2), (2, 2), (3, 4), (77, 78), (199, 200), (200, 200)):
            run = client.invoke(given_, checksums=True, stop_after=(3, 0), stop_bytes=stop_bytes)
            *_, record, last = run.records if there > 2 else (*run.records, None)
            assert record and (record.op, record.bytes) == (3, there)
            assert record.crc == zlib.crc32(p[:there])
            slot = toy.P[0] + (there // 2 - 1) % 2 * toy.ROW_BYTES
            assert client.read_arena(slot, toy.ROW_BYTES) == p[there - 2 : there]
            if last:
                assert (last.op, last.bytes, last.crc) == (4, there - 2, zlib.crc32(q[: there - 2]))
        run = client.invoke(given_, checksums=True, stop_after=(3, 0), stop_bytes=201)
        assert [r.crc for r in run.records[4:]] == [zlib.crc32(p), zlib.crc32(q)]
        assert client.read_arena(*toy.Q) == q
        run = client.invoke(given_, checksums=True, stop_after=(4, 0), stop_bytes=50)
        assert [(r.bytes, r.crc) for r in run.records[4:]] == [
            (50, zlib.crc32(p[:50])),
            (50, zlib.crc32(q[:50])),
        ]


def test_rows_are_not_announced_one_by_one(host_toy: Path) -> None:
    given_ = toy.inputs(7)
    crc = zlib.crc32(given_[1], zlib.crc32(given_[0]))
    with host.run(host_toy) as stream:
        client = Client(stream)
        for index, data in enumerate(given_):
            client.write_input(index, data)
        stream.write(encode(4, 77, struct.pack("<IBHHI", crc, 0, 0, 0, 0)))
        kinds: list[tuple[int, bytes]] = []
        received = b""
        while not any(kind & 0x80 for kind, _ in kinds):
            received += stream.read(5.0)
            *frames, received = received.split(b"\0")
            kinds += [(d[0], d[2]) for d in map(decode, frames) if d]
        busy = [int.from_bytes(payload, "little") for kind, payload in kinds if kind == 0x7E]
        later = (2 * toy.ROWS - 2) // 64
        assert busy[:7] == [0xFFFF, 0, 1, 2, 2, 3, 4]
        assert len(busy) == 7 + later
        # A repeated request is still answered as the first was.
        assert raw_answer(stream, encode(4, 77, struct.pack("<IBHHI", crc, 0, 0, 0, 0)))[2][0] == 0


def test_misuse_is_an_error_and_not_an_accident(host_toy: Path) -> None:
    with host.run(host_toy) as stream:
        client = Client(stream)
        with pytest.raises(LinkError, match="input 0: 63 bytes given, expected: 64"):
            client.write_input(0, bytes(63))
        with pytest.raises(LinkError, match="no such input"):
            client.write_input(2, bytes(64))
        with pytest.raises(LinkError, match="no output 2"):
            client.read_output(2)
        with pytest.raises(LinkError, match="24 bytes, expected: 25"):
            client.read_arena(1000, 25)
        with pytest.raises(LinkError, match="out of range"):
            client.read_arena(1025, 1)
        with pytest.raises(LinkError, match=r"the model refused to run \(tinyml_status -3\)"):
            client.infer(toy.inputs(fate=toy.REFUSE))
        assert client.infer(toy.inputs(3)) == toy.outputs(toy.inputs(3))


def raw_answer(stream: Stream, request: bytes, seconds: float = 5.0) -> tuple[int, int, bytes]:
    """The first answer that is not BUSY."""
    stream.write(request)
    received = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        received += stream.read(0.1)
        for frame in received.split(b"\0")[:-1]:
            decoded = decode(frame)
            if decoded and decoded[0] & 0x80:
                return decoded
    raise AssertionError("no answer")


def test_a_repeated_invoke_is_answered_again_and_not_run_again(host_toy: Path) -> None:
    with host.run(host_toy) as stream:
        client = Client(stream)
        given_ = toy.inputs(4)
        for index, data in enumerate(given_):
            client.write_input(index, data)
        crc = zlib.crc32(given_[1], zlib.crc32(given_[0]))
        request = encode(4, 77, struct.pack("<IBHHI", crc, 0, 0, 0, 0))
        first = raw_answer(stream, request)
        assert first[2][0] == 0
        assert raw_answer(stream, request) == first
        # The inputs are gone by now, and the device knows.
        other = encode(4, 78, struct.pack("<IBHHI", crc, 0, 0, 0, 0))
        assert raw_answer(stream, other)[2][0] == 4
        assert client.infer(given_) == toy.outputs(given_)


@pytest.mark.parametrize(
    ("command", "fields", "status"),
    [
        (0, b"", 1),
        (10, b"", 1),
        (8, bytes(14), 2),
        (8, bytes(15), 1),
        (255, b"", 1),
        (1, b"x", 2),
        (2, bytes(8), 2),
        (3, bytes(5), 2),
        (4, bytes(12), 2),
        (4, bytes(14), 2),
        (5, b"", 2),
        (6, bytes(2), 2),
        (2, struct.pack("<BHIH", 9, 0, 0, 1), 3),
        (2, struct.pack("<BHIH", 5, 2, 0, 1), 3),
        (2, struct.pack("<BHIH", 5, 0, 65, 1), 3),
        (3, struct.pack("<HI", 0, 0) + bytes(64), 0),
        (3, struct.pack("<HI", 0, 64), 0),
        (3, struct.pack("<HI", 0, 0) + bytes(65), 3),
        (3, struct.pack("<HI", 0, 1) + bytes(64), 3),
        (3, struct.pack("<HI", 0, 0xFFFFFFFF) + bytes(2), 3),
        (3, struct.pack("<HI", 2, 0) + bytes(1), 3),
        (4, struct.pack("<IBHHI", 1, 0, 0, 0, 0), 4),
        (7, bytes(14), 2),
        (7, struct.pack("<HBIII", 1, 1, 0, 0, 0), 0),
        (7, struct.pack("<HBIII", 2, 0, 0, 0, 0), 3),
        (7, struct.pack("<HBIII", 0, 2, 0, 0, 0), 3),
    ],
)
def test_statuses(host_toy: Path, command: int, fields: bytes, status: int) -> None:
    with host.run(host_toy) as stream:
        kind, sequence, payload = raw_answer(stream, encode(command, 1234, fields))
        assert (kind, sequence, payload[0]) == (command & 0x7F | 0x80, 1234, status)


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["drop", "truncate", "behead", "flip", "duplicate", "insert"]),
    at=st.floats(0, 1, exclude_max=True),
    garbage=st.binary(max_size=24) | st.just(b"\0"),
)
PLAN = st.dictionaries(st.integers(0, 25), FAULTS, max_size=6)


@given(writes=PLAN, reads=PLAN, seed=st.integers(0, 1000))
@BOUNDED
def test_any_damage_is_recovered_from(
    host_toy: Path, writes: dict[int, Fault], reads: dict[int, Fault], seed: int
) -> None:
    given_ = toy.inputs(seed)
    with host.run(host_toy) as stream:
        client = impatient(FaultyStream(stream, writes, reads))
        run = client.invoke(given_, checksums=True)
        assert [(r.op, r.output, r.bytes, r.crc) for r in run.records] == toy.checksums(given_)
        assert [client.read_output(i) for i in range(2)] == toy.outputs(given_)


@given(writes=PLAN, reads=PLAN, row=st.integers(0, toy.ROWS - 1))
@settings(BOUNDED, max_examples=30)
def test_rows_survive_any_damage(
    host_toy: Path, writes: dict[int, Fault], reads: dict[int, Fault], row: int
) -> None:
    given_ = toy.inputs(row)
    p, _ = toy.rows(given_)
    there = (row + 1) * toy.ROW_BYTES
    with host.run(host_toy) as stream:
        client = impatient(FaultyStream(stream, writes, reads))
        run = client.invoke(given_, checksums=True, stop_after=(3, 0), stop_bytes=there)
        assert (run.records[4].bytes, run.records[4].crc) == (there, zlib.crc32(p[:there]))
        slot = toy.P[0] + row % 2 * toy.ROW_BYTES
        assert client.read_arena(slot, toy.ROW_BYTES) == p[there - toy.ROW_BYTES : there]


REQUESTS = st.one_of(
    st.binary(max_size=900),
    st.builds(
        encode,
        st.integers(0, 10),
        st.integers(0, 0xFFFF),
        st.binary(max_size=40) | st.binary(min_size=500, max_size=540),
    ),
    # Sound requests with fields at their limits.
    st.builds(
        lambda space, index, offset, n: encode(2, 1, struct.pack("<BHIH", space, index, offset, n)),
        st.integers(0, 10),
        st.integers(0, 3) | st.just(0xFFFF),
        st.sampled_from([0, 1, 63, 64, 300, 1023, 1024, 1025, 0x7FFFFFFF, 0xFFFFFFFF]),
        st.sampled_from([0, 1, 512, 513, 0xFFFF]),
    ),
    st.builds(
        lambda index, offset, data: encode(3, 1, struct.pack("<HI", index, offset) + data),
        st.integers(0, 3) | st.just(0xFFFF),
        st.sampled_from([0, 1, 63, 64, 299, 300, 1025, 0x7FFFFFFF, 0xFFFFFFFF]),
        st.binary(max_size=64) | st.just(bytes(512)),
    ),
)


@given(st.lists(REQUESTS, max_size=12))
@BOUNDED
def test_the_server_survives_any_bytes(host_toy: Path, requests: list[bytes]) -> None:
    with host.run(host_toy) as stream:
        for request in requests:
            stream.write(request)
        given_ = toy.inputs(5)
        assert impatient(stream).infer(given_) == toy.outputs(given_)


class LyingDevice:
    """Answers every request with a sound frame of arbitrary content."""

    def __init__(self, payloads: Iterator[bytes]) -> None:
        self._payloads = payloads
        self._pending = b""

    def write(self, data: bytes) -> None:
        request = decode(data.strip(b"\0"))
        assert request
        payload = next(self._payloads, None)
        if payload is not None:
            self._pending += encode(request[0] | 0x80, request[1], payload)

    def read(self, seconds: float) -> bytes:
        if not self._pending:
            time.sleep(min(seconds, 0.001))
        data, self._pending = self._pending, b""
        return data


HELLO = struct.pack(
    "<BHHIIIIIIHHHHII", 0, wire.PROTOCOL, 64, 2, 40, 1, 0, 1024, 0, 3, 1, 1, 4, 0, 0
)


@given(st.booleans(), st.lists(st.binary(max_size=60) | st.just(bytes(5)), max_size=12))
@settings(BOUNDED, max_examples=150)
def test_a_lying_device_is_a_link_error(honest_hello: bool, payloads: list[bytes]) -> None:
    device = LyingDevice(iter([HELLO, *payloads] if honest_hello else payloads))
    client = Client(device, patience=0.05, silence=0.05, first_resend=0.02)
    with pytest.raises(LinkError):
        client.count([bytes(64)])


def test_a_newer_protocol_says_to_rebuild() -> None:
    device = LyingDevice(iter([b"\0" + struct.pack("<H", wire.PROTOCOL + 1) + bytes(48)]))
    with pytest.raises(
        LinkError, match=f"speaks protocol {wire.PROTOCOL + 1}, this is {wire.PROTOCOL}"
    ):
        Client(device).identity()


@pytest.mark.parametrize("noise", ["silence", "zeros", "text", "random"])
def test_a_dead_line_is_an_error_in_bounded_time_and_memory(noise: str) -> None:
    def chunks() -> Iterator[bytes]:
        while True:
            time.sleep(0.001)
            yield {
                "silence": b"",
                "zeros": bytes(4096),
                "text": b"Hello from another firmware!\r\n" * 500,
                "random": os.urandom(4096),
            }[noise]

    started = time.monotonic()
    client = Client(ScriptedStream(chunks()), patience=0.5)
    with pytest.raises(LinkError, match="does not answer"):
        client.identity()
    assert time.monotonic() - started < 3
    assert len(client._wire._received) <= 1 << 17


class BusyDevice:
    """Runs a model for `seconds` and says so at intervals; everything else it answers at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._invoke: bytes | None = None
        self._started = 0.0
        self._pending = b""
        self.invokes = 0

    def write(self, data: bytes) -> None:
        request = decode(data.strip(b"\0"))
        assert request
        command, sequence, fields = request
        if command == 4:
            self.invokes += 1
            if self._invoke is None:
                self._started = time.monotonic()
                status = b"\0" + wire.INVOKED_FORMAT.pack(5, 0, 0, 0, 0, 0, 0, 0, 0.0)
                self._invoke = encode(4 | 0x80, sequence, status)
                self._busy = encode(0x7E, sequence, bytes(2))
        elif command == 1:
            self._pending += encode(0x81, sequence, HELLO)
        elif command == 2:
            region = struct.pack("<II", 0, 64)
            data = region if fields[0] in (3, 4) else b""
            self._pending += encode(0x82, sequence, b"\0" + len(data).to_bytes(4, "little") + data)
        else:
            self._pending += encode(command | 0x80, sequence, b"\0")

    def read(self, seconds: float) -> bytes:
        time.sleep(min(seconds, 0.05))
        if self._invoke:
            over = time.monotonic() - self._started > self._seconds
            self._pending += self._invoke if over else self._busy
            self._invoke = None if over else self._invoke
        data, self._pending = self._pending, b""
        return data


def test_a_busy_target_is_waited_for_longer_than_a_silent_one() -> None:
    device = BusyDevice(1.2)
    run = Client(device, patience=0.4, silence=0.4, first_resend=0.2).invoke([bytes(64)])
    assert (run.ticks, run.records) == (5, ())
    assert device.invokes > 1, "the request was repeated meanwhile, in case the answer was lost"
