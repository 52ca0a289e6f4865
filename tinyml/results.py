"""What each step reports: frozen data with the keys that `--json` prints.

The keys are the command line's contract with scripts; bytes are bytes, counts
are counts, and a figure with a unit names it in a field of its own.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """A report that prints as one JSON object."""

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A model's input or output as a user sees it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True)
class OpInfo:
    """One operator; `inputs` and `outputs` are the shapes of its activations."""

    name: str
    op: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    macs: int


@dataclass(frozen=True, slots=True)
class Inspection(Result):
    """What is in a model file."""

    model: str
    ops: tuple[OpInfo, ...]
    macs: int
    weight_bytes: int
    """Bytes of all constants: weights, biases and constant operands."""
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    unsupported: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ConvertReport(Result):
    """A model of another framework, quantised."""

    model: str
    format: str
    out: str
    bytes: int
    float_bytes: int
    """Of the float .tflite file that was quantised."""
    activations: str
    """Their type; weights are int8, per channel."""
    samples: int
    """How many it was calibrated with."""
    unsupported: str
    """Why this version cannot deploy it; empty when it can."""


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One operator of a plan: where memory and work go."""

    name: str
    op: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    macs: int
    """What is executed, as in its segment."""
    peak_sram_bytes: int
    """The most live arena bytes while the operator's segment runs."""
    instructions: int | None
    """A prediction; None where the kernel has not been measured on the board's core."""
    kernel: str
    """The C kernel; empty for an operator that is only a view."""
    segment: int
    """Index of the segment that it runs in."""
    ring_rows: int | None
    """Rows of its output that are held at a time; None where the output is stored whole."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """Operators that run together."""

    kind: str
    ops: tuple[str, ...]
    peak_sram_bytes: int
    macs: int
    """What is executed: in patches, some of it more than once."""
    patches: tuple[int, int] | None
    """Rows and columns of the grid of patches; None where the maps are not divided."""


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One choice between memory and work that no other beats in both."""

    arena_bytes: int
    peak_sram_bytes: int
    macs: int
    schedule: str
    """In a few words."""


@dataclass(frozen=True, slots=True)
class BankPlan:
    """The part of an arena that is in one of two memory regions."""

    region: str
    bytes: int
    buffers: tuple[str, ...]
    """Names of what lies there: tensors (of those that share a buffer the first) and scratches."""
    accessed: int
    """Bytes of it that one inference reads and writes, each as often as it does."""


@dataclass(frozen=True, slots=True)
class BankProfile:
    """The part of an arena that is in one of two memory regions, on the target."""

    region: str
    bytes: int
    bytes_touched: int


@dataclass(frozen=True, slots=True)
class CodeChoice:
    """What `--optimize` leads to; bytes of a whole firmware, None where they are not known."""

    optimize: str
    taken: bool
    code_bytes: int | None
    const_bytes: int | None
    instructions: int | None
    """A prediction, as for layers."""


@dataclass(frozen=True, slots=True)
class PlanReport(Result):
    """The memory plan of a model on a board."""

    model: str
    board: str
    peak_sram_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    optimal: bool
    """Whether the offsets are proven to be the best there are for this schedule."""
    macs: int
    """Multiply-accumulates that one inference executes."""
    model_macs: int
    instructions: int | None
    """A prediction, as for layers; None where there is none for one of them."""
    feed: str
    segments: tuple[SegmentPlan, ...]
    layers: tuple[LayerPlan, ...]
    pareto: tuple[ParetoPoint, ...]
    picture: str = field(default="", metadata={"json": False})
    banks: tuple[BankPlan, ...] = ()
    """Where the arena takes more than the fastest region of the board."""
    optimize: tuple[CodeChoice, ...] = ()
    """For this schedule, where firmware has to fit a flash and both were looked at."""
    state_bytes: int = 0
    """Of the arena, what lasts from one inference to the next."""

    def to_json(self) -> dict[str, Any]:
        """The report without the picture, which is for people."""
        values = asdict(self)
        del values["picture"]
        return values


@dataclass(frozen=True, slots=True)
class BuildReport(Result):
    """A built project and its sizes in bytes."""

    project: str
    board: str
    elf: str
    compiler: str
    arena_bytes: int
    sram_bytes: int
    """Arena plus .data and .bss of the whole firmware, serial link included; no stack."""
    flash_bytes: int
    code_bytes: int
    const_bytes: int
    stack_bytes: int
    """Stack that the board reserves."""
    more_const_bytes: int = 0
    """Of the constants, those in the second region of a board that has one for them."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first place where the target and the reference differ."""

    input: int
    """Index of the input, from 0."""
    op: str
    """The first operator whose output differs ("" when only the graph output is known)."""
    kind: str
    tensor: str
    index: int
    """Flat element index in the tensor."""
    expected: float
    actual: float


