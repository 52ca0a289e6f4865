"""Streams: ops that hand each other rows compute, row by row, what they compute as layers.

Every op's output reaches the observer in pieces, which are put together and compared.
"""

from functools import partial
from pathlib import Path

import pytest

from tests.emit.test_bit_exact import assert_models, corners
from tests.support.emitted import Models, collect
from tests.support.graphs import GraphBuilder, NetworkCase, cases, graphs, random_inputs
from tests.support.models import NAMES, model_path
from tests.support.streamed import (
    Scheduler,
    best_schedule,
    drawn_schedule,
    planned,
    stream_schedule,
)
from tinyml.importers import load
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Shape
from tinyml.ir.ops import Pads
from tinyml.planning import Plan
from tinyml.schedule.schedule import SegmentKind

NETWORKS = 16
SCHEDULERS = {
    "best": best_schedule,
    "streams": stream_schedule,
    "drawn": drawn_schedule(1),
}
"""Each for networks of its own."""


@pytest.fixture(scope="module")
def drawn() -> list[NetworkCase]:
    return collect(cases(graphs()), NETWORKS * len(SCHEDULERS))


def streamed_ops(plan: Plan) -> int:
    """Ops that share a stream with others."""
    segments = [s for s in plan.schedule.segments if s.kind is SegmentKind.STREAM]
    return sum(len(s.nodes) for s in segments if len(s.nodes) > 1)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_random_networks(kind: str, drawn: list[NetworkCase], tmp_path: Path) -> None:
    chosen = drawn[list(SCHEDULERS).index(kind) :: len(SCHEDULERS)]
    networks = [case.graph for case in chosen]
    models = Models(networks, tmp_path, planner=partial(planned, scheduler=SCHEDULERS[kind]))
    inputs = [[dict(case.inputs)] * 2 for case in chosen]
    assert assert_models(models, networks, inputs) > NETWORKS
    if kind == "best":  # small networks peak where handing on rows does not help, but overlap does
        parts = [part for plan in models.plans for part in plan.schedule.segments]
        assert any(part.kind is SegmentKind.STREAM for part in parts)
        return
    assert sum(map(streamed_ops, models.plans)) > NETWORKS
    assert any(plan.schedule.ring_rows for plan in models.plans)


@pytest.mark.parametrize("scheduler", [stream_schedule, drawn_schedule(2)])
@pytest.mark.parametrize("optimized", [True, False])
def test_corners(scheduler: Scheduler, optimized: bool, tmp_path: Path) -> None:
    networks = corners()
    planner = partial(planned, scheduler=scheduler)
    models = Models(networks, tmp_path, optimized=optimized, planner=planner)
    assert_models(models, networks, [[random_inputs(g, seed) for seed in (1, 2)] for g in networks])


def extremes() -> list[Graph]:
    """More rows, ops and bytes in a row than the smallest types of C hold."""

    def chain(name: str, shape: Shape, count: int) -> Graph:
        b = GraphBuilder(name)
        x = b.input(shape, name="x")
        for _ in range(count):
            x = b.node(ops.Relu(), (x,))
        return b.graph(b.depthwise(x, 1, (2, 1), pads=Pads(1, 0, 0, 0)))

    return [
        chain("300 rows", (1, 300, 2, 1), 2),
        chain("260 ops", (1, 4, 1, 1), 260),
        chain("300 bytes in a row", (1, 4, 150, 2), 2),
        chain("70000 bytes in a row", (1, 2, 35000, 2), 2),
        chain("rows of which two do not number 65536 / 2", (1, 33000, 1, 1), 1),
    ]


def test_extremes(tmp_path: Path) -> None:
    networks = extremes()
    planner = partial(planned, scheduler=stream_schedule)
    # Without passes: they would leave one of all the activations.
    models = Models(networks, tmp_path, optimized=False, planner=planner)
    assert [len(plan.schedule.segments) for plan in models.plans] == [1] * len(networks)
    assert_models(models, networks, [[random_inputs(g, 1)] for g in networks])
    code = [next(p.root.glob("src/m*[0-9].c")).read_text() for p in models.projects]
    assert "uint16_t next[3] = {0};" in code[0]
    assert "static const uint16_t program[] = {" in code[1]
    assert "static const uint16_t row_bytes[] = {" in code[2]
    assert "static const uint32_t row_bytes[] = {" in code[3]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_real_models(name: str, tmp_path: Path) -> None:
    graph = load(model_path(name))
    models = Models([graph], tmp_path, planner=partial(planned, scheduler=stream_schedule))
    assert_models(models, [graph], [[random_inputs(graph, 1)]])
