"""What a target says about itself and about an inference."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes to do in all."""


@dataclass(frozen=True, slots=True)
class Region:
    """A byte range of the arena."""

    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a target says about itself."""

    name: str
    identity: str
    """64 hex digits over model, plan and generator."""
    build: str
    arena_bytes: int
    more_bytes: int
    """Of them, in a second arena."""
    op_count: int
    inputs: tuple[Region, ...]
    outputs: tuple[Region, ...]
    unit: str
    """What its counter counts: "cycles", "instructions" or "nanoseconds"."""
    per_tick: Fraction
    """Units per tick of the counter."""
    clock_hz: int
    """The processor clock that runs; 0 if the target does not know it."""
    payload: int
    """Data bytes per frame."""
    record_capacity: int
    row_bytes: int
    """Of the only input, where it comes in pieces; 0 where inputs lie in the arena."""
    pixel_bytes: int
    """Of the only input, where the model reads it in pieces; 0 elsewhere."""

    @property
    def takes_rows(self) -> bool:
        """Whether the only input is handed over row by row."""
        return self.row_bytes > 0 and self.pixel_bytes == 0

    @property
    def pulls(self) -> bool:
        """Whether the model reads the only input in pieces while it runs."""
        return self.pixel_bytes > 0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What makes an inference a training step: what is to be learned, and how."""

    target: bytes
    """A label (int32), or the whole output (float32)."""
    rate: float
    seed: int
    number: int
    """Of the sample, from 0: it draws the random numbers, and says where a batch ends."""


@dataclass(frozen=True, slots=True)
class Record:
    """One output of one op, as observed while the model ran: at once, or in pieces."""

    op: int
    output: int
    bytes: int
    """As many as there were when the run ended; those that tiles share once for each."""
    crc: int | None
    """CRC-32 of these bytes in the order in which they came, if it was asked for."""
    ticks: int


@dataclass(frozen=True, slots=True)
class Invocation:
    """One inference: what it cost, and a record of every output of every op."""

    records: tuple[Record, ...]
    ticks: int
    overhead: Fraction
    """Ticks that the act of counting adds to every record."""
    jitter: int
    """By how many ticks runs of the same instructions differ: 0 where ticks count instructions."""
    read_bytes: int
    """Of an input that the model reads in pieces: all of them; else 0."""
    read_crc: int
    """CRC-32 of these, in the order in which they were read."""
    loss: float
    """Of a training step; else 0."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The cost of one inference, in `unit`."""

    unit: str
    total: int
    ops: tuple[int, ...]
    """By index of the op; what runs after the last op is only in the total."""


@dataclass(frozen=True, slots=True)
class HighWater:
    """The memory that an inference really touches, in bytes; stack 0 where it is not known."""

    arena_bytes: int
    more_bytes: int
    """Of a second arena."""
    stack_bytes: int
