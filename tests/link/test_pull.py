"""A firmware that reads its input in pieces while it runs, over lines good and bad."""

import re
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.link import toy
from tests.link.faults import Fault, FaultyStream
from tests.link.test_protocol import BOUNDED, FAULTS, impatient, raw_answer
from tests.support.builder import GraphBuilder
from tests.support.emitted import SANITIZE, run_tool
from tests.support.streamed import planned, stream_schedule
from tests.support.tflite_writer import write
from tinyml import passes, reference, toolchain
from tinyml.board import load_board
from tinyml.emit import Project, emit
from tinyml.emit.pieces import input_pieces, joined
from tinyml.errors import CheckFailedError, LinkError
from tinyml.fill import Fill, random_words
from tinyml.frame import decode, encode
from tinyml.importers import load
from tinyml.ir.ops import Pads
from tinyml.link import Client, Invocation
from tinyml.link.pull import ServedInput
from tinyml.locate import first_wrong_piece
from tinyml.profile import profile_project
from tinyml.runners import host
from tinyml.runners.stream import Stream
from tinyml.schedule.schedule import Feed
from tinyml.schedule.search import patch_schedule
from tinyml.verify import connected, deployed, run_project, verify_project

SHAPE = (1, 7, 201, 3)
"""A whole row is longer than a frame."""
SIZE = 7 * 201 * 3
SCHEDULES = {
    "stream": partial(stream_schedule, feed=Feed.PULL),
    "patch": partial(patch_schedule, feed=Feed.PULL, patches=(2, 3), ops=2),
}
INVOKE, PUSH, SERVE, WANT, BUSY = 4, 8, 9, 0x7D, 0x7E
SERVED = 4


def project(kind: str, folder: Path, board: str = "host") -> Project:
    net = GraphBuilder("pulled")
    x = net.input(SHAPE, name="x")
    x = net.conv(x, 2, kernel=(3, 3), stride=(1, 4), pads=Pads(1, 1, 1, 1))
    x = net.conv(x, 3, kernel=(3, 3), stride=(2, 2), pads=Pads(1, 1, 1, 1))
    model = folder / "pulled.tflite"
    model.write_bytes(write(net.graph(net.dense(x, 5))))
    target = load_board(board)
    plan = planned(passes.optimize(load(model)), SCHEDULES[kind], target)
    return emit(plan, target, folder / "p", source=model.read_bytes())


class Target:
    """The firmware, under sanitizers, and what it must compute."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.project = project(kind, folder)
        self.model = deployed(self.project)
        self.program = folder / "firmware"
        root, board = self.project.root, self.project.board
        sources = [root / path for path in self.project.sources]
        includes = [f"-I{root / path}" for path in self.project.include_dirs]
        flags = [*board.gcc_flags, *board.define_flags, *includes]
        run_tool("gcc", *toy.STRICT, *SANITIZE, *flags, *sources, "-o", self.program)

    def expected(self, data: bytes) -> bytes:
        (result,) = reference.run(self.model.imported, self.inputs(data)).values()
        return result.tobytes()

    def inputs(self, data: bytes) -> dict[str, np.ndarray]:
        return {self.model.imported.inputs[0]: np.frombuffer(data, np.int8).reshape(SHAPE)}

    def records(self, data: bytes) -> list[tuple[int, int, int, int | None]]:
        """Bytes and checksum of the pieces of every op."""
        inner = reference.run(self.model.optimized, self.inputs(data), keep=True)
        found = []
        for op, node in enumerate(self.model.nodes):
            pieces = joined(inner[node.output].tobytes(), self.model.pieces[op, 0])
            found.append((op, 0, len(pieces), zlib.crc32(pieces)))
        return found


@pytest.fixture(scope="module", params=SCHEDULES)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target("patch", tmp_path_factory.mktemp("tiles"))


def image(seed: int) -> bytes:
    return random_words(seed).data(SIZE)


def seen(run: Invocation) -> list[tuple[int, int, int, int | None]]:
    return sorted((r.op, r.output, r.bytes, r.crc) for r in run.records)


def test_sent_and_made_inputs_are_the_same(target: Target) -> None:
    pieces = input_pieces(target.project.manifest)
    with host.run(target.program) as stream:
        client = Client(stream)
        assert (client.identity().row_bytes, client.identity().pixel_bytes) == (603, 3)
        steps: list[tuple[int, int]] = []
        for seed in (3, 4):
            read = joined(image(seed), pieces)
            sent: list[bytes | Fill] = [image(seed)]
            for given_ in (sent, [random_words(seed)]):
                run = client.invoke(given_, checksums=True, progress=lambda *at: steps.append(at))
                assert client.read_output(0) == target.expected(image(seed))
                assert seen(run) == target.records(image(seed))
                assert (run.read_bytes, run.read_crc) == (len(read), zlib.crc32(read))
                assert all(r.ticks < 2**31 for r in run.records)
        assert steps[-1] == (SIZE, SIZE) and len(steps) >= 2 * len(pieces)
        for data in (image(1), random_words(1)):
            # The last buffer ends within a unit of alignment.
            assert 0 <= client.identity().arena_bytes - client.high_water([data]).arena_bytes < 8
        with pytest.raises(LinkError, match="has no place"):
            client.write_input(0, bytes(603))
        for wrong in (b"", bytes(SIZE - 1)):
            with pytest.raises(LinkError, match="input 0"):
                client.invoke([wrong])


def test_every_piece_can_be_had(tiles: Target) -> None:
    data = image(2)
    inner = reference.run(tiles.model.optimized, tiles.inputs(data), keep=True)
    with host.run(tiles.program) as stream:
        client = Client(stream)
        for op in (0, 1):
            right = inner[tiles.model.nodes[op].output].tobytes()
            pieces = tiles.model.pieces[op, 0]
            for at in {0, len(pieces) // 2, len(pieces) - 1}:
                start = pieces[at].start
                # A tile before may have computed the same element.
                first = next(p for p in pieces if p.start <= start < p.start + p.bytes)
                want = bytearray(right)
                want[start] ^= 1
                sent: list[bytes | Fill] = [data] if at % 2 else [random_words(2)]
                piece, got = first_wrong_piece(client, sent, (op, 0), pieces, bytes(want))
                assert piece == first
                assert got == right[piece.start : piece.start + piece.bytes]


PLAN = st.dictionaries(st.integers(0, 80), FAULTS, max_size=6)


@given(writes=PLAN, reads=PLAN, seed=st.integers(0, 100), made=st.booleans())
@settings(BOUNDED, max_examples=25)
def test_any_damage_is_recovered_from(
    target: Target, writes: dict[int, Fault], reads: dict[int, Fault], seed: int, made: bool
) -> None:
    with host.run(target.program) as stream:
        client = impatient(FaultyStream(stream, writes, reads))
        run = client.invoke([random_words(seed) if made else image(seed)], checksums=True)
        assert client.read_output(0) == target.expected(image(seed))
        assert seen(run) == target.records(image(seed))


class Raw:
    """Sends and gets frames one by one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._frames: list[bytes] = []
        self._rest = b""

    def send(self, command: int, sequence: int, fields: bytes) -> None:
        self._stream.write(encode(command, sequence, fields))

    def get(self, seconds: float = 5.0) -> tuple[int, int, bytes] | None:
        """The next frame that is no BUSY; None if none comes in time."""
        while True:
            for frame in iter(lambda: self._frames.pop(0) if self._frames else None, None):
                found = decode(frame)
                if found and found[0] != BUSY:
                    return found
            data = self._stream.read(seconds)
            if not data:
                return None
            *self._frames, self._rest = (self._rest + data).split(b"\0")


