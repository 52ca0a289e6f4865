"""What a training step costs: bytes and multiply-accumulates, per layer and in all.

The bytes are those of the head's buffers, from the lifetimes of the program's steps: what an
allocator needs at least. The backbone, which is done before the head begins, and scratch
memory of kernels are the planner's business.
"""

from dataclasses import dataclass

from tinyml.train import program as pr
from tinyml.train.program import Program


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer with weights, in a training step."""

    node: str
    filtered: bool
    saved_bytes: int
    """Its input or what is kept of it, and the mask of its output, for the backward pass."""
    gradient_bytes: int
    """The gradients that its backward steps read and write, apart from those of parameters."""
    row_bytes: int
    """The gradients of one output channel's weights: all that is there at once."""
    state_bytes: int
    """What is remembered from one sample to the next."""
    trained_bytes: int
    """Parameters that change, so that they live in RAM."""
    input_macs: int
    weight_macs: int

    @property
    def macs(self) -> int:
        """Of the backward pass."""
        return self.input_macs + self.weight_macs


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """A whole training step."""

    layers: tuple[LayerCost, ...]
    """In order of execution."""
    saved_bytes: int
    peak_bytes: int
    """The most that is there at once of what does not outlive the step."""
    lasting_bytes: int
    """Changing parameters and what is remembered about them."""

    @property
    def backward_macs(self) -> int:
        """Of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def sram_bytes(self) -> int:
        """All of it."""
        return self.peak_bytes + self.lasting_bytes


def training_cost(program: Program) -> TrainingCost:
    """What `program` costs."""
    saved = program.saved()
    changing = {name for step in program.steps for name in step.writes}
    return TrainingCost(
        tuple(_layer_cost(program, name, frozenset(saved)) for name in _layer_names(program)),
        sum(program.buffers[name].nbytes for name in saved),
        max(live_bytes(program)),
        sum(b.nbytes for b in program.buffers.values() if b.lasting and b.name in changing),
    )


def live_bytes(program: Program) -> tuple[int, ...]:
    """For every step the bytes that are there while it runs, lasting ones apart."""
    totals = [0] * len(program.steps)
    for name, (first, last) in program.lifetimes().items():
        for i in range(first, last + 1):
            totals[i] += program.buffers[name].nbytes
    for i, step in enumerate(program.steps):
        if isinstance(step, pr.UpdateWeights):
            totals[i] += step.row_bytes
    return tuple(totals)


def _layer_names(program: Program) -> tuple[str, ...]:
    """Layers with backward steps, in order of execution."""
    owners = _owners(program)
    found = {owners[i] for i in range(program.loss_at + 1, len(program.steps)) if i in owners}
    return tuple(s.node for s in program.steps if isinstance(s, pr.Infer) and s.node in found)


def _owners(program: Program) -> dict[int, str]:
    """Index of a step -> the layer whose gradients or parameters it is about."""
    owners: dict[int, str] = {}
    makers = {s.writes[0]: s.node for s in program.steps if isinstance(s, pr.Infer)}
    readers = {name: s.node for s in program.steps if isinstance(s, pr.Infer) for name in s.reads}
    for i, step in enumerate(program.steps):
        match step:
            case pr.InputGradient() | pr.UpdateWeights():
                owners[i] = step.layer.node
            case pr.UpdateBias():
                owners[i] = readers[step.writes[0]]
            case pr.SaveMask() | pr.SaveShare():
                owners[i] = makers[step.reads[0]]
            case _:
                pass
    return owners


def _layer_cost(program: Program, node: str, saved: frozenset[str]) -> LayerCost:
    owners = _owners(program)
    steps = [program.steps[i] for i, owner in owners.items() if owner == node]
    backward = [s for s in steps if not isinstance(s, pr.SaveMask | pr.SaveShare)]
    buffers = {n: program.buffers[n] for s in steps for n in (*s.reads, *s.writes)}
    written = {name for step in backward for name in step.writes}
    masks = {name for s in steps if isinstance(s, pr.SaveMask | pr.SaveShare) for name in s.writes}
    inputs = {s.reads[1] for s in backward if isinstance(s, pr.UpdateWeights)}

    def total(role: pr.Role) -> int:
        return sum(b.nbytes for n, b in buffers.items() if b.role is role and n in written)

    gradients = (b for b in buffers.values() if b.role is pr.Role.GRADIENT)
    updates = [s for s in backward if isinstance(s, pr.UpdateWeights)]
    through = [s for s in backward if isinstance(s, pr.InputGradient)]
    return LayerCost(
        node,
        any(s.y_grid is not None for s in updates) or any(s.grid is not None for s in through),
        sum(program.buffers[name].nbytes for name in (masks | inputs) & saved),
        sum(b.nbytes for b in gradients),
        sum(s.row_bytes for s in updates),
        total(pr.Role.STATE),
        total(pr.Role.PARAMETER),
        sum(s.macs for s in through),
        sum(s.macs for s in updates),
    )
