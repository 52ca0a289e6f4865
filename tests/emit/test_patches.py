"""Patches and pulled inputs: tiles compute, piece by piece, what whole layers compute.

All that the observer is told of is compared, halos included, and what is read of the input.
"""

from pathlib import Path

import pytest

from tests.support.emitted import Models, collect
from tests.support.graphs import cases, graphs, random_inputs
from tests.support.patched import drawn_patch
from tests.support.streamed import Calls, Scheduler, planned
from tinyml.emit.pieces import input_pieces, joined, output_pieces
from tinyml.errors import PlanError
from tinyml.ir.graph import Array, Graph
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.schedule.schedule import Feed, Schedule
from tinyml.schedule.search import patch_schedule

NETWORKS = 24
"""That are drawn for each kind; not all of them can be tiled."""
LEAST = 6


def assert_pieces(
    models: Models, networks: list[Graph], inputs: list[list[dict[str, Array]]]
) -> int:
    """Every piece of every op; how many tensors came in parts of rows."""
    parts = 0
    for index, (graph, runs) in enumerate(zip(networks, inputs, strict=True)):
        plan, manifest = models.plans[index], models.projects[index].manifest
        pieces = {
            entry.name: output_pieces(manifest, op, i)
            for op, node in enumerate(manifest.ops)
            for i, entry in enumerate(node.outputs)
        }
        if plan.schedule.fed:
            pieces[graph.inputs[0]] = input_pieces(manifest)
        for x, found in zip(runs, models.observed(index, runs), strict=True):
            inner = run(plan.graph, x, keep=True) | x
            outer = run(graph, x)
            for key, (tensor, data) in found.items():
                if key.startswith("output:"):
                    expected = outer[tensor.name].tobytes()
                else:
                    expected = joined(inner[key].tobytes(), pieces[key])
                    parts += len(pieces[key]) > max(tensor.shape[1:2], default=1)
                assert data == expected, f"{graph.name}[{index}]: {key}"
    return parts


def tiled(patches: tuple[int, int], feed: Feed) -> Scheduler:
    """As many of the first ops as need the least memory, in a grid of tiles."""

    def schedule(graph: Graph, layers: Calls, rows: Calls) -> Schedule:
        return patch_schedule(graph, layers, rows, feed=feed, patches=patches)

    return schedule


@pytest.mark.parametrize("pull", [False, True])
@pytest.mark.parametrize("drawn", [False, True])
def test_random_networks(drawn: bool, pull: bool, tmp_path: Path) -> None:
    feed = Feed.PULL if pull else Feed.WHOLE
    networks, plans, inputs = [], [], []
    for index, case in enumerate(collect(cases(graphs()), 4 * NETWORKS)[pull + 2 * drawn :: 4]):
        grid = (1 + index % 3, 1 + (index // 3 + 1) % 3)
        scheduler = drawn_patch(index, pull=pull) if drawn else tiled(grid, feed)
        try:
            plans.append(planned(optimize(case.graph), scheduler))
        except PlanError:
            continue
        networks.append(case.graph)
        inputs.append([dict(case.inputs), random_inputs(case.graph, 5)])
    assert len(networks) >= LEAST
    left = iter(plans)
    models = Models(networks, tmp_path, planner=lambda _: next(left))
    assert assert_pieces(models, networks, inputs) > LEAST
