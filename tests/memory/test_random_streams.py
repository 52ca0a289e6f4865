"""Random streams: the checker and a byte by byte execution agree on every plan."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.execute import works
from tests.memory.streams import Maps, fed_schedule, naive_schedule, random_maps
from tests.memory.test_check import retop
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.lifetimes import lifetimes
from tinyml.memory.place import place, rectangular
from tinyml.memory.plan import ALIGNMENT, FEED_STATE, MemoryPlan
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import FEED, Feed, Schedule, Segment, SegmentKind
from tinyml.schedule.search import best_schedule, stream_schedule


@given(st.integers(0, 2**32))
@settings(max_examples=500, derandomize=True, deadline=None)
def test_plans_of_random_streams_are_accepted(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 14))
    schedule = naive_schedule(graph, calls, rng if rng.random() < 0.7 else None)
    plan = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, plan)
    coarse, _ = rectangular(lifetimes(graph, schedule, calls))
    least = place(coarse)
    assert least.optimal
    ends = (o + b.bytes for o, b in zip(least.offsets, coarse.buffers, strict=True))
    assert plan.arena_bytes <= max(ends)
    assert plan == plan_memory(graph, schedule, calls)
    assert works(graph, schedule, calls, plan)


@given(st.integers(0, 2**32))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_schedules_that_the_search_finds(seed: int) -> None:
    """They work, and need what the search said: no more than layers, nor than any other streams."""
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 14))
    bounds = []
    for schedule in (
        layer_schedule(graph, calls),
        stream_schedule(graph, calls, calls),
        best_schedule(graph, calls, calls),
    ):
        plan = plan_memory(graph, schedule, calls)
        check_plan(graph, schedule, calls, plan)
        assert works(graph, schedule, calls, plan)
        bounds.append(plan.lower_bound)
    assert bounds[-1] == min(bounds)


def _damaged(rng: Random, segment: Segment) -> Segment:
    """Another program or other rings, about as often harmless as not."""
    program = list(segment.program)
    i, j = sorted(rng.randrange(len(program)) for _ in range(2))
    match rng.randrange(4):
        case 0 if segment.rings:
            at = rng.randrange(len(segment.rings))
            rings = list(segment.rings)
            rings[at] = replace(rings[at], rows=max(1, rings[at].rows - 1))
            return replace(segment, rings=tuple(rings))
        case 1:
            program[i], program[j] = program[j], program[i]
        case 2:
            program.insert(i, program.pop(j))
        case _:
            del program[i]
    return replace(segment, program=tuple(program))


def _agrees(
    graph: Graph, schedule: Schedule, calls: dict[str, KernelCall], plan: MemoryPlan
) -> bool:
    """Whether the plan works; the checker must say the same."""
    good = works(graph, schedule, calls, plan)
    if good:
        check_plan(graph, schedule, calls, plan)
    else:
        with pytest.raises(PlanError, match="'"):
            check_plan(graph, schedule, calls, plan)
    return good


@given(st.integers(0, 2**32))
@settings(max_examples=1000, derandomize=True, deadline=None)
def test_a_damaged_program_or_ring_is_found_exactly_when_it_does_harm(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(2, 10))
    schedule = naive_schedule(graph, calls, rng if rng.random() < 0.5 else None)
    streams = [i for i, s in enumerate(schedule.segments) if s.kind is SegmentKind.STREAM]
    if not streams:
        return
    segments = list(schedule.segments)
    at = rng.choice(streams)
    segments[at] = _damaged(rng, segments[at])
    schedule = Schedule(tuple(segments))
    _agrees(graph, schedule, calls, plan_memory(graph, schedule, calls))


@given(st.integers(0, 2**32))
@settings(max_examples=1500, derandomize=True, deadline=None)
def test_a_moved_buffer_is_found_exactly_when_it_does_harm(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(2, 10))
    schedule = naive_schedule(graph, calls, rng if rng.random() < 0.5 else None)
    plan = plan_memory(graph, schedule, calls)
    buffer = rng.choice(plan.buffers)
    offset = rng.randint(0, plan.arena_bytes // ALIGNMENT) * ALIGNMENT
    moved = retop(replace(plan, offsets={**plan.offsets, buffer.name: offset}))
    if moved.arena_bytes < max(moved.peaks):
        return  # less than what is live together, which the checker calls a false figure
    _agrees(graph, schedule, calls, moved)


@given(st.integers(0, 2**32))
@settings(max_examples=700, derandomize=True, deadline=None)
def test_inputs_that_come_row_by_row(seed: int) -> None:
    """Plans are accepted and work; damage is found exactly when it does harm."""
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 10))
    schedule = fed_schedule(graph, calls, rng if rng.random() < 0.7 else None)
    if schedule is None:
        return
    assert schedule.fed
    plan = plan_memory(graph, schedule, calls)
    assert _agrees(graph, schedule, calls, plan)
    assert sum(b.bytes for b in plan.buffers if b.name == FEED_STATE) >= 2 * (
        len(schedule.segments[0].nodes) + 1
    )
    damaged = _damaged(rng, schedule.segments[0])
    if FEED in damaged.program:
        # With lives of its own: those of the other program are not exactly its, harm or no harm.
        other = Schedule((damaged, *schedule.segments[1:]), Feed.ROWS)
        _agrees(graph, other, calls, plan_memory(graph, other, calls))
    buffer = rng.choice(plan.buffers)
    offset = rng.randint(0, plan.arena_bytes // ALIGNMENT) * ALIGNMENT
    moved = retop(replace(plan, offsets={**plan.offsets, buffer.name: offset}))
    if moved.arena_bytes >= max(moved.peaks):
        _agrees(graph, schedule, calls, moved)


@given(st.integers(0, 2**32))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_searched_schedules_of_inputs_that_come_row_by_row(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 12))
    bounds = []
    try:
        schedules = [
            stream_schedule(graph, calls, calls, feed=Feed.ROWS),
            best_schedule(graph, calls, calls, feed=Feed.ROWS),
        ]
    except PlanError:
        assert fed_schedule(graph, calls) is None
        return
    for schedule in schedules:
        assert schedule.fed
        ordered = reordered(graph, schedule)
        plan = plan_memory(ordered, schedule, calls)
        assert _agrees(ordered, schedule, calls, plan)
        bounds.append(plan.lower_bound)
    assert bounds[1] <= bounds[0]


def test_a_feed_that_is_none() -> None:
    """Rows in the wrong segment, too few of them, no ring, no counters: all refused."""
    rng = Random(0)
    net = Maps()
    net.conv("b", net.conv("a", net.map("x", 8, 8), 8, pad=1), 8, pad=1)
    graph, calls = net.graph("b"), net.calls
    schedule = fed_schedule(graph, calls, None)
    assert schedule is not None
    plan = plan_memory(graph, schedule, calls)
    (first, *rest) = schedule.segments
    for wrong, message in (
        (replace(first, program=(*first.program, FEED)), "9 of the 8 rows of input 'x'"),
        (replace(first, rings=first.rings[1:]), "'x' comes by rows and has no ring"),
        (replace(first, rings=(replace(first.rings[0], rows=9),)), "9 of the 8 rows of 'x'"),
    ):
        with pytest.raises(PlanError, match=message):
            check_plan(graph, Schedule((wrong, *rest), Feed.ROWS), calls, plan)
    with pytest.raises(PlanError, match="comes row by row, but the feed of the schedule is whole"):
        check_plan(graph, Schedule((first, *rest)), calls, plan)
    late = naive_schedule(graph, calls, rng)
    two = Schedule(
        (
            Segment(SegmentKind.STREAM, ("n_a",), program=(0,) * 8),
            Segment(SegmentKind.STREAM, ("n_b",), program=(0,) * 8 + (FEED,) * 8),
        )
    )
    assert not late.fed and not two.fed
    with pytest.raises(PlanError, match="'n_b' takes rows, and is not the first"):
        check_plan(graph, two, calls, plan)
    bare = tuple(b for b in plan.buffers if b.name != FEED_STATE)
    offsets = {b.name: plan.offsets[b.name] for b in bare}
    bare_plan = retop(replace(plan, buffers=bare, offsets=offsets))
    with pytest.raises(PlanError, match="no buffer 'feed:rows' of 4 bytes"):
        check_plan(graph, schedule, calls, bare_plan)
