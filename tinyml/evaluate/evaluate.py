"""The float model, the int8 reference and the firmware on the same samples."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml import importers, reference
from tinyml.convert import float_bytes
from tinyml.data import Dataset, fit, parse_pixels, read_dataset
from tinyml.emit import Project, open_project
from tinyml.errors import ModelError
from tinyml.evaluate.floats import run_floats
from tinyml.evaluate.match import match
from tinyml.evaluate.noise import layer_noise
from tinyml.evaluate.score import Reals, guesses, score
from tinyml.importers.tflite import read_inputs
from tinyml.importers.tflite_file import read_file
from tinyml.ir.graph import Array, Graph
from tinyml.link import Progress
from tinyml.quant.affine import real
from tinyml.results import EvaluateReport, LayerNoise, TargetScore
from tinyml.verify import deployed_graph, verify_project

LAYER_SAMPLES = 16
"""Samples that layers are compared on: squares of all elements of them are added up."""
TARGET_SAMPLES = 20
"""Samples for a firmware where no limit is given: an emulated core is slow."""
HURTING_BELOW_DB = 20.0
"""A layer with a tenth of its signal (in amplitude) as noise of its own is named."""

Builder = Callable[[Path], None]
"""Makes a project of the model in a folder."""


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What is compared with what."""

    data: Path
    pixels: str | None = None
    limit: int | None = None
    """The most samples; None: all, and `TARGET_SAMPLES` of them on a target."""
    float_model: Path | None = None
    """A model file of any format that `tinyml convert` reads."""
    project: Path | None = None
    """A built firmware of the model."""
    port: str | None = None


def evaluate(
    model: Path,
    options: EvaluateOptions,
    *,
    build: Builder | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Scores of a quantised .tflite file; see `EvaluateOptions`.

    With `build`, a firmware is made for this alone. `progress` follows the samples of the
    reference, then those of the target.
    """
    graph = importers.load(model)
    pixels = None if options.pixels is None else parse_pixels(options.pixels)
    data = read_dataset(options.data, pixels).take(options.limit)
    outputs = _int8_outputs(graph, data, progress)
    floats: _Floats | None = None
    if options.float_model is not None:
        floats = _float_outputs(graph, options.float_model, data)
    target = None
    few = data if options.limit else data.take(TARGET_SAMPLES)
    if options.project is not None:
        target = _on_target(model, options.project, few, options.port, progress)
    elif build is not None:
        with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
            project = Path(folder, "project")
            build(project)
            target = _on_target(model, project, few, options.port, progress)
    layers = floats.layers if floats else ()
    known = {layer.name for layer in layers}
    loud = [x for x in layers if x.own_snr_db is not None and x.own_snr_db < HURTING_BELOW_DB]
    return EvaluateReport(
        model=str(model),
        float_model="" if options.float_model is None else str(options.float_model),
        int8_score=score(data, outputs),
        float_score=score(data, floats.outputs) if floats else None,
        agreement=float(np.mean(guesses(outputs) == guesses(floats.outputs))) if floats else None,
        target_score=target,
        layers=layers,
        layer_samples=min(LAYER_SAMPLES, data.count) if floats else 0,
        unmatched=tuple(n.name for n in graph.nodes if n.name not in known) if floats else (),
        hurting=tuple(x.name for x in sorted(loud, key=lambda x: x.own_snr_db or 0.0)),
        hurting_below_db=HURTING_BELOW_DB,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Floats:
    """What the float model says."""

    outputs: Reals
    layers: tuple[LayerNoise, ...]


def _int8_outputs(graph: Graph, data: Dataset, progress: Progress | None) -> Reals:
    """The reference's first output for each sample, in real numbers."""
    inputs = fit(data, [graph.tensors[name] for name in graph.inputs])
    first = graph.tensors[graph.outputs[0]]
    found = []
    for i in range(data.count):
        feed = {name: array[i] for name, array in zip(graph.inputs, inputs, strict=True)}
        found.append(real(reference.run(graph, feed)[first.name], first))
        if progress:
            progress(i + 1, data.count)
    return np.stack(found)


def _float_outputs(graph: Graph, path: Path, data: Dataset) -> _Floats:
    content = float_bytes(path)
    file = read_file(content)
    matches = match(graph, file)
    inputs = read_inputs(content, path.stem)
    (outputs,) = run_floats(content, fit(data, inputs), file.outputs[:1]).values()
    first = graph.tensors[graph.outputs[0]]
    if outputs.shape[1:] != first.shape:
        raise ModelError(
            f"the first output of '{path}' is {list(outputs.shape[1:])}, that of the quantised "
            f"model {list(first.shape)}",
            hint="--float takes the model that was quantised",
        )
    few = data.take(LAYER_SAMPLES)
    indices = sorted({each.index for each in matches.values()})
    values = run_floats(content, fit(few, inputs), indices)
    quantised_inputs = fit(few, [graph.tensors[name] for name in graph.inputs])
    tensors = {name: values[each.index] for name, each in matches.items()}
    layers = layer_noise(graph, quantised_inputs, tensors, matches)
    return _Floats(outputs.astype(np.float64), layers)


def _on_target(
    model: Path, folder: Path, data: Dataset, port: str | None, progress: Progress | None
) -> TargetScore:
    project = open_project(folder)
    _check_same(model, project)
    graph = deployed_graph(project.model_path, project.manifest.options.get("io", "model"))
    inputs = fit(data, [graph.tensors[name] for name in graph.inputs])
    samples: list[Sequence[Array]] = [[each[i] for each in inputs] for i in range(data.count)]
    checked = verify_project(
        project, port=port, count=0, seed=0, samples=samples, labels=None, progress=progress
    )
    return TargetScore(
        project.board.name, checked.bit_exact, score(data, _int8_outputs(graph, data, None))
    )


def _check_same(model: Path, project: Project) -> None:
    if hashlib.sha256(model.read_bytes()).hexdigest() != project.manifest.source_sha256:
        raise ModelError(
            f"'{project.root}' was built from another model than '{model}'",
            hint="build it again, or give the model that it was built from: model.tflite there",
        )
