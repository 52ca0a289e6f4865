"""Boards with two regions for an arena or for tables: firmware that uses both, emulated."""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.models import model_path
from tinyml import describe, pipeline, toolchain
from tinyml.board import Board, load_board
from tinyml.choose import Choice, choose
from tinyml.emit import Project, emit
from tinyml.emit.rooms import CODE_BYTES, OP_BYTES, arena_rooms, constants_room
from tinyml.emit.tables import TableView
from tinyml.emit.view import model_view
from tinyml.memory import plan_memory
from tinyml.options import PlanOptions
from tinyml.profile import profile_project
from tinyml.results import BankProfile, VerifyReport
from tinyml.toolchain import Firmware
from tinyml.verify import connected, deployed_graph, verify_project

DIGITS = Path(__file__).parents[2] / "examples/digits/digits_int8.tflite"
BOARDS = ("qemu-cortex-m7", "qemu-cortex-m55")


def resized(board: Board, region: str, size: int) -> Board:
    """`board` with so many bytes in a region."""
    regions = tuple(replace(r, bytes=size) if r.name == region else r for r in board.regions)
    return replace(board, regions=regions)


@dataclass(frozen=True)
class Built:
    """A model on a board that has just so much room in its first region."""

    choice: Choice
    project: Project
    firmware: Firmware

    def verified(self, inputs: int = 3) -> VerifyReport:
        """What a comparison with the reference finds."""
        return verify_project(
            self.project,
            port=None,
            count=inputs,
            seed=0,
            samples=None,
            labels=None,
            progress=None,
        )


def built(model: Path, board: Board, room: int, out: Path, feed: str = "whole") -> Built:
    options = PlanOptions(feed=feed)
    graph = deployed_graph(model, options.deployed_io)
    plan = choose(graph, board, options).taken.plan
    rooms = arena_rooms(plan.graph, plan.schedule, plan.calls, board)
    assert rooms is not None
    region = board.region("arena")
    board = resized(board, region.name, region.bytes - rooms[0] + room)
    choice = choose(graph, board, options)
    project = emit(choice.taken.plan, board, out, source=model.read_bytes())
    return Built(choice, project, toolchain.build(project, "gcc"))


def symbols(built: Built) -> dict[str, int]:
    listing = toolchain_output("arm-none-eabi-nm", str(built.firmware.elf))
    rows = [line.split() for line in listing.splitlines()]
    return {row[-1]: int(row[0], 16) for row in rows if len(row) == 3}


def toolchain_output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("feed", ["whole", "rows", "pull"])
@pytest.mark.parametrize("name", BOARDS)
def test_an_arena_in_two_regions(name: str, feed: str, tmp_path: Path) -> None:
    """Bit-exact, every op observed; either bank is used to its last byte, or nearly."""
    found = built(DIGITS, load_board(name), 480, tmp_path / "project", feed)
    memory = found.choice.taken.plan.memory
    assert memory.split is not None and 0 < memory.split <= 480
    assert found.verified().bit_exact
    profile = profile_project(found.project, port=None, cycles=False, progress=None)
    board = found.project.board
    more = board.more("arena")
    assert more is not None
    assert [bank.region for bank in profile.banks] == [board.region("arena").name, more.name]
    assert tuple(bank.bytes for bank in profile.banks) == memory.banks
    assert all(0 <= bank.bytes - bank.bytes_touched < 8 for bank in profile.banks)
    assert profile.arena_bytes == memory.arena_bytes
    at = symbols(found)
    assert board.region("arena").origin <= at["arena"] < board.region("arena").end
    assert more.origin <= at["more"] < more.end


def test_the_host_reads_both_as_one_arena(tmp_path: Path) -> None:
    """Natively, where there are no regions: what is read over the split is in one piece."""
    options = PlanOptions()
    plan = choose(deployed_graph(DIGITS, "model"), load_board("host"), options).taken.plan
    rooms = plan.memory.arena_bytes // 2, 1 << 20
    memory = plan_memory(plan.graph, plan.schedule, plan.calls, rooms)
    assert memory.split
    project = emit(
        replace(plan, memory=memory),
        load_board("host"),
        tmp_path / "project",
        source=DIGITS.read_bytes(),
    )
    toolchain.build(project)
    with connected(project, None) as client:
        identity = client.identity()
        assert (identity.arena_bytes, identity.more_bytes) == (memory.arena_bytes, memory.banks[1])
        client.infer([bytes(region.bytes) for region in identity.inputs])
        whole = client.read_arena(0, memory.arena_bytes)
        assert len(whole) == memory.arena_bytes
        around = memory.split - 5
        assert client.read_arena(around, 10) == whole[around : around + 10]
        for index, region in enumerate(identity.outputs):
            end = region.offset + region.bytes
            assert whole[region.offset : end] == client.read_output(index)


