"""The image that the linker script makes of board data: what lies where."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from tests.link import toy
from tinyml.board import Board, list_boards, load_board

BARE = [name for name in list_boards() if load_board(name).kind == "baremetal"]


def symbols(elf: Path) -> dict[str, int]:
    listing = subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listing.stdout.splitlines()]
    return {row[-1]: int(row[0], 16) for row in rows if len(row) == 3}


def words_at(board: Board, elf: Path, section: str, folder: Path) -> list[int]:
    raw = folder / "section.bin"
    only = f"--only-section={section}"
    subprocess.run([board.toolchain.objcopy, "-O", "binary", only, elf, raw], check=True)
    data = raw.read_bytes()
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


@pytest.mark.parametrize("name", BARE)
def test_the_image_is_where_the_board_says(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    elf = toy.build(board, tmp_path)
    at = symbols(elf)
    assert at["tinyml_vectors_start"] == board.region("vectors").origin
    assert at["tinyml_stack_limit"] == board.region("stack").origin
    assert at["tinyml_stack_top"] - at["tinyml_stack_limit"] == board.stack_bytes
    assert at["tinyml_stack_top"] % 8 == 0
    arena = board.region("arena")
    assert arena.origin <= at["tinyml_arena_start"] and at["tinyml_arena_end"] <= arena.end
    assert at["arena"] % 16 == 0

    if "riscv" in board.port:  # which has no table there, but its first instruction
        assert at["tinyml_port_reset"] == board.region("vectors").origin
        return
    assert at["vectors"] == board.region("vectors").origin
    table = words_at(board, elf, ".vectors", tmp_path)
    assert len(table) == 16
    assert table[0] == at["tinyml_stack_top"]
    assert table[1] == at["tinyml_port_reset"] | 1, "thumb bit set"
    assert table[3] == at["tinyml_port_fault"] | 1
    assert table[15] == at["tinyml_port_systick"] | 1


def squeezed(board: Board, region: str, size: int) -> Board:
    regions = tuple(
        dataclasses.replace(r, bytes=size) if r.name == region else r for r in board.regions
    )
    return dataclasses.replace(board, regions=regions)


@pytest.mark.parametrize(("region", "size"), [("flash", 1024), ("sram", 5000)])
def test_what_does_not_fit_is_a_link_error_that_names_the_region(
    region: str, size: int, tmp_path: Path
) -> None:
    board = squeezed(load_board("stm32"), region, size)
    with pytest.raises(AssertionError, match=rf"region `{region}' overflowed by \d+ bytes"):
        toy.build(board, tmp_path)


def test_firmware_without_startup_code_does_not_link(tmp_path: Path) -> None:
    board = dataclasses.replace(load_board("stm32"), port=())
    with pytest.raises(AssertionError, match="the startup code"):
        toy.build(board, tmp_path, "-Wl,--unresolved-symbols=ignore-all")
