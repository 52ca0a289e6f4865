"""Models whose arena is in two: compiled with sanitizers, they compute what the reference does."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.emit.nets import small
from tests.emit.test_bit_exact import assert_models
from tests.emit.test_feed import SCHEDULERS as FED
from tests.emit.test_feed import takes_rows
from tests.emit.test_patches import assert_pieces
from tests.emit.test_streams import SCHEDULERS
from tests.support.emitted import SANITIZE, STRICT, Models, collect, plan_of, run_tool
from tests.support.graphs import GraphBuilder, cases, graphs, random_inputs
from tests.support.patched import drawn_patch
from tests.support.streamed import Scheduler, planned
from tinyml.board import Board, load_board
from tinyml.emit import emit
from tinyml.emit.rooms import constants_room
from tinyml.emit.tables import TablePool
from tinyml.emit.view import model_view
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import ConstArray
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.planning import Plan

PLENTY = 1 << 30


def in_banks(plan: Plan, room: int) -> Plan:
    """The same plan, with so much room in the first bank."""
    memory = plan_memory(plan.graph, plan.schedule, plan.calls, (room, PLENTY))
    check_plan(plan.graph, plan.schedule, plan.calls, memory, (room, PLENTY))
    return replace(plan, memory=memory)


def divided(graph: Graph, scheduler: Scheduler | None, seed: int = 0) -> Plan:
    """A plan with a split somewhere; PlanError where there can be none."""
    plan = plan_of(graph) if scheduler is None else planned(graph, scheduler)
    rng = Random(f"{graph.name} {seed}")
    for _ in range(6):
        found = in_banks(plan, rng.randrange(plan.memory.arena_bytes))
        if found.memory.split:
            return found
    raise PlanError("one buffer")


WAYS: dict[str, Scheduler | None] = {
    "layers": None,
    "streams": SCHEDULERS["streams"],
    "rows": FED["streams"],
    "tiles": drawn_patch(3, pull=False),
    "pulled": drawn_patch(4, pull=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_random_networks(way: str, tmp_path: Path) -> None:
    networks, plans, inputs = [], [], []
    for case in collect(cases(graphs()), 100)[list(WAYS).index(way) :: len(WAYS)]:
        if way == "rows" and not takes_rows(case.graph):
            continue
        try:
            plans.append(divided(optimize(case.graph), WAYS[way]))
        except PlanError:
            continue
        networks.append(case.graph)
        inputs.append([dict(case.inputs), random_inputs(case.graph, 5)])
    assert len(networks) > 3
    left = iter(plans)
    models = Models(networks, tmp_path, planner=lambda _: next(left))
    check = assert_pieces if way in ("tiles", "pulled") else assert_models
    assert check(models, networks, inputs) > 3
    for project in models.projects:
        assert 0 < project.manifest.more_bytes < project.manifest.arena_bytes


_API = """
#include <stdio.h>
#include "m.h"

#define CHECK(c) do { if (!(c)) { printf("line %d\\n", __LINE__); return 1; } } while (0)

static uint8_t arena[M_ARENA_BYTES + 8] __attribute__((aligned(8)));
static uint8_t more[M_MORE_ARENA_BYTES + 8] __attribute__((aligned(8)));

