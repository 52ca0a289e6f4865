"""Which tensors share a buffer, and when it is live, on graphs made by hand."""

import numpy as np
import pytest

from tests.memory.nets import Net, in_order
from tinyml.errors import GraphError, PlanError
from tinyml.ir.graph import DType, Graph, Tensor
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.plan import MemoryPlan, scratch_name
from tinyml.schedule.schedule import Schedule


def _plan(net: Net, *outputs: str) -> MemoryPlan:
    graph = net.graph(*outputs)
    plan = plan_memory(graph, in_order(graph), net.calls)
    check_plan(graph, in_order(graph), net.calls, plan)
    return plan


def _lives(plan: MemoryPlan) -> dict[tuple[str, ...], tuple[int, int]]:
    return {b.tensors: (b.first, b.last) for b in plan.buffers}


def test_chain() -> None:
    net = Net()
    net.input("x", 100)
    net.op("a", ["x"], 60)
    net.op("b", ["a"], 30)
    net.op("c", ["b"], 30)
    plan = _plan(net, "c")
    assert _lives(plan) == {("x",): (0, 0), ("a",): (0, 1), ("b",): (1, 2), ("c",): (2, 2)}
    assert plan.peaks == (104 + 64, 64 + 32, 32 + 32)
    assert plan.arena_bytes == plan.lower_bound == 168
    assert plan.optimal


def test_residual_keeps_its_source() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 128)
    net.op("b", ["a"], 64)
    net.op("y", ["x", "b"], 64)
    plan = _plan(net, "y")
    assert _lives(plan)[("x",)] == (0, 3 - 1)
    assert plan.arena_bytes == 64 + 128 + 64


def test_residual_add_in_place() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 64)
    net.op("y", ["x", "a"], 64, in_place=(0, 1))
    plan = _plan(net, "y")
    assert plan.arena_bytes == 128
    assert plan.offset_of("y") in (plan.offset_of("x"), plan.offset_of("a"))


def test_in_place_not_over_an_operand_read_later() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 64, in_place=(0,))
    net.op("y", ["x", "a"], 64)
    plan = _plan(net, "y")
    assert plan.offset_of("a") != plan.offset_of("x")
    assert plan.arena_bytes == 192


def test_in_place_not_over_a_graph_output() -> None:
    net = Net()
    net.input("x", 8)
    net.op("a", ["x"], 64)
    net.op("b", ["a"], 64, in_place=(0,))
    plan = _plan(net, "a", "b")
    assert plan.offset_of("a") != plan.offset_of("b")


def test_in_place_not_over_an_operand_read_through_an_alias() -> None:
    net = Net()
    net.input("x", 8)
    net.op("a", ["x"], 64)
    net.alias("view", "a")
    net.op("b", ["a"], 64, in_place=(0,))
    net.op("c", ["b", "view"], 64)
    plan = _plan(net, "c")
    assert plan.offset_of("a") == plan.offset_of("view") != plan.offset_of("b")


@pytest.mark.parametrize(("in_place", "arena"), [((0, 1), 64), ((0,), 128), ((1,), 128)])
def test_same_operand_twice_needs_both_positions(in_place: tuple[int, ...], arena: int) -> None:
    net = Net()
    net.input("x", 64)
    net.op("y", ["x", "x"], 64, in_place=in_place)
    assert _plan(net, "y").arena_bytes == arena


def test_same_operand_twice_through_an_alias() -> None:
    net = Net()
    net.input("x", 64)
    net.alias("view", "x")
    net.op("y", ["x", "view"], 64, in_place=(1,))
    assert _plan(net, "y").arena_bytes == 128


def test_in_place_needs_equal_sizes() -> None:
    net = Net()
    net.input("x", 64)
    net.op("y", ["x"], 63, in_place=(0,))  # the same after rounding, not before
    assert _plan(net, "y").arena_bytes == 128


def test_in_place_chain_is_one_buffer() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 64, in_place=(0,))
    net.alias("b", "a")
    net.op("c", ["b"], 64, in_place=(0,))
    plan = _plan(net, "c")
    assert _lives(plan) == {("x", "a", "b", "c"): (0, 2)}
    assert plan.arena_bytes == 64


def test_several_outputs_are_not_in_place() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 64, in_place=(0,), more=[("b", 32)])
    plan = _plan(net, "a", "b")
    assert plan.arena_bytes == 64 + 64 + 32


