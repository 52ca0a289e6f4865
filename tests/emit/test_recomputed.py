"""Networks that compute maps twice, as generated C: the same bytes, and weights once in flash."""

from functools import partial
from pathlib import Path

import pytest

from tests.emit.test_bit_exact import assert_models
from tests.schedule.test_recompute import bound, gate, squeezing
from tests.support.builder import random_inputs
from tests.support.emitted import Models
from tests.support.squeeze import SQUEEZES
from tests.support.streamed import best_schedule, planned, stream_schedule
from tests.support.tflite_writer import write
from tinyml import pipeline, toolchain
from tinyml.board import load_board
from tinyml.emit import emit, open_project
from tinyml.emit.view import model_view
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.passes import optimize
from tinyml.schedule.recompute import recomputed

NETWORKS = 12
SCHEDULERS = {"best": best_schedule, "streams": stream_schedule}


def most(graph: Graph) -> Graph | None:
    """`graph` with all that can be computed again computed again."""
    found = list(recomputed(graph, bound(graph, flatten=False)))
    return found[-1].graph if found else None


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_random_networks(kind: str, tmp_path: Path) -> None:
    """Every op, copies among them, and every output."""
    every = filter(None, (most(squeezing(seed)) for seed in range(100)))
    networks = list(every)[list(SCHEDULERS).index(kind) :: 2][:NETWORKS]
    assert len(networks) == NETWORKS
    planner = partial(planned, scheduler=SCHEDULERS[kind])
    # Without passes: they have run, and copies are to stay.
    models = Models(networks, tmp_path, optimized=False, planner=planner)
    inputs = [[random_inputs(graph, seed) for seed in (1, 2)] for graph in networks]
    assert assert_models(models, networks, inputs) > NETWORKS
    assert any("(again)" in node.name for plan in models.plans for node in plan.graph.nodes)


@pytest.mark.parametrize("how", SQUEEZES[:2])
def test_weights_are_in_flash_once(how: str) -> None:
    """The tables of a model that computes a map twice are those of the model."""
    graph, _ = gate(how)
    again = most(graph)
    assert again is not None
    before, after = (model_view(planned(each, best_schedule)) for each in (graph, again))
    assert {t.lines for t in after.tables} == {t.lines for t in before.tables}
    assert sum(t.bytes for t in after.tables) == sum(t.bytes for t in before.tables)


def test_a_copy_is_verified(tmp_path: Path) -> None:
    """Its bytes are held against those of what it is a copy of; what differs has its name."""
    model = tmp_path / "gate.tflite"
    model.write_bytes(write(gate()[0]))
    again = most(optimize(load(model)))
    assert again is not None
    plan, options = planned(again, best_schedule), {"io": "model"}
    source = model.read_bytes()
    project = emit(plan, load_board("host"), tmp_path / "p", source=source, options=options)
    toolchain.build(project)
    report = pipeline.verify(tmp_path / "p", inputs=4)
    assert report.bit_exact and report.op_outputs_compared == 4 * len(again.nodes)
    profile = pipeline.profile(tmp_path / "p")
    assert sum(layer.macs for layer in profile.layers) == sum(map(again.macs, again.nodes))

    copies = [op.name for op in open_project(tmp_path / "p").manifest.ops if "again" in op.name]
    (code,) = (path for path in (tmp_path / "p/src").glob("*.c") if "_again" in path.read_text())
    text = code.read_text()
    at = text.index("output_zero_point = ", text.index("_again(uint8_t *arena"))
    value = text[at:].split(",")[0]
    code.write_text(text[:at] + f"{value} + 1" + text[at + len(value) :])
    toolchain.build(project)
    report = pipeline.verify(tmp_path / "p", inputs=4)
    assert not report.bit_exact and report.first_mismatch is not None
    assert report.first_mismatch.op in copies
