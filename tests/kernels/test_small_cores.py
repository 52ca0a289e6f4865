"""The kernels on emulated cores without a DSP extension, as their compilers make them.

They differ by processor: sums per turn, the upper half of a product, saturation.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.test_dsp import LINEAR, check, clamped, drawn, extremes
from tests.support.strategies import Case
from tinyml.board import Board, load_board
from tinyml.kernels import bind
from tinyml.kernels.registry import kernels

KINDS = {"CONV_2D": 30, "DEPTHWISE_CONV_2D": 70, "FULLY_CONNECTED": 20, "ADD": 20}
"""How many cases of each are run; few, as planning a program takes long."""

OPS = {"conv": LINEAR["1x1"], "depthwise": LINEAR["3x3"]}
"""Operators whose rescale is tried at its extremes; the kernel named is the one of others."""


def bytes_of(case: Case) -> int:
    """Memory that the tensors of a case take, each aligned."""
    return sum(t.nbytes + 16 for t in case.graph.tensors.values() if t.data is None)


def batches(cases: list[Case], room: int) -> Iterator[list[Case]]:
    """The cases, in programs whose tensors fit `room` bytes; what fits none is left out."""
    batch: list[Case] = []
    used = 0
    for one in cases:
        if bytes_of(one) > room // 4:
            continue
        if used + bytes_of(one) > room:
            yield batch
            batch, used = [], 0
        batch.append(one)
        used += bytes_of(one)
    yield batch


def served(kind: str, board: Board) -> set[str]:
    """The kernels that serve an operator on a board: those of its first instruction set there."""
    found = [k for k in kernels() if any(kind in service.ops for service in k.serves)]
    first = next(isa for isa in board.isa if isa in {kernel.isa for kernel in found})
    return {kernel.name for kernel in found if kernel.isa == first}


@pytest.mark.parametrize("name", ["qemu-cortex-m3", "qemu-riscv32"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_reference(kind: str, name: str, tmp_path: Path) -> None:
    board = load_board(name)
    runs = check(drawn(kind, KINDS[kind]), board, tmp_path)
    assert set(runs) == served(kind, board), runs


@pytest.mark.parametrize("name", ["qemu-cortex-m3", "qemu-cortex-m0-large", "qemu-riscv32"])
def test_equals_reference_below_a_relu(name: str, tmp_path: Path) -> None:
    """Whose range is all bytes, so that the quick rescale need not clamp."""
    some = [clamped(one) for kind in KINDS for one in drawn(kind, 15)]
    check(some, load_board(name), tmp_path)


def test_every_form_of_the_rescale_is_run() -> None:
    forms = Counter[tuple[int, bool]]()
    for kind in KINDS:
        for one in (*drawn(kind, KINDS[kind]), *map(clamped, drawn(kind, 15))):
            call = bind(one.graph, one.graph.nodes[0], ("portable",))
            fields = dict(call.struct.fields if call.struct else ())
            if (form := fields.get("filters.rescale")) is not None:
                assert isinstance(form, int)
                all_bytes = (fields["filters.act_min"], fields["filters.act_max"]) == (-128, 127)
                forms[form, all_bytes] += 1
    exact, line, bent = range(3)
    assert min(forms[exact, True], forms[line, False], forms[line, True]) >= 5, forms
    assert forms[bent, True] + forms[bent, False] >= 5, forms


@pytest.mark.parametrize("kind", KINDS)
def test_equals_reference_in_16_kilobytes(kind: str, tmp_path: Path) -> None:
    batch = next(batches(drawn(kind, KINDS[kind]), 4000))
    board = load_board("qemu-cortex-m0")
    runs = check(batch, board, tmp_path)
    assert set(runs) <= served(kind, board) and runs.total() >= 4


@pytest.mark.parametrize("name", ["qemu-cortex-m3", "qemu-cortex-m0", "qemu-riscv32"])
@pytest.mark.parametrize("op", OPS)
def test_rescale_at_extremes(name: str, op: str, tmp_path: Path) -> None:
    board = load_board(name)
    _, operator, side = OPS[op]
    some = extremes(operator, side)
    if name == "qemu-cortex-m0":
        some = next(batches(some, 4000))
    runs = check(some, board, tmp_path)
    assert runs.total() == len(some) > 5
