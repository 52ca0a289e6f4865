"""What the templates print of training. Made by `train_make`."""

from dataclasses import dataclass

from tinyml.emit.opview import StructView
from tinyml.emit.segments import SegmentView


@dataclass(frozen=True, slots=True)
class MemberView:
    """An array of a block."""

    ctype: str
    name: str
    count: int
    comment: tuple[str, ...]
    lines: tuple[str, ...]
    """What it begins with; none: zeros."""


@dataclass(frozen=True, slots=True)
class BlockView:
    """A struct of arrays in RAM."""

    name: str
    """Of the variable; its type ends in _t."""
    bytes: int
    tag: str
    members: tuple[MemberView, ...]


@dataclass(frozen=True, slots=True)
class ResultView:
    """What the observer is told of after a call."""

    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class CallView:
    """A call of the training program: a function of its own."""

    index: int
    comment: tuple[str, ...]
    function: str
    arguments: str
    """What the function is handed; its parameters are `parameters`."""
    parameters: str
    struct: StructView
    call: tuple[str, ...]
    result: ResultView
    scratch_bytes: int
    scratch_macro: str
    is_loss: bool


@dataclass(frozen=True, slots=True)
class TrainView:
    """How a model learns. The names are those of `ModelView`, where the templates share macros."""

    name: str
    macro: str
    title: tuple[str, ...]
    headers: tuple[str, ...]
    arena_bytes: int
    """What a training step needs."""
    end: int
    """First byte past all that it touches."""
    input_ctype: str
    input_bytes: int
    input_offset: int
    target_ctype: str
    target_bytes: int
    classes: int
    """How many labels there are; 0 where the target is no label."""
    loss: str
    segments: tuple[SegmentView | CallView, ...]
    observed: int
    """Outputs that the observer is told of in a step."""
    first: int
    """Index of the first call of the training program."""
    schedule: StructView
    train_step: tuple[str, ...]
    """Prototype of the public function; so are the next two, and `run` of the one behind them."""
    only_loss: tuple[str, ...]
    save: tuple[str, ...]
    load: tuple[str, ...]
    run: tuple[str, ...]
    learn: tuple[str, ...]
    """The statement of train_step that calls what does it."""
    parameters: BlockView
    state: BlockView | None
    learns: tuple[str, ...]
    """What learns and how, in lines of a comment."""
    handle: str = "arena"
    handle_type: str = "uint8_t *"
    banked: bool = False
    pushed: bool = False
    pulled: bool = False
    flash: str = ""

    @property
    def lasting_bytes(self) -> int:
        """Of RAM, beside the arena."""
        return self.parameters.bytes + (self.state.bytes if self.state else 0)

    @property
    def calls(self) -> tuple[CallView, ...]:
        """The calls of the training program that are not those of inference."""
        return tuple(each for each in self.segments if isinstance(each, CallView))
