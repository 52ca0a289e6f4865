"""Arenas in two banks: sound, within the first bank, with what is used most in it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.execute import works
from tests.memory.nets import Net, in_order, random_net
from tests.memory.streams import naive_schedule, random_maps
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.draw import draw
from tinyml.memory.plan import ALIGNMENT, Buffer, MemoryPlan

PLENTY = 1 << 30


def in_bank(plan: MemoryPlan, bank: int) -> set[str]:
    """Names of the buffers there."""
    return {b.name for b in plan.buffers if plan.place(plan.offsets[b.name])[0] == bank}


@given(st.integers(0, 2**32), st.floats(0, 1.1))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_random_layers_and_rooms(seed: int, share: float) -> None:
    graph, calls = random_net(Random(seed), 1 + seed % 14)
    schedule = in_order(graph)
    whole = plan_memory(graph, schedule, calls)
    room = int(share * whole.arena_bytes)
    plan = plan_memory(graph, schedule, calls, (room, PLENTY))
    check_plan(graph, schedule, calls, plan, (room, PLENTY))
    if whole.arena_bytes <= room:
        assert plan == whole
    if plan.split is None:
        assert plan.arena_bytes <= room and plan.banks == (plan.arena_bytes, 0)
        return
    assert sum(plan.banks) == plan.arena_bytes and plan.banks[0] <= room and plan.banks[1] > 0
    assert plan == plan_memory(graph, schedule, calls, (room, PLENTY))
    for buffer in plan.buffers:
        bank, at = plan.place(plan.offsets[buffer.name])
        assert at + buffer.bytes <= plan.banks[bank]
    assert not any(b.bytes <= room for b in plan.buffers) or in_bank(plan, 0)


@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_random_streams_run_in_two_banks(seed: int, share: float) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 14))
    schedule = naive_schedule(graph, calls, rng)
    rooms = int(share * plan_memory(graph, schedule, calls).arena_bytes), PLENTY
    plan = plan_memory(graph, schedule, calls, rooms)
    check_plan(graph, schedule, calls, plan, rooms)
    assert works(graph, schedule, calls, plan)


@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_what_is_in_the_second_bank_has_no_place_in_the_first(seed: int, share: float) -> None:
    rng = Random(seed)
    graph, calls = random_maps(rng, rng.randint(1, 10))
    schedule = naive_schedule(graph, calls, rng)
    room = int(share * plan_memory(graph, schedule, calls).arena_bytes)
    plan = plan_memory(graph, schedule, calls, (room, PLENTY))
    fast = in_bank(plan, 0)

    def collide(a: Buffer, at: int, b: Buffer) -> bool:
        where = plan.offsets[b.name]
        return any(
            x.first <= y.last
            and y.first <= x.last
            and at + x.offset < where + y.offset + y.bytes
            and where + y.offset < at + x.offset + x.bytes
            for x in a.blocks
            for y in b.blocks
        )

    for buffer in plan.buffers:
        if buffer.name in fast:
            continue
        for at in range(0, room - buffer.bytes + 1, ALIGNMENT):
            others = (other for other in plan.buffers if other.name in fast)
            assert any(collide(buffer, at, other) for other in others)


def net() -> tuple[Graph, dict[str, KernelCall]]:
    """A map that five nodes read, and one of the same size that one reads."""
    n = Net()
    x = n.input("x", 8)
    hot, cold = n.op("hot", [x], 64), n.op("cold", [x], 64)
    y = x
    for i in range(5):
        y = n.op(f"y{i}", [hot, y], 8)
    n.op("z", [cold, y], 8)
    return n.graph("z"), n.calls


def test_what_is_used_most_goes_to_the_fast_bank() -> None:
    graph, calls = net()
    plan = plan_memory(graph, in_order(graph), calls, (96, PLENTY))
    found = {buffer.name: buffer for buffer in plan.buffers}
    assert found["hot"].accessed == 6 * 64, "written once, read five times"
    assert found["cold"].accessed == 2 * 64
    assert {"hot", "y0", "z"} <= in_bank(plan, 0) and in_bank(plan, 1) == {"cold"}


def test_the_largest_go_first_where_the_second_bank_would_be_too_small() -> None:
    n = Net()
    x = n.input("x", 8)
    big = n.op("big", [x], 96)
    small = n.op("small", [x], 32)
    y = n.op("y", [small], 8)
    z = n.op("z", [small, y], 8)
    n.op("end", [big, small, z], 8)
    graph = n.graph("end")
    schedule = in_order(graph)
    hot = plan_memory(graph, schedule, n.calls, (112, PLENTY))
    assert "small" in in_bank(hot, 0) and in_bank(hot, 1) == {"big"}
    tight = plan_memory(graph, schedule, n.calls, (112, 64))
    check_plan(graph, schedule, n.calls, tight, (112, 64))
    assert "big" in in_bank(tight, 0) and tight.banks[1] <= 64


def test_a_first_bank_for_nothing() -> None:
    graph, calls = net()
    schedule = in_order(graph)
    plan = plan_memory(graph, schedule, calls, (0, PLENTY))
    check_plan(graph, schedule, calls, plan, (0, PLENTY))
    assert "from 0 on in the second memory" in draw(graph, schedule, plan)
    assert plan.split == 0
    assert plan.arena_bytes == plan_memory(graph, schedule, calls).arena_bytes


def test_the_checker_refuses_a_wrong_split() -> None:
    graph, calls = net()
    schedule, rooms = in_order(graph), (96, PLENTY)
    plan = plan_memory(graph, schedule, calls, rooms)
    assert plan.split is not None
    check_plan(graph, schedule, calls, plan, rooms)

    def refused(changed: MemoryPlan, why: str, given: tuple[int, int] | None = rooms) -> None:
        with pytest.raises(PlanError, match=why):
            check_plan(graph, schedule, calls, changed, given)

    inside = plan.offsets["hot"] + ALIGNMENT
    refused(replace(plan, split=inside), "buffer 'hot' lies across the split")
    roomy = (PLENTY, PLENTY)
    refused(replace(plan, split=plan.split + ALIGNMENT), "'cold' lies across the split", roomy)
    refused(replace(plan, split=plan.split + 4), "is split at")
    refused(replace(plan, split=plan.arena_bytes), "is split at")
    refused(replace(plan, split=None), "bytes in a bank of 96")
    refused(plan, "in a bank of 72", (72, PLENTY))
    refused(plan, "only one bank", None)
