"""What `tinyml zoo` does: lists, builds, trains."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyml.convert import ConvertOptions, convert
from tinyml.convert.formats import KERAS, require
from tinyml.convert.job import ZooJob
from tinyml.convert.process import run_worker
from tinyml.data import parse_pixels, read_dataset
from tinyml.errors import ModelError
from tinyml.results import Result
from tinyml.zoo.catalog import ENTRIES, Task, find

CALIBRATION = 200
"""Of what is trained with, so many samples show the quantiser how large values get."""
_FLOAT, _INT8 = ".keras", ".tflite"


@dataclass(frozen=True, slots=True)
class ZooOptions:
    """What of a network is not as the zoo has it."""

    size: int | None = None
    classes: int | None = None
    alpha: float | None = None
    seed: int = 0
    """Of the weights, and of what training draws."""


@dataclass(frozen=True, slots=True)
class ZooItem:
    """A network of the zoo, with its defaults."""

    name: str
    family: str
    task: str
    input: str
    size: int
    classes: int | None
    alpha: float | None
    source: str


@dataclass(frozen=True, slots=True)
class ZooList(Result):
    """All networks of the zoo."""

    models: tuple[ZooItem, ...]


@dataclass(frozen=True, slots=True)
class ZooReport(Result):
    """A network that was built, and perhaps trained."""

    name: str
    out: str
    bytes: int
    shape: tuple[int, ...]
    """Of the input, without the batch."""
    parameters: int
    trained: int
    """Samples that it learnt from."""
    tested: int
    """Samples that were held back for `accuracy` and `loss`, which are those of the float model."""
    accuracy: float | None
    loss: float | None
    unsupported: str
    """Why the int8 file cannot be deployed; empty when it can, or when the file is a float one."""


def listed() -> ZooList:
    """The networks and their defaults."""
    return ZooList(
        tuple(
            ZooItem(
                name=each.name,
                family=each.family,
                task=each.task.value,
                input=each.input_text(),
                size=each.size,
                classes=each.classes,
                alpha=each.alpha,
                source=each.source,
            )
            for each in ENTRIES
        )
    )


def build(name: str, out: Path, options: ZooOptions) -> ZooReport:
    """The network with random weights: a .keras file, or an int8 .tflite file.

    Raises ModelError for what it cannot be, MissingToolError without Keras.
    """
    find(name).spec(options.size, options.classes, options.alpha)
    return _made(name, out, options, None, None, 0, None)


def train(
    name: str,
    out: Path,
    options: ZooOptions,
    data: Path,
    *,
    pixels: str | None = None,
    epochs: int,
    progress: Callable[[int, int], None] | None = None,
) -> ZooReport:
    """The network, trained with `data` (see `tinyml.data`): .keras, or int8 .tflite.

    The input is as large as arrays are; images of files are resized to it. Raises what `build`
    does, and ModelError for what the data are.
    """
    entry = find(name)
    if entry.task is Task.DETECT:
        raise ModelError(
            f"'{name}' is a detector, and how it is to learn is not known here",
            hint=f"tinyml zoo build {name} -o {name}.keras, and train that with your own loss",
        )
    if options.size is not None or options.alpha is not None:
        entry.spec(options.size, alpha=options.alpha)
    read_dataset(data, None if pixels is None else parse_pixels(pixels))
    return _made(name, out, options, data, pixels, epochs, progress)


def _made(
    name: str,
    out: Path,
    options: ZooOptions,
    data: Path | None,
    pixels: str | None,
    epochs: int,
    progress: Callable[[int, int], None] | None,
) -> ZooReport:
    if out.suffix not in (_FLOAT, _INT8):
        raise ModelError(f"'{out}' is no kind of model file", hint=f"-o {name}{_INT8} or {_FLOAT}")
    require(KERAS)
    with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
        network, facts, samples = (
            Path(folder, each) for each in (f"{name}{_FLOAT}", "facts.json", "samples.npz")
        )
        job = ZooJob(
            name=name,
            out=str(network),
            facts_out=str(facts),
            samples_out=str(samples),
            size=options.size,
            classes=options.classes,
            alpha=options.alpha,
            seed=options.seed,
            data=None if data is None else str(data.resolve()),
            pixels=None if pixels is None else parse_pixels(pixels),
            epochs=epochs,
        )
        run_worker(job, f"'{name}' cannot be made", progress)
        unsupported = ""
        if out.suffix == _INT8:
            shown = ConvertOptions(data or samples, pixels, CALIBRATION)
            unsupported = convert(network, out, shown).unsupported
        else:
            _copied(network, out)
        found: dict[str, Any] = json.loads(facts.read_text())
    return ZooReport(
        name=name,
        out=str(out),
        bytes=out.stat().st_size,
        shape=tuple(found["shape"]),
        parameters=found["parameters"],
        trained=found.get("trained", 0),
        tested=found.get("tested", 0),
        accuracy=found.get("accuracy"),
        loss=found.get("loss"),
        unsupported=unsupported,
    )


def _copied(file: Path, out: Path) -> None:
    try:
        shutil.copyfile(file, out)
    except OSError as error:
        raise ModelError(
            f"cannot write '{out}': {error.strerror or error}", hint="name another file"
        ) from error
