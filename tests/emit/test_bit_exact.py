"""Emitted models, compiled with sanitizers and strict warnings, compute what the reference does."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.emitted import Models, collect
from tests.support.graphs import NetworkCase, cases, graphs
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir.graph import Array, Graph
from tinyml.reference import run

PROGRAMS = 3
NETWORKS = 12
"""In each program."""


def assert_same(what: str, found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype, what
    if not np.array_equal(found.view(np.uint8), expected.view(np.uint8)):
        at = np.argwhere(found != expected)
        first = tuple(at[0]) if len(at) else ()
        raise AssertionError(
            f"{what}: {len(at)} of {found.size} differ, first {first}: "
            f"{found[first]} instead of {expected[first]}"
        )


def assert_models(models: Models, graphs: list[Graph], inputs: list[list[dict[str, Array]]]) -> int:
    """Every op's output and every model's outputs; the number of tensors compared."""
    compared = 0
    for index, (graph, runs) in enumerate(zip(graphs, inputs, strict=True)):
        deployed = models.plans[index].graph
        for x, found in zip(runs, models.run(index, runs), strict=True):
            inner = run(deployed, x, keep=True)
            outer = run(graph, x)
            for key, value in found.items():
                name = key.removeprefix("output:")
                expected = outer[name] if key != name else inner[name]
                assert_same(f"{graph.name}[{index}]: {key}", value, expected)
                compared += 1
    return compared


@pytest.fixture(scope="module")
def drawn() -> list[NetworkCase]:
    return collect(cases(graphs()), PROGRAMS * NETWORKS)


@pytest.mark.parametrize("part", range(PROGRAMS))
def test_random_networks(part: int, drawn: list[NetworkCase], tmp_path: Path) -> None:
    chosen = drawn[part::PROGRAMS]
    networks = [case.graph for case in chosen]
    models = Models(networks, tmp_path)
    inputs = [[dict(case.inputs)] * 2 for case in chosen]
    assert assert_models(models, networks, inputs) > NETWORKS


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if "large" not in n])
def test_real_models(name: str, tmp_path: Path) -> None:
    graph = load(model_path(name))
    models = Models([graph], tmp_path)
    rng = np.random.default_rng(1)
    inputs = {}
    for n in graph.inputs:
        tensor = graph.tensors[n]
        noise = rng.integers(0, 256, tensor.nbytes).astype(np.uint8)
        inputs[n] = noise.view(tensor.dtype.numpy).reshape(tensor.shape)
        if tensor.dtype.numpy.kind == "f":
            inputs[n] = rng.normal(0, 1, tensor.shape).astype(np.float32)
    assert assert_models(models, [graph], [[inputs]]) >= len(graph.outputs)
