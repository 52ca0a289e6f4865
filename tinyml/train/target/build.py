"""A plan of training as a project, and as a report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyml.board import Board
from tinyml.emit import Project, emit
from tinyml.emit.project import Training
from tinyml.emit.train_make import train_view
from tinyml.errors import TinymlError
from tinyml.ir.graph import Graph
from tinyml.train.budget import training_cost
from tinyml.train.tail import weighted_layers
from tinyml.train.target.plan import TrainPlan, least_steps
from tinyml.train.target.request import Prepared, TrainRequest, prepare
from tinyml.train.target.results import (
    LearningPlan,
    SavedPlan,
    StepPlan,
    TradeOff,
    TrainPlanReport,
)
from tinyml.train.target.timeline import phases

RADII = (1, 2, 3, 4)
"""Of the filter, in the table of trade-offs."""
LAYERS = (1, 2, 3, 5)
"""How many of the last layers learn, in the same."""


def emit_training(
    plan: TrainPlan, board: Board, out: Path, *, source: bytes, options: Mapping[str, Any]
) -> Project:
    """Writes the project of `plan`; as `emit.emit`."""
    return emit(
        plan.inference.taken.plan,
        board,
        out,
        source=source,
        options=options,
        training=Training(
            view=lambda tables, name: train_view(plan, tables, name=name),
            calls=tuple(plan.step.calls.values()),
            record=plan.prepared.record(plan.request)
            | {
                "arena_bytes": plan.step.memory.arena_bytes,
                "parameter_bytes": plan.learning.parameters.nbytes,
                "state_bytes": plan.learning.state.nbytes,
                "order": list(plan.step.schedule.order),
            },
        ),
    )


def plan_report(model: Path, board: Board, graph: Graph, plan: TrainPlan) -> TrainPlanReport:
    """What planning has found for the imported `graph`."""
    memory, program = plan.step.memory, plan.prepared.program
    saved = program.saved()
    steps = tuple(_steps(plan))
    macs: Counter[str] = Counter()
    for each in steps:
        macs[each.phase] += each.macs
    return TrainPlanReport(
        model=str(model),
        board=board.name,
        trained=plan.prepared.tail.trained,
        precision=program.precision.value,
        sram_bytes=plan.sram_bytes,
        arena_bytes=plan.arena_bytes,
        step_arena_bytes=memory.arena_bytes,
        inference_arena_bytes=plan.inference.taken.arena_bytes,
        lower_bound_bytes=memory.lower_bound,
        optimal=memory.optimal,
        parameter_bytes=plan.learning.parameters.nbytes,
        state_bytes=plan.learning.state.nbytes,
        saved_bytes=sum(program.buffers[name].nbytes for name in saved),
        macs=dict(macs),
        steps=steps,
        saved=tuple(SavedPlan(name, program.buffers[name].nbytes) for name in saved),
        learning=tuple(
            LearningPlan(entry.title, entry.buffer.nbytes)
            for entry in plan.learning.parameters.entries
        ),
        trade_off=tuple(_trade_off(graph, board, plan)),
    )


def _steps(plan: TrainPlan) -> Iterator[StepPlan]:
    """A segment of the backbone, or a call, with its peak."""
    made, graph = plan.timeline, plan.step.graph
    phase = dict(phases(made.program))
    nodes = {node.name: node for node in graph.nodes}
    for segment, peak in zip(plan.step.schedule.segments, plan.step.memory.peaks, strict=False):
        names = segment.nodes
        moment = made.moments.get(names[0])
        if moment is None:
            name = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            macs = sum(graph.macs(nodes[each]) for each in names)
            yield StepPlan(name, "forward", peak, macs)
        else:
            step = made.step_of(names[0])
            whole = plan.prepared.graph
            layer = getattr(step, "node", None)
            macs = step.macs if layer is None else whole.macs(plan.prepared.tail.layer(layer))
            yield StepPlan(names[0], phase[moment.step], peak, macs)


def _trade_off(graph: Graph, board: Board, plan: TrainPlan) -> Iterator[TradeOff]:
    """What other radii and numbers of layers would need; those that cannot be are left out."""
    most = len(weighted_layers(plan.prepared.graph))
    for layers in (n for n in LAYERS if n <= most):
        asked = [_asked_otherwise(graph, plan.request, layers, radius) for radius in RADII]
        variants = [each for each in asked if each is not None]
        if len(variants) < len(asked):
            return  # what is in the way of one radius is in the way of all, and of more layers
        for radius, each, sram in zip(RADII, variants, least_steps(variants, board), strict=True):
            cost = training_cost(each.program)
            yield TradeOff(radius, layers, sram, cost.saved_bytes, cost.backward_macs)


def _asked_otherwise(
    graph: Graph, request: TrainRequest, layers: int, radius: int
) -> Prepared | None:
    """The last `layers` at `radius`, else as asked; None where that cannot be."""
    update = request.update.split(",")[0]
    other = replace(request, train=f"last={layers}", filter=str(radius), update=update)
    try:
        return prepare(graph, other, None)
    except TinymlError:
        return None
