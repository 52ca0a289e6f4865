"""What a user asks of training on a target: options as text, resolved for a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from fractions import Fraction
from typing import Any, TypedDict

import numpy as np

from tinyml import passes
from tinyml.errors import PlanError
from tinyml.ir.graph import Array, Graph
from tinyml.samples import as_arrays, draw_samples
from tinyml.train.autodiff import training_program
from tinyml.train.head import with_classes
from tinyml.train.options import LayerUpdate, TrainOptions, parse_filter, parse_update
from tinyml.train.program import LossKind, Precision, Program
from tinyml.train.select import Sample, select, trainable_layers
from tinyml.train.tail import Auto, Tail, chosen_layers, parse_selection, split

OPTIMIZERS = ("sgd", "momentum")
MOMENTUM = 0.9
AUTO_SAMPLES = 8
"""Drawn inputs, labelled in turn, by whose gradients `auto` estimates what layers are worth."""


class TrainArguments(TypedDict, total=False):
    """The fields of `TrainRequest`, for functions that take them as keywords."""

    train: str
    filter: str
    optimizer: str
    update: str
    precision: str
    batch: int
    loss: str
    classes: int | None


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What is to learn, and how; PlanError for what is not known."""

    train: str
    """last=N, layers=NAME,... or auto."""
    filter: str = "1"
    """The filter's radius, or R,LAYER=R,...; 1 is exact."""
    optimizer: str = "sgd"
    update: str = "full"
    """full, bias or channels=SHARE, of every layer that learns; LAYER=... of some, after it."""
    precision: str = "int8"
    batch: int = 1
    loss: str = "cross-entropy"
    classes: int | None = None
    """How many the classifier is to tell apart, if another number than now."""

    def __post_init__(self) -> None:
        for option, given, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("precision", self.precision, tuple(p.value for p in Precision)),
            ("loss", self.loss, tuple(loss.value for loss in LossKind)),
        ):
            if given not in known:
                raise PlanError(
                    f"--{option} {given} is not known", hint=f"one of {', '.join(known)}"
                )
        parse_selection(self.train)
        _ = self.options

    @property
    def options(self) -> TrainOptions:
        """The same for `training_program`."""
        radius, radii = parse_filter(self.filter)
        update, updates = parse_updates(self.update)
        return TrainOptions(
            precision=Precision(self.precision),
            loss=LossKind(self.loss),
            momentum=MOMENTUM if self.optimizer == "momentum" else 0.0,
            batch=self.batch,
            radius=radius,
            radii=radii,
            update=update,
            updates=updates,
        )


def parse_updates(text: str) -> tuple[LayerUpdate, tuple[tuple[str, LayerUpdate], ...]]:
    """What `--update` says: UPDATE, or UPDATE,LAYER:UPDATE,... for layers of their own."""
    first, *rest = text.split(",")
    own = [part.rpartition(":") for part in rest]
    for name, _, update in own:
        if not name:
            raise PlanError(
                f"--update {text}: '{update}' names no layer",
                hint="UPDATE,LAYER:UPDATE, such as full,conv2d_3:bias",
            )
    return _share(first), tuple((name, _share(update)) for name, _, update in own)


def _share(text: str) -> LayerUpdate:
    """As `parse_update`, with fractions such as channels=1/4."""
    kind, _, share = text.partition("=")
    try:
        if kind == "channels" and "/" in share:
            text = f"channels={float(Fraction(share)):.9f}"
    except (ValueError, ZeroDivisionError):
        pass  # which the next line refuses
    return parse_update(text)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A network and what of it learns."""

    graph: Graph
    """Optimised, with the classifier that was asked for."""
    tail: Tail
    program: Program
    options: TrainOptions

    def record(self, request: TrainRequest) -> dict[str, Any]:
        """What makes the same of the same model again, as plain JSON values."""
        updates = [[name, *astuple(update)] for name, update in self.options.updates]
        return {"request": asdict(request), "layers": list(self.tail.trained), "updates": updates}


def recorded(graph: Graph, record: Mapping[str, Any]) -> Prepared:
    """What `Prepared.record` was made of, for the imported int8 `graph`."""
    request = TrainRequest(**record["request"])
    updates = tuple((name, LayerUpdate(bias, share)) for name, bias, share in record["updates"])
    options = replace(request.options, updates=updates)
    return _prepared(learning_graph(graph, request), tuple(record["layers"]), options)


def _prepared(graph: Graph, layers: Sequence[str], options: TrainOptions) -> Prepared:
    tail = split(graph, layers)
    return Prepared(graph, tail, training_program(tail, options), options)


def learning_graph(graph: Graph, request: TrainRequest) -> Graph:
    """The optimised graph of the imported int8 `graph`, with the classes asked for."""
    optimized = passes.optimize(graph)
    if request.classes is None:
        return optimized
    return with_classes(optimized, request.classes)


def prepare(graph: Graph, request: TrainRequest, sram: int | None) -> Prepared:
    """What learns of the imported int8 `graph`; `sram`, bytes, is what `auto` may take.

    PlanError or UnsupportedError names what cannot be, why, and what would.
    """
    optimized = learning_graph(graph, request)
    selection, options = parse_selection(request.train), request.options
    if isinstance(selection, Auto):
        if sram is None:
            raise PlanError(
                "--train auto needs a budget: what it may take of the board's RAM",
                hint="such as --sram 64K, or name layers: --train last=2",
            )
        layers = trainable_layers(optimized, options)
        whole = split(optimized, layers)
        samples = drawn_samples(whole, training_program(whole, options))
        choice = select(optimized, options, sram, samples)
        names, options = choice.layers, choice.options
    else:
        names = chosen_layers(optimized, selection)
    for kind, known in (("--filter", dict(options.radii)), ("--update", dict(options.updates))):
        for name in known:
            if all(name != node.name for node in optimized.nodes):
                raise PlanError(
                    f"{kind}: '{optimized.name}' has no layer '{name}'",
                    hint=f"what learns is {', '.join(names)}",
                )
    return _prepared(optimized, names, options)


def drawn_samples(
    tail: Tail, program: Program, count: int = AUTO_SAMPLES, seed: int = 0
) -> list[Sample]:
    """Random inputs (see `samples`), each with a target of the program's loss."""
    graph = tail.graph
    found = []
    for index, fills in enumerate(draw_samples(graph, count, seed)):
        arrays = as_arrays(graph, fills)
        inputs = dict(zip(graph.inputs, arrays, strict=True))
        found.append(Sample(inputs, drawn_target(tail, program, index, seed)))
    return found


def drawn_target(tail: Tail, program: Program, index: int, seed: int) -> Array:
    """A label (classes in turn), or values that the output can have."""
    logits = tail.graph.tensors[tail.logits]
    if program.loss.kind is LossKind.CROSS_ENTROPY:
        return np.array([(index + seed) % logits.size], np.int32)
    rng = np.random.default_rng((seed, index))
    q = logits.q
    steps = rng.integers(-128, 128, logits.shape)
    return ((steps - q.zero_point) * q.scale).astype(np.float32)
