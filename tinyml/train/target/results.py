"""What planning, verifying and profiling of training report; the keys are those of `--json`."""

from dataclasses import dataclass

from tinyml.results import Result


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A call of a training step."""

    name: str
    phase: str
    """"forward" (the frozen backbone included), "backward" or "update"."""
    peak_sram_bytes: int
    """Live bytes of the arena while it runs."""
    macs: int


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What the forward pass leaves for the backward pass."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LearningPlan:
    """A tensor that learns."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TradeOff:
    """What training costs that is asked for a little differently."""

    radius: int
    layers: int
    """The last so many with weights."""
    sram_bytes: int
    """The least budget: arena of a step and all that learns."""
    saved_bytes: int
    backward_macs: int


@dataclass(frozen=True, slots=True)
class TrainPlanReport(Result):
    """The memory plan of a model that learns."""

    model: str
    board: str
    trained: tuple[str, ...]
    """Layers."""
    precision: str
    sram_bytes: int
    """Arena, parameters and what is remembered about them."""
    arena_bytes: int
    """Of a step or of inference, whichever needs more."""
    step_arena_bytes: int
    inference_arena_bytes: int
    lower_bound_bytes: int
    """Of the arena of a step."""
    optimal: bool
    parameter_bytes: int
    state_bytes: int
    saved_bytes: int
    macs: dict[str, int]
    """By phase; those of the backward pass are the program's, of gradients alone."""
    steps: tuple[StepPlan, ...]
    saved: tuple[SavedPlan, ...]
    learning: tuple[LearningPlan, ...]
    trade_off: tuple[TradeOff, ...]


@dataclass(frozen=True, slots=True)
class StepMismatch:
    """The first place where a training step differs."""

    sample: int
    step: str
    what: str
    """A buffer of the program, "loss", or "output"."""


@dataclass(frozen=True, slots=True)
class TrainVerifyReport(Result):
    """Training on the target against the host reference, from the same start."""

    project: str
    board: str
    bit_exact: bool
    steps: int
    """Samples that were learned."""
    buffers_compared: int
    """Results of calls (activations, gradients, parameters), by checksum and length."""
    parameter_bytes: int
    """Compared one by one, after the last step."""
    parameters_changed: int
    """Elements that are no longer what they were."""
    first_loss: float
    last_loss: float
    arena_bytes: int
    """Planned for a training step."""
    arena_bytes_touched: int
    stack_bytes_used: int
    first_mismatch: StepMismatch | None


@dataclass(frozen=True, slots=True)
class StepProfile:
    """Cost of a call of a training step."""

    name: str
    phase: str
    layer: str
    """Whose gradient or parameter it is about; the operator for the backbone's."""
    count: int
    macs: int


@dataclass(frozen=True, slots=True)
class TrainProfileReport(Result):
    """Cost of a training step, in `unit`."""

    project: str
    board: str
    unit: str
    total: int
    phases: dict[str, int]
    steps: tuple[StepProfile, ...]
    arena_bytes: int
    arena_bytes_touched: int
    stack_bytes_used: int
