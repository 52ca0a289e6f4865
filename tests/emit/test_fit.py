"""A model that does not fit is refused before anything is written or compiled."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.emit.nets import small
from tests.support.emitted import plan_of
from tests.support.graphs import GraphBuilder
from tinyml.board import Board, load_board
from tinyml.emit import emit
from tinyml.emit.fit import needs
from tinyml.emit.view import model_view
from tinyml.errors import PlanError
from tinyml.toolchain import build


def shrunk(board: Board, kind: str, size: int) -> Board:
    regions = tuple(replace(r, bytes=size) if r.kind == kind else r for r in board.regions)
    return replace(board, regions=regions)


def test_too_little_ram(tmp_path: Path) -> None:
    b = GraphBuilder("wide")
    x = b.input((1, 140, 140, 8), name="x")
    graph = b.graph(b.conv(x, 8, (3, 3), output="y"))
    with pytest.raises(PlanError) as refused:
        emit(plan_of(graph), load_board("stm32"), tmp_path / "p", source=b"")
    error = refused.value
    assert "'wide'" in error.what
    assert "'stm32'" in error.what
    assert "region 'sram' has 131072 bytes" in error.what
    assert "arena 15" in error.what
    assert "tinyml boards" in error.hint
    assert error.exit_status == 2
    assert not (tmp_path / "p").exists()


def test_too_little_flash_and_ram_are_said_at_once(tmp_path: Path) -> None:
    board = shrunk(shrunk(load_board("stm32"), "flash", 2048), "ram", 4096)
    with pytest.raises(PlanError) as refused:
        emit(plan_of(small()), board, tmp_path, source=b"")
    assert "region 'flash'" in refused.value.what
    assert "region 'sram'" in refused.value.what
    assert "fewer weights and smaller activations" in refused.value.hint


def test_a_host_takes_anything(tmp_path: Path) -> None:
    host = load_board("host")
    emit(plan_of(small()), host, tmp_path, source=b"")


@pytest.mark.parametrize(
    ("name", "kernels"),
    # Portable kernels are unrolled, and the M0 lacks what makes that short.
    [("stm32", 8192), ("qemu-cortex-m0", 9216), ("qemu-cortex-m55", 8192)],
)
def test_the_estimate_is_a_lower_bound(name: str, kernels: int, tmp_path: Path) -> None:
    board = load_board(name)
    plan = plan_of(small(), board)
    least = needs(plan, model_view(plan), board)
    built = build(emit(plan, board, tmp_path, source=b""), "gcc")
    flash = least["vectors"] + least["code"] + least["constants"]
    assert flash <= built.flash_bytes <= flash + kernels
    ram = least["data"] + least["arena"]
    assert ram <= built.sram_bytes <= ram + 2048