def invoke_fields(options: int) -> bytes:
    return struct.pack("<IBHHI", 0, options, 0, 0, 0)


def test_only_the_right_answer_is_taken(tiles: Target) -> None:
    data = image(5)
    with host.run(tiles.program) as stream:
        raw = Raw(stream)
        raw.send(INVOKE, 77, invoke_fields(SERVED))
        count = 0
        while (frame := raw.get()) is not None and frame[0] == WANT:
            number, offset, size = struct.unpack("<IIH", frame[2])
            count += 1
            assert (frame[1], number) == (77, count)
            right = struct.pack("<I", number) + data[offset : offset + size]
            if count < 4:
                other = struct.pack("<I", number) + bytes(size)
                raw.send(SERVE, 76, other)
                raw.send(SERVE, 77, other + b"\0")
                raw.send(SERVE, 77, other[:-1])
                raw.send(SERVE, 77, struct.pack("<I", number - 1) + bytes(size))
                raw.send(SERVE, 77, struct.pack("<I", number + 1) + bytes(size))
                raw.send(SERVE, 77, b"")
                assert raw.get(0.1) is None
                raw.send(INVOKE, 77, invoke_fields(SERVED))
                assert raw.get() == frame, "asked again"
            raw.send(SERVE, 77, right)
        assert frame is not None and (frame[:2], frame[2][0]) == ((INVOKE | 0x80, 77), 0)
        # Late answers change nothing: the INVOKE is answered again, and not run again.
        raw.send(SERVE, 77, right)
        raw.send(INVOKE, 77, invoke_fields(SERVED))
        assert raw.get() == frame
        assert Client(stream).read_output(0) == tiles.expected(data)


def test_a_host_that_goes_away_leaves_nothing_behind(tiles: Target) -> None:
    with host.run(tiles.program) as stream:
        for answers in range(3):
            raw = Raw(stream)
            raw.send(INVOKE, 100 + answers, invoke_fields(SERVED))
            for _ in range(answers):
                frame = raw.get()
                assert frame is not None
                number, _, size = struct.unpack("<IIH", frame[2])
                raw.send(SERVE, frame[1], struct.pack("<I", number) + bytes(size))
            assert raw.get() is not None
            assert impatient(stream).infer([image(1)]) == [tiles.expected(image(1))]
    with host.run(tiles.program) as stream:
        Raw(stream).send(INVOKE, 1, invoke_fields(SERVED))
        # The firmware ends with its line, also while it waits for an answer.


