"""A firmware whose input comes row by row, over lines good and bad."""

import struct
import zlib
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
from tests.support.tflite_writer import write
from tinyml import pipeline, reference
from tinyml.board import load_board
from tinyml.emit import open_project
from tinyml.emit.manifest import Manifest
from tinyml.errors import LinkError
from tinyml.fill import Fill, random_words
from tinyml.frame import encode
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.link import Client, Invocation
from tinyml.runners import host

ROWS, ROW_BYTES = 6, 201 * 3
"""A row is longer than a frame, and does not begin at a word."""
WRITE, INVOKE, PAINT, PUSH = 3, 4, 5, 8
BAD_RANGE, BAD_INPUTS, BAD_ROW = 3, 4, 6
MORE, DONE = 2, 0


class Target:
    """The firmware, under sanitizers, and what it must compute."""

    def __init__(self, folder: Path) -> None:
        net = GraphBuilder("rows")
        x = net.input((1, ROWS, 201, 3), name="x")
        x = net.conv(x, 2, kernel=(3, 3), stride=(1, 4), pads=Pads(1, 1, 1, 1))
        x = net.conv(x, 3, kernel=(3, 3), stride=(2, 2))
        model = folder / "rows.tflite"
        model.write_bytes(write(net.graph(net.dense(x, 5))))
        pipeline.build(model, "host", folder / "p", feed="rows", schedule="stream")
        project, board = open_project(folder / "p"), load_board("host")
        self.manifest: Manifest = project.manifest
        self.graph: Graph = load(model)
        self.program = folder / "firmware"
        sources = [project.root / path for path in project.sources]
        includes = [f"-I{project.root / path}" for path in project.include_dirs]
        flags = [*board.gcc_flags, *board.define_flags, *includes]
        run_tool("gcc", *toy.STRICT, *SANITIZE, *flags, *sources, "-o", self.program)

    def expected(self, data: bytes) -> bytes:
        array = np.frombuffer(data, np.int8).reshape(1, ROWS, 201, 3)
        (result,) = reference.run(self.graph, {self.graph.inputs[0]: array}).values()
        return result.tobytes()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(tmp_path_factory.mktemp("rows"))


def frame(seed: int) -> bytes:
    return random_words(seed).data(ROWS * ROW_BYTES)


def push(row: int, data: bytes, options: int = 0) -> bytes:
    return struct.pack("<IBHHIH", zlib.crc32(data), options, 0, 0, 0, row)


def seen(run: Invocation) -> list[tuple[int, int, int, int | None]]:
    return [(r.op, r.output, r.bytes, r.crc) for r in run.records]


def test_sent_and_made_inputs_are_the_same(target: Target) -> None:
    recipe = random_words(3)
    with host.run(target.program) as stream:
        client = Client(stream)
        assert client.identity().row_bytes == ROW_BYTES
        assert client.identity().inputs[0].bytes == ROWS * ROW_BYTES
        steps: list[tuple[int, int]] = []
        sent = client.invoke([frame(3)], checksums=True, progress=lambda *at: steps.append(at))
        assert steps == [(ROW_BYTES * n, ROW_BYTES * ROWS) for n in range(1, ROWS + 1)]
        assert client.read_output(0) == target.expected(frame(3))
        made = client.invoke([recipe], checksums=True)
        assert client.read_output(0) == target.expected(frame(3))
        assert seen(sent) == seen(made)
        assert all(r.ticks < 2**31 for r in (*sent.records, *made.records))
        for seed in range(4):
            given_: list[bytes | Fill] = [frame(seed) if seed % 2 else random_words(seed)]
            assert client.infer(given_) == [target.expected(frame(seed))]
        for data in (frame(1), recipe):
            # The last buffer ends within a unit of alignment.
            assert 0 <= client.identity().arena_bytes - client.high_water([data]).arena_bytes < 8


