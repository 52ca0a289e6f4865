"""A target that learns against the host reference, and what a training step costs there."""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tinyml.emit import Project
from tinyml.errors import CheckFailedError, ModelError
from tinyml.ir.graph import Array
from tinyml.link import Client, Lesson, Progress
from tinyml.reference import run
from tinyml.train import program as pr
from tinyml.train import reference
from tinyml.train.tail import with_parameters
from tinyml.train.target.parameters import Learning, learning
from tinyml.train.target.request import Prepared, drawn_samples, recorded
from tinyml.train.target.results import (
    StepMismatch,
    StepProfile,
    TrainProfileReport,
    TrainVerifyReport,
)
from tinyml.train.target.timeline import Timeline, layer_of, phases, timeline
from tinyml.verify import connected, deployed_graph

RATE = 0.01
"""Of the steps that are verified: large enough for most parameters to move."""


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A project's training as the host knows it."""

    project: Project
    prepared: Prepared
    timeline: Timeline
    learning: Learning

    @property
    def arena_bytes(self) -> int:
        """What a training step has of the arena."""
        assert self.project.manifest.training is not None
        return int(self.project.manifest.training["arena_bytes"])

    def reset(self, client: Client) -> None:
        """Let what learns begin again with what the model has."""
        start = reference.initial_state(self.prepared.tail, self.prepared.program)
        client.write_parameters(
            self.learning.parameters.packed(start.parameters),
            self.learning.state.packed(start.momenta),
        )

    @property
    def observed(self) -> Iterator[tuple[int, int, str]]:
        """Of every call of the program: its index on the target, its step, what it writes."""
        first = len(self.timeline.network.backbone.nodes)
        for index, moment in enumerate(self.timeline.moments.values(), start=first):
            yield index, moment.step, moment.call.writes[0]


def learner(project: Project) -> Learner:
    """The training of a project; ModelError for one that does not learn."""
    manifest = project.manifest
    if manifest.training is None:
        raise ModelError(
            f"the model of '{project.root}' does not learn", hint="build it with --train"
        )
    prepared = recorded(deployed_graph(project.model_path, "int8"), manifest.training)
    made = timeline(prepared.tail, prepared.program, project.board.isa)
    return Learner(project, prepared, made, learning(prepared.tail, prepared.program))


def verify_training(
    project: Project, *, port: str | None, steps: int, seed: int, progress: Progress | None
) -> TrainVerifyReport:
    """Trains `steps` drawn samples on the target and on the host, and compares everything."""
    known = learner(project)
    tail, program = known.prepared.tail, known.prepared.program
    state = reference.initial_state(tail, program)
    begun, losses = state, list[float]()
    first: StepMismatch | None = None
    compared = 0
    with connected(project, port) as client:
        known.reset(client)
        samples = drawn_samples(tail, program, steps, seed)
        for number, sample in enumerate(samples):
            lesson = Lesson(sample.target.tobytes(), RATE, seed, number)
            data = [array.tobytes() for array in sample.inputs.values()]
            target = client.invoke(data, checksums=True, lesson=lesson)
            seen: dict[int, dict[str, bytes]] = {}
            start = reference.boundary(tail, program, sample.inputs)
            outcome = reference.train_step(
                tail, program, state, start, sample.target, RATE, seed, watch=_keeper(program, seen)
            )
            state = outcome.state
            losses.append(outcome.loss)
            sums = {record.op: (record.bytes, record.crc) for record in target.records}
            for index, step, buffer in known.observed:
                want = seen[step][buffer]
                compared += 1
                if first is None and sums.get(index) != (len(want), zlib.crc32(want)):
                    first = StepMismatch(number, program.steps[step].name, buffer)
            loss = np.float32(target.loss)
            if first is None and loss.tobytes() != np.float32(outcome.loss).tobytes():
                first = StepMismatch(number, "loss", "loss")
            if progress:
                progress(number + 1, steps)
        changed = _check_parameters(client, known, begun, state)
        if first is None and changed is None:
            first = StepMismatch(steps - 1, "update", "parameters")
        if first is None:
            first = _check_inference(client, known, state, samples[-1].inputs)
        lesson = Lesson(samples[-1].target.tobytes(), RATE, seed, 0)
        touched = client.high_water([a.tobytes() for a in samples[-1].inputs.values()], lesson)
        known.reset(client)
    return TrainVerifyReport(
        project=str(project.root),
        board=project.board.name,
        bit_exact=first is None,
        steps=steps,
        buffers_compared=compared,
        parameter_bytes=known.learning.nbytes,
        parameters_changed=changed or 0,
        first_loss=losses[0],
        last_loss=losses[-1],
        arena_bytes=known.arena_bytes,
        arena_bytes_touched=touched.arena_bytes,
        stack_bytes_used=touched.stack_bytes,
        first_mismatch=first,
    )


