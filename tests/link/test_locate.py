"""The first wrong row is found, also when only two rows are in memory at a time."""

from pathlib import Path

import pytest

from tests.link import toy
from tinyml.emit.pieces import Piece
from tinyml.link import Client
from tinyml.locate import first_wrong_piece
from tinyml.runners import host

RING = [Piece(2 * row, 2, toy.P[0] + row % 2 * 2) for row in range(toy.ROWS)]
WHOLE = [Piece(2 * row, 2, toy.Q[0] + 2 * row) for row in range(toy.ROWS)]
AT_ONCE = [Piece(0, 300, toy.Z[0])]


@pytest.mark.parametrize("row", [0, 1, 49, 50, 98, 99])
@pytest.mark.parametrize(("op", "pieces"), [(3, RING), (4, WHOLE)])
def test_rows(host_toy: Path, op: int, pieces: list[Piece], row: int) -> None:
    given = toy.inputs(row)
    data = toy.rows(given)[op - 3]
    want = bytearray(data)
    want[2 * row + 1] ^= 0x80
    want[-1] ^= 1  # a later difference does not matter
    with host.run(host_toy) as stream:
        piece, got = first_wrong_piece(Client(stream), given, (op, 0), pieces, bytes(want))
    assert (piece.start, got) == (2 * row, data[2 * row : 2 * row + 2])


def test_at_once(host_toy: Path) -> None:
    given = toy.inputs(1)
    with host.run(host_toy) as stream:
        found = first_wrong_piece(Client(stream), given, (2, 0), AT_ONCE, bytes(300))
    assert found == (AT_ONCE[0], toy.outputs(given)[1])


def test_a_whim_of_the_target_ends(host_toy: Path) -> None:
    given = toy.inputs(2)
    data, _ = toy.rows(given)
    with host.run(host_toy) as stream:
        piece, got = first_wrong_piece(Client(stream), given, (3, 0), RING, data)
    assert got == data[piece.start : piece.start + 2]