def test_stops_after_a_row(target: Target) -> None:
    entry = target.manifest.ops[0].outputs[0]
    with host.run(target.program) as stream:
        client = Client(stream)
        full = client.invoke([frame(1)], checksums=True)
        for given_ in (frame(1), random_words(1)):
            for rows in (1, 3, 6):
                run = client.invoke(
                    [given_], checksums=True, stop_after=(0, 0), stop_bytes=rows * entry.row_bytes
                )
                assert run.records[0].bytes == rows * entry.row_bytes
            assert run.records[0].crc == full.records[0].crc
            assert seen(client.invoke([given_], checksums=True)) == seen(full)


def test_rows_out_of_turn_and_foreign_ones_are_refused(target: Target) -> None:
    data = frame(2)
    row = [data[start : start + ROW_BYTES] for start in range(0, len(data), ROW_BYTES)]
    with host.run(target.program) as stream:
        client, sequence = Client(stream), 1000

        def status(command: int, fields: bytes, *, again: bool = False) -> tuple[int, int]:
            nonlocal sequence
            sequence += not again
            _, answered, payload = raw_answer(stream, encode(command, sequence, fields))
            assert answered == sequence
            model = struct.unpack_from("<h", payload, 9)[0] if len(payload) > 10 else 0
            return payload[0], model

        client.write_input(0, row[1])
        assert status(PUSH, push(1, row[1])) == (BAD_ROW, 0)
        assert status(PUSH, push(0, row[0])) == (BAD_INPUTS, 0)
        assert status(INVOKE, push(0, row[0])[:13]) == (BAD_INPUTS, 0)
        for y in range(ROWS):
            client.write_input(0, row[y])
            done = (0, MORE if y + 1 < ROWS else DONE)
            assert status(PUSH, push(y, row[y])) == done
            # A repeated request is answered again; under a new number it is a row too many.
            assert status(PUSH, push(y, row[y]), again=True) == done
            if y:
                assert status(PUSH, push(y, row[y]))[0] == BAD_ROW
        assert client.read_output(0) == target.expected(data)
        # A frame ends with PAINT, and with an INVOKE; row 0 always begins one.
        for end in ((PAINT, b"\xa5"), (INVOKE, struct.pack("<IBHHI", 1, 0, 0, 0, 0))):
            for _ in range(2):
                client.write_input(0, row[0])
                assert status(PUSH, push(0, row[0])) == (0, MORE)
            status(*end)
            client.write_input(0, row[1])
            assert status(PUSH, push(1, row[1]))[0] == BAD_ROW
        for offset, size, answer in (
            (0, ROW_BYTES, 3),
            (ROW_BYTES - 1, 2, 3),
            (ROW_BYTES - 1, 1, 0),
        ):
            fields = struct.pack("<HI", 0, offset) + bytes(size)
            if size <= 512:
                assert status(WRITE, fields)[0] == answer
        assert status(WRITE, struct.pack("<HI", 1, 0) + b"x")[0] == BAD_RANGE
        assert status(2, struct.pack("<BHIH", 5, 0, 0, 1))[0] == BAD_RANGE, "no input to read"
        assert client.infer([data]) == [target.expected(data)]


def test_lengths_are_checked(target: Target) -> None:
    with host.run(target.program) as stream:
        client = Client(stream)
        for wrong in (b"", bytes(ROW_BYTES), bytes(ROWS * ROW_BYTES + 1)):
            with pytest.raises(LinkError, match="input 0"):
                client.invoke([wrong])


PLAN = st.dictionaries(st.integers(0, 60), FAULTS, max_size=6)


@given(writes=PLAN, reads=PLAN, seed=st.integers(0, 100), made=st.booleans())
@settings(BOUNDED, max_examples=40)
def test_any_damage_is_recovered_from(
    target: Target, writes: dict[int, Fault], reads: dict[int, Fault], seed: int, made: bool
) -> None:
    with host.run(target.program) as stream:
        client = impatient(FaultyStream(stream, writes, reads))
        run = client.invoke([random_words(seed) if made else frame(seed)], checksums=True)
        assert client.read_output(0) == target.expected(frame(seed))
        assert [r.bytes for r in run.records] == [
            output.bytes for op in target.manifest.ops for output in op.outputs
        ]
        assert run.records[-1].crc == zlib.crc32(target.expected(frame(seed)))
