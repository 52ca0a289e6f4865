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
    equalize: bool
    """Equalise the weights of a Keras model first."""


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


@dataclass(frozen=True, slots=True)
class ZooJob:
    """A network of the zoo to build, and to train where there is data."""

    name: str
    """Of a `zoo.catalog.Entry`."""
    out: str
    """The .keras file to write."""
    facts_out: str
    """The JSON file of figures to write."""
    samples_out: str
    """The .npz of drawn inputs to write where there is no data."""
    size: int | None
    classes: int | None
    alpha: float | None
    seed: int
    data: str | None
    pixels: tuple[float, float] | None
    epochs: int


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