def test_output_nobody_reads_still_has_room_while_it_is_written() -> None:
    net = Net()
    net.input("x", 64)
    net.op("a", ["x"], 32, more=[("unread", 32)])
    net.op("y", ["a"], 32)
    plan = _plan(net, "y")
    assert _lives(plan)[("unread",)] == (0, 0)
    assert plan.peaks == (128, 64)


def test_graph_outputs_live_to_the_end() -> None:
    net = Net()
    net.input("x", 8)
    net.op("early", ["x"], 40)
    net.op("b", ["early"], 80)
    net.op("late", ["b"], 8)
    plan = _plan(net, "late", "early")
    assert _lives(plan)[("early",)] == (0, 2)


def test_inputs_lie_apart_from_the_start() -> None:
    net = Net()
    net.input("x", 16)
    net.input("unread", 32)
    net.input("z", 8)
    net.op("a", ["x"], 8)
    net.op("y", ["a", "z"], 8)
    plan = _plan(net, "y")
    assert plan.peaks[0] == 16 + 32 + 8 + 8
    assert _lives(plan)[("unread",)] == (0, 0)


def test_alias_of_input_as_output() -> None:
    net = Net()
    net.input("x", 24)
    net.alias("y", "x")
    plan = _plan(net, "y")
    assert _lives(plan) == {("x", "y"): (0, 0)}
    assert plan.arena_bytes == 24


def test_both_sides_of_an_alias_are_outputs() -> None:
    net = Net()
    net.input("x", 8)
    net.op("a", ["x"], 24)
    net.alias("b", "a")
    net.op("c", ["b"], 24, in_place=(0,))
    plan = _plan(net, "a", "b", "c")
    assert plan.offset_of("a") == plan.offset_of("b") != plan.offset_of("c")
    assert _lives(plan)[("a", "b")] == (0, 2)


def test_input_that_is_an_output_survives() -> None:
    net = Net()
    net.input("x", 24)
    net.op("y", ["x"], 24, in_place=(0,))
    net.op("z", ["y"], 24, in_place=(0,))
    plan = _plan(net, "x", "z")
    assert plan.arena_bytes == 48


def test_scratch_lives_in_its_step_only() -> None:
    net = Net()
    net.input("x", 8)
    net.op("a", ["x"], 8, scratch=100)
    net.op("y", ["a"], 100)
    plan = _plan(net, "y")
    scratch = next(b for b in plan.buffers if b.name == scratch_name("n_a"))
    assert (scratch.bytes, scratch.first, scratch.last, scratch.tensors) == (104, 0, 0, ())
    assert plan.scratch_offset("n_a") == plan.offsets[scratch.name]
    assert plan.peaks == (120, 112)
    assert plan.arena_bytes == 120


def test_constants_take_no_arena() -> None:
    net = Net()
    net.input("x", 8)
    net.tensors["w"] = Tensor("w", (1000,), DType.INT8, data=np.zeros(1000, np.int8))
    net.op("y", ["x", "w"], 8)
    plan = _plan(net, "y")
    assert plan.arena_bytes == 16
    with pytest.raises(KeyError):
        plan.offset_of("w")


def test_graph_without_nodes() -> None:
    net = Net()
    net.input("x", 10)
    plan = _plan(net, "x")
    assert (plan.arena_bytes, plan.peaks, plan.optimal) == (16, (16,), True)


def _with_constant() -> Net:
    net = Net()
    net.input("x", 8)
    net.tensors["w"] = Tensor("w", (8,), DType.INT8, data=np.zeros(8, np.int8))
    return net


def test_view_of_a_constant_is_refused() -> None:
    net = _with_constant()
    net.alias("view", "w")
    graph = net.graph("view")
    with pytest.raises(GraphError, match=r"RESHAPE 'n_view' is a view of constant 'w'"):
        plan_memory(graph, in_order(graph), net.calls)


def test_constant_output_is_refused() -> None:
    net = _with_constant()
    net.op("y", ["x"], 8)
    graph = net.graph("y", "w")
    with pytest.raises(GraphError, match="'w' is constant"):
        plan_memory(graph, in_order(graph), net.calls)


def test_incomplete_schedule_is_refused() -> None:
    net = Net()
    net.input("x", 8)
    net.op("y", ["x"], 8)
    graph: Graph = net.graph("y")
    with pytest.raises(PlanError, match="n_y"):
        plan_memory(graph, Schedule(()), net.calls)
