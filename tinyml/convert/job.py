"""What the worker is told to do, and what an exporter hands to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinyml.ir.graph import Array


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """A conversion; paths as text, so that it is plain JSON."""

    format: str
    """Name of a `formats.Format`."""
    model: str
    float_out: str
    quantised_out: str | None
    """None: the float model is all that is wanted."""
    data: str | None
    """The representative samples; None where nothing is quantised."""
    pixels: tuple[float, float] | None
    limit: int | None
    int16x8: bool


@dataclass(frozen=True, slots=True)
class RunJob:
    """Inferences of a float .tflite file."""

    model: str
    inputs: str
    """An .npz with an array [n, 1, ...] for each input, "0", "1", ... in their order."""
    outputs: str
    """The .npz to write: an array [n, ...] for each tensor, by its index in the file."""
    tensors: tuple[int, ...]
    """Which ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How to quantise."""

    samples: Sequence[Array]
    """For each input an array [n, 1, ...]."""
    int16x8: bool
    """int16 activations, in place of int8; weights are int8 per channel in any case."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A model as a float .tflite file, and what quantises it."""

    content: bytes
    quantise: Callable[[Recipe], bytes]
