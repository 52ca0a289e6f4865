"""The portable kernels on an AVR, whose int has 16 bits and whose tables are in program memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.cases import cases
from tests.kernels.test_dsp import check
from tests.support.emitted import collect
from tests.support.strategies import CASES, Case
from tinyml.board import load_board
from tinyml.kernels import bind

ROOM = 2500
"""Bytes of tensors in a program: 8 KB are for all."""
NODES = 24
DRAWN = 16
"""Cases of each operator, of which those that are small enough are run."""

BOARD = "arduino-mega2560"


def bytes_of(case: Case) -> int:
    """Memory of a case's tensors and of what the link and the kernel keep of it."""
    return sum(t.nbytes + 16 for t in case.graph.tensors.values() if t.data is None) + 40


def batches(some: list[Case]) -> Iterator[list[Case]]:
    """The cases, in programs that fit."""
    batch: list[Case] = []
    for one in some:
        full = sum(map(bytes_of, batch)) + bytes_of(one) > ROOM
        if batch and (full or len(batch) == NODES):
            yield batch
            batch = []
        batch.append(one)
    yield batch


def drawn() -> list[Case]:
    """The smaller half of the cases of every operator that has a kernel."""
    board = load_board(BOARD)
    found: list[Case] = []
    for kind in CASES:
        some = [
            one
            for one in collect(cases(kind), DRAWN)
            if bytes_of(one) < ROOM // 5
            and bind(one.graph, one.graph.nodes[0], board.isa).scratch_bytes < ROOM // 5
        ]
        found += sorted(some, key=bytes_of)[: DRAWN // 2]
    return found


@pytest.mark.parametrize("part", range(3))
def test_equals_reference(part: int, tmp_path: Path) -> None:
    runs = 0
    for index, batch in enumerate(batches(drawn()[part::3])):
        runs += check(batch, load_board(BOARD), tmp_path / str(index)).total()
    assert runs > 40