def _keeper(program: pr.Program, seen: dict[int, dict[str, bytes]]) -> reference.Watcher:
    """Keeps the bytes of what every step writes."""

    def keep(index: int, values: Mapping[str, Array]) -> None:
        seen[index] = {
            name: _stored(program.buffers[name], values[name])
            for name in program.steps[index].writes
        }

    return keep


def _stored(buffer: pr.Buffer, value: Array) -> bytes:
    """A value as it lies in memory."""
    if buffer.element is pr.Element.BIT:
        return np.packbits(value.astype(np.bool_).reshape(-1), bitorder="little").tobytes()
    return np.ascontiguousarray(value.astype(buffer.element.value)).tobytes()


def _check_parameters(
    client: Client, known: Learner, begun: reference.State, state: reference.State
) -> int | None:
    """How many elements of parameters have changed; None where the target has other ones."""
    parameters, momenta = client.read_parameters(state=bool(known.learning.state.entries))
    want = known.learning.parameters.packed(state.parameters)
    if parameters != want or momenta != known.learning.state.packed(state.momenta):
        return None
    return sum(
        int(np.count_nonzero(begun.parameters[e.buffer.name] != state.parameters[e.buffer.name]))
        for e in known.learning.parameters.entries
    )


def _check_inference(
    client: Client, known: Learner, state: reference.State, inputs: Mapping[str, Array]
) -> StepMismatch | None:
    """What was learnt is what inference uses."""
    graph = with_parameters(known.timeline.network.graph, state.parameters)
    expected = run(graph, inputs)
    found = client.infer([array.tobytes() for array in inputs.values()])
    for name, data in zip(graph.outputs, found, strict=True):
        if expected[name].tobytes() != data:
            return StepMismatch(-1, "inference after training", name)
    return None


def profile_training(
    project: Project, *, port: str | None, progress: Progress | None
) -> TrainProfileReport:
    """Counts one training step on a drawn sample, from the parameters that the model has."""
    known = learner(project)
    tail, program = known.prepared.tail, known.prepared.program
    sample = drawn_samples(tail, program, 4, 0)[3]
    data = [array.tobytes() for array in sample.inputs.values()]
    lesson = Lesson(sample.target.tobytes(), RATE, 0, 0)
    with connected(project, port, counting=True) as client:
        known.reset(client)
        counts = client.count(data, lesson)
        if progress:
            progress(1, 2)
        touched = client.high_water(data, lesson)
        known.reset(client)
    steps = tuple(_profiled(known, counts.ops))
    totals: Counter[str] = Counter()
    for each in steps:
        totals[each.phase] += each.count
    return TrainProfileReport(
        project=str(project.root),
        board=project.board.name,
        unit=counts.unit,
        total=counts.total,
        phases=dict(totals),
        steps=steps,
        arena_bytes=known.arena_bytes,
        arena_bytes_touched=touched.arena_bytes,
        stack_bytes_used=touched.stack_bytes,
    )


def _profiled(known: Learner, counts: tuple[int, ...]) -> Iterator[StepProfile]:
    program, graph = known.prepared.program, known.timeline.graph
    phase = dict(phases(program))
    names = known.project.manifest.training
    assert names is not None
    order = names["order"]
    if len(order) != len(counts):
        raise CheckFailedError(
            f"the target reported {len(counts)} calls of a training step, it has {len(order)}",
            hint="build the project again",
        )
    nodes = {node.name: node for node in graph.nodes}
    for name, count in zip(order, counts, strict=True):
        moment = known.timeline.moments.get(name)
        if moment is None:
            yield StepProfile(name, "backbone", name, count, graph.macs(nodes[name]))
            continue
        step = program.steps[moment.step]
        layer = layer_of(program, step)
        macs = (
            known.prepared.graph.macs(known.prepared.tail.layer(layer))
            if isinstance(step, pr.Infer)
            else step.macs
        )
        yield StepProfile(name, phase[moment.step], layer, count, macs)
