"""Streams: ops that hand each other rows compute, row by row, what they compute as layers."""

from pathlib import Path
from random import Random

import pytest

from tests.emit.test_bit_exact import assert_models
from tests.support.emitted import Models, collect
from tests.support.graphs import NetworkCase, cases, graphs
from tests.support.streamed import streamed_plan
from tinyml.ir.graph import Graph
from tinyml.planning import Plan
from tinyml.schedule.schedule import SegmentKind

PROGRAMS = 2
NETWORKS = 20
"""In each program."""


@pytest.fixture(scope="module")
def drawn() -> list[NetworkCase]:
    return collect(cases(graphs()), PROGRAMS * NETWORKS)


def streams(plan: Plan) -> int:
    return sum(s.kind is SegmentKind.STREAM and len(s.nodes) > 1 for s in plan.schedule.segments)


@pytest.mark.parametrize("part", range(PROGRAMS))
def test_random_networks(part: int, drawn: list[NetworkCase], tmp_path: Path) -> None:
    chosen = drawn[part::PROGRAMS]
    networks = [case.graph for case in chosen]
    rng = Random(part) if part else None

    def planner(graph: Graph) -> Plan:
        return streamed_plan(graph, rng)

    models = Models(networks, tmp_path, planner=planner)
    inputs = [[dict(case.inputs)] * 2 for case in chosen]
    assert assert_models(models, networks, inputs) > NETWORKS
    assert sum(map(streams, models.plans)) > NETWORKS / 2