def test_what_fits_the_first_region_has_one_arena(tmp_path: Path) -> None:
    found = built(DIGITS, load_board("qemu-cortex-m55"), 1 << 16, tmp_path / "project")
    assert found.choice.taken.plan.memory.split is None
    assert found.project.manifest.more_bytes == 0
    profile = profile_project(found.project, port=None, cycles=False, progress=None)
    assert profile.banks == ()


def test_tables_in_external_flash(tmp_path: Path) -> None:
    """Those of a network that are read least, where internal flash has no room for all."""
    board = load_board("qemu-cortex-m7")
    graph = deployed_graph(DIGITS, "model")
    plan = choose(graph, board, PlanOptions()).taken.plan
    ops = len(plan.schedule.order)
    flash = board.region("constants")
    board = resized(board, flash.name, 1024 + 128 + CODE_BYTES + OP_BYTES * ops)
    room = constants_room(ops, board)
    assert room is not None
    choice = choose(graph, board, PlanOptions())
    project = emit(choice.taken.plan, board, tmp_path / "project", source=DIGITS.read_bytes())
    found = Built(choice, project, toolchain.build(project, "gcc"))
    external = board.more("constants")
    assert external is not None
    weights = next((project.root / "src").glob("*_weights.c")).read_text()
    moved = [
        line.split("[")[0].split()[-1]
        for line in weights.splitlines()
        if "_MORE_CONSTANTS const " in line
    ]
    at = symbols(found)
    assert moved and all(external.origin <= at[table] < external.end for table in moved)
    stay = [line.split("[")[0].split()[-1] for line in weights.splitlines() if line[:6] == "const "]
    assert stay and all(flash.origin <= at[table] < flash.end for table in stay)
    assert found.verified().bit_exact
    bytes_moved = sum(table.bytes for table in view_tables(choice, board) if table.more)
    report = describe.build_report(found.firmware)
    assert 0 <= report.more_const_bytes - bytes_moved < 8 * len(moved)
    assert report.const_bytes > report.more_const_bytes


def view_tables(choice: Choice, board: Board) -> tuple[TableView, ...]:
    """The tables as they are printed for the board."""
    return model_view(choice.taken.plan, board=board).tables


def test_the_plan_says_what_is_where() -> None:
    board = load_board("qemu-cortex-m55")
    model, options = DIGITS, PlanOptions()
    graph = deployed_graph(model, options.deployed_io)
    assert describe.plan_report(model, board, graph, choose(graph, board, options)).banks == ()
    board = resized(board, "dtcm", board.stack_bytes + 3200)
    choice = choose(graph, board, options)
    report = describe.plan_report(model, board, graph, choice)
    memory = choice.taken.plan.memory
    assert [bank.region for bank in report.banks] == ["dtcm", "sram"]
    assert tuple(bank.bytes for bank in report.banks) == memory.banks
    names = [name for bank in report.banks for name in bank.buffers]
    assert sorted(names) == sorted(buffer.name for buffer in memory.buffers)
    assert report.to_json()["banks"][0]["region"] == "dtcm"


@pytest.mark.slow
def test_a_real_model_on_a_board_as_it_is(tmp_path: Path) -> None:
    """Float maps of 1.2 MB beside 512 KB of DTCM: most of what is accessed is in that."""
    model, out = model_path("mcunetv2_large_224_int8"), tmp_path / "project"
    name, schedule = "qemu-cortex-m55", "layer"
    first, second = pipeline.plan(model, name, schedule=schedule).banks
    assert (first.region, second.region) == ("dtcm", "sram")
    assert first.bytes < second.bytes and first.accessed > 3 * second.accessed
    pipeline.build(model, name, out, schedule=schedule)
    report = pipeline.verify(out, inputs=1)
    assert report.bit_exact and report.op_outputs_compared > 100
    touched = pipeline.profile(out).banks
    assert touched == tuple(BankProfile(b.region, b.bytes, b.bytes) for b in (first, second))
