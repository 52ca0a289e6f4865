"""Patches and pulled inputs: tiles compute, piece by piece, what whole layers compute.

All that the observer is told of is compared, halos included, and what is read of the input.
"""

from pathlib import Path

import pytest

from tests.support.emitted import Models, collect
from tests.support.graphs import NetworkCase, cases, graphs, random_inputs
from tests.support.patched import patched
from tinyml.emit.pieces import input_pieces, joined, output_pieces
from tinyml.errors import PlanError
from tinyml.ir.graph import Array, Graph
from tinyml.passes import optimize
from tinyml.reference import run

NETWORKS = 40
"""That are drawn for each kind; not all of them can be tiled."""
LEAST = 10


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


@pytest.mark.parametrize("pull", [False, True])
def test_random_networks(pull: bool, tmp_path: Path) -> None:
    drawn: list[NetworkCase] = []
    for case in collect(cases(graphs()), 2 * NETWORKS)[pull::2]:
        try:
            patched(optimize(case.graph), 0, pull=pull)
            drawn.append(case)
        except PlanError:
            continue
    assert len(drawn) >= LEAST
    seeds = iter(range(1000))
    networks = [case.graph for case in drawn]
    models = Models(networks, tmp_path, planner=lambda g: patched(g, next(seeds), pull=pull))
    inputs = [[dict(case.inputs), random_inputs(case.graph, 5)] for case in drawn]
    assert assert_pieces(models, networks, inputs) > LEAST
