"""Patches: tiles of maps, made by hand and at random; every damage that does harm is found."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.execute import works
from tests.memory.patches import Pixels, patch, random_pixels
from tests.memory.test_check import retop
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall, RowLoop
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.plan import ALIGNMENT, FEED_STATE, Block, MemoryPlan
from tinyml.schedule.schedule import FEED, Feed, Ring, Schedule, Segment, SegmentKind


class Case:
    """Two windows and a sum, 12 x 12 pixels of 8 bytes, in 2 x 2 tiles; then a layer."""

    def __init__(self, feed: Feed = Feed.WHOLE) -> None:
        net = Pixels()
        net.pixels("x", 12, 12, 8)
        net.window("a", "x", 8, pad=1, scratch=16)
        net.window("b", "a", 8, pad=1)
        net.join("c", ["a", "b"], 8)
        net.op("y", ["c"], 8)
        self.graph = net.graph("y")
        self.calls = net.calls
        self.schedule = patch(self.graph, self.calls, 3, (2, 2), feed)
        self.plan = plan_memory(self.graph, self.schedule, self.calls)
        self.check()

    def check(self, plan: MemoryPlan | None = None, schedule: Schedule | None = None) -> None:
        check_plan(self.graph, schedule or self.schedule, self.calls, plan or self.plan)

    def segment(self, **changes: object) -> Schedule:
        first, *rest = self.schedule.segments
        return replace(self.schedule, segments=(replace(first, **changes), *rest))

    def check_schedule(self, schedule: Schedule) -> None:
        """`schedule` with a plan of its own: only the schedule may be wrong."""
        self.check(plan_memory(self.graph, schedule, self.calls), schedule)


def test_rings_hold_parts_of_rows_and_the_result_lies_whole() -> None:
    case = Case()
    (segment, _) = case.schedule.segments
    assert segment.rings == (Ring("a", 3, 7), Ring("b", 1, 6))
    sizes = {b.name: b.bytes for b in case.plan.buffers}
    assert (sizes["a"], sizes["b"], sizes["c"]) == (3 * 7 * 8, 6 * 8, 12 * 12 * 8)
    tiles = sum(band.steps for band in segment.bands) * len(segment.strips)
    assert case.plan.starts == (0, tiles, tiles + 1)
    # 7 + 7 rows of a in two bands, each for both strips: a halo of one row and one column.
    assert Counter(segment.program)[0] == 14


def test_the_input_of_a_patch_dies_tile_by_tile() -> None:
    case = Case()
    (segment, _) = case.schedule.segments
    upper, lower = segment.bands
    x = next(b for b in case.plan.buffers if b.name == "x")
    last = {block.offset: block.last for block in x.blocks}
    # The first pixel is last read by the upper left tile, for row 1 of a.
    assert last[0] == [t for t, entry in enumerate(segment.program) if entry == 0][1]
    # The last one by the lower right tile.
    assert x.blocks[-1].last >= 2 * upper.steps + lower.steps


def test_a_pulled_input_is_not_stored_whole() -> None:
    case = Case(Feed.PULL)
    (segment, _) = case.schedule.segments
    assert FEED in segment.program
    sizes = {b.name: b.bytes for b in case.plan.buffers}
    assert sizes["x"] == 3 * 8 * 8
    assert FEED_STATE not in sizes


def test_a_pulled_stream_needs_no_counters() -> None:
    net = Pixels()
    net.pixels("x", 8, 8, 2)
    net.window("y", "x", 2, pad=1)
    graph = net.graph("y")
    program = (FEED, *(step for _ in range(7) for step in (FEED, 0)), 0)
    segment = Segment(SegmentKind.STREAM, ("n_y",), (Ring("x", 3),), program)
    for feed, counters in ((Feed.PULL, False), (Feed.ROWS, True)):
        schedule = Schedule((segment,), feed)
        plan = plan_memory(graph, schedule, net.calls)
        check_plan(graph, schedule, net.calls, plan)
        assert works(graph, schedule, net.calls, plan)
        assert any(b.name == FEED_STATE for b in plan.buffers) == counters


@pytest.mark.parametrize("feed", [Feed.WHOLE, Feed.PULL])
def test_a_ring_too_small(feed: Feed) -> None:
    case = Case(feed)
    for ring in case.schedule.segments[0].rings:
        others = [r for r in case.schedule.segments[0].rings if r is not ring]
        narrow = case.segment(rings=(*others, replace(ring, columns=ring.columns - 1)))
        with pytest.raises(PlanError, match=f"columns of '{ring.tensor}', of which a tile"):
            case.check_schedule(narrow)
        for columns in (0, 13):
            with pytest.raises(PlanError, match=f"{columns} columns of '{ring.tensor}'"):
                case.check_schedule(case.segment(rings=(*others, replace(ring, columns=columns))))
        if ring.rows > 1:
            short = case.segment(rings=(*others, replace(ring, rows=ring.rows - 1)))
            with pytest.raises(PlanError, match=rf"reads row \d+ of '{ring.tensor}', but byte"):
                case.check_schedule(short)


def test_tiles_that_leave_a_gap() -> None:
    case = Case()
    left, right = case.schedule.segments[0].strips
    fewer = replace(right, columns=(*right.columns[:2], (7, 12)))
    message = "byte 48 of 'c' is in no tile of its segment"
    with pytest.raises(PlanError, match=message):
        case.check_schedule(case.segment(strips=(left, fewer)))
    with pytest.raises(PlanError, match=message):
        case.check_schedule(case.segment(strips=(left,)))


def test_tiles_without_their_halo() -> None:
    case = Case()
    segment = case.schedule.segments[0]
    left, right = segment.strips
    fewer = replace(right, columns=((6, 12), *right.columns[1:]))
    with pytest.raises(PlanError, match="needs columns 5 to 12 of 'a', of which a tile has 6 to"):
        case.check_schedule(case.segment(strips=(left, fewer)))
    upper, lower = segment.bands
    late = replace(lower, first_rows=(lower.first_rows[0] + 1, *lower.first_rows[1:]))
    with pytest.raises(PlanError, match="'n_a' takes rows 6 to 13 in a band, of 12"):
        case.check_schedule(case.segment(bands=(upper, late)))
    early = replace(lower, first_rows=(lower.first_rows[0] - 1, *lower.first_rows[1:]))
    with pytest.raises(PlanError, match=r"'n_b' at row 6 reads row 7 of 'a', but byte"):
        case.check_schedule(case.segment(bands=(upper, early)))


def test_patches_that_are_none() -> None:
    case = Case()
    segment = case.schedule.segments[0]
    upper, lower = segment.bands
    left, right = segment.strips
    for changes, message in (
        ({"strips": ()}, "has no bands or no strips"),
        ({"bands": (upper,)}, "are not its program"),
        ({"bands": (upper, replace(lower, first_rows=(0,)))}, "has 1 first rows, not 3"),
        ({"strips": (left, replace(right, columns=((0, 1),)))}, "has 1 columns, not 3"),
        ({"strips": (replace(left, columns=((0, 0), *left.columns[1:])), right)}, "columns 0 to 0"),
        ({"strips": (left, replace(right, columns=(*right.columns[:2], (6, 13))))}, "6 to 13"),
    ):
        with pytest.raises(PlanError, match=message):
            case.check(schedule=case.segment(**changes))
    call = case.calls["n_b"]
    assert isinstance(call.loop, RowLoop)
    access = replace(call.loop.inputs[0], columns=None)
    case.calls["n_b"] = replace(call, loop=replace(call.loop, inputs=(access,)))
    with pytest.raises(PlanError, match="'n_b' cannot compute parts of rows"):
        case.check()


def test_blocks_that_claim_too_little() -> None:
    case = Case()
    for buffer in case.plan.buffers:
        others = [b for b in case.plan.buffers if b is not buffer]
        for at in {0, len(buffer.blocks) // 2, len(buffer.blocks) - 1}:
            block = buffer.blocks[at]
            for wrong in (
                Block(block.offset, block.bytes, block.first + 1, block.last),
                Block(block.offset, block.bytes, block.first, block.last - 1),
                Block(block.offset + ALIGNMENT, block.bytes - ALIGNMENT, block.first, block.last),
            ):
                blocks = (*buffer.blocks[:at], wrong, *buffer.blocks[at + 1 :])
                plan = replace(case.plan, buffers=(*others, replace(buffer, blocks=blocks)))
                with pytest.raises(PlanError, match=f"buffer '{buffer.name}' calls its byte"):
                    case.check(plan)
    with pytest.raises(PlanError, match="times"):
        case.check(replace(case.plan, starts=(0, 3, case.plan.starts[-1])))


def _drawn(seed: int) -> tuple[Random, Graph, dict[str, KernelCall], Schedule]:
    rng = Random(seed)
    graph, calls = random_pixels(rng, rng.randint(1, 7))
    count = rng.randint(1, len(graph.nodes))
    readers = graph.consumers()["x"]
    pull = rng.random() < 0.4 and all(node in graph.nodes[:count] for node in readers)
    feed = Feed.PULL if pull else Feed.WHOLE
    grid = (rng.randint(1, 3), rng.randint(1, 3))
    order = rng if rng.random() < 0.5 else None
    return rng, graph, calls, patch(graph, calls, count, grid, feed, order)


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_plans_of_random_patches_are_accepted(seed: int) -> None:
    _, graph, calls, schedule = _drawn(seed)
    plan = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, plan)
    assert works(graph, schedule, calls, plan)


def _agree(
    graph: Graph, schedule: Schedule, calls: dict[str, KernelCall], plan: MemoryPlan
) -> None:
    if works(graph, schedule, calls, plan):
        check_plan(graph, schedule, calls, plan)
    else:
        with pytest.raises(PlanError, match="'"):
            check_plan(graph, schedule, calls, plan)


def _damaged(rng: Random, segment: Segment) -> Segment:
    """Other tiles, rings or another program, about as often harmless as not."""
    match rng.randrange(5):
        case 0 if segment.rings:
            rings = list(segment.rings)
            at = rng.randrange(len(rings))
            less = {rng.choice(("rows", "columns")): 1}
            rows = max(1, rings[at].rows - less.get("rows", 0))
            columns = max(1, rings[at].columns - less.get("columns", 0))
            rings[at] = replace(rings[at], rows=rows, columns=columns)
            return replace(segment, rings=tuple(rings))
        case 1:
            strips = list(segment.strips)
            at = rng.randrange(len(strips))
            columns = list(strips[at].columns)
            who = rng.randrange(len(columns))
            first, stop = columns[who]
            columns[who] = (first + rng.choice((-1, 0, 1)), stop + rng.choice((-1, 0, 1)))
            strips[at] = replace(strips[at], columns=tuple(columns))
            return replace(segment, strips=tuple(strips))
        case 2:
            bands = list(segment.bands)
            at = rng.randrange(len(bands))
            rows = list(bands[at].first_rows)
            rows[rng.randrange(len(rows))] += rng.choice((-1, 1))
            bands[at] = replace(bands[at], first_rows=tuple(rows))
            return replace(segment, bands=tuple(bands))
        case 3:
            bands = list(segment.bands)
            at = rng.randrange(len(bands))
            if not bands[at].steps:
                return segment
            entry = sum(band.steps for band in bands[:at]) + rng.randrange(bands[at].steps)
            program = list(segment.program)
            del program[entry]
            bands[at] = replace(bands[at], steps=bands[at].steps - 1)
            return replace(segment, program=tuple(program), bands=tuple(bands))
        case _:
            program = list(segment.program)
            i, j = rng.randrange(len(program)), rng.randrange(len(program))
            program[i], program[j] = program[j], program[i]
            return replace(segment, program=tuple(program))


@given(st.integers(0, 2**32))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_damage_is_found_exactly_when_it_does_harm(seed: int) -> None:
    rng, graph, calls, schedule = _drawn(seed)
    first, *rest = schedule.segments
    schedule = replace(schedule, segments=(_damaged(rng, first), *rest))
    _agree(graph, schedule, calls, plan_memory(graph, schedule, calls))


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_a_moved_buffer_is_found_exactly_when_it_does_harm(seed: int) -> None:
    rng, graph, calls, schedule = _drawn(seed)
    plan = plan_memory(graph, schedule, calls)
    buffer = rng.choice(plan.buffers)
    offset = rng.randint(0, plan.arena_bytes // ALIGNMENT) * ALIGNMENT
    moved = retop(replace(plan, offsets={**plan.offsets, buffer.name: offset}))
    if moved.arena_bytes >= max(moved.peaks):
        _agree(graph, schedule, calls, moved)
