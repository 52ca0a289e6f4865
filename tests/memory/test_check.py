"""The checker accepts sound plans and no other: every kind of damage must be found."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.nets import Net, in_order, random_net
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels.call import Alias, KernelCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.plan import ALIGNMENT, Block, Buffer, MemoryPlan, scratch_name
from tinyml.schedule.order import layer_schedule
from tinyml.schedule.schedule import Schedule


class Case:
    """A graph with everything in it, and its plan."""

    def __init__(self) -> None:
        net = Net()
        net.input("x", 64)
        net.op("a", ["x"], 64, in_place=(0,))  # in place
        net.alias("view", "a")
        net.op("b", ["view"], 120, scratch=20)
        net.op("c", ["b"], 64)
        net.op("sum", ["a", "c"], 64, in_place=(0, 1))  # in place over either
        net.op("y", ["sum"], 16, more=[("z", 40)])
        net.op("w", ["z"], 8)
        self.graph = net.graph("y", "w")
        self.calls: dict[str, KernelCall] = net.calls
        self.schedule = in_order(self.graph)
        self.plan = plan_memory(self.graph, self.schedule, self.calls)

    def check(self, plan: MemoryPlan | None = None) -> None:
        check_plan(self.graph, self.schedule, self.calls, plan or self.plan)

    def buffer(self, tensor: str) -> Buffer:
        return next(b for b in self.plan.buffers if tensor in (b.name, *b.tensors))

    def moved(self, tensor: str, offset: int) -> MemoryPlan:
        return retop(replace(self.plan, offsets=_moved(self.plan, self.buffer(tensor), offset)))

    def with_buffer(self, old: Buffer, *new: Buffer) -> MemoryPlan:
        """`old` replaced, the peaks adjusted: only what the test is about is wrong."""
        buffers = (*(b for b in self.plan.buffers if b is not old), *new)
        offsets = {name: o for name, o in self.plan.offsets.items() if name != old.name}
        offsets.update({b.name: self.plan.offsets[old.name] for b in new})
        return retop(replace(self.plan, buffers=buffers, offsets=offsets))


def _moved(plan: MemoryPlan, buffer: Buffer, offset: int) -> dict[str, int]:
    return {**plan.offsets, buffer.name: offset}


def retop(plan: MemoryPlan) -> MemoryPlan:
    """Arena size, peaks and claims as the buffers have them."""
    top = max(plan.offsets[b.name] + b.bytes for b in plan.buffers)
    edges = plan.starts if len(plan.starts) > 1 else (0, *plan.starts)
    blocks = [block for buffer in plan.buffers for block in buffer.blocks]
    live = [sum(b.bytes for b in blocks if b.first <= t <= b.last) for t in range(edges[-1])]
    peaks = tuple(max(live[start:stop]) for start, stop in pairwise(edges))
    bound = min(plan.lower_bound, top, max(peaks))
    return replace(plan, arena_bytes=top, peaks=peaks, lower_bound=bound, optimal=top == bound)


@pytest.fixture
def case() -> Case:
    return Case()


def test_sound_plan_passes(case: Case) -> None:
    case.check()
    assert case.plan.offset_of("a") == case.plan.offset_of("x")
    assert case.plan.offset_of("sum") in (case.plan.offset_of("a"), case.plan.offset_of("c"))


def test_in_place_that_the_kernel_forbids(case: Case) -> None:
    case.calls["n_a"] = replace(case.calls["n_a"], in_place=())
    with pytest.raises(PlanError, match=r"RELU 'n_a': output 'a' overwrites input 'x'"):
        case.check()


def test_in_place_at_another_operand_only(case: Case) -> None:
    position = 0 if case.plan.offset_of("sum") == case.plan.offset_of("a") else 1
    case.calls["n_sum"] = replace(case.calls["n_sum"], in_place=(1 - position,))
    with pytest.raises(PlanError, match=r"'n_sum': output 'sum' overwrites input"):
        case.check()


def test_in_place_over_an_operand_that_is_read_twice() -> None:
    net = Net()
    net.input("x", 64)
    net.op("y", ["x", "x"], 64, in_place=(0, 1))
    graph = net.graph("y")
    plan = plan_memory(graph, in_order(graph), net.calls)
    check_plan(graph, in_order(graph), net.calls, plan)
    calls = {"n_y": replace(net.calls["n_y"], in_place=(0,))}
    with pytest.raises(PlanError, match="overwrites input 'x'"):
        check_plan(graph, in_order(graph), calls, plan)


def test_overlay_at_a_shifted_offset(case: Case) -> None:
    """Overlapping without lying exactly on the operand is never in place."""
    home = case.buffer("x")
    start = case.plan.offsets[home.name]
    first = replace(home, tensors=("x",), blocks=(Block(0, 64, 0, 0),))
    rest = replace(home, name="a", tensors=home.tensors[1:])
    plan = case.with_buffer(home, first, rest)
    case.check(plan)  # two buffers at one offset: the same overlay in other words
    plan = retop(replace(plan, offsets={**plan.offsets, "a": start + ALIGNMENT}))
    with pytest.raises(PlanError):
        case.check(plan)


def test_value_overwritten_before_its_last_reader(case: Case) -> None:
    with pytest.raises(PlanError, match=r"ADD|RELU 'n_\w+'"):
        case.check(case.moved("b", case.plan.offset_of("a")))


def test_output_destroyed_before_the_end(case: Case) -> None:
    with pytest.raises(PlanError, match="output"):
        case.check(case.moved("w", case.plan.offset_of("y")))


def test_scratch_over_an_input_or_output_of_its_own_node(case: Case) -> None:
    for tensor in ("view", "b"):
        plan = case.moved(scratch_name("n_b"), case.plan.offset_of(tensor))
        with pytest.raises(PlanError, match=r"'n_b': its scratch overlaps"):
            case.check(plan)


def test_scratch_over_a_value_that_waits() -> None:
    net = Net()
    net.input("x", 16)
    net.op("waits", ["x"], 64)
    net.op("b", ["x"], 16, scratch=64)
    net.op("y", ["waits", "b"], 16)
    graph = net.graph("y")
    plan = plan_memory(graph, in_order(graph), net.calls)
    scratch = next(b for b in plan.buffers if b.name == scratch_name("n_b"))
    plan = retop(replace(plan, offsets=_moved(plan, scratch, plan.offset_of("waits"))))
    with pytest.raises(PlanError, match=r"'n_y' reads 'waits', but byte \d+ .* holds"):
        check_plan(graph, in_order(graph), net.calls, plan)


def test_missing_or_small_scratch(case: Case) -> None:
    scratch = case.buffer(scratch_name("n_b"))
    with pytest.raises(PlanError, match="no scratch of 20 bytes"):
        case.check(case.with_buffer(scratch))
    with pytest.raises(PlanError, match="no scratch of 20 bytes"):
        case.check(case.with_buffer(scratch, replace(scratch, bytes=16)))


def test_overlapping_inputs() -> None:
    net = Net()
    net.input("x", 16)
    net.input("unread", 16)
    net.op("y", ["x"], 8)
    graph = net.graph("y")
    plan = plan_memory(graph, in_order(graph), net.calls)
    unread = next(b for b in plan.buffers if b.name == "unread")
    plan = retop(replace(plan, offsets=_moved(plan, unread, plan.offset_of("x"))))
    with pytest.raises(PlanError, match="graph inputs 'x' and 'unread' overlap"):
        check_plan(graph, in_order(graph), net.calls, plan)


def test_overlapping_outputs_of_one_node() -> None:
    net = Net()
    net.input("x", 16)
    net.op("y", ["x"], 16, more=[("unread", 16)])
    graph = net.graph("y")
    plan = plan_memory(graph, in_order(graph), net.calls)
    unread = next(b for b in plan.buffers if b.name == "unread")
    plan = retop(replace(plan, offsets=_moved(plan, unread, plan.offset_of("y"))))
    with pytest.raises(PlanError, match="outputs 'y' and 'unread' overlap"):
        check_plan(graph, in_order(graph), net.calls, plan)


def test_alias_elsewhere(case: Case) -> None:
    home = case.buffer("view")
    rest = tuple(name for name in home.tensors if name != "view")
    moved = Buffer("view", 64, (Block(0, 64, 1, 2),), ("view",))
    plan = case.with_buffer(home, replace(home, tensors=rest), moved)
    plan = retop(replace(plan, offsets={**plan.offsets, "view": 512}))
    with pytest.raises(PlanError, match=r"'n_view': 'view' does not lie on 'a'"):
        case.check(plan)


def test_misaligned_and_negative_offsets(case: Case) -> None:
    for offset in (4, -ALIGNMENT):
        with pytest.raises(PlanError, match=r"buffer 'b' .* is not aligned"):
            case.check(case.moved("b", offset))


@pytest.mark.parametrize("change", [-ALIGNMENT, ALIGNMENT])
def test_arena_too_small_or_not_tight(case: Case, change: int) -> None:
    plan = replace(case.plan, arena_bytes=case.plan.arena_bytes + change)
    with pytest.raises(PlanError, match=r"the arena has \d+ bytes, its buffers end at \d+"):
        case.check(plan)


def test_tensor_larger_than_its_buffer(case: Case) -> None:
    buffer = case.buffer("b")
    with pytest.raises(PlanError, match="'b' exceeds its buffer"):
        case.check(case.with_buffer(buffer, replace(buffer, bytes=buffer.bytes - ALIGNMENT)))


def test_tensor_without_a_buffer_or_in_two(case: Case) -> None:
    buffer = case.buffer("z")
    with pytest.raises(PlanError, match="'z' has no buffer"):
        case.check(case.with_buffer(buffer, replace(buffer, name="other", tensors=())))
    with pytest.raises(PlanError, match="'z' lies in more than one buffer"):
        case.check(case.with_buffer(buffer, buffer, replace(buffer, name="other")))


def test_live_ranges_must_be_exact(case: Case) -> None:
    for buffer in case.plan.buffers:
        (block,) = buffer.blocks
        for blocks in (
            (replace(block, first=block.first - 1),),
            (replace(block, first=block.first + 1),),
            (replace(block, last=block.last + 1),),
            (replace(block, last=block.last - 1),),
            (replace(block, bytes=block.bytes - ALIGNMENT),),
            (replace(block, offset=ALIGNMENT, bytes=block.bytes - ALIGNMENT),),
            (),
        ):
            wrong = replace(buffer, blocks=blocks)
            with pytest.raises(PlanError, match="live"):
                case.check(case.with_buffer(buffer, wrong))


def test_wrong_figures(case: Case) -> None:
    plan = case.plan
    peaks = (plan.peaks[0] + ALIGNMENT, *plan.peaks[1:])
    with pytest.raises(PlanError, match="peaks"):
        case.check(replace(plan, peaks=peaks))
    with pytest.raises(PlanError, match="lower bound"):
        case.check(replace(plan, lower_bound=plan.arena_bytes + ALIGNMENT))
    with pytest.raises(PlanError, match="optimal"):
        case.check(replace(plan, optimal=False))


def test_buffers_and_offsets_differ(case: Case) -> None:
    with pytest.raises(PlanError, match="one to one"):
        case.check(replace(case.plan, offsets={**case.plan.offsets, "ghost": 0}))
    twice = (*case.plan.buffers, case.plan.buffers[0])
    with pytest.raises(PlanError, match="one to one"):
        case.check(replace(case.plan, buffers=twice))


def test_schedule_that_is_none(case: Case) -> None:
    segments = case.schedule.segments
    for wrong, message in (
        (segments[:-1], "misses or invents n_w"),
        ((*segments, segments[0]), "repeats a node"),
        ((segments[1], segments[0], *segments[2:]), "'n_view' runs before its input 'a'"),
    ):
        with pytest.raises(PlanError, match=message):
            check_plan(case.graph, Schedule(wrong), case.calls, case.plan)


def test_plan_of_another_order() -> None:
    net = Net()
    net.input("x", 64)
    for branch in "ab":
        net.op(f"{branch}1", ["x"], 512)
    for branch in "ab":
        net.op(f"{branch}2", [f"{branch}1"], 64)
    net.op("y", ["a2", "b2"], 64)
    graph = net.graph("y")
    plan = plan_memory(graph, layer_schedule(graph, net.calls), net.calls)
    with pytest.raises(PlanError):
        check_plan(graph, in_order(graph), net.calls, plan)


def _sound(graph: Graph, calls: Mapping[str, KernelCall], plan: MemoryPlan) -> bool:
    """Whether buffers that are live together lie apart, but for overlays that are allowed."""
    at = {node.name: step for step, node in enumerate(graph.nodes)}
    read = {name for node in graph.nodes for name in node.inputs}
    unread = set(graph.inputs) - read - set(graph.outputs)

    def may_overlay(old: Buffer, new: Buffer) -> bool:
        if old.last != new.first or plan.offsets[old.name] != plan.offsets[new.name]:
            return False
        node = next((n for n in graph.nodes if n.outputs[0] in new.tensors[:1]), None)
        if node is None or at[node.name] != new.first or len(node.outputs) != 1:
            return False
        if isinstance(calls[node.name].loop, Alias) or set(graph.outputs) & set(old.tensors):
            return False
        where = [p for p, name in enumerate(node.inputs) if name in old.tensors]
        size = graph.tensors[node.output].nbytes
        return bool(where) and all(
            p in calls[node.name].in_place and graph.tensors[str(node.inputs[p])].nbytes == size
            for p in where
        )

    for i, a in enumerate(plan.buffers):
        for b in plan.buffers[:i]:
            if a.last < b.first or b.last < a.first:
                continue
            x, y = plan.offsets[a.name], plan.offsets[b.name]
            if x + a.bytes <= y or y + b.bytes <= x:
                continue
            lone = [c for c in (a, b) if unread & set(c.tensors)]
            if lone and not set(graph.inputs).issuperset((a.name, b.name)):
                continue  # an input that no node reads may be overwritten at once
            if not (may_overlay(a, b) or may_overlay(b, a)):
                return False
    return True


@given(st.integers(0, 2**32))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_a_moved_buffer_is_found_exactly_when_it_does_harm(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_net(rng, rng.randint(2, 12), wide=rng.random())
    schedule = in_order(graph)
    plan = plan_memory(graph, schedule, calls)
    buffer = rng.choice(plan.buffers)
    limit = plan.arena_bytes // ALIGNMENT
    moved = retop(replace(plan, offsets=_moved(plan, buffer, rng.randint(0, limit) * ALIGNMENT)))
    if _sound(graph, calls, moved):
        check_plan(graph, schedule, calls, moved)
    else:
        with pytest.raises(PlanError):
            check_plan(graph, schedule, calls, moved)


@given(st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_forbidding_in_place_is_found(seed: int) -> None:
    rng = Random(seed)
    graph, calls = random_net(rng, rng.randint(2, 12), wide=rng.random())
    schedule = in_order(graph)
    plan = plan_memory(graph, schedule, calls)
    written = {n.outputs[0]: n for n in graph.nodes if not isinstance(calls[n.name].loop, Alias)}
    in_place = [
        written[t] for b in plan.buffers for t in b.tensors[1:] if t in written
    ]  # not the first of its buffer, and no alias
    for node in in_place:
        strict = {**calls, node.name: replace(calls[node.name], in_place=())}
        with pytest.raises(PlanError, match="overwrites input"):
            check_plan(graph, schedule, strict, plan)
