"""Building and training a network of the zoo, in the worker: importing this loads Keras."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinyml.convert.job import ZooJob
from tinyml.convert.process import say_progress
from tinyml.data import Dataset, fit, read_dataset
from tinyml.errors import ModelError
from tinyml.ir.graph import DType, Tensor
from tinyml.zoo.catalog import Entry, Spec, Task, find
from tinyml.zoo.drawn import drawn_inputs
from tinyml.zoo.scale import settle

DRAWN = 48
"""Inputs that random weights are scaled with, and then quantised with."""
BATCH, RATE = 32, 2e-3
"""Of training; the rate of Adam falls to 0 along a cosine."""
HELD_BACK = 8
"""Of so many samples one is not learnt from but measured on."""


def run(job: ZooJob) -> None:
    """Builds, and trains where there is data; writes the .keras file and a file of facts."""
    entry = find(job.name)
    data = None if job.data is None else read_dataset(Path(job.data), job.pixels)
    shape = None if data is None or job.size is not None else _sample_shape(data)
    classes = job.classes
    if data is not None and classes is None and data.labels is not None:
        classes = int(data.labels.max()) + 1 if entry.task is Task.CLASSIFY else None
    spec = entry.spec(job.size, classes, job.alpha, shape)
    keras.utils.set_random_seed(job.seed)
    model = _function(entry.builder)(spec)
    facts: dict[str, Any] = {}
    if data is None:
        samples = drawn_inputs(DRAWN, spec.shape, job.seed)
        settle(model, samples, job.seed)
        np.savez(job.samples_out, input=samples)
    else:
        facts = _trained(model, entry, spec, data, job)
    deployed = _function(entry.fuser)(model, spec) if entry.fuser else model
    deployed.save(job.out)
    facts |= {"parameters": deployed.count_params(), "shape": spec.shape}
    Path(job.facts_out).write_text(json.dumps(facts))


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(".")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"tinyml.zoo.nets.{module}"), function
    )
    return found


def _sample_shape(data: Dataset) -> tuple[int, ...] | None:
    """Of arrays, which have a size; images of files are resized to the network's."""
    if data.images or len(data.arrays) != 1:
        return None
    shape = tuple(next(iter(data.arrays.values())).shape[1:])
    return (*shape, 1) if len(shape) == 2 else shape


def _trained(model: Any, entry: Entry, spec: Spec, data: Dataset, job: ZooJob) -> dict[str, Any]:
    """Scores before the first and after the last epoch are of samples never learnt from."""
    (inputs,) = fit(data, [Tensor("input", (1, *spec.shape), DType.FLOAT32)])
    inputs = inputs[:, 0]
    goals, loss = _goals(entry, spec, data, inputs)
    order = np.random.default_rng(job.seed).permutation(len(inputs))
    held = max(1, len(order) // HELD_BACK)
    test, train = order[:held], order[held:]
    if not len(train):
        raise ModelError(f"'{data.source}' has one sample", hint="give a hundred or more")
    steps = -(-len(train) // BATCH) * job.epochs
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    metrics = [] if entry.task is Task.RECONSTRUCT else ["accuracy"]
    model.compile(keras.optimizers.Adam(rate), loss, metrics=metrics)
    bar = keras.callbacks.LambdaCallback()
    count = iter(range(1, steps + 1))
    bar.on_train_batch_end = lambda batch, logs=None: say_progress(next(count), steps)
    model.fit(
        *(inputs[train], goals[train]),
        batch_size=BATCH,
        epochs=job.epochs,
        verbose=0,
        callbacks=[bar],
    )
    found = model.evaluate(inputs[test], goals[test], verbose=0, return_dict=True)
    return {"trained": len(train), "tested": held, **{key: float(found[key]) for key in found}}


def _goals(entry: Entry, spec: Spec, data: Dataset, inputs: Any) -> tuple[Any, Any]:
    """What the outputs should be, and the loss."""
    if entry.task is Task.RECONSTRUCT:
        return inputs, "mean_squared_error"
    if entry.task is Task.CLASSIFY:
        goals, wanted = data.labels, "'labels' [n], or a folder for each class"
    else:
        goals, wanted = data.targets, f"'targets' [n, {spec.shape[0]}, {spec.shape[1]}]"
    if goals is None:
        raise ModelError(f"'{data.source}' does not say what is in its samples", hint=wanted)
    if not np.issubdtype(goals.dtype, np.integer) or goals.min() < 0 or goals.max() >= spec.classes:
        raise ModelError(
            f"'{data.source}' has classes from {goals.min()} to {goals.max()}, "
            f"the network {spec.classes}",
            hint=f"integers from 0 to {spec.classes - 1}, or another --classes",
        )
    if entry.task is Task.SEGMENT and goals.shape[1:] != spec.shape[:2]:
        raise ModelError(
            f"the 'targets' of '{data.source}' are {list(goals.shape)}", hint=f"give {wanted}"
        )
    logits = entry.task is Task.SEGMENT
    return goals, keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
