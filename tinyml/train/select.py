"""`--train auto`: what to train within a budget of SRAM, by estimated benefit per byte.

The benefit of training a tensor is the mean over samples of the squared norm of its exact
float32 gradient: to first order the decrease of the loss for one step, per unit of the
learning rate. Layers learn by degrees: the bias, then a quarter, a half and all of the
input's channels. Starting from nothing, the higher degree of a layer with the most benefit per
byte that it adds to the step's SRAM is taken, as long as any fits the budget; and, as small
ones can take the room of a large one, the same is done by benefit alone, and the better
choice is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from tinyml.errors import PlanError, UnsupportedError
from tinyml.ir.graph import Array, Graph
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.budget import training_cost
from tinyml.train.floats import Floats
from tinyml.train.options import BIAS, FULL, LayerUpdate, TrainOptions
from tinyml.train.program import LayerKind, Precision, Program, UpdateBias, UpdateWeights
from tinyml.train.tail import split, weighted_layers

DEGREES = (BIAS, LayerUpdate(share=0.25), LayerUpdate(share=0.5), FULL)
Benefits = Mapping[str, tuple[float, ...]]
"""Of every layer the benefit of each of `DEGREES`."""
DEPTH = 12
"""How many of the last layers with weights are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An input of the network, by name, and what it is to give."""

    inputs: Mapping[str, Array]
    target: Array


@dataclass(frozen=True, slots=True)
class Choice:
    """What `select` chose."""

    layers: tuple[str, ...]
    options: TrainOptions
    """As asked, with the degrees of the layers as `updates`."""
    sram_bytes: int
    benefit: float
    """The share of what training all the layers that were looked at would bring."""


def select(graph: Graph, options: TrainOptions, sram: int, samples: Sequence[Sample]) -> Choice:
    """What to train of the optimised int8 `graph` in `sram` bytes; PlanError if nothing fits."""
    candidates = trainable_layers(graph, options)
    benefits = layer_benefits(graph, candidates, options, samples)
    chosen = [_greedy(graph, options, sram, benefits, per_byte) for per_byte in (True, False)]
    degrees, used = max(chosen, key=lambda found: _benefit(benefits, found[0]))
    if not degrees:
        least = min((_sram(graph, options, {name: 0}), name) for name in candidates)
        raise PlanError(
            f"--train auto: nothing can be trained in {sram:,} bytes",
            hint=f"the bias of '{least[1]}' alone needs {least[0]:,}",
        )
    everything = sum(benefit[-1] for benefit in benefits.values())
    return Choice(
        tuple(name for name in candidates if name in degrees),
        _with_degrees(options, degrees),
        used,
        _benefit(benefits, degrees) / max(everything, 1e-30),
    )


def _greedy(
    graph: Graph, options: TrainOptions, sram: int, benefits: Benefits, per_byte: bool
) -> tuple[dict[str, int], int]:
    """Index into `DEGREES` of every layer chosen, and the SRAM that they take together."""
    degrees: dict[str, int] = {}
    used = 0
    while True:
        best: tuple[float, str, int, int] | None = None
        for name, gains in benefits.items():
            before = degrees.get(name, -1)
            for degree in range(before + 1, len(DEGREES)):
                needs = _sram(graph, options, {**degrees, name: degree})
                gain = gains[degree] - (gains[before] if before >= 0 else 0.0)
                rating = gain / max(needs - used, 1) if per_byte else gain
                if needs <= sram and (best is None or rating > best[0]):
                    best = (rating, name, degree, needs)
        if best is None:
            return degrees, used
        _, name, degrees[name], used = best


def trainable_layers(graph: Graph, options: TrainOptions) -> tuple[str, ...]:
    """The last layers with weights (`DEPTH` at most) that gradients reach, in order."""
    found: list[str] = []
    for node in reversed(weighted_layers(graph)[-DEPTH:]):
        try:
            training_program(split(graph, (node.name, *found)), options)
        except UnsupportedError:
            # The classifier itself must be trainable; further back, the layers found suffice.
            if not found:
                raise
            break
        found.insert(0, node.name)
    return tuple(found)


def layer_benefits(
    graph: Graph, layers: Sequence[str], options: TrainOptions, samples: Sequence[Sample]
) -> dict[str, tuple[float, ...]]:
    """Of every layer the benefit of each of `DEGREES`."""
    tail = split(graph, layers)
    exact = TrainOptions(precision=Precision.FLOAT32, loss=options.loss)
    program = training_program(tail, exact)
    state = reference.initial_state(tail, program)
    totals = {name: np.zeros(len(DEGREES)) for name in layers}
    for sample in samples:
        start = reference.boundary(tail, program, sample.inputs)
        outcome = reference.train_step(tail, program, state, start, sample.target, 0.0)
        for name, gains in _gains(tail.head, program, outcome.gradients).items():
            totals[name] += gains
    return {
        name: tuple(float(gain) for gain in total / max(len(samples), 1))
        for name, total in totals.items()
    }


def _gains(
    head: Graph, program: Program, gradients: Mapping[str, Floats]
) -> dict[str, "np.ndarray"]:
    """Squared norms of one sample's gradients, of what each degree trains."""
    owners = {name: node.name for node in head.nodes for name in node.inputs}
    found: dict[str, np.ndarray] = {}
    for step in program.backward:
        if isinstance(step, UpdateBias | UpdateWeights):
            name = owners[step.writes[0]]
            gains = found.setdefault(name, np.zeros(len(DEGREES)))
            squares = gradients[step.writes[0]].astype(np.float64) ** 2
            if isinstance(step, UpdateBias):
                gains += squares.sum()
                continue
            layer = step.layer
            per = layer.multiplier if layer.kind is LayerKind.DEPTHWISE else 1
            for i, degree in enumerate(DEGREES):
                channels = ceil(degree.share * layer.x[-1]) * per
                gains[i] += squares[..., :channels].sum()
    return found


def _benefit(benefits: Benefits, degrees: Mapping[str, int]) -> float:
    return sum(benefits[name][degree] for name, degree in degrees.items())


def _with_degrees(options: TrainOptions, degrees: Mapping[str, int]) -> TrainOptions:
    updates = tuple((name, DEGREES[degree]) for name, degree in degrees.items())
    return replace(options, updates=updates)


def _sram(graph: Graph, options: TrainOptions, degrees: Mapping[str, int]) -> int:
    names = [node.name for node in weighted_layers(graph) if node.name in degrees]
    program = training_program(split(graph, names), _with_degrees(options, degrees))
    return training_cost(program).sram_bytes
