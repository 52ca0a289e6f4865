"""Layers whose rows threads share: the same bytes, no races, memory as planned."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.emit.test_bit_exact import assert_models
from tests.support.emitted import SANITIZE, Models, plan_of
from tests.support.graphs import GraphBuilder, random_inputs
from tests.support.models import model_path
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.choose import choose
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.kernels import bind
from tinyml.kernels.threads import LEAST_MACS, shared
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.options import MOST_THREADS, PlanOptions
from tinyml.planning import Plan
from tinyml.resources import runtime_dir
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.verify import deployed_graph

THREADS = 3
THREAD_SANITIZER = ("-g", "-O1", "-fsanitize=thread")


def threaded(graph: Graph) -> Plan:
    """All rows of all operators that multiply are shared."""
    calls = {}
    for node in graph.nodes:
        rows = shared(bind(graph, node, flatten=False), graph, node, THREADS, 1)
        calls[node.name] = bind(graph, node) if rows is None else rows
    schedule = layer_schedule(graph, calls)
    graph = reordered(graph, schedule)
    memory = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    return Plan(graph, calls, schedule, memory)


def convolutions(seed: int) -> Graph:
    """Convolutions of all kinds, some of which have scratch, on maps of some size."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder(f"convolutions {seed}", seed)
    height, width, channels = (int(n) for n in rng.integers((3, 2, 1), (20, 12, 9)))
    x = b.input((1, height, width, channels), name="x")
    for _ in range(3):
        side, stride, step = (int(n) for n in rng.integers(1, (4, 3, 3)))
        pads = Pads(*([step * (side // 2)] * 4))
        apart, many = (stride, 1), int(rng.integers(1, 9))
        if rng.integers(2):
            x = b.conv(x, many, (side, side), stride=apart, pads=pads, dilation=(step, step))
        else:
            x = b.depthwise(
                x, 1 + many // 5, (side, side), stride=apart, pads=pads, dilation=(step, step)
            )
    return b.graph(x)


@pytest.mark.parametrize("sanitize", [SANITIZE, THREAD_SANITIZER], ids=["addresses", "races"])
def test_random_networks(sanitize: tuple[str, ...], tmp_path: Path) -> None:
    networks = [convolutions(seed) for seed in range(12)]
    models = Models(networks, tmp_path, planner=threaded, sanitize=sanitize)
    assert sum(counted(plan) for plan in models.plans) >= 24
    # Twice: the second time, the threads are there.
    inputs = [[random_inputs(graph, seed) for seed in (1, 2)] for graph in networks]
    assert assert_models(models, networks, inputs)


def counted(plan: Plan) -> int:
    """How many operators threads share."""
    return sum(call.workers > 1 for call in plan.calls.values())


def consumed() -> Graph:
    """A layer whose result can lie over rows of its operand, if it goes from top to bottom."""
    b = GraphBuilder("consumed")
    x = b.input((1, 24, 8, 4), name="x")
    return b.graph(b.conv(x, 4, (3, 3), pads=Pads(1, 1, 1, 1)))


def test_in_no_order_nothing_lies_over_rows_that_are_read() -> None:
    graph = consumed()
    one, several = plan_of(graph), threaded(graph)
    size = 24 * 8 * 4
    assert one.memory.arena_bytes < 2 * size <= several.memory.arena_bytes
    with pytest.raises(PlanError):
        check_plan(several.graph, several.schedule, several.calls, one.memory)


def test_every_thread_has_its_scratch() -> None:
    graph = consumed()
    (node,) = graph.nodes
    alone = bind(graph, node, flatten=False)
    for threads in (2, 3, 24, 50):
        call = shared(alone, graph, node, threads, 1)
        assert call is not None and call.workers == min(threads, 24)
        assert call.scratch_pitch >= alone.scratch_bytes > 0
        assert call.scratch_pitch % 8 == 0
        assert call.scratch_pitch * call.workers == call.scratch_bytes
    assert shared(alone, graph, node, 1, 1) is None
    assert shared(alone, graph, node, 2, graph.macs(node) + 1) is None


def test_which_boards_have_threads() -> None:
    for name in list_boards():
        board = load_board(name)
        assert PlanOptions().threads_on(board) == (4 if board.kind == "linux" else 1)
        assert PlanOptions(threads=1).threads_on(board) == 1
        if board.is_process:
            assert PlanOptions(threads=3).threads_on(board) == 3
        else:
            with pytest.raises(PlanError, match=f"'{name}' runs without an operating system"):
                PlanOptions(threads=3).threads_on(board)


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1])
def test_out_of_range(threads: int) -> None:
    with pytest.raises(PlanError, match=f"--threads {threads} is out of range") as caught:
        PlanOptions(threads=threads)
    assert caught.value.hint == f"1 to {MOST_THREADS}"


def test_the_runtime_has_the_same_limit() -> None:
    header = (runtime_dir() / "include" / "tinyml_threads.h").read_text()
    found = re.search(r"#define TINYML_MOST_THREADS (\d+)", header)
    assert found and int(found[1]) == MOST_THREADS


def test_large_layers_are_shared() -> None:
    graph = deployed_graph(model_path("resnet8_cifar10_int8"), "model")
    plan = choose(graph, load_board("raspberry-pi-3"), PlanOptions()).taken.plan
    for node in plan.graph.nodes:
        large = plan.graph.macs(node) >= LEAST_MACS
        assert plan.calls[node.name].workers == (4 if large else 1)
    assert counted(plan) == 6


@pytest.mark.parametrize(("board", "threads"), [("raspberry-pi-3", None), ("host", 2)])
def test_bit_exact(board: str, threads: int | None, tmp_path: Path) -> None:
    """A real network, in the emulator, too; what is touched is what was planned."""
    model = model_path("resnet8_cifar10_int8")
    built = pipeline.build(model, board, tmp_path, threads=threads)
    assert "tinyml_share_rows" in (tmp_path / "src/resnet8_cifar10_int8.c").read_text()
    assert pipeline.verify(tmp_path, inputs=3).bit_exact
    profile = pipeline.profile(tmp_path)
    assert 0 <= built.arena_bytes - profile.arena_bytes_touched < 8
    assert profile.unit == {"host": "nanoseconds"}.get(board, "instructions")
    assert sum(layer.count for layer in profile.layers) <= profile.total
