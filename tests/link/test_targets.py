"""The toy firmware on every emulated core: the same protocol, exact counts, visible crashes."""

import math
import subprocess
from pathlib import Path

import pytest

from tests.link import toy
from tinyml.board import Board, list_boards, load_board
from tinyml.errors import LinkError
from tinyml.link import Client, Counts
from tinyml.runners import open_target

EMULATED = [
    name
    for name in list_boards()
    if load_board(name).emulator and load_board(name).kind == "baremetal"
]
"""Libraries are firmware only with an ecosystem's core around them: `tests/ecosystems`."""


@pytest.fixture(scope="module", params=EMULATED)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Board, Path]:
    board = load_board(request.param)
    return board, toy.build(board, tmp_path_factory.mktemp("toy"))


def test_boots_and_computes(target: tuple[Board, Path]) -> None:
    board, elf = target
    with open_target(board, elf) as stream:
        client = Client(stream)
        assert client.identity().name == "toy"
        assert client.identity().unit == "instructions"
        for seed in range(3):
            given = toy.inputs(seed)
            run = client.invoke(given, checksums=True)
            assert [(r.op, r.output, r.bytes, r.crc) for r in run.records] == toy.checksums(given)
            assert [client.read_output(i) for i in range(2)] == toy.outputs(given)
        water = client.high_water(toy.inputs())
        assert water.arena_bytes == toy.TOUCHED
        assert 64 <= water.stack_bytes < board.stack_bytes


def counts(target: tuple[Board, Path], turns: int) -> Counts:
    with open_target(*target, counting=True) as stream:
        return Client(stream).count(toy.inputs(turns=turns))


def test_counts_instructions_exactly(target: tuple[Board, Path]) -> None:
    board, _ = target
    assert board.emulator
    tick = math.ceil(board.emulator.instructions_per_tick)
    short, long = counts(target, 10), counts(target, 250)
    assert short.unit == long.unit == "instructions"
    # The loop takes two instructions a turn.
    assert abs((long.ops[1] - short.ops[1]) - 2 * 240 * toy.LOOP_UNIT) <= tick
    differ = sum(a - b for a, b in zip(long.ops, short.ops, strict=True))
    assert abs((long.total - short.total) - differ) <= tick
    assert [short.ops[i] for i in (0, 2, 4)] == [long.ops[i] for i in (0, 2, 4)]
    # Counted row by row, each to the tick.
    rows = toy.ROWS * (tick + 1)
    assert abs((long.ops[3] - short.ops[3]) - 2 * 240 * toy.ROW_UNIT * toy.ROWS) <= rows
    # Between ops lie tens of instructions, which a tick of one instruction shows.
    between = 3 * tick if tick > 1 else 64
    assert abs(short.total - sum(short.ops)) <= between
    assert counts(target, 10) == short, "another boot counts the same"


def test_time_is_not_passed_off_as_instructions(target: tuple[Board, Path]) -> None:
    board, elf = target
    with (
        open_target(board, elf, counting=False) as stream,
        pytest.raises(LinkError, match="does not count instructions"),
    ):
        Client(stream).count(toy.inputs(turns=250))


def test_a_clock_that_stands_still_is_not_passed_off_as_instructions(
    target: tuple[Board, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator without `-icount` where the machine's clock moves every 100 ms."""
    coarse = tmp_path / "coarse.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", str(Path(__file__).with_name("coarse.c")), "-o", str(coarse)],
        check=True,
        timeout=60,
    )
    board, elf = target
    monkeypatch.setenv("LD_PRELOAD", str(coarse))
    with (
        open_target(board, elf, counting=False) as stream,
        pytest.raises(LinkError, match="does not count instructions"),
    ):
        Client(stream).count(toy.inputs(turns=250))


def test_a_crash_is_reported_with_its_place(target: tuple[Board, Path]) -> None:
    with open_target(*target) as stream:
        client = Client(stream)
        with pytest.raises(LinkError, match=r"crashed at pc 0x[0-9a-f]{8}"):
            client.infer(toy.inputs(fate=toy.FAULT))
        with pytest.raises(LinkError, match="crashed"):
            Client(stream).identity()


def test_a_stack_overflow_is_reported(target: tuple[Board, Path]) -> None:
    with open_target(*target) as stream, pytest.raises(LinkError, match="stack exhausted"):
        Client(stream).infer(toy.inputs(fate=toy.OVERFLOW))
