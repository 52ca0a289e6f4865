"""The toy firmware as a program of another processor, in an emulator of its instructions."""

import dataclasses
import platform
import shutil
from pathlib import Path

import pytest

from tests.link import toy
from tinyml.board import Board, UserEmulator, load_board
from tinyml.errors import BoardError, MissingToolError
from tinyml.link import Client, Counts
from tinyml.runners import host, open_target

Program = tuple[Board, Path]
"""A board, and the toy that was built for it."""


@pytest.fixture(scope="module", params=["raspberry-pi-4", "raspberry-pi-armhf"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    board = load_board(request.param)
    if shutil.which(board.toolchain.gcc[0]) is None:
        pytest.skip("the compiler is not installed")
    return board, toy.build(board, tmp_path_factory.mktemp("toy"))


@pytest.fixture
def emulator(program: Program) -> UserEmulator:
    found = program[0].user_emulator
    assert found is not None
    if platform.machine() == found.machine or shutil.which(found.program) is None:
        pytest.skip("there is no emulator here, or no need of one")
    return found


def counts(program: Program, turns: int) -> Counts:
    with open_target(*program, counting=True) as stream:
        return Client(stream).count(toy.inputs(turns=turns))


def test_computes(program: Program) -> None:
    with open_target(*program) as stream:
        client = Client(stream)
        assert client.identity().unit == "nanoseconds"
        assert client.infer(toy.inputs()) == toy.outputs(toy.inputs())


@pytest.mark.usefixtures("emulator")
def test_counts_instructions_exactly(program: Program) -> None:
    short, long = counts(program, 10), counts(program, 250)
    assert short.unit == long.unit == "instructions"
    loops = [(b - a) for a, b in zip(short.ops, long.ops, strict=True)]
    per_turn, rest = divmod(loops[1], 240 * toy.LOOP_UNIT)
    assert 1 <= per_turn <= 4 and rest == 0, "a loop takes a few instructions a turn, always"
    # Counted row by row, but for the rounding of what counting costs.
    assert abs(loops[3] - per_turn * 240 * toy.ROW_UNIT * toy.ROWS) <= toy.ROWS
    assert loops[0] == loops[2] == loops[4] == 0
    assert counts(program, 10) == short, "another run counts the same"


def test_a_missing_emulator_is_told(program: Program, emulator: UserEmulator) -> None:
    absent = dataclasses.replace(emulator, program="qemu-nope")
    with (
        pytest.raises(MissingToolError, match="sudo apt-get install qemu-user") as caught,
        host.run(program[1], absent),
    ):
        pass
    assert caught.value.exit_status == 3


def test_no_emulator_where_the_processor_is_here(host_toy: Path) -> None:
    other = load_board("raspberry-pi-4").user_emulator
    assert other is not None
    here = dataclasses.replace(other, program="qemu-nope", machine=platform.machine())
    with host.run(host_toy, here, counting=True) as stream:
        assert Client(stream).identity().unit == "nanoseconds"


def test_a_process_has_no_port(program: Program) -> None:
    with (
        pytest.raises(BoardError, match="leave out --port"),
        open_target(*program, "/dev/null"),
    ):
        pass
