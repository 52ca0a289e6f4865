"""The process that foreign packages run in: `python -m tinyml.convert.worker JOB ANSWER`.

They print at will, need seconds and gigabytes to load, and crash on some models; so they have
a process of their own. The answer is a JSON object: empty, or what went wrong.
"""

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.convert import formats
from tinyml.convert.job import ConvertJob, Exported, Recipe, RunJob, ZooJob
from tinyml.data import Dataset, fit, read_dataset
from tinyml.errors import TinymlError
from tinyml.importers.tflite import read_inputs

Exporter = Callable[[Path, Path], Exported]


def _exporter(name: str, equalising: Dataset | None) -> Exporter:
    """What reads a format; each loads only the packages that it needs."""
    if name in (formats.TORCH.name, formats.TFLITE.name):
        from tinyml.convert import litert_models

        torch = name == formats.TORCH.name
        return litert_models.from_torch if torch else litert_models.from_tflite
    from tinyml.convert import tf_models

    known: dict[str, Exporter] = {
        formats.KERAS.name: partial(tf_models.from_keras, equalising=equalising),
        formats.SAVED_MODEL.name: tf_models.from_saved_model,
        formats.ONNX.name: tf_models.from_onnx,
    }
    return known[name]


def _convert(job: ConvertJob) -> None:
    with tempfile.TemporaryDirectory(prefix="tinyml-") as scratch:
        data = None if job.data is None else read_dataset(Path(job.data), job.pixels)
        data = None if data is None else data.take(job.limit)
        exporter = _exporter(job.format, data if job.equalize else None)
        exported = exporter(Path(job.model), Path(scratch))
        inputs = read_inputs(exported.content, Path(job.model).stem)
        Path(job.float_out).write_bytes(exported.content)
        if job.quantised_out is not None and data is not None:
            recipe = Recipe(fit(data, inputs), job.int16x8)
            Path(job.quantised_out).write_bytes(exported.quantise(recipe))


def _run(job: RunJob) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without delegates: those fuse operators, and then tensors between have no value.
    interpreter = Interpreter(
        model_path=job.model,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    places = [each["index"] for each in interpreter.get_input_details()]
    with np.load(job.inputs) as archive:
        arrays = [archive[str(i)] for i in range(len(places))]
    found: dict[int, list[Any]] = {index: [] for index in job.tensors}
    for sample in zip(*arrays, strict=True):
        for place, array in zip(places, sample, strict=True):
            interpreter.set_tensor(place, array)
        interpreter.invoke()
        for index, values in found.items():
            values.append(interpreter.get_tensor(index))
    arrays_out: dict[str, Any] = {str(i): np.stack(values) for i, values in found.items()}
    np.savez(job.outputs, **arrays_out)


def _zoo(job: ZooJob) -> None:
    from tinyml.zoo import work

    work.run(job)


_TASKS: dict[str, Callable[[dict[str, Any]], None]] = {
    ConvertJob.__name__: lambda values: _convert(ConvertJob(**values)),
    RunJob.__name__: lambda values: _run(RunJob(**values)),
    ZooJob.__name__: lambda values: _zoo(ZooJob(**values)),
}


def main(job_path: str, answer_path: str) -> int:
    """Does one job; the exit status is 0 whenever there is an answer."""
    values = json.loads(Path(job_path).read_text())
    try:
        _TASKS[values.pop("task")](values)
        answer: dict[str, str] = {}
    except TinymlError as error:
        answer = {"kind": type(error).__name__, "what": error.what, "hint": error.hint}
    except Exception as error:  # of whatever kind foreign packages raise
        traceback.print_exc()
        answer = {"failure": f"{type(error).__name__}: {error}"}
    Path(answer_path).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