int main(void) {
  const size_t a = M_ARENA_BYTES, b = M_MORE_ARENA_BYTES;
  m_t m = {NULL, NULL, 0, NULL};
  CHECK(a + b == m_info.arena_bytes && b == m_info.more_bytes);
  CHECK(m_init(NULL, arena, a, more, b) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, NULL, a, more, b) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, arena, a, NULL, b) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, arena, a - 1, more, b) == TINYML_ERROR_ARENA_SIZE);
  CHECK(m_init(&m, arena, a, more, b - 1) == TINYML_ERROR_ARENA_SIZE);
  CHECK(m_init(&m, arena + 4, a, more, b) == TINYML_ERROR_ALIGNMENT);
  CHECK(m_init(&m, arena, a, more + 4, b) == TINYML_ERROR_ALIGNMENT);
  CHECK(m.arena == NULL && m.more == NULL);
  CHECK(m_init(&m, arena, a, more, b) == TINYML_OK);
  CHECK(m.arena == arena && m.more == more);
  CHECK(m_invoke(&m, NULL, NULL) == TINYML_OK);
  return 0;
}
"""


def test_the_api(tmp_path: Path) -> None:
    project = emit(divided(small(), None), load_board("host"), tmp_path, source=b"model", name="m")
    (tmp_path / "own.c").write_text(_API)
    sources = [p for p in project.sources if p.startswith(("src/", "runtime/"))] + ["own.c"]
    includes = [f"-I{tmp_path / folder}" for folder in project.include_dirs]
    files = [tmp_path / source for source in sources]
    run_tool("gcc", *STRICT, *SANITIZE, *includes, *files, "-o", tmp_path / "own")
    assert run_tool(tmp_path / "own").stdout == b""
    for path in ("m.c", "m.h"):
        assert all(len(line) <= 100 for line in (tmp_path / "src" / path).read_text().splitlines())


def two_regions(board: Board, section: str, size: int) -> Board:
    """`board`, whose first region for `section` has so many bytes."""
    first = board.region(section).name
    regions = tuple(replace(r, bytes=size) if r.name == first else r for r in board.regions)
    return replace(board, regions=regions)


def test_what_fits_the_first_region_is_printed_as_ever(tmp_path: Path) -> None:
    """The same C as for a board of the same instruction set that has one region."""
    one, two = load_board("qemu-cortex-m4"), load_board("qemu-cortex-m7")
    assert one.more("arena") is None and two.more("arena") is not None
    assert two.more("constants") is not None
    plan = plan_of(small(), two)
    for board in (one, two):
        emit(plan, board, tmp_path / board.name, source=b"model", name="m")
    for path in ("src/m.h", "src/m_weights.c", "src/m_weights.h"):
        assert (tmp_path / one.name / path).read_bytes() == (
            tmp_path / two.name / path
        ).read_bytes()
    code = (tmp_path / two.name / "src/m.c").read_text()
    assert "more" not in code.replace("needs more scratch", "")


def test_a_slow_bank_alone_takes_one_arena(tmp_path: Path) -> None:
    plan = in_banks(plan_of(small()), 0)
    assert plan.memory.split == 0
    board = load_board("qemu-cortex-m55")
    emit(plan, board, tmp_path / "slow", source=b"model", name="m")
    main = (tmp_path / "slow/main.c").read_text()
    assert 'section(".more_arena")' in main and 'section(".arena")' not in main
    fast = replace(plan, memory=plan_memory(plan.graph, plan.schedule, plan.calls))
    emit(fast, board, tmp_path / "fast", source=b"model", name="m")
    assert (tmp_path / "slow/src/m.h").read_bytes() == (tmp_path / "fast/src/m.h").read_bytes()


def test_a_second_region_that_is_too_small_is_named(tmp_path: Path) -> None:
    b = GraphBuilder("wide")
    x = b.input((1, 100, 100, 8), name="x")
    graph = b.graph(b.conv(x, 8, (3, 3), output="y"))
    board = two_regions(load_board("qemu-cortex-m55"), "arena", 16384)
    board = replace(
        board,
        regions=tuple(replace(r, bytes=4096) if r.name == "sram" else r for r in board.regions),
    )
    with pytest.raises(PlanError) as refused:
        emit(in_banks(plan_of(graph), 4096), board, tmp_path / "p", source=b"")
    assert "region 'sram' has 4096 bytes, at least" in refused.value.what
    assert "(more arena " in refused.value.what


def test_tables_that_are_read_most_stay() -> None:
    pool = TablePool("m")
    for name, size, reads in (("a", 64, 1), ("b", 64, 9), ("c", 24, 3), ("d", 8, 2)):
        table = ConstArray("int8_t", np.full(size, ord(name), np.int8))
        assert pool.add(table, name, "op", reads) == f"m_{name}"
    assert pool.add(ConstArray("int8_t", np.full(64, ord("a"), np.int8)), "x", "op", 20) == "m_a"
    for room, more in ((None, ""), (160, ""), (159, "d"), (135, "cd"), (96, "b"), (64, "bcd")):
        assert {view.name for view in pool.views(room) if view.more} == {f"m_{n}" for n in more}


def test_no_second_region_no_choice() -> None:
    assert constants_room(3, None) is None
    assert constants_room(3, load_board("stm32")) is None
    roomy = constants_room(3, load_board("qemu-cortex-m7"))
    assert roomy is not None and constants_room(4, load_board("qemu-cortex-m7")) == roomy - 1024
    view = model_view(plan_of(small()), board=load_board("qemu-cortex-m7"))
    assert view.more_const_bytes == 0