def test_what_a_pulling_target_refuses(tiles: Target, host_toy: Path) -> None:
    push = struct.pack("<IBHHIH", 0, 0, 0, 0, 0, 0)
    for command, fields, status in (
        (3, struct.pack("<HI", 0, 0) + b"x", 3),
        (3, struct.pack("<HI", 0, 0), 3),
        (2, struct.pack("<BHIH", 5, 0, 0, 1), 3),
        (INVOKE, invoke_fields(0), 4),
        (PUSH, push, 1),
    ):
        with host.run(tiles.program) as stream:
            assert raw_answer(stream, encode(command, 9, fields))[2][0] == status, command
    with host.run(host_toy) as stream:
        assert raw_answer(stream, encode(INVOKE, 9, invoke_fields(SERVED)))[2][0] == 3


def question(number: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIH", number, offset, size)


def test_questions_are_answered_once_each() -> None:
    served = ServedInput(b"abcdefgh", 4, None)
    assert served.answer(question(1, 2, 3)) == (b"\1\0\0\0cde", True)
    assert served.answer(question(1, 2, 3)) == (b"\1\0\0\0cde", False)
    assert served.answer(question(2, 0, 4)) == (b"\2\0\0\0abcd", True)
    assert served.answer(question(1, 2, 3)) is None
    assert (served.bytes, served.crc) == (7, zlib.crc32(b"cdeabcd"))


@pytest.mark.parametrize(
    "fields",
    [b"", bytes(9), bytes(11), question(2, 0, 4), question(4, 0, 1), question(2, 0, 3)]
    + [question(3, *part) for part in ((0, 0), (0, 5), (6, 3), (9, 1), (0xFFFFFFFF, 1))],
)
def test_questions_that_make_no_sense(fields: bytes) -> None:
    served = ServedInput(b"abcdefgh", 4, None)
    served.answer(question(1, 0, 4))
    served.answer(question(2, 4, 4))
    with pytest.raises(LinkError):
        served.answer(fields)


def samples(count: int) -> list[list[np.ndarray]]:
    return [[np.frombuffer(image(seed), np.int8).reshape(SHAPE)] for seed in range(count)]


@pytest.mark.parametrize("board", ["host", "qemu-cortex-m4"])
def test_verified_profiled_and_run(board: str, tmp_path: Path) -> None:
    built = project("patch", tmp_path, board)
    toolchain.build(built)
    verify = partial(verify_project, built, port=None, labels=None, progress=None, seed=0)
    for report in (verify(count=5, samples=None), verify(count=0, samples=samples(2))):
        assert report.bit_exact and report.op_outputs_compared == 3 * report.inputs
    ran = run_project(built, samples(4)[3], port=None, progress=None)
    (output,) = ran.outputs.values()
    (expected,) = reference.run(deployed(built).imported, {"x": samples(4)[3][0]}).values()
    assert output == expected.ravel().tolist()
    profile = profile_project(built, port=None, progress=None)
    executed = [layer.macs for layer in profile.layers]
    assert executed == [op.macs for op in built.manifest.ops]
    once = [deployed(built).optimized.macs(node) for node in deployed(built).nodes]
    assert executed[0] > once[0] and executed[2] == once[2]
    assert 0 <= profile.arena_bytes - profile.arena_bytes_touched < 8
    if board != "host":
        # What it takes to get the input is in no count: made there or sent, it costs nothing.
        with connected(built, None, counting=True) as client:
            assert client.count([image(3)]) == client.count([random_words(3)])


@pytest.mark.parametrize("op", [0, 1])
def test_the_op_that_differs_is_named(op: int, tmp_path: Path) -> None:
    built = project("patch", tmp_path)
    (code,) = built.root.glob("src/*weights.c")
    text = code.read_text()
    found = list(re.finditer(r"_channels\[\d+\] = \{\s*(-?\d+)", text))[op]
    wrong = str(int(found[1]) ^ 1 << 24)  # the bias of the first channel
    code.write_text(text[: found.start(1)] + wrong + text[found.end(1) :])
    toolchain.build(built)
    report = verify_project(
        built, port=None, count=4, seed=0, samples=None, labels=None, progress=None
    )
    assert report.first_mismatch is not None
    assert report.first_mismatch.op == deployed(built).nodes[op].name


def test_a_target_that_reads_elsewhere_is_found_out(tmp_path: Path) -> None:
    built = project("patch", tmp_path)
    (code,) = (path for path in built.root.glob("src/*.c") if "weights" not in path.name)
    text = code.read_text()
    # The second strip begins one column further right.
    second = r"(uint8_t x, width;\n  \} strips\[\] = \{\n *\{0, \d+\},\n *)\{(\d+)"
    changed = re.sub(second, lambda m: f"{m[1]}{{{int(m[2]) + 1}", text)
    assert changed != text
    code.write_text(changed)
    toolchain.build(built)
    with pytest.raises(CheckFailedError, match="in other pieces than"):
        verify_project(built, port=None, count=4, seed=0, samples=None, labels=None, progress=None)
