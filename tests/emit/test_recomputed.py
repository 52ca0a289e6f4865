"""Networks that compute maps twice, as generated C: the same bytes, and weights once in flash."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.emit.test_bit_exact import assert_models
from tests.schedule.test_recompute import bound, gate, squeezing
from tests.support.builder import random_inputs
from tests.support.emitted import Models
from tests.support.streamed import best_schedule, planned, stream_schedule
from tests.support.tflite_writer import write
from tinyml import pipeline, toolchain
from tinyml.board import load_board
from tinyml.emit import emit, open_project
from tinyml.emit.view import model_view
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.passes import optimize
from tinyml.schedule.recompute import Recomputed, recomputed

NETWORKS = 12
SCHEDULERS = {"best": best_schedule, "streams": stream_schedule}


def again(graph: Graph) -> list[Recomputed]:
    return list(recomputed(graph, bound(graph, flatten=False)))


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_random_networks(kind: str, tmp_path: Path) -> None:
    """Every op, copies among them, and every output."""
    every = [found for seed in range(60) if (found := again(squeezing(seed)))]
    chosen = every[list(SCHEDULERS).index(kind) :: 2][:NETWORKS]
    networks = [found[i % len(found)].graph for i, found in enumerate(chosen)]
    assert len(networks) == NETWORKS
    planner = partial(planned, scheduler=SCHEDULERS[kind])
    # Without passes: they have run, and copies are to stay.
    models = Models(networks, tmp_path, optimized=False, planner=planner)
    inputs = [[random_inputs(graph, seed) for seed in (1, 2)] for graph in networks]
    assert assert_models(models, networks, inputs) > NETWORKS
    names = [node.name for plan in models.plans for node in plan.graph.nodes]
    assert sum("(again)" in name for name in names) > NETWORKS
    assert sum("(joined)" in name for name in names) > NETWORKS // 3


@pytest.mark.parametrize("how", ["mean", "pool"])
def test_weights_are_in_flash_once(how: str) -> None:
    """The tables of a model that computes a map twice are those of the model."""
    graph, _ = gate(how)

    def tables(each: Graph) -> Counter[tuple[str, tuple[str, ...]]]:
        view = model_view(planned(each, best_schedule))
        return Counter({(table.ctype, table.lines): table.bytes for table in view.tables})

    before = tables(graph)
    for each in again(graph):
        after = tables(each.graph)
        assert not before - after
        # Where rows are kept: which ones, and how many bytes of each part make a row of both.
        more = (after - before).total()
        assert more <= 64 if each.chosen[0].kept else not more


@pytest.mark.parametrize("part", [0, -1])
def test_a_copy_is_verified(part: int, tmp_path: Path) -> None:
    """Of some rows and of all: by the manifest's record of it; what differs has its name."""
    model = tmp_path / "gate.tflite"
    model.write_bytes(write(gate()[0]))
    found = again(optimize(load(model)))[part]
    assert bool(found.chosen[0].kept) == (part == 0)
    plan = replace(planned(found.graph, best_schedule), again=found.chosen)
    project = emit(plan, load_board("host"), tmp_path / "p", source=model.read_bytes())
    toolchain.build(project)
    report = pipeline.verify(tmp_path / "p", inputs=4)
    assert report.bit_exact and report.op_outputs_compared == 4 * len(plan.graph.nodes)
    profile = pipeline.profile(tmp_path / "p")
    assert sum(layer.macs for layer in profile.layers) == found.macs + sum(
        map(found.graph.macs, (n for n in found.graph.nodes if "again" not in n.name))
    )

    copies = [op.name for op in open_project(tmp_path / "p").manifest.ops if "again" in op.name]
    (code,) = (path for path in (tmp_path / "p/src").glob("*.c") if "_again(" in path.read_text())
    text = code.read_text()
    at = text.index("act_min = ", text.index("_again(uint8_t *arena"))
    value = text[at:].split(",")[0]
    code.write_text(text[:at] + f"{value} + 1" + text[at + len(value) :])
    toolchain.build(project)
    report = pipeline.verify(tmp_path / "p", inputs=4)
    assert not report.bit_exact and report.first_mismatch is not None
    assert report.first_mismatch.op in copies