@dataclass(frozen=True, slots=True)
class VerifyReport(Result):
    """Target against reference."""

    project: str
    board: str
    bit_exact: bool
    inputs: int
    bytes_compared: int
    """Output bytes compared one by one."""
    op_outputs_compared: int
    """Intermediate tensors compared by checksum and length."""
    mismatches: int
    """Output bytes that differ."""
    max_abs_diff: float
    """Largest difference of an output element, in its own unit (quantised steps for int8)."""
    first_mismatch: Mismatch | None
    accuracy: float | None = None
    """Share of labels met by the target's outputs, when labels were given."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model does on samples; None for what they have no goal for."""

    samples: int
    accuracy: float | None
    """Share of labels met by the largest element of the first output; of an output of one
    element, by whether it is over 0.5."""
    mean_squared_error: float | None
    mean_absolute_error: float | None
    """Of the first output against the targets."""


@dataclass(frozen=True, slots=True)
class TargetScore:
    """The same of a firmware."""

    board: str
    bit_exact: bool
    """Whether every byte was the reference's; if not, the score is that of the reference."""
    score: Score


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """What quantisation does to the output of one layer, as signal to noise in dB.

    None for a ratio that does not exist: there is no error, or no signal.
    """

    name: str
    op: str
    tensor: str
    matched: str
    """How its tensor was found in the float model: by "name" or by "order"."""
    snr_db: float | None
    """Error of all layers up to this one."""
    own_snr_db: float | None
    """Error of this layer alone, whose operands are those of the float model, quantised."""


@dataclass(frozen=True, slots=True)
class EvaluateReport(Result):
    """How good a quantised model is, and where it loses."""

    model: str
    float_model: str
    int8_score: Score
    """Of the reference, which a verified firmware equals byte for byte."""
    float_score: Score | None
    agreement: float | None
    """Share of samples for which float and int8 model have the same largest element."""
    target_score: TargetScore | None
    layers: tuple[LayerNoise, ...]
    layer_samples: int
    unmatched: tuple[str, ...]
    """Layers whose output is not known in the float model."""
    hurting: tuple[str, ...]
    """Layers with an own SNR under `hurting_below_db`, the worst first."""
    hurting_below_db: float


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """Cost of one operator."""

    name: str
    op: str
    count: int
    macs: int


@dataclass(frozen=True, slots=True)
class ProfileReport(Result):
    """Cost of one inference; `unit` is "instructions" (emulator) or "cycles" (hardware)."""

    project: str
    board: str
    unit: str
    total: int
    layers: tuple[LayerProfile, ...]
    arena_bytes: int
    arena_bytes_touched: int
    stack_bytes_used: int
    estimated_cycles: int | None = None
    """Of an emulated core, if they were asked for."""
    cycles_model: str = ""
    """What they are estimated with."""
    banks: tuple[BankProfile, ...] = ()
    """Where the arena is in two."""


@dataclass(frozen=True, slots=True)
class RunReport(Result):
    """Outputs of one inference on the target, flat, by tensor name."""

    project: str
    board: str
    outputs: dict[str, list[float]]
    shapes: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class FlashReport(Result):
    """Firmware put on a board, or what would do that."""

    project: str
    board: str
    tool: str
    command: str
    """The command line, for a shell."""
    port: str
    """Where the board is; "" where the tool looks for it."""
    done: bool


@dataclass(frozen=True, slots=True)
class PackageReport(Result):
    """A model as a package of another build system."""

    project: str
    form: str
    path: str
    """Of the folder or the archive."""
    files: int


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """One line of the board list."""

    name: str
    title: str
    core: str
    flash_bytes: int
    sram_bytes: int
    emulator: str
    tested: str
    """"run", "compiled" or "data": see `tinyml.board.Tested`."""


@dataclass(frozen=True, slots=True)
class BoardList(Result):
    """All boards."""

    boards: tuple[BoardInfo, ...]


@dataclass(frozen=True, slots=True)
class ToolCheck:
    """One program or package."""

    name: str
    found: bool
    version: str
    needed_for: str
    install: str
    """The command that installs it."""


@dataclass(frozen=True, slots=True)
class DoctorReport(Result):
    """Whether this machine has what tinyml needs."""

    ok: bool
    checks: tuple[ToolCheck, ...]
