"""Networks that keep something between invocations: plan, firmware, and proof."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.builder import per_tensor, random_inputs
from tests.support.emitted import Models, plan_of
from tests.support.oracle import LARGE_ARENA, run_tflm_again
from tests.support.streaming import StreamBuilder, recurrent, wake_word
from tests.support.tflite_writer import write
from tinyml import pipeline, toolchain
from tinyml.emit import open_project
from tinyml.errors import GraphError, PlanError
from tinyml.importers.tflite import read
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Graph
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.reference import initial_states, run, step
from tinyml.train.target.request import TrainRequest

NETWORKS = {"wake_word": wake_word, "recurrent": recurrent}
BOARD = "qemu-cortex-m0"
HARVARD = "arduino-mega2560"
"""Its int has 16 bits, its tables are in program memory."""

Network = Callable[[int], Graph]


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]


@pytest.mark.parametrize("seed", range(4))
def test_equals_tflite_micro(network: Network, seed: int) -> None:
    """As written, as read again, and with all passes, invocation by invocation."""
    graph = network(seed)
    check(graph)
    model = write(graph)
    forms = [graph, read(model, "m"), optimize(graph)]
    feeds = [random_inputs(graph, seed * 100 + i) for i in range(8)]
    expected = run_tflm_again(
        model, [[feed[name] for name in graph.inputs] for feed in feeds], LARGE_ARENA
    )
    seen = set()
    for form in forms:
        states = initial_states(form)
        for feed, (wanted,) in zip(feeds, expected, strict=True):
            found, states = step(form, feed, states)
            np.testing.assert_array_equal(found[form.outputs[0]], wanted)
            seen.add(wanted.tobytes())
    assert len(seen) > 2


def test_states_come_first_in_the_arena_and_nothing_else_is_there(network: Network) -> None:
    plan = plan_of(network(0))
    memory = plan.memory
    top = 0
    for state in plan.graph.states:
        assert memory.offset_of(state.before) == memory.offset_of(state.after) == top
        top += -(-plan.graph.tensors[state.before].nbytes // 8) * 8
    others = [b for b in memory.buffers if not {s.before for s in plan.graph.states} & {*b.tensors}]
    assert min(memory.offsets[b.name] for b in others) == top
    assert memory.optimal or memory.arena_bytes > memory.lower_bound


def test_the_checker_finds_what_lies_on_a_state(network: Network) -> None:
    plan = plan_of(network(0))
    memory = plan.memory
    state = plan.graph.states[0]
    for buffer in memory.buffers:
        if state.before in buffer.tensors:
            continue
        offsets = {**memory.offsets, buffer.name: memory.offset_of(state.before)}
        top = max(offsets[b.name] + b.bytes for b in memory.buffers)
        broken = replace(memory, offsets=offsets, arena_bytes=top)
        with pytest.raises(PlanError):
            check_plan(plan.graph, plan.schedule, plan.calls, broken)


def test_what_reads_a_state_comes_first() -> None:
    """Both the rules of the IR and the checker of plans find a reader that comes too late."""
    plan = plan_of(wake_word(0))
    reader = next(n for n in plan.graph.nodes if n.op.kind == "SUB")
    assert "hidden" in reader.inputs
    change = next(i for i, n in enumerate(plan.graph.nodes) if n.name == "assign_hidden")
    graph = wake_word(0)
    others = [n for n in graph.nodes if n.name != reader.name]
    with pytest.raises(GraphError, match="reads state 'hidden' after it has changed"):
        check(replace(graph, nodes=(*others, reader)))
    early = [n for n in plan.graph.nodes if n.name not in (reader.name, "assign_hidden")]
    assert plan.graph.nodes.index(reader) < change < len(early) + 2


def test_generated_code_under_sanitizers(tmp_path: Path) -> None:
    models = Models([network(1) for network in NETWORKS.values()], tmp_path)
    for index, plan in enumerate(models.plans):
        inputs = [random_inputs(plan.graph, i) for i in range(3)]
        for x, found in zip(inputs, models.run(index, inputs), strict=True):
            expected = run(plan.graph, x, keep=True)
            for key, value in found.items():
                np.testing.assert_array_equal(value, expected[key.removeprefix("output:")])


def test_firmware_on_an_emulated_core(network: Network, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(network(2)))
    planned = pipeline.plan(model, BOARD)
    states = network(2).states
    assert planned.state_bytes >= sum(state.initial.nbytes for state in states)
    pipeline.build(model, BOARD, tmp_path / "out")
    report = pipeline.verify(tmp_path / "out", inputs=6)
    assert report.bit_exact, report.first_mismatch
    assert report.inputs == 12  # once more after a reset
    text = (tmp_path / "out" / "src" / "net.h").read_text()
    assert f"NET_STATE_BYTES ((size_t){planned.state_bytes})" in text and "net_reset(" in text


def test_firmware_of_another_architecture(tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(recurrent(1)))
    pipeline.build(model, HARVARD, tmp_path / "out")
    assert pipeline.verify(tmp_path / "out", inputs=3).bit_exact


def test_a_wrong_state_is_found(tmp_path: Path) -> None:
    """A firmware that never sets a variable differs at the op that should."""
    model = tmp_path / "net.tflite"
    model.write_bytes(write(wake_word(3)))
    pipeline.build(model, "host", tmp_path / "out")
    (source,) = (tmp_path / "out").rglob("assign.c")
    source.write_text(source.read_text().replace("memcpy(state, in,", "memset(state, *in,"))
    toolchain.build(open_project(tmp_path / "out"))
    report = pipeline.verify(tmp_path / "out", inputs=4)
    assert not report.bit_exact
    assert report.first_mismatch is not None and report.first_mismatch.kind == "ASSIGN_VARIABLE"


@pytest.mark.parametrize("schedule", ["stream", "patch"])
def test_streams_are_refused(schedule: str, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(wake_word(0)))
    with pytest.raises(PlanError, match="keeps 'frames', 'hidden' from one invocation"):
        pipeline.plan(model, "host", schedule=schedule)
    with pytest.raises(PlanError, match="--feed rows cannot"):
        pipeline.plan(model, "host", feed="rows")


def test_a_state_as_it_was_is_no_output(tmp_path: Path) -> None:
    """In its place is what it became."""
    b = StreamBuilder("echo")
    x = b.input((1, 4), per_tensor(0.1), name="x")
    b.state("last", (1, 4), per_tensor(0.1))
    y = b.node(ops.Reshape((4,)), ("last",))
    b.assign("last", x, 0)
    model = tmp_path / "net.tflite"
    model.write_bytes(write(b.finished(y)))
    with pytest.raises(PlanError, match=f"output '{y}' is a state as it was before"):
        pipeline.plan(model, "host")


@pytest.mark.parametrize("io", ["model", "int8"])
def test_inputs_and_outputs_of_either_type(network: Network, io: str, tmp_path: Path) -> None:
    """The first operator may have several results: what it gives, and its state."""
    model = tmp_path / "net.tflite"
    model.write_bytes(write(network(0)))
    assert pipeline.plan(model, BOARD, io=io).state_bytes > 0


def test_it_cannot_learn_on_a_target(tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(recurrent(0)))
    with pytest.raises(PlanError, match=r"keeps 'svdf', 'hidden', 'cell' .* cannot learn"):
        pipeline.plan_learning(model, "host", TrainRequest(train="last=1"))
