"""Emitted models, compiled with sanitizers and strict warnings, compute what the reference does."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.emitted import Models, collect, plan_of
from tests.support.graphs import GraphBuilder, NetworkCase, cases, graphs, random_inputs
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph
from tinyml.kernels.fewest import fewest_kernels
from tinyml.planning import Plan
from tinyml.reference import run

PROGRAMS = 3
NETWORKS = 16
"""In each program."""


def assert_same(what: str, found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype, what
    if found.tobytes() != expected.tobytes():
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


def test_random_networks_with_the_fewest_kernels(drawn: list[NetworkCase], tmp_path: Path) -> None:
    chosen = drawn[:NETWORKS]
    networks = [case.graph for case in chosen]

    def least(graph: Graph) -> Plan:
        among = fewest_kernels(graph, ("portable",), flatten=True)
        return plan_of(graph, among=among)

    models = Models(networks, tmp_path, planner=least)
    assert assert_models(models, networks, [[dict(case.inputs)] for case in chosen]) > NETWORKS


def corners() -> list[Graph]:
    """Networks of unusual shape."""
    graphs = []

    def builder(name: str) -> tuple[GraphBuilder, str]:
        b = GraphBuilder(name)
        return b, b.input((1, 6, 5, 2), name="x")

    b, x = builder("only a view")
    graphs.append(b.graph(b.node(ops.Reshape((60,)), (x,))))
    b, x = builder("an input that nobody reads")
    b.input((1, 8), name="unread")
    graphs.append(b.graph(b.node(ops.Relu(), (x,))))
    b, x = builder("an input that is an output")
    graphs.append(b.graph(b.node(ops.Relu(), (x,)), x))
    b, x = builder("scalar output")
    flat = b.node(ops.Reshape((60,)), (x,))
    graphs.append(b.graph(b.node(ops.ArgMax(axis=0), (flat,), dtype=DType.INT32)))
    b, x = builder("rows by table, dilated rows")
    y = b.node(ops.ResizeBilinear(size=(5, 7)), (x,))
    y = b.node(ops.ResizeNearestNeighbor(size=(9, 3)), (y,))
    graphs.append(b.graph(b.conv(y, 3, (3, 3), dilation=(2, 1))))
    b = GraphBuilder("batches")
    x = b.input((3, 5, 4, 2), name="x")
    y = b.conv(x, 3, (3, 3), stride=(2, 1))
    mean = b.node(ops.Mean(axes=(1, 2)), (b.node(ops.MaxPool2D(filter=(2, 2)), (y,)),), b.quant())
    graphs.append(b.graph(mean, b.node(ops.ResizeBilinear(size=(5, 7)), (x,))))
    return graphs


@pytest.mark.parametrize("optimized", [True, False])
def test_corners(optimized: bool, tmp_path: Path) -> None:
    networks = corners()
    models = Models(networks, tmp_path, optimized=optimized)
    assert_models(models, networks, [[random_inputs(g, seed) for seed in (1, 2)] for g in networks])


def test_without_passes(tmp_path: Path) -> None:
    """Ops that passes mostly remove: SPLIT, TRANSPOSE, STRIDED_SLICE, single activations."""
    drawn = collect(cases(graphs(constants=False)), NETWORKS)
    networks = [case.graph for case in drawn]
    models = Models(networks, tmp_path, optimized=False)
    assert_models(models, networks, [[dict(case.inputs)] for case in drawn])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
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
